"""A small simulated rotation series on disk with its indexed spots, and ways to integrate it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xdp.experiment.crystal import Crystal
from xdp.experiment.experiment import ExperimentList
from xdp.experiment.imageset import SEQUENCE, ImageSet
from xdp.experiment.io import write_experiments
from xdp.integration.integrate import integrate
from xdp.integration.options import IntegrateOptions
from xdp.options import parse
from xdp.reflections.flags import Flag
from xdp.reflections.refl import write_reflections
from xdp.reflections.table import ReflectionTable
from xdp.simulation.compare import match_truth
from xdp.simulation.models import make_beam, make_crystal, make_detector, make_goniometer, make_scan
from xdp.simulation.options import SimulationOptions
from xdp.simulation.rotation import simulate_rotation
from xdp.spotfinding.find import find_spots
from xdp.spotfinding.options import FindSpotsOptions


@dataclass(frozen=True)
class Series:
    """Experiments with images, reference spots, the simulated truth, and the folder with it all."""

    folder: Path
    experiments: ExperimentList
    reference: ReflectionTable
    truth: ReflectionTable

    @property
    def files(self) -> list[str]:
        """refined.expt and refined.refl."""
        return [str(self.folder / "refined.expt"), str(self.folder / "refined.refl")]


def make_series(folder: Path, n_frames: int = 12, *, size: tuple[int, int] = (240, 200), seed: int = 1,
                change=None, crystal: Crystal | None = None, **physics) -> Series:
    """Simulate, write the frames as .npy (after `change`, a function of the stack), find and index the spots."""
    physics = {"photons": 3000.0, "hot_pixels": 0, "dead_pixels": 0, "d_min": 2.0} | physics
    simulation = simulate_rotation(
        crystal or make_crystal(orientation=seed), make_beam(), make_detector(size, distance=80.0, gaps=False),
        make_goniometer(), make_scan(n_frames, 0.5), options=SimulationOptions(**physics), seed=seed)
    stack = simulation.stack()[:, 0]
    if change is not None:
        change(stack)
    np.save(folder / "frames.npy", stack)
    imageset = ImageSet(SEQUENCE, template=str((folder / "frames.npy").resolve()))
    experiments = ExperimentList([dataclasses.replace(simulation.experiments[0], imageset=imageset)])
    spots = find_spots(experiments, FindSpotsOptions()).reflections
    reference = indexed(spots, simulation.truth)
    write_experiments(folder / "refined.expt", experiments)
    write_reflections(folder / "refined.refl", reference)
    return Series(folder, experiments, reference, simulation.truth)


def indexed(spots: ReflectionTable, truth: ReflectionTable) -> ReflectionTable:
    """Spots with the index and the prediction of the true reflection nearest to each; others have index 0."""
    rows = match_truth(truth, spots)
    found = np.flatnonzero(rows >= 0)
    columns = {"miller_index": np.zeros((len(spots), 3), np.int32), "xyzcal.px": np.zeros((len(spots), 3)),
               "xyzcal.mm": np.zeros((len(spots), 3)), "s1": np.zeros((len(spots), 3)),
               "entering": np.zeros(len(spots), bool)}
    for name, column in columns.items():
        column[found] = truth[name][rows[found]]
    flags = spots["flags"].copy()
    flags[found] |= np.uint64(Flag.INDEXED | Flag.USED_IN_REFINEMENT)
    return spots.with_columns(**columns, flags=flags)


def options(*words: str) -> IntegrateOptions:
    """Parameters from words as on the command line."""
    return parse(IntegrateOptions, words)[0]


def run(series: Series, *words: str, **kwargs):
    """Integrate a series with parameters."""
    return integrate(series.experiments, series.reference, options(*words), **kwargs)
