"""Images of a detector that integrates charge: gain 2, readout noise, whole numbers of which some are below zero."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from xdp.experiment import Detector
from xdp.experiment.experiment import ExperimentList

GAIN, NOISE = 2.0, 1.0


def read_out(photons: np.ndarray, seed: int = 3) -> np.ndarray:
    """What such a detector makes of photon counts, int16."""
    counts = GAIN * photons + np.random.default_rng(seed).normal(0.0, NOISE, photons.shape)
    return np.clip(np.rint(counts), -32768, 32767).astype(np.int16)


def replace_images(path: Path, experiments: ExperimentList) -> ExperimentList:
    """Write the images of a .npy file as such a detector reads them; experiments whose detector trusts all numbers."""
    np.save(path, read_out(np.load(path)))
    panel = replace(experiments[0].known.detector[0], trusted_range=(-1000.0, 32000.0))
    return ExperimentList([replace(e, detector=Detector((panel,))) for e in experiments])
