"""Counts of each pixel, summed over spans of a scan while its frames are in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from xdp.integration.hot_pixels._kernels import CAP, add_counts
from xdp.integration.shoeboxes.packing import pack_counts, unpack_counts

MOST_FRAMES = 512
"""At most so many frames, evenly spread over the scan, are counted: enough to tell what lasts, and 512 counts of
:data:`~xdp.integration.hot_pixels._kernels.CAP` are below 2^32."""
FEWEST_SPANS = 3
"""With fewer, "in most spans" would say no more than "once"."""
_SPANS = 8
"""Spans of a scan, so that ``min_fraction`` is met in steps of an eighth. A choice."""
_SPAN_BYTES = 256 << 20
"""Bytes of the sums: there are fewer spans where eight would take more, but never fewer than `FEWEST_SPANS`."""


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
        self.n_spans = max(1, min(self.last - self.first, max(FEWEST_SPANS, min(_SPANS, _SPAN_BYTES // max(size, 1)))))
        # -(-a // b): rounded up
        self.stride = max(1, -(-(self.last - self.first) // MOST_FRAMES))
        self.sums: dict[int, list[np.ndarray]] = {}
        self.n_frames = np.zeros(self.n_spans, np.int64)
        self.n_marked: list[np.ndarray] = []
        self.n_looked = 0

    def find_span(self, z: int) -> int:
        """Find the span that a frame belongs to.

        Parameters
        ----------
        z : int
            Frame of the scan.

        Returns
        -------
        int
            -1 for a frame beyond the scan, or one that is not counted.

        Examples
        --------
        A scan of 1000 frames, of which every second is counted, in eight spans:

        >>> counts = PixelCounts((0, 1000), [(2, 2)])
        >>> [counts.find_span(z) for z in (0, 1, 124, 126, 998)]
        [0, -1, 0, 1, 7]
        """
        place = z - self.first
        if not 0 <= place < self.last - self.first or place % self.stride:
            return -1
        return place * self.n_spans // (self.last - self.first)

    def add(self, z: int, images: Sequence[np.ndarray]) -> None:
        """Count a frame, if it is one of those that count. Not to be called by two threads at once.

        Parameters
        ----------
        z : int
            Frame of the scan.
        images : sequence of (slow, fast) arrays
            Its counts, one array a panel, of any number type.
        """
        span = self.find_span(z)
        if span < 0:
            return
        self.n_frames[span] += 1
        if z - self.stride < self.first or self.find_span(z - self.stride) != span:
            limits = zip(images, self.trusted, strict=True)
            # the first frame of a span shows which pixels the images mark: the marks of a scan do not change often
            self._count_marked([(image < low) | (image > high) for image, (low, high) in limits])
        for image, sums in zip(images, self._get_sums(span), strict=True):
            add_counts(image, *_get_limits(image.dtype), sums)

    def _count_marked(self, marked: Sequence[np.ndarray], times: int = 1) -> None:
        """Count how often pixels are marked as bad, in `times` looks."""
        self.n_looked += times
        if not self.n_marked:
            self.n_marked = [np.zeros(shape, np.uint8) for shape in self.shapes]
        for total, part in zip(self.n_marked, marked, strict=True):
            total += part

    def find_usable(self) -> list[np.ndarray]:
        """Find the pixels that the images do not always mark as bad.

        Returns
        -------
        list of (slow, fast) bool
            One array a panel.
        """
        # a pixel that is marked once only, as an overload is, may still be a good one
        if not self.n_looked:
            return [np.ones(shape, bool) for shape in self.shapes]
        return [marked < self.n_looked for marked in self.n_marked]

    def _get_sums(self, span: int) -> list[np.ndarray]:
        """The sums of a span, one array a panel; made when they are first asked for."""
        if span not in self.sums:
            self.sums[span] = [np.zeros(shape, np.uint32) for shape in self.shapes]
        return self.sums[span]

    def merge(self, other: PixelCounts) -> None:
        """Add what `other` counted on other frames of the same scan.

        A span that only `other` has is shared with it, not copied, since it is as large as a frame: add nothing to
        either afterwards.
        """
        for span, panels in other.sums.items():
            mine = self.sums.get(span)
            self.sums[span] = panels if mine is None else [a + b for a, b in zip(mine, panels, strict=True)]
        self.n_frames += other.n_frames
        if other.n_looked:
            self._count_marked(other.n_marked, other.n_looked)

    @classmethod
    def merge_all(cls, parts: Iterable[PixelCounts]) -> PixelCounts:
        """The counts of one or more parts together; nothing is to be added to a part afterwards.

        Raises
        ------
        ValueError
            If there is no part.

        Examples
        --------
        >>> import numpy as np
        >>> parts = []
        >>> for first in (0, 2):
        ...     part = PixelCounts((0, 4), [(1, 2)])
        ...     part.add(first, [np.array([[1, 5]])])
        ...     part.add(first + 1, [np.array([[2, 0]])])
        ...     parts.append(part)
        >>> whole = PixelCounts.merge_all(parts)
        >>> sum(panels[0] for panels in whole.sums.values()).tolist(), int(whole.n_frames.sum())
        ([[6, 10]], 4)
        """
        whole: PixelCounts | None = None
        for part in parts:
            whole = whole or cls((part.first, part.last), part.shapes, part.trusted)
            whole.merge(part)
        if whole is None:
            raise ValueError("counts of one part at least are needed, got none")
        return whole

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Pack the counts into named arrays, for ``numpy.savez``.

        Returns
        -------
        dict of str to array
            :meth:`from_arrays` restores the counts from them.
        """
        named: dict[str, np.ndarray] = {}
        for span, panels in self.sums.items():
            for panel, sums in enumerate(panels):
                named |= pack_counts(sums, f"{span}_{panel}.")
        named |= {f"marked_{panel}": marked for panel, marked in enumerate(self.n_marked)}
        return {"scan": np.array([self.first, self.last]), "shapes": np.array(self.shapes), "trusted": self.trusted,
                "frames": np.append(self.n_frames, self.n_looked), **named}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> PixelCounts:
        """Restore counts from the arrays of :meth:`to_arrays`.

        Parameters
        ----------
        arrays : mapping of str to array
        """
        counts = cls(tuple(arrays["scan"]), [tuple(shape) for shape in arrays["shapes"]], arrays["trusted"])
        counts.n_frames, counts.n_looked = np.array(arrays["frames"][:-1]), int(arrays["frames"][-1])
        if counts.n_looked:
            counts.n_marked = [np.asarray(arrays[f"marked_{panel}"]) for panel in range(len(counts.shapes))]
        for name in sorted({name.partition(".")[0] for name in arrays if name[0].isdigit()}):
            span, panel = (int(word) for word in name.split("_"))
            counts.sums.setdefault(span, [np.zeros(0)] * len(counts.shapes))[panel] = unpack_counts(arrays, f"{name}.")
        return counts


def _get_limits(dtype: np.dtype) -> tuple[Any, Any]:
    """Get the least and the most that a pixel of one frame adds, as numbers of the images' type."""
    # small types cannot even hold the cap
    most = min(CAP, np.iinfo(dtype).max) if dtype.kind in "iu" else CAP
    return dtype.type(0), dtype.type(most)
