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
    def from_bit_depth(cls, dtype: np.dtype, bit_depth: int | None, trusted_maximum: float) -> Markers | None:
        """The markers of a detector, where they must be replaced.

        Parameters
        ----------
        dtype : dtype
            Of the stored pixels.
        bit_depth : int or None
            Bits of a pixel as the detector reads it out; None where the file does not say.
        trusted_maximum : float
            Highest trusted count of the panels.

        Returns
        -------
        Markers or None
            None where the trusted range leaves them out anyway: left as they are, 16-bit images stay in 16 bits.
        """
        if bit_depth is None or not 0 < bit_depth <= 32 or dtype.kind not in "iu":
            return None
        # Read-outs of few bits are summed in images of more: where counts above the read-out's own are trusted, the
        # markers are those of the image's type.
        if trusted_maximum > (1 << bit_depth) - 1:
            bit_depth = max(bit_depth, min(8 * dtype.itemsize, 32))
        top = 1 << (31 if bit_depth == 32 else bit_depth)
        return cls(top) if trusted_maximum >= top - 2 else None


def convert_to_native(image: np.ndarray, markers: Markers | None = None) -> np.ndarray:
    """Convert an image to one of the types that kernels are compiled for.

    Parameters
    ----------
    image : (slow, fast) array
        Numbers or truth values.
    markers : Markers, optional
        Marked pixels become -1 (no pixel) and -2 (bad pixel), as in DIALS.

    Returns
    -------
    (slow, fast) uint16, int32 or float32
        C-contiguous. uint32 is taken as int32 without a copy: what does not fit is negative, as Dectris' own masked
        pixels are. Wider integers end at the limits of int32.

    Examples
    --------
    >>> import numpy as np
    >>> convert_to_native(np.array([[1, 254, 255]], np.uint8), Markers(256))
    array([[ 1, -2, -1]], dtype=int32)
    """
    image = np.ascontiguousarray(image)
    if image.dtype.kind == "f":
        return image.astype(np.float32, copy=False)
    if markers is not None:
        return _replace_markers(image, markers.top)
    if image.dtype == np.uint32:
        return image.view(np.int32)
    if image.dtype.itemsize == 8:
        return np.clip(image, -(2**31), 2**31 - 1).astype(np.int32)
    return image.astype(np.uint16 if image.dtype.kind in "ub" and image.dtype.itemsize <= 2 else np.int32, copy=False)


def _replace_markers(image: np.ndarray, top: int) -> np.ndarray:
    """The image as int32, its two highest values replaced by -1 and -2."""
    result = image.view(np.int32) if image.dtype == np.uint32 else image.astype(np.int32)
    result[result == top - 1] = -1
    result[result == top - 2] = -2
    return result
