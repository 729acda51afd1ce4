"""A few simulated stills on disk with their indexed spots, and ways to integrate them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from integration_data import indexed, options

from xdp.experiment.experiment import ExperimentList
from xdp.experiment.imageset import ImageSet
from xdp.integration.stills.integrate_stills import StillsResult, integrate_stills
from xdp.reflections.table import ReflectionTable
from xdp.simulation.models import make_beam, make_crystal, make_detector
from xdp.simulation.options import SimulationOptions
from xdp.simulation.stills import simulate_stills
from xdp.spotfinding.find import find_spots
from xdp.spotfinding.options import FindSpotsOptions


@dataclass(frozen=True)
class Shots:
    """Experiments, one a crystal, with images; their reference spots; the simulated truth, by experiment."""

    folder: Path
    experiments: ExperimentList
    reference: ReflectionTable
    truth: ReflectionTable

    def integrate(self, *words: str, which: slice = slice(None), **more) -> StillsResult:
        """Integrate the experiments that `which` picks, with parameters as on the command line."""
        chosen = list(self.experiments)[which]
        first = self.experiments.index(chosen[0])
        ids = self.reference["id"]
        spots = self.reference.select((ids >= first) & (ids < first + len(chosen)))
        spots["id"] = (spots["id"] - first).astype(np.int32)
        return integrate_stills(ExperimentList(chosen), spots, options(*words), **more)


def make_shots(folder: Path, shots=((1,), (2, 3), (4,)), *, size: tuple[int, int] = (420, 400), **physics) -> Shots:
    """Simulate shots of crystals of the given orientations, write one stack, find and index the spots."""
    physics = {"photons": 4000.0, "hot_pixels": 0, "dead_pixels": 0, "d_min": 1.9, "sigma_m": 0.15} | physics
    crystals = [[make_crystal(orientation=seed) for seed in shot] for shot in shots]
    simulation = simulate_stills(crystals, make_beam(), make_detector(size, distance=70.0, gaps=False),
                                 options=SimulationOptions(**physics), seed=5)
    np.save(folder / "shots.npy", simulation.stack()[:, 0])
    path = str((folder / "shots.npy").resolve())
    number = [k for k, shot in enumerate(shots) for _ in shot]
    sets = [ImageSet("ImageSet", images=(path,), single_file_indices=(k,)) for k in range(len(shots))]
    experiments = ExperimentList([dataclasses.replace(e, imageset=sets[k])
                                  for e, k in zip(simulation.experiments, number, strict=True)])
    stack = ImageSet("ImageSet", images=(path,) * len(shots), single_file_indices=tuple(range(len(shots))))
    bare = dataclasses.replace(experiments[0], crystal=None, imageset=stack, identifier="all")
    spots = find_spots(ExperimentList([bare]), FindSpotsOptions()).reflections
    truth = simulation.truth
    visible = truth.select(truth["intensity.sum.value"] > 20.0)
    visible["entering"] = np.zeros(len(visible), bool)
    reference = indexed(spots, visible)
    return Shots(folder, experiments, with_experiment(reference, visible), truth)


def with_experiment(reference: ReflectionTable, truth: ReflectionTable) -> ReflectionTable:
    """Indexed spots with the experiment and delta psi of the true reflection of the same index and place."""
    from xdp.simulation.compare import match_truth

    rows = match_truth(truth, reference)
    chosen = reference.select(rows >= 0)
    rows = rows[rows >= 0]
    chosen["id"] = truth["id"][rows]
    chosen["delpsical.rad"] = truth["delpsical.rad"][rows]
    chosen.identifiers = {}
    return chosen
