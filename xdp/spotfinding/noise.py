"""What the background of an image shows: its mean, and its noise against that of counted photons.

The dispersion thresholds take the variance of the background to be its mean times a gain. Where that is far from true,
they find spots in mere noise, or miss weak ones. Where the mean is not positive (a pedestal was taken off that is too
high), they find nothing at all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

BLOCKS = (8, 16, 32)
"""Edges of the square blocks of pixels whose variance is compared with their mean.

The smallest is used in which the usual block holds `FEWEST_COUNTS`: in small blocks background is even.
"""

FEWEST_COUNTS = 50
"""Counts of a block from which on its variance over mean tells the noise: of fewer, its median falls below the gain."""

FEWEST_BLOCKS = 40
"""Blocks that an image must have: the median of so many, 64 pixels each, is known to 4 %."""

MOST_PIXELS = 1 << 20
"""Pixels of a panel that are looked at, evenly spread rows of blocks: a hundredth of a second."""

TOO_NOISY = 1.5
"""Times the gain from which on the background is called too noisy.

With the usual window of 7 x 7 pixels and sigma_background=6 a window of background passes as a spot from 2.2 times the
gain on. At 1.5 times that is 2.4 of its standard deviations: one window in a hundred.
"""

TOO_QUIET = 0.5
"""Times the gain up to which it is called too quiet: spots then stand out twice as far as the threshold knows."""


class BackgroundNoise(NamedTuple):
    """The background of an image.

    Attributes
    ----------
    mean : float
        Counts a pixel; the median over the blocks, which spots do not move. NaN where too little of the image may be
        used.
    dispersion : float
        Variance over mean, the median over the blocks; NaN where that cannot be told.
    """

    mean: float
    dispersion: float


def measure_background(images: Sequence[np.ndarray], usable: Sequence[np.ndarray]) -> BackgroundNoise:
    """Measure mean and noise of the background of one frame.

    Parameters
    ----------
    images : sequence of (slow, fast) arrays
        Counts of each panel, pedestal and gain maps applied.
    usable : sequence of (slow, fast) bool
        Pixels that may be used.

    Returns
    -------
    BackgroundNoise

    Examples
    --------
    >>> counts = 2.0 * np.random.default_rng(0).poisson(10, (200, 200))
    >>> noise = measure_background([counts], [np.ones(counts.shape, bool)])
    >>> round(noise.mean), round(noise.dispersion, 1)
    (20, 2.0)
    """
    mean = math.nan
    for edge in BLOCKS:
        parts = [_measure_blocks(image, mask, edge) for image, mask in zip(images, usable, strict=True)]
        means, variances = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        if len(means) < FEWEST_BLOCKS:
            break
        mean = float(np.median(means))
        if mean <= 0:
            break
        if mean * edge**2 >= FEWEST_COUNTS:
            is_lit = means > 0
            return BackgroundNoise(mean, float(np.median(variances[is_lit] / means[is_lit])))
    return BackgroundNoise(mean, math.nan)


def _measure_blocks(image: np.ndarray, usable: np.ndarray, edge: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sample variance of the blocks of a panel in which all pixels may be used."""
    rows, columns = image.shape[0] // edge, image.shape[1] // edge
    if not rows or not columns:
        return np.zeros(0), np.zeros(0)
    step = max(1, -(-image.size // MOST_PIXELS))
    shape, width = (rows, edge, columns, edge), columns * edge
    whole = slice(0, rows * edge)
    used = usable[whole, :width].reshape(shape)[::step].all(axis=(1, 3))
    # one block after the other, of the good ones only: markers of bad pixels may be no numbers
    counts = image[whole, :width].reshape(shape)[::step].transpose(0, 2, 1, 3)[used].astype(np.float64)
    return counts.mean(axis=(1, 2)), counts.var(axis=(1, 2), ddof=1)


class NoiseFinding(NamedTuple):
    """What is not as the thresholds take it to be.

    Attributes
    ----------
    text : str
        One line, with what to do.
    is_serious : bool
        Whether results are wrong, and not only less than they could be.
    """

    text: str
    is_serious: bool


def judge_noise(frames: Iterable[BackgroundNoise], gain: float | None, *, uses_gain: bool = True
                ) -> NoiseFinding | None:
    """Judge whether the background is as the thresholds take it to be.

    Parameters
    ----------
    frames : iterable of BackgroundNoise
        Of some frames; their medians decide.
    gain : float or None
        ``threshold.dispersion.gain``; None: 1.
    uses_gain : bool
        Whether the threshold compares the noise with the gain at all.

    Returns
    -------
    NoiseFinding or None
        None where all is as expected, or nothing can be told.

    Examples
    --------
    >>> judge_noise([BackgroundNoise(5.0, 1.02)], None) is None
    True
    >>> judge_noise([BackgroundNoise(5.0, 4.31)], None).text.split("; ")[1]
    'give spotfinder.threshold.dispersion.gain=4.3'
    """
    frames = list(frames)
    means = [frame.mean for frame in frames if not math.isnan(frame.mean)]
    noises = [frame.dispersion for frame in frames if not math.isnan(frame.dispersion)]
    if means and np.median(means) < 0:
        return NoiseFinding(
            f"the mean background is below zero ({np.median(means):.3g} counts a pixel): dispersion thresholds find "
            f"nothing there, and intensities come out wrong; give xdp import the detector's pedestal, as "
            f"geometry.detector.panel.pedestal={np.median(means):.3g} (counts) or lookup.pedestal= (a file)", True)
    if not noises or not uses_gain:
        return None
    found, expected = float(np.median(noises)), 1.0 if gain is None else gain
    if TOO_QUIET * expected < found < TOO_NOISY * expected:
        return None
    consequence = "it takes noise for spots" if found > expected else "it misses weak spots"
    return NoiseFinding(
        f"the variance of the background is {found:.2g} times its mean, where the threshold expects {expected:.3g} "
        f"(gain): {consequence}; give spotfinder.threshold.dispersion.gain={found:.2g}", found > expected)
