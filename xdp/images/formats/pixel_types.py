"""The few types of pixels that the program works with, and the marks that detectors leave in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Markers:
    """Counts that are no counts: a detector's two highest values say "no pixel" and "bad pixel".

    Attributes
    ----------
    top : int
        The first value above them; 2^bits, or 2^31 for 32 bits, which Dectris stores as if signed.
    """

    top: int

    @classmethod
    def of(cls, dtype: np.dtype, bit_depth: int | None, trusted_maximum: float) -> Markers | None:
        """The markers of a detector with `bit_depth` bits; None where the trusted range leaves them out anyway.

        Leaving them as they are keeps 16-bit images in 16 bits.
        """
        if bit_depth is None or not 0 < bit_depth <= 32 or dtype.kind not in "iu":
            return None
        top = 1 << (31 if bit_depth == 32 else bit_depth)
        return cls(top) if trusted_maximum >= top - 2 else None


def as_native(image: np.ndarray, markers: Markers | None = None) -> np.ndarray:
    """An image as uint16, int32 or float32, C-contiguous; marked pixels become -1 and -2, as in DIALS.

    uint32 is taken as int32 without a copy: what does not fit is negative, as Dectris' own masked pixels are. Wider
    integers end at the limits of int32.
    """
    image = np.ascontiguousarray(image)
    if image.dtype.kind == "f":
        return image.astype(np.float32, copy=False)
    if markers is not None:
        return _marked(image, markers.top)
    if image.dtype == np.uint32:
        return image.view(np.int32)
    if image.dtype.itemsize == 8:
        return np.clip(image, -(2**31), 2**31 - 1).astype(np.int32)
    return image.astype(np.uint16 if image.dtype.kind in "ub" and image.dtype.itemsize <= 2 else np.int32, copy=False)


def _marked(image: np.ndarray, top: int) -> np.ndarray:
    result = image.view(np.int32) if image.dtype == np.uint32 else image.astype(np.int32)
    result[result == top - 1] = -1
    result[result == top - 2] = -2
    return result
