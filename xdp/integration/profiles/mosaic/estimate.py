"""Estimate how widths differ between reflections: first of found spots, then of all pixels of reference reflections."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from xdp.experiment.experiment import Experiment
from xdp.integration.profiles.mosaic.fit import fit_spread
from xdp.integration.profiles.mosaic.measure import measure_found_spots
from xdp.integration.profiles.mosaic.options import MosaicOptions
from xdp.integration.profiles.mosaic.spread import MosaicSpread, RayGeometry, describe_rays
from xdp.reflections.table import ReflectionTable

MOST_SPOTS = 3000
"""Of more, so many to twice as many are measured, spread evenly. A choice that bounds the time."""
SCALES = (0.85, 1.25)
"""Limits of :attr:`MosaicSpread.scale`. Spots are found with their strong pixels only, so that sigma_b comes out too
small where spots are weak. At 0.85 times 3 sigma_b foregrounds still hold 99.9 % of a Gaussian."""


def estimate_spread(experiment: Experiment, spots: ReflectionTable, sigma_b_squared: float, options: MosaicOptions
                    ) -> MosaicSpread | None:
    """Estimate the terms of found spots.

    Parameters
    ----------
    experiment : Experiment
        With beam, detector and crystal; for rotation data also goniometer and scan.
    spots : ReflectionTable
        With ``shoebox`` as found, ``s1`` and ``xyzcal.px`` as predicted.
    sigma_b_squared : float
        Of all spots, rad^2.
    options : MosaicOptions

    Returns
    -------
    MosaicSpread or None
        None where widths are the same at all resolutions, as far as spots show.
    """
    # each spot takes some 50 us; the terms are known to a few per cent from far fewer
    spots = spots.select(slice(None, None, max(len(spots) // MOST_SPOTS, 1)))
    boxes = spots["shoebox"]
    table = spots.with_columns(panel=boxes.panel)
    rays = describe_rays(experiment, table, with_crystal=options.anisotropic)
    start = np.full((len(spots), 2), 0.5 * sigma_b_squared)
    measured = measure_found_spots(experiment, spots["s1"], boxes, start)
    spread = fit_spread(rays, measured, 0.5 * sigma_b_squared, options)
    return None if spread is None else scale_spread(spread, rays, sigma_b_squared)


def scale_spread(spread: MosaicSpread, rays: RayGeometry, sigma_b_squared: float) -> MosaicSpread:
    """Give the terms the scale with which foregrounds are on the average as large as sigma_b makes them.

    Parameters
    ----------
    spread : MosaicSpread
    rays : RayGeometry
        Of the spots that sigma_b was made of.
    sigma_b_squared : float
        Mean over the scan, rad^2.
    """
    once, twice = (float(np.mean((spread.compute_variances(rays) + n * rays.pixel).sum(axis=1))) for n in (1, 2))
    scale = min(max(math.sqrt(sigma_b_squared / once), SCALES[0]), SCALES[1])
    return replace(spread, scale=scale, grid=scale * math.sqrt(once / twice))


def make_even_spread(experiment: Experiment, spots: ReflectionTable, sigma_b_squared: float) -> MosaicSpread:
    """Make a model in which all reflections are as wide as sigma_b says.

    Parameters
    ----------
    experiment : Experiment
    spots : ReflectionTable
        With ``shoebox``, ``s1`` and ``xyzcal.px``.
    sigma_b_squared : float
        Of all spots, rad^2.
    """
    rays = describe_rays(experiment, spots.with_columns(panel=spots["shoebox"].panel))
    left = 0.5 * sigma_b_squared - float(np.mean(rays.pixel + rays.depth))
    return scale_spread(MosaicSpread(max(left, 0.0), np.zeros((3, 3)), 0.0), rays, sigma_b_squared)
