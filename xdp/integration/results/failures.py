"""Why reflections could not be integrated: named where it happened to many of them."""

from __future__ import annotations

import logging

import numpy as np

from xdp.errors import XdpError
from xdp.integration.background.options import BackgroundOptions
from xdp.integration.options import IntegrateOptions
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable

log = logging.getLogger(__name__)

MANY = 0.1
"""Where a larger share of the reflections failed for one reason, it is told. A choice."""
HARDLY_ANY = 0.05
"""Where a smaller share was integrated, there is an error in place of a result. A choice: nobody merges a twentieth of
a data set, and those that are left were chosen by the failure."""


def report_failures(table: ReflectionTable, is_kept: np.ndarray, options: IntegrateOptions) -> None:
    """Warn where more than a tenth of the reflections failed for one reason.

    Parameters
    ----------
    table : ReflectionTable
        All reflections, with their flags and ``num_pixels.*``.
    is_kept : (n,) bool
        Which were integrated.
    options : IntegrateOptions

    Raises
    ------
    XdpError
        Where hardly any was integrated, for one such reason, unless those that were not are asked for
        (``output_unintegrated_reflections``).
    """
    # Reflections near the rotation axis were never tried: they have none of these flags.
    failed = ~is_kept & table.any_flags(Flag.FAILED_DURING_BACKGROUND_MODELLING | Flag.FAILED_DURING_SUMMATION)
    n_kept = int(np.count_nonzero(is_kept))
    n_tried = n_kept + int(np.count_nonzero(failed))
    for rows, reason, advice in _sort_by_reason(table, failed, options.integration.background):
        n = int(np.count_nonzero(rows))
        if n <= MANY * n_tried:
            continue
        told = f"{n} of {n_tried} reflections ({100.0 * n / n_tried:.0f} %) {reason}"
        if n_kept < HARDLY_ANY * n_tried and not options.output.output_unintegrated_reflections:
            raise XdpError(f"{n_kept} of {n_tried} reflections could be integrated. {told}: {advice}")
        log.warning("%s: %s", told, advice)


def _sort_by_reason(table: ReflectionTable, failed: np.ndarray, options: BackgroundOptions
                    ) -> list[tuple[np.ndarray, str, str]]:
    """Each reason: the reflections (n,) bool, what is wrong with them, and what may be done."""
    no_background = failed & table.flags(Flag.FAILED_DURING_BACKGROUND_MODELLING)
    # Least squares alone leaves residuals.
    algorithm = "simple" if "background.mse" in table else "glm" if options.algorithm == "Auto" else options.algorithm
    least = getattr(getattr(options, algorithm, None), "min_pixels", None) or 1
    has_few = no_background & (table["num_pixels.background"] < least)
    is_bad = failed & ~no_background & table.flags(Flag.FOREGROUND_INCLUDES_BAD_PIXELS)
    return [
        (has_few, f"have fewer than {least} valid pixels of background around them",
         "raise integration.profile.sigma_b_multiplier, check masks, or lower "
         f"integration.background.{algorithm}.min_pixels"),
        (no_background & ~has_few, "have counts that no background could be fitted to", _advise(algorithm)),
        (is_bad, "have pixels in their foreground that are masked, overloaded or beside the panel",
         "check masks and trusted range, and the profile model (sigma_b, sigma_m)"),
        (failed & ~no_background & ~is_bad, "share their foreground with a neighbour, which has its pixels",
         "check the profile model (sigma_b, sigma_m) and the cell, whose axes may be multiples of the true ones"),
    ]


def _advise(algorithm: str) -> str:
    """What may be done where a background algorithm fails on many boxes."""
    if algorithm == "simple":
        return "their mean is below zero or too many are left out as outliers; was a pedestal taken off twice?"
    if algorithm == "gmodel":
        return "the model is 0 there; does background.gmodel.model belong to these images?"
    return "these are no counts of photons (below zero?); background.algorithm=simple takes such counts"
