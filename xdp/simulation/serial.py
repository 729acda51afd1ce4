"""A serial run with its truth: shots of crystals, of solvent and of nothing on panels like a CSPAD's, as raw counts."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from xdp.experiment import Detector, Panel
from xdp.simulation.images import Simulation
from xdp.simulation.models import make_beam, make_crystal
from xdp.simulation.options import SerialRunOptions
from xdp.simulation.stills import simulate_stills

PIXEL, ASIC = 0.10992, (185, 194)
"""Pixels of a CSPAD, mm, and the rows and columns of its ASICs; two of them make a sensor."""
SENSOR_GAP = 3
"""Pixels between the two ASICs of a sensor."""
PLACES = ((26.0, 12.5), (26.0, 33.7))
"""Where the middles of the two sensors of a quadrant lie before it is turned about the beam, mm (x, y)."""
TILT, SHIFT = 0.3, 0.15
"""Spread of the sensors' turns (degrees) and shifts (mm): no detector is built as drawn. A choice."""
DATA = "/entry_1/data_1/data"
"""Data set of the images, as Cheetah names it."""
BEGIN = 1_468_015_524
"""Seconds since 1970 of the first shot, 2016-07-08."""


KINDS = ("hit", "double", "blank", "dark")
"""What a shot has: one crystal, two, solvent alone, or no beam."""
SHARES = (0.35, 0.1, 0.45, 0.1)
"""How often each kind comes."""


class SerialRun(NamedTuple):
    """A simulated serial run.

    Attributes
    ----------
    simulation : Simulation
        Photons of all shots, and the true models.
    kinds : list of str
        Of :data:`KINDS`, one a shot.
    options : SerialRunOptions
    """

    simulation: Simulation
    kinds: list[str]
    options: SerialRunOptions

    @property
    def detector(self) -> Detector:
        """The true detector."""
        return self.simulation.experiments[0].known.detector

    def draw_photons(self, number: int) -> list[np.ndarray]:
        """Photons of a shot, one array a panel."""
        images = self.simulation.draw_frame(number)
        return [np.zeros_like(image) for image in images] if self.kinds[number] == "dark" else images


def make_cspad(distance: float = 110.0, seed: int = 0) -> Detector:
    """Make the inner part of a CSPAD: four quadrants of two sensors, each of two ASICs.

    Parameters
    ----------
    distance : float, default 110
        mm.
    seed : int, default 0
        Of the small turns and shifts of the sensors.

    Returns
    -------
    Detector
        16 panels of 185 by 194 pixels, named q0s0a0 and so on; each lies in the stored image below the one before.

    Examples
    --------
    >>> detector = make_cspad()
    >>> len(detector), detector[1].name, detector[1].raw_image_offset
    (16, 'q0s0a1', (0, 185))
    """
    random = np.random.default_rng([seed, 16])
    panels: list[Panel] = []
    for quadrant in range(4):
        for sensor, place in enumerate(PLACES):
            turn = np.deg2rad(90.0 * quadrant + random.normal(0.0, TILT))
            middle = _turn(np.array(place), np.deg2rad(90.0 * quadrant)) + random.normal(0.0, SHIFT, 2)
            panels += [_make_asic(f"q{quadrant}s{sensor}a{side}", middle, turn, side, distance, len(panels) + side)
                       for side in range(2)]
    return Detector(tuple(panels))


def _turn(vector: np.ndarray, angle: float) -> np.ndarray:
    """A vector in the plane, turned."""
    return np.array([np.cos(angle) * vector[0] - np.sin(angle) * vector[1],
                     np.sin(angle) * vector[0] + np.cos(angle) * vector[1]])


def _make_asic(name: str, middle: np.ndarray, turn: float, side: int, distance: float, number: int) -> Panel:
    """One ASIC of a sensor whose middle and turn are known."""
    fast, slow = _turn(np.array([1.0, 0.0]), turn), _turn(np.array([0.0, 1.0]), turn)
    first = (SENSOR_GAP / 2 if side else -SENSOR_GAP / 2 - ASIC[1]) * PIXEL
    origin = middle + first * fast - ASIC[0] / 2 * PIXEL * slow
    return Panel((*fast, 0.0), (*slow, 0.0), (*origin, -distance), (ASIC[1], ASIC[0]), (PIXEL, PIXEL), name=name,
                 type="SENSOR_PAD", trusted_range=(-1e4, 16000.0), raw_image_offset=(0, ASIC[0] * number))


def simulate_serial_run(options: SerialRunOptions | None = None) -> SerialRun:
    """Simulate a serial run.

    Parameters
    ----------
    options : SerialRunOptions, optional

    Returns
    -------
    SerialRun
        Shots are drawn when they are asked for.
    """
    options = options or SerialRunOptions()
    random = np.random.default_rng([options.seed, options.n_shots])
    kinds = random.choice(KINDS, options.n_shots, p=SHARES).tolist()
    # whatever chance says, a run has some of each
    kinds[:len(KINDS)] = KINDS
    crystals = {"hit": 1, "double": 2}
    shots, made = [], 0
    for kind in kinds:
        n = crystals.get(kind, 0)
        shots.append([make_crystal(orientation=1000 * options.seed + made + k) for k in range(n)])
        made += n
    simulation = simulate_stills(shots, make_beam(1.3), make_cspad(options.distance, options.seed),
                                 options=options.simulation, seed=options.seed)
    return SerialRun(simulation, kinds, options)


def write_serial_run(run: SerialRun, folder: str | os.PathLike) -> None:
    """Write a run: ``run.h5`` and ``dark.h5`` with raw counts, ``cspad.geom``, and the truth.

    Parameters
    ----------
    run : SerialRun
    folder : path
        It exists. ``truth.json`` has the kind of each shot, ``truth.expt`` and ``truth.refl`` the crystals and their
        reflections.
    """
    from xdp.experiment import write_experiments
    from xdp.reflections import write_reflections

    folder, options = Path(folder), run.options
    random = np.random.default_rng([options.seed, 7])
    pedestals = random.normal(options.pedestal, 50.0, (len(run.detector), *ASIC))
    cold = random.choice(pedestals.size, options.cold_pixels, replace=False)
    nothing = [np.zeros(ASIC)] * len(run.detector)
    write_geometry(run, folder / "cspad.geom")
    _write_stack(folder / "dark.h5", options, pedestals, cold, [nothing] * options.n_darks, random)
    _write_stack(folder / "run.h5", options, pedestals, cold,
                 (run.draw_photons(number) for number in range(options.n_shots)), random)
    write_experiments(folder / "truth.expt", run.simulation.experiments)
    write_reflections(folder / "truth.refl", run.simulation.truth)
    (folder / "truth.json").write_text(json.dumps({"shots": run.kinds}, indent=1) + "\n")


def write_geometry(run: SerialRun, path: str | os.PathLike) -> None:
    """Write the true geometry of a run as CrystFEL's ``.geom``.

    Parameters
    ----------
    run : SerialRun
    path : path
    """
    from xdp.images.geometry_files.write_crystfel import convert_detector, write_crystfel_geometry

    geometry, _ = convert_detector(run.detector, run.simulation.experiments[0].known.beam)
    names = [panel.name for panel in run.detector]
    groups: dict[str, tuple[str, ...]] = {f"q{q}s{s}": tuple(n for n in names if n.startswith(f"q{q}s{s}"))
                                          for q in range(4) for s in range(2)}
    groups |= {f"q{q}": (f"q{q}s0", f"q{q}s1") for q in range(4)} | {"all": tuple(f"q{q}" for q in range(4))}
    panels = tuple(dataclasses.replace(panel, data=DATA, dims=("%", "ss", "fs"), adu_per_photon=run.options.gain,
                                       max_adu=16000.0) for panel in geometry.panels)
    write_crystfel_geometry(path, dataclasses.replace(geometry, panels=panels, groups=groups))


def _write_stack(path: Path, options: SerialRunOptions, pedestals: np.ndarray, cold: np.ndarray,
                 shots: Iterable[Sequence[np.ndarray]], random: np.random.Generator) -> None:
    """Write raw counts of shots whose photons are given, a chunk a shot."""
    import h5py

    with h5py.File(path, "w") as file:
        n, shape = 0, (len(pedestals) * ASIC[0], ASIC[1])
        data = file.create_dataset(DATA, (0, *shape), np.int16, chunks=(1, *shape), maxshape=(None, *shape),
                                   compression="gzip", compression_opts=1, shuffle=True)
        for photons in shots:
            offsets = np.repeat(random.normal(0.0, options.common_mode, len(pedestals) // 2), 2)
            counts = pedestals + options.gain * np.stack(photons) + offsets[:, None, None]
            counts += options.noise * random.standard_normal(counts.shape, np.float32)
            counts.reshape(-1)[cold] = 0.0
            data.resize(n + 1, axis=0)
            # the converter ends at 14 bits
            data[n] = np.clip(np.rint(counts), 0, 16383).astype(np.int16).reshape(shape)
            n += 1
        file["LCLS/machineTime"] = BEGIN + np.arange(n) // 120
        file["LCLS/machineTimeNanoSeconds"] = np.arange(n) % 120 * 8_333_333
