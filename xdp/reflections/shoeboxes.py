"""Shoeboxes: the pixels around each reflection, ragged, kept as a few flat arrays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from xdp.reflections._kernels import pack_shoeboxes, scan_shoeboxes, unpack_shoeboxes

#: A box's panel (4), limits (24) and marker (1).
HEAD_BYTES = 29
#: A pixel's data, mask and background, four bytes each.
PIXEL_BYTES = 12


@dataclass(frozen=True, eq=False)
class Shoeboxes:
    """Blocks (frame, slow, fast) of pixels around reflections.

    Attributes
    ----------
    panel : uint64 (n,)
    bbox : int32 (n, 6)
        Half-open limits: fast, fast, slow, slow, frame, frame.
    offsets : int64 (n + 1,)
        Pixels of box i are ``offsets[i]:offsets[i + 1]``; a box without pixels is allowed, whatever its limits.
    data : float32 (n_pixels,)
        Counts, in order (frame, slow, fast).
    mask : uint8 (n_pixels,)
        :class:`~xdp.reflections.flags.MaskCode` bits; whole numbers of other types are converted.
    background : float32 (n_pixels,), optional
        Zero where it is not given.

    Raises
    ------
    ValueError
        If lengths or volumes do not agree, or a mask value lies outside 0 to 255.
    """

    panel: np.ndarray
    bbox: np.ndarray
    offsets: np.ndarray
    data: np.ndarray
    mask: np.ndarray
    background: np.ndarray = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        background = np.zeros(np.size(self.data), np.float32) if self.background is None else self.background
        put = object.__setattr__  # a frozen class has no other way to set an attribute
        put(self, "panel", np.ascontiguousarray(self.panel, dtype=np.uint64))
        put(self, "bbox", np.ascontiguousarray(self.bbox, dtype=np.int32).reshape(-1, 6))
        put(self, "offsets", np.ascontiguousarray(self.offsets, dtype=np.int64))
        put(self, "data", np.ascontiguousarray(self.data, dtype=np.float32))
        put(self, "mask", _mask_bytes(self.mask))
        put(self, "background", np.ascontiguousarray(background, dtype=np.float32))
        self._check()

    def _check(self) -> None:
        """Raise ValueError unless the arrays describe the same boxes and pixels."""
        n = len(self.panel)
        if self.bbox.shape != (n, 6) or self.offsets.shape != (n + 1,):
            raise ValueError(f"{n} panels need {n} boxes and {n + 1} offsets, got {self.bbox.shape[0]} "
                             f"and {len(self.offsets)}")
        sizes = np.diff(self.offsets)
        volumes = self.volumes
        if self.offsets[0] != 0 or np.any((sizes != 0) & (sizes != volumes)):
            raise ValueError("offsets must start at 0 and grow by each box's volume (or by 0 for a box without pixels)")
        n_pixels = self.n_pixels
        for name in ("data", "mask", "background"):
            if getattr(self, name).shape != (n_pixels,):
                raise ValueError(f"{name} must have {n_pixels} pixels, got shape {getattr(self, name).shape}")

    def __len__(self) -> int:
        return len(self.panel)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Shoeboxes):
            return NotImplemented
        return all(np.array_equal(getattr(self, name), getattr(other, name), equal_nan=name in ("data", "background"))
                   for name in ("panel", "bbox", "offsets", "data", "mask", "background"))

    __hash__ = None  # type: ignore[assignment]

    @property
    def n_pixels(self) -> int:
        """Number of pixels of all boxes."""
        return int(self.offsets[-1])

    @property
    def volumes(self) -> np.ndarray:
        """Pixels within each box's limits, int64 (n,); a box with reversed limits raises ValueError."""
        # 64 bits: limits may lie 2**32 apart in a damaged file
        extents = np.diff(self.bbox.reshape(-1, 3, 2).astype(np.int64), axis=2)[:, :, 0]
        if np.any(extents < 0):
            raise ValueError("a shoebox's upper limits must not lie below its lower ones")
        return extents.prod(axis=1)

    def box(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The pixels of one box.

        Parameters
        ----------
        index : int
            The box.

        Returns
        -------
        data, mask, background : arrays (frame, slow, fast)
            Views; empty for a box without pixels.
        """
        first, last = self.offsets[index], self.offsets[index + 1]
        x0, x1, y0, y1, z0, z1 = (int(v) for v in self.bbox[index])
        shape = (z1 - z0, y1 - y0, x1 - x0) if last > first else (0, 0, 0)
        return tuple(a[first:last].reshape(shape) for a in (self.data, self.mask, self.background))  # type: ignore

    def select(self, which: np.ndarray | slice) -> Shoeboxes:
        """Some of the boxes.

        Parameters
        ----------
        which : array or slice
            A mask, indices or a slice; their order is that of the result.

        Returns
        -------
        Shoeboxes
            With pixels of its own.
        """
        index = np.arange(len(self))[which]
        sizes = np.diff(self.offsets)[index]
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        # Where each pixel of the result is now: its place in the result, moved by what was left out before its box.
        pixels = np.repeat(self.offsets[index] - offsets[:-1], sizes) + np.arange(offsets[-1])
        return Shoeboxes(self.panel[index], self.bbox[index], offsets,
                         self.data[pixels], self.mask[pixels], self.background[pixels])

    def without_pixels(self) -> Shoeboxes:
        """The same boxes with no pixels in them, as DIALS leaves them to save memory.

        Returns
        -------
        Shoeboxes
            With the panels and limits of these.
        """
        none = np.zeros(0, np.float32)
        return Shoeboxes(self.panel, self.bbox, np.zeros(len(self) + 1, np.int64), none, none.astype(np.uint8), none)

    @classmethod
    def empty(cls) -> Shoeboxes:
        """No boxes."""
        return cls(np.zeros(0), np.zeros((0, 6)), np.zeros(1), np.zeros(0), np.zeros(0, np.uint8))

    @classmethod
    def concatenate(cls, parts: Iterable[Shoeboxes]) -> Shoeboxes:
        """All boxes of several, one part after the other.

        Parameters
        ----------
        parts : iterable of Shoeboxes
            None at all give no boxes.
        """
        parts = list(parts) or [cls.empty()]
        sizes = np.concatenate([np.diff(part.offsets) for part in parts])
        joined = {name: np.concatenate([getattr(part, name) for part in parts])
                  for name in ("panel", "bbox", "data", "mask", "background")}
        return cls(offsets=np.concatenate([[0], np.cumsum(sizes)]), **joined)

    def packed_size(self) -> int:
        """Bytes that :meth:`to_bytes` gives."""
        return packed_size(len(self), self.n_pixels)

    def to_bytes(self) -> np.ndarray:
        """The boxes as DIALS' .refl files hold them (see `_kernels`).

        Returns
        -------
        array (n,), uint8
        """
        heads = np.empty((len(self), 28), np.uint8)
        heads[:, :4] = self.panel.astype("<u4").view(np.uint8).reshape(-1, 4)
        heads[:, 4:] = self.bbox.astype("<i4").view(np.uint8).reshape(-1, 24)
        out = np.empty(self.packed_size(), np.uint8)
        pack_shoeboxes(heads, self.offsets, _bytes(self.data), self.mask, _bytes(self.background), out)
        return out

    @classmethod
    def from_bytes(cls, raw: np.ndarray, n_boxes: int) -> Shoeboxes:
        """Read `n_boxes` boxes that fill the bytes `raw` (uint8) to the end.

        Raises
        ------
        ValueError
            If they do not: the sizes are checked against `raw` before anything is allocated.
        """
        if n_boxes * HEAD_BYTES > len(raw):
            raise ValueError(f"{n_boxes} shoeboxes need {n_boxes * HEAD_BYTES} bytes at least, got {len(raw)}")
        heads = np.empty((n_boxes, HEAD_BYTES), np.uint8)
        offsets = np.zeros(n_boxes + 1, np.int64)
        used = scan_shoeboxes(raw, heads, offsets)
        if used != len(raw):
            where = f"shoebox {-1 - used} is damaged" if used < 0 else f"they end at byte {used}"
            raise ValueError(f"{n_boxes} shoeboxes must fill {len(raw)} bytes, but {where}")
        data, background = np.empty(offsets[-1], "<f4"), np.empty(offsets[-1], "<f4")
        mask = np.empty(offsets[-1], np.uint8)
        bad = unpack_shoeboxes(raw, heads[:, 28].copy(), offsets, _bytes(data), mask, _bytes(background))
        if bad >= 0:
            raise ValueError(f"shoebox {bad} has a mask value outside 0 to 255")
        panel = np.ascontiguousarray(heads[:, :4]).view("<u4")[:, 0]
        bbox = np.ascontiguousarray(heads[:, 4:28]).view("<i4")
        return cls(panel, bbox, offsets, data, mask, background)


def packed_size(n_boxes: int, n_pixels: int) -> int:
    """Bytes of shoeboxes in a .refl file.

    Parameters
    ----------
    n_boxes : int
    n_pixels : int
        Of all boxes together.

    Examples
    --------
    >>> packed_size(2, 10)
    178
    """
    return HEAD_BYTES * n_boxes + PIXEL_BYTES * n_pixels


def _bytes(pixels: np.ndarray) -> np.ndarray:
    """A float32 array as bytes, without a copy on a little-endian machine."""
    return np.ascontiguousarray(pixels, dtype="<f4").view(np.uint8)


def _mask_bytes(mask: np.ndarray) -> np.ndarray:
    """The mask as uint8, refused where it would not fit."""
    mask = np.asarray(mask)
    if mask.dtype != np.uint8 and mask.size and (mask.min() < 0 or mask.max() > 255):
        raise ValueError(f"mask values must lie in 0 to 255, got {mask.min()} to {mask.max()}")
    return np.ascontiguousarray(mask, dtype=np.uint8)
