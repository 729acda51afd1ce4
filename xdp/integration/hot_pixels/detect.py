"""Hot and dead pixels, found in the same pass over the frames that cuts the shoeboxes.

The first task of a block counts what it decodes (:class:`PixelCounts`, whole numbers: sums have no order, nothing
depends on the blocks). When all blocks have been read, :func:`find_bad_pixels` decides; the second task of each block
takes the bad pixels out of its shoeboxes (:func:`mask_bad_pixels`) before anything is made of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from xdp.experiment.pixels import px_to_s1
from xdp.integration.hot_pixels._kernels import CAP, add_counts, clear_bad, count_isolated, find_low
from xdp.integration.hot_pixels.options import HotPixelOptions
from xdp.integration.shoeboxes.packing import pack_counts, unpack_counts
from xdp.reflections.flags import MaskCode
from xdp.reflections.shoeboxes import Shoeboxes

if TYPE_CHECKING:
    from xdp.experiment import Experiment

MOST_FRAMES = 512
"""At most so many frames, evenly spread over the scan, are counted."""
_SPANS = 8
_SPAN_BYTES = 256 << 20
_FEWEST_FRAMES = 4
_LOW = 0.02
_NARROW = 0.25
_STEADY = 0.5


class Widths(Protocol):
    """What is needed of a profile model: radians; numbers, or one for each scan point."""

    n_sigma: float
    sigma_b: Any
    sigma_m: Any


class PixelCounts:
    """Counts of each pixel, summed over up to eight equal spans of a scan.

    Spans and the frames that count are fixed by the scan, whatever the blocks: each
    ``ceil(n_frames / MOST_FRAMES)``-th frame is counted. Spans get memory when their first frame comes.

    Parameters
    ----------
    array_range : (int, int)
        The scan's frames, half-open.
    shapes : sequence of (int, int)
        (slow, fast) of each panel.
    trusted : sequence of (float, float), optional
        Lowest and highest good count of each panel. Pixels beyond them on the first frame of each span (those that the
        images themselves mark as bad) are neither hot nor dead.
    """

    def __init__(self, array_range: tuple[int, int], shapes: Sequence[tuple[int, int]],
                 trusted: Sequence[tuple[float, float]] | np.ndarray | None = None):
        self.first, self.last = (int(v) for v in array_range)
        self.shapes = [(int(a), int(b)) for a, b in shapes]
        self.trusted = np.array([[-np.inf, np.inf]] * len(self.shapes) if trusted is None else trusted, np.float64)
        size = 4 * sum(a * b for a, b in self.shapes)
        self.n_spans = max(1, min(self.last - self.first, max(3, min(_SPANS, _SPAN_BYTES // max(size, 1)))))
        self.stride = max(1, -(-(self.last - self.first) // MOST_FRAMES))
        self.sums: dict[int, list[np.ndarray]] = {}
        self.n_frames = np.zeros(self.n_spans, np.int64)
        self.n_marked: list[np.ndarray] = []
        self.n_looked = 0

    def span(self, z: int) -> int:
        """The span that frame `z` belongs to; -1 where it does not count."""
        place = z - self.first
        if not 0 <= place < self.last - self.first or place % self.stride:
            return -1
        return place * self.n_spans // (self.last - self.first)

    def add(self, z: int, images: Sequence[np.ndarray]) -> None:
        """Count frame `z`: images (slow, fast), one a panel. Not to be called by two threads at once."""
        span = self.span(z)
        if span < 0:
            return
        self.n_frames[span] += 1
        if z - self.stride < self.first or self.span(z - self.stride) != span:
            limits = zip(images, self.trusted, strict=True)
            self._look([(image < low) | (image > high) for image, (low, high) in limits])
        for image, sums in zip(images, self._of(span), strict=True):
            add_counts(image, *_limits(image.dtype), sums)

    def _look(self, marked: Sequence[np.ndarray], times: int = 1) -> None:
        """Count how often pixels are marked as bad, in `times` looks."""
        self.n_looked += times
        if not self.n_marked:
            self.n_marked = [np.zeros(shape, np.uint8) for shape in self.shapes]
        for total, part in zip(self.n_marked, marked, strict=True):
            total += part

    def usable(self) -> list[np.ndarray]:
        """Pixels (slow, fast) that are not always marked as bad, one array a panel."""
        if not self.n_looked:
            return [np.ones(shape, bool) for shape in self.shapes]
        return [marked < self.n_looked for marked in self.n_marked]

    def _of(self, span: int) -> list[np.ndarray]:
        if span not in self.sums:
            self.sums[span] = [np.zeros(shape, np.uint32) for shape in self.shapes]
        return self.sums[span]

    def merge(self, other: PixelCounts) -> None:
        """Take over what `other` counted, on other frames of the same scan.

        A span that only `other` has is shared with it, not copied, since it is as large as a frame: add nothing to
        either afterwards.
        """
        for span, panels in other.sums.items():
            mine = self.sums.get(span)
            self.sums[span] = panels if mine is None else [a + b for a, b in zip(mine, panels, strict=True)]
        self.n_frames += other.n_frames
        if other.n_looked:
            self._look(other.n_marked, other.n_looked)

    @classmethod
    def merged(cls, parts: Iterable[PixelCounts]) -> PixelCounts:
        """The counts of one or more parts together; nothing is to be added to a part afterwards."""
        whole: PixelCounts | None = None
        for part in parts:
            whole = whole or cls((part.first, part.last), part.shapes, part.trusted)
            whole.merge(part)
        if whole is None:
            raise ValueError("counts of one part at least are needed, got none")
        return whole

    def arrays(self) -> dict[str, np.ndarray]:
        """What :meth:`from_arrays` restores, as named arrays for ``numpy.savez``."""
        named: dict[str, np.ndarray] = {}
        for span, panels in self.sums.items():
            for panel, sums in enumerate(panels):
                named |= pack_counts(sums, f"{span}_{panel}.")
        named |= {f"marked_{panel}": marked for panel, marked in enumerate(self.n_marked)}
        return {"scan": np.array([self.first, self.last]), "shapes": np.array(self.shapes), "trusted": self.trusted,
                "frames": np.append(self.n_frames, self.n_looked), **named}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> PixelCounts:
        """The inverse of :meth:`arrays`."""
        counts = cls(tuple(arrays["scan"]), [tuple(shape) for shape in arrays["shapes"]], arrays["trusted"])
        counts.n_frames, counts.n_looked = np.array(arrays["frames"][:-1]), int(arrays["frames"][-1])
        if counts.n_looked:
            counts.n_marked = [np.asarray(arrays[f"marked_{panel}"]) for panel in range(len(counts.shapes))]
        for name in sorted({name.partition(".")[0] for name in arrays if name[0].isdigit()}):
            span, panel = (int(word) for word in name.split("_"))
            counts.sums.setdefault(span, [np.zeros(0)] * len(counts.shapes))[panel] = unpack_counts(arrays, f"{name}.")
        return counts


def _limits(dtype: np.dtype) -> tuple[Any, Any]:
    """Least and most that one frame adds, as numbers of the images' type."""
    most = min(CAP, np.iinfo(dtype).max) if dtype.kind in "iu" else CAP
    return dtype.type(0), dtype.type(most)


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
        Why none could be sought; empty where they were.
    """

    hot: tuple[np.ndarray, ...]
    dead: tuple[np.ndarray, ...]
    widths: tuple[int, ...]
    reason: str = ""

    @property
    def flat(self) -> list[np.ndarray]:
        """Flat indices of all bad pixels, one sorted array a panel."""
        return [np.union1d(hot, dead) for hot, dead in zip(self.hot, self.dead, strict=True)]

    def __len__(self) -> int:
        return sum(map(len, self.hot)) + sum(map(len, self.dead))

    def describe(self) -> list[str]:
        """Lines for the log: how many, and where (fast, slow; and the panel where there are several)."""
        if self.reason:
            return [f"Hot and dead pixels were not sought: {self.reason}"]
        lines = [f"Masked {sum(map(len, self.hot))} hot and {sum(map(len, self.dead))} dead pixels"]
        for name, pixels in (("hot", self.hot), ("dead", self.dead)):
            places = [f"({i % w}, {i // w}{f', panel {p}' if len(pixels) > 1 else ''})"
                      for p, (w, flat) in enumerate(zip(self.widths, pixels, strict=True)) for i in flat]
            more = f" and {len(places) - 50} more" if len(places) > 50 else ""
            lines += [f"  {name} (fast, slow): {', '.join(places[:50])}{more}"] if places else []
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
    reason = _reason(model, counts, options)
    if reason:
        none = tuple(np.zeros(0, np.int64) for _ in shapes)
        return BadPixels(none, none, tuple(shape[1] for shape in shapes), reason)
    good = counts.usable()
    for mask, given in zip(good, valid or [], strict=bool(valid)):
        mask &= given
    threshold = math.log(options.dead_probability / max(sum(int(np.count_nonzero(v)) for v in good), 1))
    hot, dead = [], []
    for panel, usable in enumerate(good):
        spans = [counts.sums[span][panel] for span in sorted(counts.sums)]
        hot.append(_hot_on_panel(model, panel, spans, counts.n_frames[sorted(counts.sums)], usable, options, models))
        dead.append(_dead_on_panel(spans, usable, threshold))
    return BadPixels(tuple(hot), tuple(dead), tuple(shape[1] for shape in shapes))


def _reason(model: Experiment, counts: PixelCounts, options: HotPixelOptions) -> str:
    """Why bad pixels cannot be sought; empty where they can."""
    if not options.mask:
        return "switched off (integration.hot_pixels.mask=False)"
    if model.scan is None or model.goniometer is None or not model.scan.oscillation[1]:
        return "stills do not tell them from reflections"
    if counts.last - counts.first < _FEWEST_FRAMES or len(counts.sums) < 3:
        return f"the scan has fewer than {_FEWEST_FRAMES} frames"
    return ""


def _hot_on_panel(model: Experiment, panel: int, spans: list[np.ndarray], n_frames: np.ndarray, valid: np.ndarray,
                  options: HotPixelOptions, models: Sequence[Widths]) -> np.ndarray:
    """Flat indices of the hot pixels of one panel; `n_frames` were counted in each span."""
    times = np.zeros(valid.shape, np.uint8)
    for sums in spans:
        count_isolated(sums, valid, options.min_ratio, options.min_sigma, times)
    n_needed = math.ceil(options.min_fraction * len(spans) - 1e-9)
    slow, fast = np.nonzero(times >= n_needed)
    if not len(slow):
        return np.zeros(0, np.int64)
    lasting = times[slow, fast] / len(spans) * abs(model.known.scan.n_frames * model.known.scan.oscillation[1])
    is_long = lasting >= options.min_widths * reflection_rotation(model, panel, fast, slow, models)
    share = _share(model, panel, models)
    is_narrow = np.array([_is_steady(spans, n_frames, y, x) and _is_narrow(spans, valid, y, x, options.min_sigma, share)
                          for y, x in zip(slow.tolist(), fast.tolist(), strict=True)], dtype=np.bool_)
    keep = is_long | is_narrow
    return (slow * np.int64(valid.shape[1]) + fast)[keep]


def reflection_rotation(model: Experiment, panel: int, fast: np.ndarray, slow: np.ndarray, models: Sequence[Widths]
                        ) -> np.ndarray:
    """Degrees of rotation through which a reflection at the centres of given pixels lasts, shape (n,).

    ``2 n_sigma sigma_m / |zeta|``, the largest of the models'; infinite on the rotation axis.
    """
    s1 = px_to_s1(model.known.detector, model.known.beam, panel, np.stack([fast, slow], axis=1) + 0.5)
    normal = np.cross(s1, model.known.beam.s0)
    with np.errstate(divide="ignore", invalid="ignore"):
        zeta = np.abs(normal @ model.known.goniometer.rotation_axis_lab) / np.linalg.norm(normal, axis=1)
        width = max(2.0 * float(m.n_sigma) * float(np.max(m.sigma_m)) for m in models)
        return np.degrees(np.where(zeta > 0.0, width / zeta, np.inf))


def _share(model: Experiment, panel: int, models: Sequence[Widths]) -> float:
    """What a pixel beside gets of the narrowest reflection that is centred on a pixel, relative to that pixel."""
    geometry = model.known.detector[panel]
    sigma_b = min(float(np.min(m.sigma_b)) for m in models)
    sigma = abs(geometry.distance) * sigma_b / max(geometry.pixel_size)
    half = math.erf(0.5 / (math.sqrt(2.0) * sigma))
    return 0.5 * (math.erf(1.5 / (math.sqrt(2.0) * sigma)) - half) / half


def _is_steady(spans: list[np.ndarray], n_frames: np.ndarray, y: int, x: int) -> bool:
    """Whether a pixel's counts per frame keep within a factor of 2 of each other."""
    rates = np.array([float(s[y, x]) for s in spans]) / np.maximum(n_frames, 1)
    return bool(rates.min() >= _STEADY * rates.max())


def _is_narrow(spans: list[np.ndarray], valid: np.ndarray, y: int, x: int, n_sigma: float, share: float) -> bool:
    """Whether a pixel's neighbours have far less than a reflection, centred on it, would give them."""
    own = sum(float(s[y, x]) for s in spans)
    y0, x0 = max(y - 2, 0), max(x - 2, 0)
    total = np.sum([s[y0:y + 3, x0:x + 3] for s in spans], axis=0, dtype=np.float64)
    usable = valid[y0:y + 3, x0:x + 3]
    rows, columns = np.abs(np.arange(len(total)) + y0 - y)[:, None], np.abs(np.arange(total.shape[1]) + x0 - x)
    around = total[usable & (np.maximum(rows, columns) == 2)]
    floor = float(np.median(around)) if len(around) else 0.0
    beside = total[usable & (rows + columns == 1)]
    expected = share * (own - floor)
    noise = math.sqrt(max(floor, 1.0))
    return bool(len(beside) >= 2 and expected > 2.0 * n_sigma * noise
                and beside.max() - floor < _NARROW * expected + 0.5 * n_sigma * noise)


def _dead_on_panel(spans: list[np.ndarray], valid: np.ndarray, log_probability: float) -> np.ndarray:
    """Flat indices of the dead pixels of one panel."""
    total = spans[0].copy()
    for sums in spans[1:]:
        total += sums
    found = np.empty(1024, np.int64)
    n = find_low(total, valid, _LOW, log_probability, found)
    if n > len(found):
        found = np.empty(n, np.int64)
        find_low(total, valid, _LOW, log_probability, found)
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
    places = [np.divmod(flat, np.int64(width)) for flat, width in zip(bad.flat, bad.widths, strict=True)]
    slow, fast = (np.concatenate(column).astype(np.int64) for column in zip(*places, strict=True))
    touched = np.zeros(len(boxes), bool)
    lost = int(MaskCode.VALID | MaskCode.BACKGROUND_USED | MaskCode.STRONG)
    clear_bad(boxes.panel, boxes.bbox, boxes.offsets, start, slow, fast, np.uint8(255 - lost), boxes.mask, touched)
    return touched
