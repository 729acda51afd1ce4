"""Simulated shots of mosaic domains, integrated with their true models or with models that are a little off."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from xdp.experiment.experiment import Experiment
from xdp.images.masked_frames import PanelFrame
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable
from xdp.simulation import SimulationOptions, make_beam, make_crystal, make_detector, simulate_stills

SIZE, ETA = 2.5e-4, 0.05
"""Widths of the simulated lattice points: 1/Å and degrees."""


class DomainShot(NamedTuple):
    """One simulated shot."""

    panels: list[PanelFrame]
    experiment: Experiment
    truth: ReflectionTable


def simulate_domain_shot(orientation: int = 1, *, seed: int = 0, size=(500, 480), wavelength: float = 1.2,
                         crystal=None, **physics) -> DomainShot:
    """Simulate one shot of a crystal of mosaic domains."""
    options = SimulationOptions(**({"photons": 4000.0, "hot_pixels": 0, "dead_pixels": 0, "d_min": 2.2,
                                    "point_size": SIZE, "eta": ETA, "background": 0.5, "sigma_b": 0.05} | physics))
    detector = make_detector(size, distance=70.0, gaps=False)
    beam = make_beam(wavelength)
    found = simulate_stills([crystal or make_crystal(orientation=orientation)], beam, detector, options=options,
                            seed=seed)
    image = found.stack()[0]
    panels = [PanelFrame(panel, np.zeros((0, 0), bool), 0.0, 1e6) for panel in image]
    return DomainShot(panels, found.experiments[0], found.truth)


def turn_crystal(experiment: Experiment, degrees) -> Experiment:
    """Turn the crystal by a rotation vector in the laboratory, degrees."""
    turn = Rotation.from_rotvec(np.deg2rad(degrees)).as_matrix()
    axes = experiment.crystal.real_space_matrix @ turn.T
    a, b, c = (tuple(axis.tolist()) for axis in axes)
    return replace(experiment, crystal=replace(experiment.crystal, real_space_a=a, real_space_b=b, real_space_c=c))


def measure_turn(experiment: Experiment, truth: Experiment) -> np.ndarray:
    """The rotation vector, degrees, that leads from the true crystal to the other."""
    u, _, v = np.linalg.svd(experiment.crystal.A @ np.linalg.inv(truth.crystal.A))
    return np.rad2deg(Rotation.from_matrix(u @ v).as_rotvec())


def make_spots(shot: DomainShot, least: float = 60.0) -> ReflectionTable:
    """The strong reflections as indexed spots, at their true places, without shoeboxes."""
    rows = shot.truth["intensity.sum.value"] > least
    table = shot.truth.select(rows)
    xyz = table["xyzcal.px"].copy()
    photons = table["intensity.sum.value"]
    return table.with_columns(**{"xyzobs.px.value": xyz, "intensity.sum.variance": photons + 20.0,
                                 "flags": np.full(len(table), int(Flag.STRONG | Flag.INDEXED), np.uint64)})
