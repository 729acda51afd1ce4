"""Hot and dead pixels, found in the same pass over the frames that cuts the shoeboxes.

The first task of a block counts what it decodes (:class:`~xdp.integration.hot_pixels.counts.PixelCounts`: whole
numbers, whose sums do not depend on the order of blocks). When all blocks have been read, :func:`find_bad_pixels`
decides. The second task of each block takes the bad pixels out of its shoeboxes (:func:`mask_bad_pixels`) before
anything is made of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from xdp.experiment.pixels import px_to_s1
from xdp.integration.hot_pixels._kernels import BadPlaces, BoxMasks, clear_bad, count_isolated, find_low
from xdp.integration.hot_pixels.counts import FEWEST_SPANS, PixelCounts
from xdp.integration.hot_pixels.options import HotPixelOptions
from xdp.reflections.flags import MaskCode
from xdp.reflections.shoeboxes import Shoeboxes

if TYPE_CHECKING:
    from xdp.experiment import Experiment

_FEWEST_FRAMES = 4
"""Scans of fewer frames are too short to tell what lasts. A choice."""
_LOW = 0.02
"""A dead pixel counts at most this part of what those around it count: good ones differ by some per cent. A choice."""
_NARROW = 0.25
"""A hot pixel of a short scan: its neighbours have less than this part of what the narrowest reflection would give
them. A choice, tried on simulated scans of 60 to 300 thin slices: no reflection was masked (docs/hot_pixels.md)."""
_STEADY = 0.5
"""The lowest count of a frame, of all spans, is at least this part of the highest in a hot pixel of a short scan, since
reflections come and go. A choice, tried on the same scans as `_NARROW`."""
_MOST_NAMED = 50
"""Pixels of a kind that the log names."""


class Widths(Protocol):
    """The part of a profile model that is needed here: angles in radians, one number or one a frame."""

    n_sigma: float
    sigma_b: Any
    sigma_m: Any


@dataclass(frozen=True)
class BadPixels:
    """Hot and dead pixels of a detector.

    Attributes
    ----------
    hot, dead : tuple of (k,) int64
        Flat indices, sorted, one array a panel.
    widths : tuple of int
        Pixels in a row of each panel.
    reason : str
        Why there was no search; empty where there was one.
    """

    hot: tuple[np.ndarray, ...]
    dead: tuple[np.ndarray, ...]
    widths: tuple[int, ...]
    reason: str = ""

    @property
    def flat(self) -> list[np.ndarray]:
        """Flat indices of all bad pixels, hot and dead together, one sorted array a panel."""
        return [np.union1d(hot, dead) for hot, dead in zip(self.hot, self.dead, strict=True)]

    def __len__(self) -> int:
        return sum(map(len, self.hot)) + sum(map(len, self.dead))

    def describe(self) -> list[str]:
        """Lines for the log: how many, and where (fast, slow; and the panel where there are several).

        Examples
        --------
        >>> import numpy as np
        >>> bad = BadPixels((np.array([207]),), (np.array([], int),), (40,))
        >>> print("\\n".join(bad.describe()))
        Masked 1 hot and 0 dead pixels
          hot (fast, slow): (7, 5)
        """
        if self.reason:
            return [f"Hot and dead pixels were not sought: {self.reason}"]
        lines = [f"Masked {sum(map(len, self.hot))} hot and {sum(map(len, self.dead))} dead pixels"]
        for name, pixels in (("hot", self.hot), ("dead", self.dead)):
            places = [f"({i % w}, {i // w}{f', panel {p}' if len(pixels) > 1 else ''})"
                      for p, (w, flat) in enumerate(zip(self.widths, pixels, strict=True)) for i in flat]
            more = f" and {len(places) - _MOST_NAMED} more" if len(places) > _MOST_NAMED else ""
            lines += [f"  {name} (fast, slow): {', '.join(places[:_MOST_NAMED])}{more}"] if places else []
        return lines


def find_bad_pixels(experiments: Sequence[Experiment], counts: PixelCounts, valid: Sequence[np.ndarray] | None,
                    options: HotPixelOptions, *, models: Sequence[Widths]) -> BadPixels:
    """Find the pixels that are hot or dead through a whole scan.

    A pixel is **hot** where it is

    1. isolated: it counts at least ``min_ratio`` times what the highest of its neighbours counts, beyond ``min_sigma``
       standard deviations of counting statistics;
    2. stationary: so in ``min_fraction`` of the spans of the scan;
    3. lasting: these spans are ``min_widths`` times as long as the rotation through which a reflection at that place
       lasts, ``2 n_sigma sigma_m / zeta``. Where the scan is too short for that, the pixel must be narrower than any
       reflection can be (its neighbours have less than a quarter of what the narrowest reflection, centred on the
       pixel, would give them) and its counts must keep within a factor of 2 of each other.

    It is **dead** where, in the whole scan, it counts at most a fiftieth of what those around it count, and so little
    that the chance to find one such pixel on the detector is below ``dead_probability``: what a thin background leaves
    undecided stays.

    Parameters
    ----------
    experiments : sequence of Experiment
        Those of one sweep: same images, beam, detector, goniometer and scan.
    counts : PixelCounts
        Of all frames of the scan.
    valid : sequence of (slow, fast) bool, optional
        Pixels that may be used at all, one array a panel.
    options : HotPixelOptions
    models : sequence of Widths
        Profile models of the experiments.

    Returns
    -------
    BadPixels
        None of either kind, with the reason, for stills, scans of fewer than 4 frames, or where options say so.
    """
    model = experiments[0]
    shapes = counts.shapes
    reason = _explain_refusal(model, counts, options)
    if reason:
        none = tuple(np.zeros(0, np.int64) for _ in shapes)
        return BadPixels(none, none, tuple(shape[1] for shape in shapes), reason)
    good = counts.find_usable()
    for mask, given in zip(good, valid or [], strict=bool(valid)):
        mask &= given
    # a single pixel must be so improbable that none of all pixels would be found by chance (Bonferroni)
    threshold = math.log(options.dead_probability / max(sum(int(np.count_nonzero(v)) for v in good), 1))
    hot, dead = [], []
    for panel, usable in enumerate(good):
        spans = [counts.sums[span][panel] for span in sorted(counts.sums)]
        hot.append(_find_hot(model, panel, spans, counts.n_frames[sorted(counts.sums)], usable, options, models))
        dead.append(_find_dead(spans, usable, threshold))
    return BadPixels(tuple(hot), tuple(dead), tuple(shape[1] for shape in shapes))


def _explain_refusal(model: Experiment, counts: PixelCounts, options: HotPixelOptions) -> str:
    """Explain why bad pixels cannot be looked for; empty where they can."""
    if not options.mask:
        return "switched off (integration.hot_pixels.mask=False)"
    if model.scan is None or model.goniometer is None or not model.scan.oscillation[1]:
        return "stills do not tell them from reflections"
    if counts.last - counts.first < _FEWEST_FRAMES or len(counts.sums) < FEWEST_SPANS:
        return f"the scan has fewer than {_FEWEST_FRAMES} frames"
    return ""


def _find_hot(model: Experiment, panel: int, spans: list[np.ndarray], n_frames: np.ndarray, valid: np.ndarray,
              options: HotPixelOptions, models: Sequence[Widths]) -> np.ndarray:
    """Find the flat indices of the hot pixels of one panel; `n_frames` were counted in each span."""
    times = np.zeros(valid.shape, np.uint8)
    for sums in spans:
        count_isolated(sums, valid, options.min_ratio, options.min_sigma, times)
    # the small number keeps rounding from asking for one span more
    n_needed = math.ceil(options.min_fraction * len(spans) - 1e-9)
    slow, fast = np.nonzero(times >= n_needed)
    if not len(slow):
        return np.zeros(0, np.int64)
    lasting = times[slow, fast] / len(spans) * abs(model.known.scan.n_frames * model.known.scan.oscillation[1])
    is_long = lasting >= options.min_widths * compute_reflection_rotation(model, panel, fast, slow, models)
    share = _compute_share(model, panel, models)
    is_narrow = np.array([_is_steady(spans, n_frames, y, x) and _is_narrow(spans, valid, y, x, options.min_sigma, share)
                          for y, x in zip(slow.tolist(), fast.tolist(), strict=True)], dtype=np.bool_)
    keep = is_long | is_narrow
    return (slow * np.int64(valid.shape[1]) + fast)[keep]


def compute_reflection_rotation(model: Experiment, panel: int, fast: np.ndarray, slow: np.ndarray,
                                models: Sequence[Widths]) -> np.ndarray:
    """The rotation through which a reflection at the centres of given pixels lasts: ``2 n_sigma sigma_m / |zeta|``.

    Parameters
    ----------
    model : Experiment
        With beam, detector and goniometer.
    panel : int
    fast, slow : (n,) int
        The pixels.
    models : sequence of Widths
        Profile models, of which the largest width holds.

    Returns
    -------
    (n,) float64
        Degrees; infinite on the rotation axis.
    """
    s1 = px_to_s1(model.known.detector, model.known.beam, panel, np.stack([fast, slow], axis=1) + 0.5)
    normal = np.cross(s1, model.known.beam.s0)
    with np.errstate(divide="ignore", invalid="ignore"):
        zeta = np.abs(normal @ model.known.goniometer.rotation_axis_lab) / np.linalg.norm(normal, axis=1)
        width = max(2.0 * float(m.n_sigma) * float(np.max(m.sigma_m)) for m in models)
        return np.degrees(np.where(zeta > 0.0, width / zeta, np.inf))


def _compute_share(model: Experiment, panel: int, models: Sequence[Widths]) -> float:
    """Compute what a neighbour gets of the narrowest reflection that is centred on a pixel, relative to that pixel."""
    # pixels of a Gaussian: the part from 0.5 to 1.5 pixels on one side, and that within half a pixel of the middle
    geometry = model.known.detector[panel]
    sigma_b = min(float(np.min(m.sigma_b)) for m in models)
    sigma = abs(geometry.distance) * sigma_b / max(geometry.pixel_size)
    half = math.erf(0.5 / (math.sqrt(2.0) * sigma))
    return 0.5 * (math.erf(1.5 / (math.sqrt(2.0) * sigma)) - half) / half


def _is_steady(spans: list[np.ndarray], n_frames: np.ndarray, y: int, x: int) -> bool:
    """Whether a pixel's counts per frame keep within a factor of 2 of each other."""
    # the last span may be shorter than the others: counts per frame compare
    rates = np.array([float(s[y, x]) for s in spans]) / np.maximum(n_frames, 1)
    return bool(rates.min() >= _STEADY * rates.max())


def _is_narrow(spans: list[np.ndarray], valid: np.ndarray, y: int, x: int, n_sigma: float, share: float) -> bool:
    """Whether a pixel's neighbours have far less than a reflection, centred on it, would give them."""
    own = sum(float(s[y, x]) for s in spans)
    y0, x0 = max(y - 2, 0), max(x - 2, 0)
    total = np.stack([s[y0:y + 3, x0:x + 3] for s in spans]).sum(axis=0, dtype=np.float64)
    usable = valid[y0:y + 3, x0:x + 3]
    rows, columns = np.abs(np.arange(len(total)) + y0 - y)[:, None], np.abs(np.arange(total.shape[1]) + x0 - x)
    # the ring of 16 pixels two away tells the background, the four pixels beside what a reflection would have there
    around = total[usable & (np.maximum(rows, columns) == 2)]
    floor = float(np.median(around)) if len(around) else 0.0
    beside = total[usable & (rows + columns == 1)]
    expected = share * (own - floor)
    noise = math.sqrt(max(floor, 1.0))
    return bool(len(beside) >= 2 and expected > 2.0 * n_sigma * noise
                and beside.max() - floor < _NARROW * expected + 0.5 * n_sigma * noise)


def _find_dead(spans: list[np.ndarray], valid: np.ndarray, log_probability: float) -> np.ndarray:
    """Find the flat indices of the dead pixels of one panel."""
    total = spans[0].copy()
    for sums in spans[1:]:
        total += sums
    # reflections cover less than half of a panel
    level = float(np.median(total[valid])) if np.any(valid) else 0.0
    # room for as many as there may be; if there are more, which is known then, once again
    found = np.empty(1024, np.int64)
    n = find_low(total, valid, level, _LOW, log_probability, found)
    if n > len(found):
        found = np.empty(n, np.int64)
        find_low(total, valid, level, _LOW, log_probability, found)
    return found[:n]


def mask_bad_pixels(boxes: Shoeboxes, bad: BadPixels) -> np.ndarray:
    """Take bad pixels out of shoeboxes: they lose Valid, BackgroundUsed and Strong on all frames, in place.

    Parameters
    ----------
    boxes : Shoeboxes
        Changed in place; those without pixels are only looked at.
    bad : BadPixels

    Returns
    -------
    (n,) bool
        Boxes that hold bad pixels.
    """
    start = np.concatenate([[0], np.cumsum([len(flat) for flat in bad.flat])]).astype(np.int64)
    # flat indices ascend, so that each panel's pixels are sorted by slow, by which the kernel looks them up
    places = [np.divmod(flat, np.int64(width)) for flat, width in zip(bad.flat, bad.widths, strict=True)]
    slow, fast = (np.concatenate(column).astype(np.int64) for column in zip(*places, strict=True))
    touched = np.zeros(len(boxes), bool)
    lost = int(MaskCode.VALID | MaskCode.BACKGROUND_USED | MaskCode.STRONG)
    clear_bad(BoxMasks(boxes.panel, boxes.bbox, boxes.offsets, boxes.mask), BadPlaces(start, slow, fast),
              np.uint8(255 - lost), touched)
    return touched
