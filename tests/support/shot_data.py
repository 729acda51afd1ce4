"""Small runs of shots for tests of stills_process: hits of known crystals among misses, and shots with faults."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from xdp.experiment import Experiment, ExperimentList, write_experiments
from xdp.simulation.models import make_beam, make_crystal, make_detector
from xdp.simulation.options import SimulationOptions
from xdp.simulation.stills import simulate_stills

CELL = (79.1, 79.1, 37.9, 90.0, 90.0, 90.0)
#: What is in the beam in each shot: seeds of orientations.
SHOTS = ((), (1,), (), (4,), (2,), ())
#: The parameters by which the hits are indexed.
NAMED = {"unit_cell": CELL, "space_group": "P43212"}
WORDS = ("unit_cell=79.1,79.1,37.9,90,90,90", "space_group=P43212")


def draw_shots(shots=SHOTS, size=(420, 400), **physics) -> tuple[np.ndarray, Experiment]:
    """Images (shot, slow, fast) and the models of all of them."""
    physics = {"photons": 4000.0, "hot_pixels": 0, "dead_pixels": 0, "d_min": 1.9, "sigma_m": 0.15} | physics
    detector, beam = make_detector(size, distance=70.0, gaps=False), make_beam()
    simulation = simulate_stills([[make_crystal(orientation=seed) for seed in shot] for shot in shots], beam, detector,
                                 options=SimulationOptions(**physics), seed=5)
    return simulation.stack()[:, 0].astype(np.int32), Experiment(beam=beam, detector=detector)


def write_shots(folder: Path, images: np.ndarray, model: Experiment) -> list[str]:
    """A stack as run.npy and its geometry as geometry.expt: the words of a command that processes them."""
    np.save(folder / "run.npy", images)
    write_experiments(folder / "geometry.expt", ExperimentList([model]))
    return [str(folder / "run.npy"), f"events.geometry={folder / 'geometry.expt'}"]
