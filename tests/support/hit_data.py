"""Small serial runs for tests of hit finding: shots with and without spots, in memory and in files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from xdp.experiment import Beam, Detector, Experiment, Panel, write_experiments

SHAPE, PIXEL = (160, 160), 0.1


def make_models(distance=60.0, shape=SHAPE, wavelength=1.3, trusted=(0.0, 60000.0)):
    """A flat detector with the beam in its middle."""
    panel = Panel((1.0, 0, 0), (0, -1.0, 0), (-shape[1] * PIXEL / 2, shape[0] * PIXEL / 2, -distance),
                  (shape[1], shape[0]), (PIXEL, PIXEL), trusted_range=trusted, type="SENSOR_PAD")
    return Experiment(beam=Beam.along_z(wavelength), detector=Detector((panel,)))


def draw_shot(seed, n_spots=0, mean=4.0, shape=SHAPE):
    """Background that falls off from the beam, with spots of nine pixels."""
    random = np.random.default_rng(seed)
    slow, fast = np.mgrid[:shape[0], :shape[1]]
    radius = np.hypot(slow - shape[0] / 2, fast - shape[1] / 2)
    image = random.poisson(mean * (0.3 + np.exp(-radius / 50.0))).astype(np.int32)
    for _ in range(n_spots):
        i, j = random.integers(6, shape[0] - 6), random.integers(6, shape[1] - 6)
        image[i - 1:i + 2, j - 1:j + 2] += random.poisson(60.0, (3, 3)).astype(np.int32)
    return image


def is_hit(number):
    """Every third shot of a run is a hit."""
    return number % 3 == 0


def draw_run(n_shots, gain=1.0, pedestal=0.0, n_spots=40):
    """Images of a run; the background varies from shot to shot, and some are nearly dark."""
    out = []
    for number in range(n_shots):
        mean = 0.02 if number % 7 == 1 else 3.0 + number % 4
        out.append(draw_shot(number, n_spots if is_hit(number) else 0, mean) * gain + pedestal)
    return np.array(out, np.int32 if gain == int(gain) else np.float32)


def write_run(folder: Path, images, experiment=None) -> tuple[Path, Path]:
    """A stack as .npy, and its geometry as .expt."""
    from xdp.experiment import ExperimentList

    stack, geometry = folder / "run.npy", folder / "geometry.expt"
    np.save(stack, images)
    write_experiments(geometry, ExperimentList([experiment or make_models()]))
    return stack, geometry
