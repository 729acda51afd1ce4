"""The verdict of a report: faults that show in spots, models and intensities, the worst first.

Every check compares the data with themselves (a ring with its neighbours, a frame with the median frame) and asks for
significance as well as for size. The limits are choices of what is worth a line; they were tried on rot_dev, on the
simulated series of ``xdp demo``, and on simulated sets with each fault (tests/report/page/test_findings.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from xdp.errors import XdpError
from xdp.experiment.experiment import ExperimentList
from xdp.plot.models import compute_cells
from xdp.plot.residuals import compute_spot_residuals
from xdp.plot.tables import find_extent, find_frames, find_resolution, find_rows_with_index
from xdp.prediction.ice_rings import ICE_SPACINGS
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable

#: Lines of the verdict: what fits the first screen of a phone.
N_LINES = 5
#: Half width of a ring of ice in 1/d², Å⁻²: that of :func:`xdp.prediction.ice_rings.is_off_ice_rings`.
_ICE_WIDTH = 0.002
#: Spots on a ring over those expected from both sides, and the excess in standard deviations, that count as ice.
#: Without ice the ratio stays below 1.6 on rot_dev and the demonstration.
_ICE_RATIO, _ICE_SIGMAS = 2.0, 6.0
#: A run of frames is blank below this part of the median number of spots, if the median promises so many in the run.
_BLANK_PART, _BLANK_SPOTS = 0.15, 50
#: Part of the spots, ice left out, that may lack an index. Sound sets of one lattice stay below 10 %.
_UNINDEXED_PART = 0.2
#: Change of a cell edge over a scan that is worth a line: a tenth of a per cent is a usual limit of isomorphism in
#: experiments at one temperature.
_CELL_CHANGE = 0.002
#: Separate spots at one place on the detector (within a pixel), for each hundred frames, at least 5: a Bragg spot comes
#: back once or twice in a turn.
_HOT_PER_FRAME, _HOT_LEAST = 0.05, 5
#: Shift of the beam, in pixels, below which indexing does not notice.
_BEAM_PIXELS = 3.0
#: Spots that the search for the beam uses: it takes about a second.
_BEAM_SPOTS = 2000
#: Part of integrated reflections that may be overloaded.
_OVERLOADED_PART = 0.01
#: Trend of the mean residuals over the scan, pixels.
_RESIDUAL_CHANGE = 0.5


@dataclass(frozen=True)
class Finding:
    """One line of the verdict.

    Attributes
    ----------
    check : str
        Its key.
    severity : float
        0: nothing is wrong; up to 1.
    text : str
    plot : str
        Name of the plot that shows it; empty where there is none.
    """

    check: str
    severity: float
    text: str
    plot: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Give the line in JSON's types."""
        return {"check": self.check, "severity": round(float(self.severity), 3), "text": self.text, "plot": self.plot}


Check = Callable[[ReflectionTable, "ExperimentList | None"], Finding | None]


def find_ice(table: ReflectionTable, experiments: ExperimentList | None) -> Finding | None:
    """Look for rings of ice: more spots at their resolution than on both sides.

    Parameters
    ----------
    table : ReflectionTable
        Found spots; integrated tables are predictions, of which ice shows nothing.
    experiments : ExperimentList or None

    Returns
    -------
    Finding or None
        None where the resolution of the spots is not known.
    """
    d = find_resolution(table, experiments) if "n_signal" in table else None
    if d is None or not len(d):
        return None
    rings = [(ring, ratio) for ring, ratio, sigmas in compare_ice_rings(d)
             if ratio >= _ICE_RATIO and sigmas >= _ICE_SIGMAS]
    if not rings:
        return Finding("ice", 0.0, "No rings of ice among the spots.", "spots_by_resolution")
    where = ", ".join(f"{ring:.2f}" for ring, _ in rings)
    worst = max(ratio for _, ratio in rings)
    return Finding("ice", min(1.0, 0.4 + 0.1 * len(rings) + 0.05 * worst), f"Ice: {worst:.1f} times as many spots as "
                   f"beside it on the ring{'s' if len(rings) > 1 else ''} at {where} Å; filter.ice_rings.filter=True "
                   "of xdp find_spots leaves them out.", "spots_by_resolution")


def compare_ice_rings(d: np.ndarray) -> list[tuple[float, float, float]]:
    """Compare the number of spots on each ring of ice with that on both sides of it.

    Parameters
    ----------
    d : (n,) float64
        Resolution, Å.

    Returns
    -------
    list of (ring, ratio, sigmas)
        Å; spots over expected ones; the excess over its standard deviation. Expected are the spots of two bands, each
        as
        wide as the ring, that do not touch other rings, scaled by volume: proportional to sqrt(1/d²) for one width.
    """
    squared = np.sort(d[np.isfinite(d) & (d > 0)] ** -2.0)
    rings = ICE_SPACINGS**-2.0
    if not len(squared):
        return []

    def count(at: float) -> int:
        low, high = np.searchsorted(squared, [at - _ICE_WIDTH, at + _ICE_WIDTH])
        return int(high - low)

    found = []
    for ring in rings:
        if not squared[0] < ring < squared[-1]:
            continue
        # Bands at 2, 3, ... widths, nearest first, off all rings.
        sides = [ring + sign * 2 * _ICE_WIDTH * k for k in range(1, 8) for sign in (-1, 1)]
        free = [s for s in sides if np.abs(rings - s).min() > 2 * _ICE_WIDTH * 0.99
                and squared[0] < s < squared[-1]][:4]
        if not free:
            continue
        expected = sum(count(s) * np.sqrt(ring / s) for s in free) / len(free)
        n = count(ring)
        found.append((float(ring**-0.5), n / max(expected, 1.0), (n - expected) / np.sqrt(
            max(expected, 1.0) * (1.0 + 1.0 / len(free)))))
    return found


def find_blank_frames(table: ReflectionTable, experiments: ExperimentList | None) -> Finding | None:
    """Look for runs of frames that have far fewer spots than the median frame.

    Parameters
    ----------
    table : ReflectionTable
    experiments : ExperimentList or None

    Returns
    -------
    Finding or None
        None where the table cannot tell.
    """
    if "xyzobs.px.value" not in table or not len(table) or "n_signal" not in table:
        return None
    first, last = find_extent(table, experiments)
    frame = find_frames(table, "xyzobs.px.value")
    n = last - first
    if n < 5:
        return None
    # A spot a little outside counts for the frame beside it.
    index = np.clip(np.floor(frame[np.isfinite(frame)]).astype(np.int64) - first, 0, n - 1)
    counts = np.bincount(index, minlength=n)
    runs = find_blank_runs(counts)
    if not runs:
        return Finding("blank", 0.0, "No blank images.", "spots_per_image")
    n_blank = sum(end - start for start, end in runs)
    where = ", ".join(f"{start + first + 1} to {end + first}" for start, end in runs[:4])
    return Finding("blank", min(1.0, 0.6 + n_blank / n), f"Blank: images {where} have next to no spots ({n_blank} "
                                                         f"of {n}).",
                   "spots_per_image")


def find_blank_runs(counts: np.ndarray) -> list[tuple[int, int]]:
    """Find runs of frames with next to no spots.

    Parameters
    ----------
    counts : (n,) int
        Spots of each frame.

    Returns
    -------
    list of (first, end)
        End is not in the run.
    """
    # The median of frames that have spots: a wedge may be more than half of the scan.
    usual = float(np.median(counts[counts > 0])) if (counts > 0).any() else 0.0
    if usual <= 0:
        return []
    low = np.concatenate([[False], counts < _BLANK_PART * usual, [False]]).astype(np.int8)
    starts, ends = np.flatnonzero(np.diff(low) == 1), np.flatnonzero(np.diff(low) == -1)
    return [(int(a), int(b)) for a, b in zip(starts, ends, strict=True) if (b - a) * usual >= _BLANK_SPOTS]


def find_more_lattices(table: ReflectionTable, experiments: ExperimentList | None) -> Finding | None:
    """Look for spots that have no index though they are not of ice, and for several lattices of one scan.

    Parameters
    ----------
    table : ReflectionTable
    experiments : ExperimentList or None

    Returns
    -------
    Finding or None
        None where the table cannot tell.
    """
    has_index = find_rows_with_index(table)
    if not has_index.any() or "n_signal" not in table:
        return None
    n_crystals = len({int(i) for i in np.unique(table["id"][has_index])}) if "id" in table else 1
    scans = {id(e.scan) for e in experiments or () if e.scan is not None and not e.scan.is_still}
    if len(scans) == 1 and n_crystals > 1:
        return Finding("lattices", 0.5, f"{n_crystals} lattices are indexed on the same images: look for overlaps.",
                       "unindexed_on_detector")
    d = find_resolution(table, experiments)
    off_ice = np.ones(len(table), bool)
    if d is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            squared = np.where(d > 0, d, np.inf) ** -2.0
        off_ice = np.abs(squared[:, None] - ICE_SPACINGS[None] ** -2.0).min(axis=1) > _ICE_WIDTH
    part = float((~has_index & off_ice).sum()) / max(1, int(off_ice.sum()))
    if part < _UNINDEXED_PART:
        return Finding("lattices", 0.0, f"{100 * has_index.mean():.1f} % of the spots are indexed by one lattice.",
                       "unindexed_on_detector" if not has_index.all() else "indexed_on_detector")
    return Finding("lattices", min(1.0, 0.3 + part), f"Second lattice: {100 * part:.0f} % of the spots off the "
                                                     f"rings of ice "
                   "have no index; xdp index max_lattices=2 looks for one more.", "unindexed_on_detector")


def find_cell_drift(table: ReflectionTable | None, experiments: ExperimentList | None) -> Finding | None:
    """Look for cells that change over a scan, and, where models do not vary, for residuals that do.

    Parameters
    ----------
    table : ReflectionTable
    experiments : ExperimentList or None

    Returns
    -------
    Finding or None
        None where the table cannot tell.
    """
    worst, name = 0.0, ""
    varying = [e.crystal for e in experiments or () if e.crystal is not None and e.crystal.A_at_scan_points]
    for crystal in varying:
        lengths = compute_cells(crystal)[:, :3]
        change = np.ptp(lengths, axis=0) / lengths.mean(axis=0)
        k = int(change.argmax())
        if change[k] > worst:
            worst, name = float(change[k]), "abc"[k]
    if varying:
        if worst < _CELL_CHANGE:
            return Finding("drift", 0.0, f"The cell is steady: its edges change by at most {100 * worst:.2f} %.",
                           "cell_lengths_by_frame")
        return Finding("drift", min(1.0, 0.4 + 30 * worst), f"Drift: {name} changes by {100 * worst:.2f} % over the "
                       f"scan, "
                       "as of radiation damage, or of a crystal that warms.", "cell_lengths_by_frame")
    return _find_residual_drift(table, experiments)


def _find_residual_drift(table: ReflectionTable | None, experiments: ExperimentList | None) -> Finding | None:
    """A trend of the distances from the beam over the scan: of a cell that changes under a model that does not."""
    residual = compute_spot_residuals(table) if table is not None else None
    # Integrated tables have residuals of weak reflections, which pull towards the prediction.
    if table is None or residual is None or "n_signal" not in table:
        return None
    position = table["xyzobs.px.value"]
    good = np.isfinite(residual[:, 0])
    if good.sum() < 200:
        return None
    frame = find_frames(table, "xyzobs.px.value")[good]
    t = (frame - frame.min()) / max(1.0, np.ptp(frame)) - 0.5
    centre = np.median(position[good, :2], axis=0)
    relative = (position[good, :2] - centre) / np.abs(position[good, :2] - centre).max()
    # A cell that grows moves spots towards the beam in proportion to their distance from it, more and more.
    basis = (relative * t[:, None]).ravel()
    values = (residual[good, :2] - residual[good, :2].mean(axis=0)).ravel()
    slope = float(basis @ values / (basis @ basis))
    error = float(np.std(values - slope * basis) / np.sqrt(basis @ basis))
    if abs(slope) < _RESIDUAL_CHANGE or abs(slope) < 8 * error:
        return Finding("drift", 0.0, "No drift: residuals do not change along the scan.", "mean_residuals_by_frame")
    return Finding("drift", min(1.0, 0.4 + 0.1 * abs(slope)), f"Drift: predicted spots move by {abs(slope):.1f} px "
                   f"against "
                   "observed ones along the scan, as of a cell or distance that changes; xdp refine scan_varying=True "
                   "follows it.", "mean_residuals_by_frame")


def find_hot_places(table: ReflectionTable, experiments: ExperimentList | None) -> Finding | None:
    """Look for pixels at which spots come again and again.

    Parameters
    ----------
    table : ReflectionTable
    experiments : ExperimentList or None

    Returns
    -------
    Finding or None
        None where the table cannot tell.
    """
    if "xyzobs.px.value" not in table or "n_signal" not in table or not len(table):
        return None
    first, last = find_extent(table, experiments)
    n_frames = last - first
    if n_frames < _HOT_LEAST:
        return None
    table = table.select(np.flatnonzero(np.isfinite(table["xyzobs.px.value"]).all(axis=1)))
    pixel = np.floor(table["xyzobs.px.value"][:, :2]).astype(np.int64)
    panel = table["panel"].astype(np.int64) if "panel" in table else np.zeros(len(table), np.int64)
    keys, number = np.unique(np.column_stack([panel, pixel]), axis=0, return_counts=True)
    hot = number >= max(_HOT_LEAST, _HOT_PER_FRAME * n_frames)
    # A pixel that is hot on each frame is one long thin spot.
    if "bbox" in table:
        box = table["bbox"]
        long_ = (box[:, 5] - box[:, 4] >= max(10, n_frames // 2)) & (table["n_signal"] <= 4 * (box[:, 5] - box[:, 4]))
        keys = np.concatenate([keys[hot], np.column_stack([panel, pixel])[long_]])
    else:
        keys = keys[hot]
    keys = np.unique(keys, axis=0)
    if not len(keys):
        return Finding("hot", 0.0, "No hot pixels among the spots.", "spots_on_detector")
    where = "; ".join(f"{x}, {y}" + (f" on panel {p}" if panel.max() else "") for p, x, y in keys[:3].tolist())
    return Finding("hot", min(1.0, 0.5 + 0.02 * len(keys)), f"Hot pixels: spots come again and again at {len(keys)} "
                   f"place{'s' if len(keys) > 1 else ''} (fast, slow: {where}); xdp find_hot_pixels masks them.",
                   "spots_on_detector")


def find_beam_shift(table: ReflectionTable, experiments: ExperimentList | None) -> Finding | None:
    """Look for a wrong beam centre: before indexing, by where the spots are most periodic.

    Parameters
    ----------
    table : ReflectionTable
        Spots without indices.
    experiments : ExperimentList or None

    Returns
    -------
    Finding or None
        None where spots are indexed, of stills, or show no periodicity.
    """
    is_scan = bool(experiments) and all(e.scan is not None and not e.scan.is_still for e in experiments or ())
    if experiments is None or not is_scan or "n_signal" not in table or find_rows_with_index(table).any():
        return None
    # Late: the search brings the room of indexing with it, which other reports do not need.
    from xdp.indexing.command_options import SearchBeamOptions
    from xdp.indexing.search.beam_search import optimise_beam_position

    try:
        _, shift = optimise_beam_position(experiments, table,
                                          SearchBeamOptions(max_reflections=_BEAM_SPOTS, n_macro_cycles=1, nproc=1))
    except XdpError:
        return None
    detector = experiments[0].known.detector
    pixels = np.asarray(shift.mm) / np.asarray(detector[0].pixel_size)
    off = float(np.linalg.norm(pixels))
    if off < _BEAM_PIXELS or shift.score < 0.5:
        return Finding("beam", 0.0, f"The beam centre fits the spots within {max(off, 0.1):.1f} px.",
                       "spots_on_detector")
    return Finding("beam", min(1.0, 0.7 + 0.01 * off), f"Wrong beam centre: the spots are most periodic with the "
                                                       f"detector "
                   f"shifted by {pixels[0]:.1f}, {pixels[1]:.1f} px (fast, slow); xdp search_beam_position corrects "
                   f"it.",
                   "spots_on_detector")


def find_overloads(table: ReflectionTable, experiments: ExperimentList | None) -> Finding | None:
    """Count overloaded reflections.

    Parameters
    ----------
    table : ReflectionTable
    experiments : ExperimentList or None

    Returns
    -------
    Finding or None
        None where the table cannot tell.
    """
    if "flags" not in table or not len(table) or "n_signal" in table:
        return None
    part = float(table.flags(Flag.OVERLOADED).mean())
    if part < _OVERLOADED_PART:
        return Finding("overloads", 0.0, f"{100 * part:.2f} % of the reflections are overloaded.",
                       "i_over_sigma_by_resolution")
    return Finding("overloads", min(1.0, 0.3 + 5 * part), f"Overloads: {100 * part:.1f} % of the reflections; a "
                                                          f"pass with a "
                   "weaker beam would complete the low resolution.", "i_over_sigma_by_resolution")


def find_failed_profiles(table: ReflectionTable, experiments: ExperimentList | None) -> Finding | None:
    """Count reflections that were summed but could not be fitted.

    Parameters
    ----------
    table : ReflectionTable
    experiments : ExperimentList or None

    Returns
    -------
    Finding or None
        None where the table cannot tell.
    """
    if "intensity.prf.value" not in table or "flags" not in table or not len(table):
        return None
    summed = table.flags(Flag.INTEGRATED_SUM)
    if not summed.any():
        return None
    part = float((summed & ~table.flags(Flag.INTEGRATED_PRF)).sum() / summed.sum())
    # More than a fifth says that the reference profiles, not single reflections, are at fault.
    if part < 0.2:
        return Finding("profiles", 0.0, f"{100 * (1 - part):.1f} % of the summed reflections are also fitted.",
                       "profile_correlation_histogram")
    return Finding("profiles", min(1.0, 0.2 + part), f"Profile fits failed for {100 * part:.0f} % of the reflections.",
                   "profile_correlation_histogram")


#: In the order in which lines of equal weight are shown.
CHECKS: tuple[Check, ...] = (find_ice, find_blank_frames, find_more_lattices, find_cell_drift, find_hot_places,
                             find_beam_shift, find_overloads, find_failed_profiles)


def find_faults(table: ReflectionTable | None, experiments: ExperimentList | None) -> list[Finding]:
    """Run all checks.

    Parameters
    ----------
    table : ReflectionTable or None
    experiments : ExperimentList or None

    Returns
    -------
    list of Finding
        The worst :data:`N_LINES`; those that found nothing come last.
    """
    if table is None:
        found = [find_cell_drift(None, experiments)]
    else:
        found = [check(table, experiments) for check in CHECKS]
    return sorted((f for f in found if f is not None), key=lambda f: -f.severity)[:N_LINES]
