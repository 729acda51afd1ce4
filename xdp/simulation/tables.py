"""Integrated tables without images, for examples and tests."""

from __future__ import annotations

import numpy as np

from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.prediction.reflections import predict_rotation
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable
from xdp.simulation.models import make_beam, make_crystal, make_detector, make_goniometer, make_scan


def make_integrated(n_frames: int = 10, seed: int = 1) -> tuple[ExperimentList, ReflectionTable]:
    """A sweep of half-degree frames and its reflections as if they had been integrated.

    Parameters
    ----------
    n_frames : int
        Frames of the sweep.
    seed : int
        Of the crystal's orientation and of the intensities, which follow Wilson's distribution and Poisson's noise.

    Returns
    -------
    experiments : ExperimentList
        One experiment with its crystal.
    reflections : ReflectionTable
        Summed intensities and all columns that the exporters look at.
    """
    experiment = Experiment(identifier="sweep", beam=make_beam(), detector=make_detector(),
                            goniometer=make_goniometer(), scan=make_scan(n_frames, 0.5),
                            crystal=make_crystal(orientation=seed))
    table = predict_rotation(experiment, d_min=2.5)
    rng = np.random.default_rng(seed)
    # Wilson's distribution of acentric reflections, then counting
    n = len(table)
    intensity = rng.poisson(rng.exponential(300.0, n)).astype(float)
    lp = np.full(n, 0.5)  # not 1: it must matter whether a program applies it
    flags = table["flags"] | np.uint64(Flag.INTEGRATED_SUM)
    return ExperimentList([experiment]), table.with_columns(
        **{"intensity.sum.value": intensity, "intensity.sum.variance": intensity + 1.0, "flags": flags,
           "xyzobs.px.value": table["xyzcal.px"], "partiality": np.ones(n), "lp": lp, "qe": np.ones(n),
           "partial_id": np.arange(n, dtype=np.uint64)})
