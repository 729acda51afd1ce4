"""Fourteen simulated rotation series that differ in all that matters to integration, each drawn by name.

Frames of 0.02 to 2 degrees, mosaic rotations to 0.5 degrees, bandwidths to 0.5 %, one panel and 64, square and
tilted, background 0.1 to 400, spots of 2 to 12 px, triclinic to cubic, two lattices, electrons, a crystal that slips in
a scan of many spots, a wedge with few. Read by truth.py.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from xdp.experiment.beam import Beam
from xdp.experiment.detector import Detector, Panel
from xdp.experiment.experiment import ExperimentList
from xdp.experiment.imageset import SEQUENCE, ImageSet
from xdp.experiment.io import write_experiments
from xdp.files import atomic_output
from xdp.simulation.images import Simulation
from xdp.simulation.models import make_beam, make_crystal, make_detector, make_goniometer, make_scan
from xdp.simulation.options import SimulationOptions
from xdp.simulation.rotation import simulate_rotation
from xdp.simulation.write import write_minicbf_series

TRUSTED = (0.0, 1e6)
THICKNESS = 0.001
"""mm: DIALS refuses headers of sensors without a thickness; no depth is drawn."""


@dataclass(frozen=True)
class TruthSet:
    """A series to draw.

    ``scan`` is (frames, degrees a frame, start); ``panel`` (pixels along a side, mm a pixel, distance in mm; 0 pixels:
    the 981 x 831 of eight Pilatus modules, which DIALS wants in a mini CBF). ``centre`` moves the panel in px, ``tilt``
    turns it about the vertical, degrees; ``grid`` is the number of panels along each side. ``physics`` are options of
    the simulation. ``dials`` says whether DIALS is run on it too, ``index`` are words for xdp index.
    """

    cell: tuple[float, ...]
    hall: str
    space_group: str
    scan: tuple[int, float, float]
    panel: tuple[int, float, float]
    physics: dict[str, Any]
    centre: tuple[float, float] = (3.3, -2.6)
    tilt: float = 0.0
    grid: int = 1
    wavelength: float = 1.0
    orientations: tuple[int, ...] = (4,)
    dials: bool = False
    index: tuple[str, ...] = ()
    seed: int = field(default=7)


SETS = {
    "cubic": TruthSet(
        (78.1, 78.1, 78.1, 90, 90, 90), " I 2b 2c 3", "I213", (60, 0.5, 0.0), (0, 0.172, 160.0),
        {"photons": 150.0, "wilson_b": 20.0, "d_min": 2.0, "sigma_b": 0.028, "sigma_m": 0.12, "background": 3.0,
         "scale_wave": 0.1, "scale_jitter": 0.005}, dials=True),
    "monoclinic": TruthSet(
        (48.2, 61.3, 74.1, 90, 103.2, 90), " P 2yb", "P21", (80, 0.2, 20.0), (0, 0.1, 96.0),
        {"photons": 60.0, "wilson_b": 14.0, "d_min": 1.8, "sigma_b": 0.045, "sigma_m": 0.05, "eta": 0.17,
         "background": 3.0}, dials=True),
    "tetragonal": TruthSet(
        (79.3, 79.3, 37.8, 90, 90, 90), " P 4nw 2abw", "P43212", (60, 0.4, 5.0), (0, 0.172, 130.0),
        {"photons": 120.0, "wilson_b": 16.0, "d_min": 1.7, "sigma_b": 0.05, "sigma_m": 0.05,
         "eta_axes": (0.05, 0.05, 0.4), "background": 2.0}, dials=True, orientations=(11,)),
    "orthorhombic": TruthSet(
        (41.2, 52.7, 66.4, 90, 90, 90), " P 2ac 2ab", "P212121", (40, 2.0, 0.0), (0, 0.172, 140.0),
        {"photons": 250.0, "wilson_b": 14.0, "d_min": 1.8, "sigma_b": 0.04, "sigma_m": 0.05, "eta": 0.3,
         "background": 30.0}, dials=True, orientations=(2,)),
    "hexagonal": TruthSet(
        (92.4, 92.4, 61.7, 90, 90, 120), " P 61 2 (0 0 -1)", "P6122", (60, 0.5, 10.0), (0, 0.172, 170.0),
        {"photons": 150.0, "wilson_b": 16.0, "d_min": 2.0, "sigma_b": 0.04, "sigma_m": 0.08, "eta": 0.08,
         "bandwidth": 0.005, "background": 5.0}, centre=(90.0, -70.0), dials=True, orientations=(5,)),
    "background": TruthSet(
        (48.0, 48.0, 48.0, 90, 90, 90), " P 4 2 3", "P432", (120, 0.5, 0.0), (0, 0.172, 190.0),
        {"photons": 1200.0, "wilson_b": 12.0, "d_min": 2.0, "sigma_b": 0.035, "sigma_m": 0.15, "eta": 0.05,
         "background": 400.0}, dials=True, orientations=(6,)),
    "triclinic": TruthSet(
        (27.3, 32.1, 34.4, 88.6, 108.4, 111.9), " P 1", "P1", (700, 0.02, 0.0), (500, 0.172, 75.0),
        {"photons": 60.0, "wilson_b": 10.0, "d_min": 1.5, "sigma_b": 0.06, "sigma_m": 0.03, "eta": 0.04,
         "background": 0.1}, orientations=(3,)),
    "rhombohedral": TruthSet(
        (81.5, 81.5, 34.2, 90, 90, 120), " R 3", "R3:H", (60, 0.5, 0.0), (700, 0.172, 110.0),
        {"photons": 150.0, "wilson_b": 14.0, "d_min": 1.7, "sigma_b": 0.05, "sigma_m": 0.05, "eta": 0.5,
         "background": 1.0}, tilt=18.0, centre=(-150.0, 40.0), orientations=(8,)),
    "panels": TruthSet(
        (96.1, 41.3, 57.2, 90, 104.5, 90), " C 2y", "C2", (60, 0.4, 0.0), (96, 0.172, 120.0),
        {"photons": 150.0, "wilson_b": 14.0, "d_min": 1.9, "sigma_b": 0.04, "sigma_m": 0.06, "eta": 0.1,
         "point_size": 3e-4, "background": 3.0}, grid=8, orientations=(9,)),
    "large": TruthSet(
        (71.3, 88.4, 110.9, 90, 90, 90), " C 2c 2", "C2221", (200, 0.3, 0.0), (1100, 0.172, 210.0),
        {"photons": 130.0, "wilson_b": 16.0, "d_min": 2.1, "sigma_b": 0.025, "sigma_m": 0.06, "eta": 0.06,
         "background": 0.5}, orientations=(12,)),
    "lattices": TruthSet(
        (79.3, 79.3, 37.8, 90, 90, 90), " P 4nw 2abw", "P43212", (60, 0.4, 0.0), (760, 0.172, 130.0),
        {"photons": 150.0, "wilson_b": 16.0, "d_min": 1.9, "sigma_b": 0.035, "sigma_m": 0.06, "eta": 0.1,
         "background": 3.0}, orientations=(1, 2), index=("max_lattices=2",)),
    "electrons": TruthSet(
        (8.1, 12.4, 14.9, 90, 90, 90), " P 2ac 2ab", "P212121", (120, 0.8, -48.0), (600, 0.055, 620.0),
        {"photons": 8.0, "wilson_b": 2.0, "d_min": 0.85, "sigma_b": 0.006, "sigma_m": 0.05, "point_size": 0.002,
         "background": 1.0}, wavelength=0.02508, orientations=(10,)),
    "wedge": TruthSet(
        (58.2, 58.2, 150.4, 90, 90, 90), " P 4abw 2nw", "P41212", (6, 0.5, 30.0), (500, 0.172, 160.0),
        {"photons": 40.0, "wilson_b": 18.0, "d_min": 2.3, "sigma_b": 0.04, "sigma_m": 0.08, "eta": 0.15,
         "background": 8.0}, orientations=(13,)),
    "slip": TruthSet(
        (61.7, 74.2, 96.8, 90, 90, 90), " P 2ac 2ab", "P212121", (225, 0.4, 0.0), (700, 0.172, 150.0),
        {"photons": 150.0, "wilson_b": 16.0, "d_min": 2.0, "sigma_b": 0.035, "sigma_m": 0.08, "eta": 0.08,
         "background": 4.0, "slip": (0.05, -0.04, 0.06)}, orientations=(14,)),
}


def make_panels(one: TruthSet) -> Detector:
    """The detector: one panel or a square grid of them, with gaps of ten pixels."""
    side, pixel, distance = one.panel
    plain = make_detector((981, 831))[0]
    size, mask = (np.array([side, side]), ()) if side else (np.array(plain.image_size), plain.mask)
    step = size + 10
    middle = (one.grid * step - 10) / 2.0 + one.centre
    angle = np.deg2rad(one.tilt)
    fast, slow = np.array([np.cos(angle), 0.0, np.sin(angle)]), np.array([0.0, -1.0, 0.0])
    normal = np.array([np.sin(angle), 0.0, -np.cos(angle)])
    panels = []
    for row in range(one.grid):
        for column in range(one.grid):
            at = (np.array([column, row]) * step - middle) * pixel
            origin = at[0] * fast + at[1] * slow + distance * normal
            panels.append(Panel(tuple(fast), tuple(slow), tuple(origin), tuple(size.tolist()), (pixel, pixel), TRUSTED,
                                type="SENSOR_PAD", name=f"p{len(panels)}", thickness=THICKNESS,
                                mask=mask))
    return Detector(tuple(panels))


def make_source(one: TruthSet) -> Beam:
    """The beam; electrons are not polarised."""
    beam = make_beam(one.wavelength)
    return dataclasses.replace(beam, polarization_fraction=0.5) if one.wavelength < 0.1 else beam


def draw_set(one: TruthSet, folder: Path, **change: Any) -> Simulation:
    """Draw a series into a folder: ``imported.expt`` and ``truth.npz``, images as mini CBF where DIALS is to read them.

    `change` are options of the simulation in place of the set's own.
    """
    options = SimulationOptions(**({"hot_pixels": 0, "dead_pixels": 0} | one.physics | change))
    crystals = [make_crystal(one.cell, one.hall, orientation=seed) for seed in one.orientations]
    simulation = simulate_rotation(crystals if len(crystals) > 1 else crystals[0], make_source(one), make_panels(one),
                                   make_goniometer(), make_scan(*one.scan), options=options, seed=one.seed)
    folder.mkdir(parents=True, exist_ok=True)
    if one.dials:
        paths = write_minicbf_series(simulation, folder, "image")
        template = str(paths[0]).replace("0001.cbf", "####.cbf")
    else:
        write_frames(simulation, folder / "image.npy")
        template = str((folder / "image.npy").resolve())
    bare = dataclasses.replace(simulation.experiments[0], crystal=None, imageset=ImageSet(SEQUENCE, template=template))
    write_experiments(folder / "imported.expt", ExperimentList([bare]))
    truth = simulation.truth
    np.savez(folder / "truth.npz", hkl=truth["miller_index"], xyz=truth["xyzcal.px"], panel=truth["panel"],
             photons=truth["photons"] * truth["scale"], structure=truth["intensity.true"], d=truth["d"],
             partiality=truth["partiality"], id=truth["id"])
    return simulation


def write_frames(simulation: Simulation, path: Path) -> None:
    """Write the frames as one array, a frame at a time, so that few are in memory."""
    first = np.stack(simulation.draw_frame(0))
    shape = (simulation.n_frames, *(first.shape if len(first) > 1 else first.shape[1:]))
    with atomic_output(path) as part, open(part, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<i4", "fortran_order": False, "shape": shape})
        for frame in simulation.iterate_frames():
            file.write(np.stack(frame).astype("<i4").tobytes())
