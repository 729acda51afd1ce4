r"""Intensities by profile fitting: from counts and a reference profile to an intensity and its variance.

**The equation.** With counts d, background b beneath them and profile p in points i (of the reflection's grid, or
pixels), the expected counts are ``b + I p``, and the intensity I solves

.. math::

    \sum_i \frac{p_i}{v_i}\,(d_i - b_i - I p_i) = 0
    \quad\Longleftrightarrow\quad
    I = \frac{\sum_i p_i (d_i - b_i) / v_i}{\sum_i p_i^2 / v_i},
    \qquad v_i = b_i + (I + k^2 I^2)\, p_i.

v is the variance of a point's counts: of counting, ``b + I p``, and of shapes that scatter about their mean, with a k²
that is estimated from the references (:mod:`~xdp.integration.profiles.scatter.shape_scatter`). It depends on I, so that
the equation is solved in rounds, each with the v of the I before. The variance of I is

.. math::

    \mathrm{var}(I) = \frac{1}{\sum_i p_i^2 / v_i} - k^2 I^2
    + \Big( \frac{\sum_i p_i / v_i}{\sum_i p_i^2 / v_i} \Big)^2 \mathrm{var}(b),

with what the background's own error adds (here for independent points; on the grid, points share pixels, see there).

==========================================================  ======================================================
:func:`~xdp.integration.profiles._kernels_fit.fit_scale`    solves the equation for one reflection
``_kernels_fit_grid``                                       ``fit_method=reciprocal_space``: points of the grid
``_kernels_fit_pixels``                                     ``fit_method=detector_space``: pixels
``_kernels_overlaps``                                       ... with ``deconvolution``: neighbours fitted together
==========================================================  ======================================================

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
from xdp.integration.profiles.arguments import Fits
from xdp.integration.profiles.reference import ReferenceProfiles
from xdp.reflections.flags import Flag, MaskCode
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable


def fit_profiles(profiles: ReferenceProfiles, table: ReflectionTable, boxes: Shoeboxes,
                 neighbours: ReflectionTable | None = None) -> dict[str, np.ndarray]:
    """Fit reference profiles to reflections of one experiment; the equation stands at the head of this module.

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
    grid, fits = profiles.grid, Fits.make_empty(len(table))
    # too few valid pixels, or no background: the flag was set when boxes were measured
    use = (table["flags"] & np.uint64(Flag.DONT_INTEGRATE)) == 0
    rows, n_used = np.flatnonzero(use), count_background_pixels(table, boxes)
    given = grid.describe(table, boxes)
    shapes = profiles.choose_shapes(given)
    given = profiles.place_to_fit(given, table, shapes.nearest)
    if grid.options.fit_method != "detector_space":
        fit_on_grid(rows, n_used, given, shapes, fits)
    elif not grid.options.detector_space.deconvolution:
        fit_on_pixels(rows, n_used, given, shapes, fits)
    else:
        # imported here: it is rarely asked for, and loading its kernels takes time
        from xdp.integration.profiles.overlaps import fit_overlaps

        fit_overlaps(rows, n_used, given, shapes, profiles, table if neighbours is None else neighbours, fits)
    value, variance, correlation = fits
    is_fitted = variance > 0.0
    flags = np.zeros(len(table), np.uint64)
    flags[is_fitted] = np.uint64(Flag.INTEGRATED_PRF)
    flags[use & ~is_fitted] = np.uint64(Flag.FAILED_DURING_PROFILE_FITTING)
    value[~is_fitted], variance[~is_fitted] = 0.0, -1.0
    return {"intensity.prf.value": value, "intensity.prf.variance": variance, "profile.correlation": correlation,
            "flags": flags}


def count_background_pixels(table: ReflectionTable, boxes: Shoeboxes) -> np.ndarray:
    """Number of pixels that each background was made of.

    Parameters
    ----------
    table : ReflectionTable
        With ``num_pixels.background_used``, if there is such a column.
    boxes : Shoeboxes
        Else pixels with BACKGROUND_USED are counted in these.

    Returns
    -------
    (n,) int64
    """
    if "num_pixels.background_used" in table:
        return np.asarray(table["num_pixels.background_used"], np.int64)
    # one running sum over all pixels; its differences at the boxes' limits are their counts
    is_used = np.concatenate([[0], np.cumsum((boxes.mask & np.uint8(MaskCode.BACKGROUND_USED)) != 0)])
    return np.diff(is_used[boxes.offsets])
