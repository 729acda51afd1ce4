"""Simulated, indexed observations: predictions of a true model with errors, to be refined from a wrong one."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from xdp.experiment.detector import Detector, move_panels
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.experiment.io import write_experiments
from xdp.prediction.reflections import predict_rotation, predict_stills
from xdp.refinement.equations.parts import ObservedCentroids
from xdp.refinement.options import Refinement
from xdp.refinement.parameters.rotations import make_rotation
from xdp.refinement.selection import add_mm_positions, collect_observations
from xdp.reflections.flags import Flag
from xdp.reflections.refl import write_reflections
from xdp.reflections.table import ReflectionTable
from xdp.simulation.models import make_beam, make_crystal, make_detector, make_goniometer, make_scan

BEAM = make_beam()
DETECTOR = make_detector(gaps=False)
SIGMA = np.array([0.1, 0.1, 0.1])  # px, px, frame


@dataclass(frozen=True)
class Simulated:
    """True experiments, and the table of their observed reflections."""

    truth: ExperimentList
    table: ReflectionTable


def observed(experiments: ExperimentList, *, n: int = 600, d_min: float = 2.5, seed: int = 1, noise: float = 1.0
             ) -> ReflectionTable:
    """`n` reflections of each experiment with Gaussian errors of `noise` times SIGMA."""
    tables = []
    for number, experiment in enumerate(experiments):
        # errors belong to the crystal, wherever it stands in the list
        rng = np.random.default_rng([seed, int(1e6 * abs(experiment.crystal.real_space_a[0]))])
        predict = predict_stills if experiment.is_still else predict_rotation
        found = predict(experiment, d_min)
        found = found.select(np.sort(rng.choice(len(found), min(n, len(found)), replace=False)))
        sigma = SIGMA * [1, 1, 0 if experiment.is_still else 1]
        xyz = found["xyzcal.px"] + rng.normal(size=(len(found), 3)) * sigma * noise
        tables.append(ReflectionTable({
            "id": np.full(len(found), number, np.int32), "panel": found["panel"],
            "miller_index": found["miller_index"], "xyzobs.px.value": xyz,
            "xyzobs.px.variance": np.tile(SIGMA**2, (len(found), 1)),
            "flags": np.full(len(found), int(Flag.INDEXED), np.uint64)}))
    return tables[0] if len(tables) == 1 else ReflectionTable.concatenate(tables)


def sweep(n_frames: int = 40, width: float = 0.5, seed: int = 0) -> Experiment:
    """A lysozyme crystal turning in front of a small detector."""
    return Experiment(beam=BEAM, detector=DETECTOR, goniometer=make_goniometer(),
                      scan=make_scan(n_frames, width), crystal=make_crystal(orientation=seed), identifier=f"s{seed}")


def still(seed: int = 0) -> Experiment:
    """A crystal at rest."""
    return Experiment(beam=BEAM, detector=DETECTOR, crystal=make_crystal(orientation=seed),
                      identifier=f"t{seed}")


def disturbed(experiments: ExperimentList, *, angle: float = 2e-3, shift: float = 0.2, scale: float = 1.001
              ) -> ExperimentList:
    """The experiments as indexing might leave them: crystals turned (rad) and scaled, the detector shifted (mm)."""
    made: dict = {}
    turn = make_rotation(np.array([0.6, 0.0, 0.8]), angle)

    def detector_of(old):
        if id(old) not in made:
            frames = [old.d_matrix(i).copy() for i in range(len(old))]
            for frame in frames:
                frame[:, 2] += [shift, -shift, shift]
            made[id(old)] = move_panels(old, frames)
        return made[id(old)]

    result = []
    for e in experiments:
        axes = e.crystal.real_space_matrix @ turn.T * scale
        a, b, c = (tuple(map(float, row)) for row in axes)
        result.append(replace(e, detector=detector_of(e.detector), crystal=replace(
            e.crystal, real_space_a=a, real_space_b=b, real_space_c=c, A_at_scan_points=None)))
    return ExperimentList(result)


def collect(experiments: ExperimentList, table: ReflectionTable, options: Refinement | None = None
            ) -> list[ObservedCentroids]:
    """The observations of each experiment, as refinement takes them."""
    return collect_observations(experiments, add_mm_positions(experiments, table), options or Refinement())[0]


def ideal_stills() -> Simulated:
    """Six stills with 60 reflections each, as their true models are."""
    truth = ExperimentList([still(seed) for seed in range(6)])
    return Simulated(truth, observed(truth, n=60, d_min=3.5))


TURNS = np.radians([0.0, 0.3, -0.25])  # what the goniometer is off between sweeps


def turned_sweeps(turns: np.ndarray = TURNS, n_frames: int = 20, width: float = 1.0) -> ExperimentList:
    """Sweeps of one crystal that stands at three angles of a second axis, off by `turns` about a third one."""
    first = sweep(n_frames, width)
    result = []
    for number, turn in enumerate(turns):
        tilt = make_rotation(np.array([0.0, 1.0, 0.0]), np.radians(40.0 * number))
        goniometer = replace(make_goniometer(), fixed_rotation=tuple(map(float, tilt.ravel())))
        off = make_rotation(np.array([0.0, 0.6, 0.8]), turn) @ first.crystal.U @ first.crystal.B
        a, b, c = (tuple(map(float, row)) for row in np.linalg.inv(off))
        crystal = replace(first.crystal, real_space_a=a, real_space_b=b, real_space_c=c)
        result.append(replace(first, crystal=crystal, goniometer=goniometer, scan=replace(first.scan),
                              identifier=f"sweep {number}"))
    return ExperimentList(result)


def share_crystal(experiments: ExperimentList) -> ExperimentList:
    """The experiments as joint indexing leaves them: all with the crystal of the first, the same object."""
    return ExperimentList([replace(e, crystal=experiments[0].crystal) for e in experiments])


FRAME = {"fast_axis": [1.0, 0.0, 0.0], "slow_axis": [0.0, 1.0, 0.0], "origin": [0.0, 0.0, 0.0]}


def quarters() -> Detector:
    """The small detector cut into four panels, two in each of two groups."""
    whole = DETECTOR[0]
    size = (whole.image_size[0] // 2, whole.image_size[1] // 2)
    fast, slow, origin = (np.asarray(v) for v in (whole.fast_axis, whole.slow_axis, whole.origin))
    panels = []
    for j in range(2):
        for i in range(2):
            corner = origin + fast * i * size[0] * 0.172 + slow * j * size[1] * 0.172
            panels.append(replace(whole, origin=tuple(map(float, corner)), image_size=size, name=f"{j}{i}", mask=()))
    leaf = [{"panel": k} for k in range(4)]
    tree = {**FRAME, "name": "root", "children": [
        {**FRAME, "name": "upper", "children": leaf[:2]}, {**FRAME, "name": "lower", "children": leaf[2:]}]}
    return Detector(tuple(panels), tree)


def write_indexed_sweep() -> None:
    """Write indexed.expt and indexed.refl of a sweep, as indexing might leave it, to the current folder."""
    truth = ExperimentList([sweep()])
    write_experiments("indexed.expt", disturbed(truth, angle=5e-4, shift=0.05))
    write_reflections("indexed.refl", observed(truth, n=250, d_min=3.5))
