"""Series with and without defects, and their counts."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from xdp.experiment import Experiment
from xdp.integration.hot_pixels.counts import PixelCounts
from xdp.simulation import (
    make_beam,
    make_crystal,
    make_detector,
    make_goniometer,
    make_scan,
    simulate_rotation,
)
from xdp.simulation.options import SimulationOptions

SIZE = (64, 80)


def simulate(n_frames=24, width=0.5, *, background=3.0, photons=5000.0, sigma_m=0.1, seed=1):
    """A small crystal series without defects: experiment, frames (n, slow, fast), model, usable pixels."""
    options = SimulationOptions(background=background, photons=photons, hot_pixels=0, dead_pixels=0, sigma_m=sigma_m)
    series = simulate_rotation(make_crystal(orientation=seed), make_beam(), make_detector((240, 220), distance=80.0),
                               make_goniometer(), make_scan(n_frames, width), options=options, seed=seed)
    frames = np.stack([panels[0] for panels in series.iterate_frames()])
    model = SimpleNamespace(n_sigma=3.0, sigma_b=np.deg2rad(options.sigma_b), sigma_m=np.deg2rad(sigma_m))
    return series.experiments[0], frames, model, ~series.defects.gaps[0]


def make_flat(n_frames=24, width=0.5, level=4.0, seed=0):
    """Background alone on a small panel, with models."""
    rng = np.random.default_rng(seed)
    model = SimpleNamespace(n_sigma=3.0, sigma_b=np.deg2rad(0.04), sigma_m=np.deg2rad(0.1))
    scan = make_scan(n_frames, width)
    experiment = Experiment(scan=scan, goniometer=make_goniometer(), beam=make_beam(),
                            detector=make_detector(SIZE[::-1], distance=80.0))
    return experiment, rng.poisson(level, (n_frames, *SIZE)).astype(np.int32), model, np.ones(SIZE, bool)


def spoil(frames, hot=(), dead=(), seed=5):
    """Let pixels (slow, fast, mean count) be hot, and pixels (slow, fast) dead."""
    rng = np.random.default_rng(seed)
    for slow, fast, mean in hot:
        frames[:, slow, fast] = rng.poisson(mean, len(frames))
    for slow, fast in dead:
        frames[:, slow, fast] = 0


def count_frames(experiment, frames, trusted=None):
    """The counts of all frames."""
    first, last = experiment.scan.array_range
    counts = PixelCounts((first, last), [frames.shape[1:]], trusted)
    for z in range(first, last):
        counts.add(z, [frames[z - first]])
    return counts


def read_out(frames, gain=2.0, noise=3.0, seed=3):
    """Photons as a charge-integrating detector reads them: `gain` counts for each, noise of `noise` counts, int16."""
    rng = np.random.default_rng(seed)
    return np.clip(np.rint(gain * frames + rng.normal(0.0, noise, frames.shape)), -2**15, 2**15 - 1).astype(np.int16)
