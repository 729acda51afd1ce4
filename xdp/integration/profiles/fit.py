"""Intensities by profile fitting.

The intensity is the factor by which the reference profile must be multiplied to make, with the background beneath, the
observed counts most likely. Its variance is that of this estimate, and contains the background's own uncertainty.
Where there is no fit (no foreground, too little of it valid, no frame for the reflection), the flag
FAILED_DURING_PROFILE_FITTING says so, and what remains is the intensity by summation.

References
----------
R. Diamond, Acta Cryst. A25, 43 (1969), doi:10.1107/S0567739469000064; W. Kabsch, J. Appl. Cryst. 21, 916 (1988),
doi:10.1107/S0021889888007903; A. G. W. Leslie, Acta Cryst. D55, 1696 (1999), doi:10.1107/S090744499900846X.
"""

from __future__ import annotations

import numpy as np

from xdp.integration.profiles._kernels_fit_grid import fit_on_grid
from xdp.integration.profiles._kernels_fit_pixels import fit_on_pixels
from xdp.integration.profiles.reference import ReferenceProfiles
from xdp.reflections.flags import Flag, MaskCode
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable


def fit_profiles(profiles: ReferenceProfiles, table: ReflectionTable, boxes: Shoeboxes,
                 neighbours: ReflectionTable | None = None) -> dict[str, np.ndarray]:
    """Fit reference profiles to reflections of one experiment.

    Parameters
    ----------
    profiles : ReferenceProfiles
        Of the experiment; its options say whether the fit is made in reciprocal or in detector space.
    table : ReflectionTable
        With ``s1``, ``xyzcal.px``, ``flags`` (those with DONT_INTEGRATE are left out) and, unless the boxes hold the
        background pixels too, ``num_pixels.background_used``.
    boxes : Shoeboxes
        Of the same reflections, with masks and backgrounds; the part with foreground is enough.
    neighbours : ReflectionTable, optional
        For deconvolution: all predictions of the experiment (``s1``, ``xyzcal.px``, ``panel``, ``bbox``); without it
        those of `table`.

    Returns
    -------
    dict of str to array
        ``intensity.prf.value``, ``intensity.prf.variance`` (0 and -1 without a fit), ``profile.correlation``, and
        ``flags``: bits to be set, INTEGRATED_PRF or FAILED_DURING_PROFILE_FITTING, 0 for what was left out.
    """
    grid, n = profiles.grid, len(table)
    value, variance, cc = np.zeros(n), np.full(n, -1.0), np.zeros(n)
    use = (table["flags"] & np.uint64(Flag.DONT_INTEGRATE)) == 0
    if grid.options.fit_method == "detector_space" and grid.options.detector_space.deconvolution:
        from xdp.integration.profiles.detector_space import fit_overlapping

        fit_overlapping(profiles, table, boxes, use, used_pixels(table, boxes),
                        table if neighbours is None else neighbours, value, variance, cc)
    else:
        _fit(profiles, table, boxes, use, value, variance, cc)
    is_fitted = variance > 0.0
    flags = np.zeros(n, np.uint64)
    flags[is_fitted] = np.uint64(Flag.INTEGRATED_PRF)
    flags[use & ~is_fitted] = np.uint64(Flag.FAILED_DURING_PROFILE_FITTING)
    value[~is_fitted], variance[~is_fitted] = 0.0, -1.0
    return {"intensity.prf.value": value, "intensity.prf.variance": variance, "profile.correlation": cc,
            "flags": flags}


def used_pixels(table: ReflectionTable, boxes: Shoeboxes) -> np.ndarray:
    """Number of pixels each background was made of, int64 (n,)."""
    if "num_pixels.background_used" in table:
        return np.asarray(table["num_pixels.background_used"], np.int64)
    is_used = np.concatenate([[0], np.cumsum((boxes.mask & np.uint8(MaskCode.BACKGROUND_USED)) != 0)])
    return np.diff(is_used[boxes.offsets])


def scan_limits(profiles: ReferenceProfiles) -> np.ndarray:
    """First frame and the one after the last."""
    return np.asarray(profiles.grid.experiment.scan.array_range, np.int64)


def _fit(profiles: ReferenceProfiles, table: ReflectionTable, boxes: Shoeboxes, use: np.ndarray, value: np.ndarray,
         variance: np.ndarray, cc: np.ndarray) -> None:
    """Fit each reflection for itself."""
    grid = profiles.grid
    given = grid.reflections(table, boxes)
    given |= {"use": use, "scan": scan_limits(profiles), "nearest": grid.sampler.nearest(given["panel"],
                                                                                          given["centre"]),
              "n_used": used_pixels(table, boxes),
              "value": value, "variance": variance, "cc": cc}
    threshold = float(grid.options.threshold or 0.0)
    if grid.options.fit_method == "detector_space":
        fit_on_pixels(**given, **grid.geometry(), sharp=profiles.sharp, threshold=threshold)
    else:
        fit_on_grid(**given, **grid.geometry(), profiles=profiles.profiles, sharp=profiles.sharp,
                    cuts=threshold * profiles.profiles.max(axis=(1, 2)))
