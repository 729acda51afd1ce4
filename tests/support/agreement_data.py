"""Tables of fitted and summed intensities of the same counts, drawn without the code under test."""

from __future__ import annotations

import numpy as np

from xdp.experiment import Experiment, ExperimentList
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable
from xdp.simulation.models import make_beam, make_crystal, make_detector, make_goniometer, make_scan

N_PIXELS, BENEATH = 80, 3.0


def make_experiments(n_panels=1, n_frames=60):
    detector = make_detector((900, 900), gaps=False)
    if n_panels > 1:
        detector = type(detector)(tuple(detector[0] for _ in range(n_panels)))
    return ExperimentList([Experiment("drawn", make_beam(), detector, make_goniometer(),
                                      make_scan(n_frames, 0.5), make_crystal())])


def draw_intensities(true, rng):
    """Sums and fits of the same counts in pixels of a Gaussian; the fit has the weights of its expectation."""
    q = np.exp(-0.5 * np.linspace(-3, 3, N_PIXELS) ** 2)
    q /= q.sum()
    counts = rng.poisson(BENEATH + true[:, None] * q)
    summed = counts.sum(axis=1) - BENEATH * N_PIXELS
    fitted = np.maximum(summed.astype(float), 0.0)
    for _ in range(20):
        weight = q / (BENEATH + np.maximum(fitted, 0.0)[:, None] * q)
        fitted = (weight * (counts - BENEATH)).sum(axis=1) / (weight * q).sum(axis=1)
    variance = 1.0 / (weight * q).sum(axis=1)
    return fitted, summed.astype(float), variance


def make_table(n=4000, seed=1, n_frames=60, photons=600.0):
    """Whole reflections with intensities that fall with resolution."""
    rng = np.random.default_rng(seed)
    d = rng.uniform(10.0 ** -3, 1.8 ** -3, n) ** (-1.0 / 3.0)
    true = photons * np.exp(-7.0 / d ** 2) * rng.exponential(size=n)
    fitted, summed, variance = draw_intensities(true, rng)
    xyz = rng.uniform(0, [900, 900, n_frames], (n, 3))
    return ReflectionTable({
        "id": np.zeros(n, np.int32), "panel": np.zeros(n, np.uint64), "d": d, "xyzcal.px": xyz,
        "flags": np.full(n, int(Flag.INTEGRATED_SUM | Flag.INTEGRATED_PRF), np.uint64), "partiality": np.ones(n),
        "intensity.prf.value": fitted, "intensity.prf.variance": variance, "intensity.sum.value": summed,
        "intensity.sum.variance": summed + 2.0 * BENEATH * N_PIXELS, "background.mean": np.full(n, BENEATH),
        "num_pixels.foreground": np.full(n, N_PIXELS, np.int32),
        "num_pixels.background_used": np.full(n, 500, np.int32)})


def scale_fits(table, factor):
    return table.with_columns(**{"intensity.prf.value": table["intensity.prf.value"] * factor})
