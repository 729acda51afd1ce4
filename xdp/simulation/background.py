"""Smooth background: a solvent ring, diffuse air scatter near the beam, and how a flat panel sees them."""

from __future__ import annotations

import numpy as np

from xdp.experiment.beam import Beam
from xdp.experiment.detector import Detector
from xdp.experiment.pixels import mm_to_lab, resolution_map
from xdp.simulation.spots import compute_polarisation

_RING_D = 3.3
"""Å; the broad ring of water, which solvent makes."""
_RING_WIDTH = 0.09
_AIR_WIDTH = 0.12
"""Standard deviations in 1/d, Å⁻¹: of the ring, and of the pedestal about the beam. Choices, to look like images."""


def expect_background(detector: Detector, beam: Beam, index: int, level: float) -> np.ndarray:
    """Compute the expected background of one panel.

    It is a Gaussian ring at d = 3.3 Å (water) and a broad pedestal towards the beam, times polarisation and the solid
    angle of a pixel relative to one square to the beam.

    Parameters
    ----------
    detector : Detector
    beam : Beam
    index : int
        The panel.
    level : float
        About the largest value.

    Returns
    -------
    (slow, fast) float64
        Counts per pixel and frame.
    """
    panel = detector[index]
    q = 1.0 / resolution_map(detector, beam, index, disable_parallax_correction=True)
    ring = np.exp(-0.5 * ((q - 1.0 / _RING_D) / _RING_WIDTH) ** 2)
    air = np.exp(-0.5 * (q / _AIR_WIDTH) ** 2)
    fast, slow = np.meshgrid(np.arange(panel.shape[1]) + 0.5, np.arange(panel.shape[0]) + 0.5)
    lab = mm_to_lab(detector, index, np.stack([fast, slow], axis=-1) * np.asarray(panel.pixel_size))
    length = np.linalg.norm(lab, axis=-1)
    # the cosine of incidence over the squared distance
    solid_angle = np.abs(lab @ panel.normal) / length**3 * panel.distance**2
    return level * (0.7 * ring + 0.25 * air + 0.15) * compute_polarisation(lab, beam) * solid_angle
