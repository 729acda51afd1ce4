"""What background.algorithm=Auto means: decided by the detector's description, and then by the pixels themselves.

``glm`` is made for photon counts: whole numbers, none below zero, with a variance that equals their mean. Detectors
that integrate charge have other counts (gain, readout noise, a pedestal that was taken off), and many of their files
describe them as counting ones. A few images are looked at, therefore.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xdp.errors import XdpError
from xdp.integration.background.fit import resolve_algorithm
from xdp.integration.background.options import BackgroundOptions

if TYPE_CHECKING:
    from xdp.experiment.experiment import Experiment
    from xdp.images.masked_frames import PanelFrame
    from xdp.integration.shoeboxes.frames import FrameSource

log = logging.getLogger(__name__)

MOST_IMAGES = 4
"""Images that are looked at, spread over all. A choice: each stays in memory until its turn comes, or is read again."""
MOST_PIXELS = 1 << 20
"""Pixels of an image that are looked at, in bands over all of it: some 30,000 cells, more than the numbers need."""
CELL_HEIGHT, CELL_WIDTH = 4, 8
"""Cells in which variance and mean are compared. A choice: small, so that most hold no part of a spot. In 16 pairs of
pixels the ratio of photon counts scatters by 0.4, its median over thousands of cells by less than 0.01."""
BELOW_ZERO = 1e-4
"""A larger share of pixels below zero is not that of photons. A choice: at this share 2 % of the boxes have one among
200 pixels of background, and glm fails on each of these."""
FRACTIONAL = 1e-4
"""A larger share of counts that are not whole is not that of photons. A choice."""
DISPERSED = 1.5
"""A variance over mean above this is not that of photons. Images of Pilatus 2M, 6M, 12M and of Eiger 16M have 0.93
to 1.00, those of a CSPAD 4.5 and 4.8; a gain of 2 gives 2, and readout noise adds to it."""
FEWEST_CELLS = 50
"""With fewer cells of valid pixels with counts the ratio says nothing."""


class CountStatistics(NamedTuple):
    """What the counts of images are like.

    Attributes
    ----------
    n_pixels : int
        Valid pixels that were looked at.
    below_zero, fractional : float
        The shares of these that are below zero, and that are not whole numbers.
    dispersion : float
        Variance over mean of neighbouring pixels, the median over small cells; NaN where there are too few.
    """

    n_pixels: int
    below_zero: float
    fractional: float
    dispersion: float


def measure_counts(frames: Iterable[Sequence[PanelFrame]]) -> CountStatistics:
    """Look at the counts of some images.

    Parameters
    ----------
    frames : iterable of sequences of PanelFrame
        Images, panel by panel, with what is valid on them.

    Returns
    -------
    CountStatistics

    Examples
    --------
    >>> from xdp.images.masked_frames import PanelFrame
    >>> photons = np.random.default_rng(0).poisson(3.0, (200, 200))
    >>> found = measure_counts([[PanelFrame(photons, np.zeros((0, 0), bool), 0.0, 1e6)]])
    >>> found.below_zero, found.fractional, bool(0.9 < found.dispersion < 1.1)
    (0.0, 0.0, True)
    """
    n, n_below, n_fractional = 0, 0, 0
    ratios = [np.zeros(0)]
    for panels in frames:
        budget = max(MOST_PIXELS // len(panels), 1)
        for panel in panels:
            for first in _choose_bands(panel.image.shape, budget):
                rows = slice(first, first + CELL_HEIGHT)
                counts = panel.image[rows].astype(np.float64)
                good = (counts >= panel.low) & (counts <= panel.high) & np.isfinite(counts)
                if len(panel.valid):
                    good &= panel.valid[rows]
                n += int(np.count_nonzero(good))
                n_below += int(np.count_nonzero(good & (counts < 0.0)))
                n_fractional += int(np.count_nonzero(good & (counts != np.rint(counts))))
                ratios.append(_compare_cells(counts, good))
    ratio = np.concatenate(ratios)
    return CountStatistics(n, n_below / max(n, 1), n_fractional / max(n, 1),
                           float(np.median(ratio)) if len(ratio) >= FEWEST_CELLS else np.nan)


def _choose_bands(shape: tuple[int, ...], budget: int) -> np.ndarray:
    """First rows of bands of the height of a cell, spread evenly over an image, with `budget` pixels at most."""
    height, width = shape
    last = height // CELL_HEIGHT
    n_bands = min(last, max(budget // max(CELL_HEIGHT * width, 1), 1))
    return np.unique(np.linspace(0, last - 1, n_bands).astype(int)) * CELL_HEIGHT if last else np.zeros(0, int)


def _compare_cells(counts: np.ndarray, good: np.ndarray) -> np.ndarray:
    """Variance over mean of the cells of a band that are valid and have counts.

    The variance is half the mean squared difference of neighbours, which a slope of the background hardly changes.
    """
    n_cells = counts.shape[1] // CELL_WIDTH
    cells, valid = (values[:, :n_cells * CELL_WIDTH].reshape(CELL_HEIGHT, n_cells, CELL_WIDTH)
                    for values in (counts, good))
    # Masked pixels may hold anything, NaN too: it must not reach the sums.
    cells = np.where(valid, cells, 0.0)
    mean = cells.mean(axis=(0, 2))
    variance = 0.5 * np.square(cells[:, :, ::2] - cells[:, :, 1::2]).mean(axis=(0, 2))
    use = valid.all(axis=(0, 2)) & (mean > 0.0)
    return variance[use] / mean[use]


def describe_difference(found: CountStatistics) -> str:
    """Describe in what way counts are not those of photons; empty where they may be."""
    told = []
    if found.below_zero > BELOW_ZERO:
        told.append(f"{100.0 * found.below_zero:.2g} % of the pixels are below zero")
    if found.fractional > FRACTIONAL:
        told.append(f"{100.0 * found.fractional:.2g} % of the counts are not whole")
    if found.dispersion > DISPERSED:
        told.append(f"their variance is {found.dispersion:.2g} times their mean")
    return ", ".join(told)


def choose_algorithm(experiments: Iterable[Experiment], sources: Sequence[FrameSource],
                     options: BackgroundOptions | None = None) -> str:
    """The background algorithm, Auto decided by the detectors' descriptions and by the pixels.

    Where Auto would mean glm (:func:`xdp.integration.background.fit.resolve_algorithm`), some images are looked at;
    where their counts are not those of photons it means simple, and the log says why.

    Parameters
    ----------
    experiments : iterable of Experiment
        One of each kind of detector and corrections is enough.
    sources : sequence of FrameSource
        Of the image sets; up to `MOST_IMAGES` of them are asked for their middle image.
    options : BackgroundOptions, optional

    Returns
    -------
    str
        ``glm``, ``gmodel``, ``median``, ``null`` or ``simple``.
    """
    options = options or BackgroundOptions()
    algorithm = resolve_algorithm(experiments, options)
    if options.algorithm != "Auto" or algorithm != "glm" or not len(sources):
        return algorithm
    numbers = np.unique(np.linspace(0, len(sources) - 1, MOST_IMAGES).astype(int)).tolist()
    frames = _look_at_images([sources[i] for i in numbers])
    difference = describe_difference(measure_counts(frames)) if frames else ""
    if not difference:
        return algorithm
    log.info("Backgrounds are fitted by least squares (background.algorithm=simple): these are no counts of photons, "
             "since on %d image%s %s", len(frames), "" if len(frames) == 1 else "s", difference)
    return "simple"


def _look_at_images(sources: Iterable[FrameSource]) -> list[list[PanelFrame]]:
    """The images of sources that can be read; those of one file of images share it while it is open."""
    frames, reader = [], None
    for source in sources:
        if reader is not None:
            source.frames.share_file(reader)
        frame = _look_ahead(source)
        if frame is not None:
            frames.append(frame)
            reader = source.reader
    return frames


def _look_ahead(source: FrameSource) -> list[PanelFrame] | None:
    """The middle image of a source that is not excluded; None where there is none or it cannot be read.

    What is wrong with an image is told when it is integrated.
    """
    sweep = source.sweep
    middle = (sweep.first + sweep.last) // 2
    for z in sorted(range(sweep.first, sweep.last), key=lambda z: abs(z - middle)):
        if not source.is_excluded(z):
            try:
                return source.read_ahead(z)
            except XdpError:
                return None
    return None
