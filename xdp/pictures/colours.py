"""Counts as colours: how bright a count is, and the colours of a scheme."""

from __future__ import annotations

import numpy as np

from xdp.errors import OptionError
from xdp.pictures.options import DrawOptions

MASK_COLOUR = (196, 212, 226)
OVERLOAD_COLOUR = (255, 0, 255)

# Most pixels hold background: the 90th percentile of the counts is the upper end of it, which weak spots must exceed.
# With 6 times that in the last colour, weak spots are grey and strong ones black. Both values are a choice.
_BACKGROUND_PERCENTILE = 90.0
_FULL_SCALE = 6.0
# Where background is nearly zero, single photons must not look as strong as spots.
_LEAST_FULL_SCALE = 4.0
# The percentile of a part of the pixels is near enough to that of all; so many are taken, a choice.
_SAMPLE_SIZE = 200_000


def colour_picture(counts: np.ndarray, options: DrawOptions) -> np.ndarray:
    """Make colours of counts.

    Parameters
    ----------
    counts : (slow, fast) float array
        NaN: no valid pixel; infinity: overloaded.
    options : DrawOptions
        Binning, brightness, scheme and whether masked pixels have a colour of their own.

    Returns
    -------
    (slow, fast, 3) uint8
        RGB; smaller than `counts` by the binning.
    """
    counts = bin_brightest(counts, options.binning)
    good = np.isfinite(counts)
    level = np.clip(np.where(good, counts, 0.0) / compute_full_scale(counts[good], options), 0.0, 1.0)
    colours = make_palette(options.colour_scheme)[(255 * level).astype(np.uint8)]
    if options.show_mask:
        colours[np.isnan(counts)] = MASK_COLOUR
        colours[np.isposinf(counts)] = OVERLOAD_COLOUR
    return colours


def compute_full_scale(counts: np.ndarray, options: DrawOptions) -> float:
    """Compute the counts that are drawn in the last colour.

    Parameters
    ----------
    counts : (n,) array
        Of valid pixels.
    options : DrawOptions
        Saturation, which is taken as it is, or brightness in percent.

    Returns
    -------
    float
        Without a saturation some times the background; less for a brighter picture.

    Examples
    --------
    >>> import numpy as np
    >>> from xdp.pictures.options import DrawOptions
    >>> compute_full_scale(np.full(1000, 10.0), DrawOptions(brightness=200.0))
    30.0
    """
    if isinstance(options.saturation, int | float):
        return float(options.saturation)
    sample = counts[:: max(1, counts.size // _SAMPLE_SIZE)]
    background = float(np.percentile(sample, _BACKGROUND_PERCENTILE)) if sample.size else 1.0
    return max(_FULL_SCALE * background, _LEAST_FULL_SCALE) * 100.0 / options.brightness


def bin_brightest(counts: np.ndarray, n: int) -> np.ndarray:
    """Take the brightest valid pixel of each n x n.

    A mean would hide spots of one or two pixels.

    Parameters
    ----------
    counts : (slow, fast) float array
        NaN where there is no valid pixel.
    n : int
        Pixels along an edge; 1 changes nothing.

    Returns
    -------
    (slow // n, fast // n) array
        NaN where no pixel is valid. Pixels left over at the ends are dropped.

    Raises
    ------
    OptionError
        If `n` is larger than the image.

    Examples
    --------
    >>> import numpy as np
    >>> bin_brightest(np.array([[1.0, 2.0, 9.0], [np.nan, 0.0, 9.0]]), 2)
    array([[2.]])
    """
    if n == 1:
        return counts
    slow, fast = counts.shape[0] // n * n, counts.shape[1] // n * n
    if not slow or not fast:
        raise OptionError(f"binning must be at most {min(counts.shape)}, the size of the image, got {n}")
    blocks = counts[:slow, :fast].reshape(slow // n, n, fast // n, n)
    return np.fmax.reduce(np.fmax.reduce(blocks, axis=3), axis=1)


def make_palette(scheme: str) -> np.ndarray:
    """Make the 256 colours of a scheme.

    Parameters
    ----------
    scheme : str
        "greyscale", "inverse_greyscale", "heatmap" or "rainbow".

    Returns
    -------
    (256, 3) uint8
        RGB, from no counts to full scale.
    """
    t = np.linspace(0.0, 1.0, 256)
    if scheme == "greyscale":
        channels = [1.0 - t] * 3
    elif scheme == "inverse_greyscale":
        channels = [t] * 3
    elif scheme == "heatmap":
        # Black, red, yellow, white: each channel rises over a third of the scale.
        channels = [np.clip(3.0 * t - k, 0.0, 1.0) for k in range(3)]
    else:  # rainbow: blue, cyan, green, yellow, red
        channels = [np.clip(1.5 - np.abs(4.0 * t - k), 0.0, 1.0) for k in (3.0, 2.0, 1.0)]
    return np.round(255.0 * np.column_stack(channels)).astype(np.uint8)
