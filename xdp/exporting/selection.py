"""Which integrated reflections go to other programs, and with what corrections applied.

Evans, P. R. (2006). Acta Cryst. D62, 72-82, doi:10.1107/S0907444905036693, for what a scaling program expects of
partially recorded reflections.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from xdp.errors import XdpError
from xdp.exporting.options import MtzOptions
from xdp.reflections.flags import Flag
from xdp.reflections.sound import keep_sound_rows
from xdp.reflections.table import ReflectionTable

logger = logging.getLogger(__name__)

#: Parameter's word -> part of the columns' names.
COLUMN_OF = {"sum": "sum", "profile": "prf", "scale": "scale"}
#: What integration sets for a success.
_FLAG_OF = {"sum": Flag.INTEGRATED_SUM, "prf": Flag.INTEGRATED_PRF}
#: A reflection recorded to this fraction has no other part worth joining (a choice).
_WHOLE = 0.99


def resolve_intensity(table: ReflectionTable, wanted: Sequence[str]) -> tuple[str, ...]:
    """The kinds of intensity to export, in the words of the parameter; "auto" chosen by the columns there are.

    Raises
    ------
    XdpError
        If the table has no intensities, or not those that were asked for.
    """
    present = {word for word, name in COLUMN_OF.items() if f"intensity.{name}.value" in table}
    if "scale" in present and "inverse_scale_factor" not in table:
        present.remove("scale")
    if not present:
        raise XdpError("the reflections have no intensities: export needs integrated.refl (run xdp integrate)")
    if tuple(wanted) == ("auto",):
        return ("scale",) if "scale" in present else tuple(w for w in ("sum", "profile") if w in present)
    missing = [word for word in wanted if word not in present]
    if missing or not wanted:
        raise XdpError(f"intensity={'+'.join(wanted) or None}: the reflections have intensities of the kinds "
                       f"{', '.join(sorted(present))} (auto goes alone)")
    if set(wanted) == {"profile", "scale"}:
        raise XdpError("intensity=profile+scale: scale goes alone, with sum, or with sum and profile")
    return tuple(wanted)


#: Columns beside the intensities of which a file holds numbers.
_ALSO_WRITTEN = ("xyzcal.px", "xyzobs.px.value", "fractioncalc", "background.sum.value", "background.sum.variance",
                 "profile.correlation", "d")


LARGEST_INTENSITY = 1e37
"""What numbers of 32 bits hold, with room for sums of ten. No measurement is near it."""


def select_for_export(table: ReflectionTable, intensity: Sequence[str], options: MtzOptions) -> ReflectionTable:
    """Choose the well measured reflections, correct their intensities, and join the parts of reflections.

    1. Reflections integrated in all the ways of `intensity`, with positive variances; not on ice rings or beyond d_min
       where that is asked for (column ``d`` must be there then).
    2. Intensities times ``lp`` / ``qe``; sums also over ``partiality``; scaled ones over their scale factor.
    3. Parts with the same ``partial_id`` become one reflection. Sums are added before they are divided by the summed
       partiality; fitted and scaled intensities are averaged with weights 1/variance.
    4. Those with enough partiality and a likely I/sigma.

    Parameters
    ----------
    table : ReflectionTable
        Integrated reflections.
    intensity : sequence of {"sum", "profile", "scale"}
        As :func:`resolve_intensity` gives them. Where no reflection was fitted, "profile" is dropped with a warning.
    options : MtzOptions
        The limits.

    Returns
    -------
    ReflectionTable
        With ``intensity.*`` of the chosen kinds only, and ``fractioncalc`` in addition.

    Raises
    ------
    XdpError
        If nothing is left.

    Notes
    -----
    DIALS 3.12 divides each part of a sum by its own partiality and then adds the parts, which counts such a reflection
    as many times as it has parts; it weights fitted parts by (I/sigma) squared.
    """
    kinds = _choose_kinds(table, [COLUMN_OF[word] for word in intensity])
    chosen = _find_measured(table, kinds)
    if not chosen.any() and not table.any_flags(Flag.INTEGRATED).any():
        raise XdpError(f"export: none of {len(table)} reflections is integrated; run xdp integrate first")
    _log_count("Selected %d reflections integrated by %s", int(chosen.sum()), " and ".join(kinds))
    if options.filter_ice_rings:
        chosen &= ~table.any_flags(Flag.IN_POWDER_RING)
    if options.d_min is not None:
        chosen &= table["d"] > options.d_min
    chosen &= table.get("qe", table.get("dqe", np.ones(len(table)))) > 0
    chosen &= table.get("partiality", np.ones(len(table))) > 0
    if not chosen.any():
        raise XdpError("no reflection is left to export: look at the flags (xdp show) and at mtz.d_min")
    with np.errstate(all="ignore"):  # what comes out as no number is left out
        result = _correct(table.select(chosen), kinds)
    result = keep_sound_rows(result, [*(f"intensity.{kind}.{part}" for kind in kinds for part in ("value", "variance")),
                                      *_ALSO_WRITTEN])
    result = result.select(_fits_single_precision(result, kinds))
    if not len(result):
        raise XdpError("no reflection is left to export: none holds numbers in all that is written")
    if options.combine_partials and "partial_id" in result and "partiality" in result:
        result = _join_parts(result, kinds)
    return _drop_weak(result, kinds, options)


def _fits_single_precision(table: ReflectionTable, kinds: Sequence[str]) -> np.ndarray:
    """Whether intensities and their standard deviations are numbers of 32 bits, as MTZ has them."""
    fits = np.ones(len(table), bool)
    for kind in kinds:
        fits &= np.abs(table[f"intensity.{kind}.value"]) < LARGEST_INTENSITY
        fits &= table[f"intensity.{kind}.variance"] < LARGEST_INTENSITY**2
    return fits


def correction_factor(table: ReflectionTable) -> np.ndarray:
    """What counts are multiplied by: Lorentz and polarisation over detector efficiency.

    Parameters
    ----------
    table : ReflectionTable
        With ``lp`` and ``qe`` (or ``dqe``); what is missing counts as 1.

    Returns
    -------
    array (n,)
    """
    one = np.ones(len(table))
    with np.errstate(all="ignore"):  # what comes out as no number is left out by those who ask
        return table.get("lp", one) / table.get("qe", table.get("dqe", one))


def _log_count(message: str, n: int, *words: object) -> None:
    """Log how many reflections something happened to, if any."""
    if n:
        logger.info(message, n, *words)


def _choose_kinds(table: ReflectionTable, kinds: list[str]) -> list[str]:
    """Without fitted intensities where there are none, if something else remains."""
    if "prf" in kinds and not table.any_flags(Flag.INTEGRATED_PRF).any():
        kinds = [kind for kind in kinds if kind != "prf"]
        if not kinds:
            raise XdpError("intensity=profile: no reflection was integrated by profile fitting; try intensity=sum")
        logger.warning("No reflection was integrated by profile fitting: exported without")
    return kinds


def _find_measured(table: ReflectionTable, kinds: Sequence[str]) -> np.ndarray:
    """Reflections of an experiment whose intensities of all `kinds` are there, with positive variances."""
    good = table["id"] >= 0
    for kind in kinds:
        good &= table[f"intensity.{kind}.variance"] > 0
        if kind == "scale":
            # scaling flags what it did not use; a factor of 0 is of an image that it dropped
            good &= ~table.any_flags(Flag.BAD_FOR_SCALING) & (table["inverse_scale_factor"] > 0)
        else:
            good &= table.any_flags(_FLAG_OF[kind])
    return good


def _correct(table: ReflectionTable, kinds: Sequence[str]) -> ReflectionTable:
    """The intensities with their corrections, without those of other kinds."""
    partiality = table.get("partiality", np.ones(len(table)))
    factors = {"prf": correction_factor(table), "sum": correction_factor(table) / partiality}
    if "scale" in kinds:
        factors["scale"] = 1.0 / table["inverse_scale_factor"]
    # variances go by the square of the factor
    columns = {"fractioncalc": partiality}
    for kind in kinds:
        columns[f"intensity.{kind}.value"] = table[f"intensity.{kind}.value"] * factors[kind]
        columns[f"intensity.{kind}.variance"] = table[f"intensity.{kind}.variance"] * factors[kind] ** 2
    result = table.with_columns(**columns)
    for name in [name for name in result if name.startswith("intensity.") and name not in columns]:
        del result[name]
    return result


def _join_parts(table: ReflectionTable, kinds: Sequence[str]) -> ReflectionTable:
    """One row for the parts of a reflection: the first, with what all recorded together."""
    # `partial_id` is unique within an experiment only
    parts = np.flatnonzero(table["partiality"] < _WHOLE)
    keys = np.stack([table["id"][parts].astype(np.int64), table["partial_id"][parts].astype(np.int64)], axis=1)
    _, first, group, size = np.unique(keys, axis=0, return_index=True, return_inverse=True, return_counts=True)
    group = group.ravel()
    joined = size[group] > 1
    if not joined.any():
        return table
    n, partiality = len(size), table["partiality"][parts]
    total = np.bincount(group, partiality, n)
    result = {"partiality": table["partiality"].copy()}
    head = parts[first[size > 1]]
    result["partiality"][head] = total[size > 1]
    for kind in kinds:
        names = f"intensity.{kind}.value", f"intensity.{kind}.variance"
        value, variance = (table[name][parts] for name in names)
        if kind == "sum":  # back to counts, and forth with the fraction that all parts recorded
            sums = np.bincount(group, value * partiality, n) / total, \
                np.bincount(group, variance * partiality**2, n) / total**2
        else:
            weight = np.bincount(group, 1.0 / variance, n)
            sums = np.bincount(group, value / variance, n) / weight, 1.0 / weight
        for name, column in zip(names, sums, strict=True):
            result[name] = table[name].copy()
            result[name][head] = column[size > 1]
    result["fractioncalc"] = result["partiality"]
    keep = np.ones(len(table), bool)
    keep[np.setdiff1d(parts[joined], head)] = False
    _log_count("Joined %d parts with other parts of their reflections", int((~keep).sum()))
    return table.with_columns(**result).select(keep)


def _drop_weak(table: ReflectionTable, kinds: Sequence[str], options: MtzOptions) -> ReflectionTable:
    """Those with enough partiality and an I/sigma not too far below zero."""
    keep = table["fractioncalc"] >= options.partiality_threshold
    _log_count("Removed %d reflections below the partiality threshold", int((~keep).sum()))
    if options.min_isigi is not None:
        for kind in kinds:
            low = table[f"intensity.{kind}.value"] < options.min_isigi * np.sqrt(table[f"intensity.{kind}.variance"])
            _log_count("Removed %d %s reflections with I/Sig(I) < %s", int((low & keep).sum()), kind, options.min_isigi)
            keep &= ~low
    if not keep.any():
        raise XdpError("no reflection is left to export: all are below mtz.partiality_threshold or mtz.min_isigi")
    return table.select(keep)
