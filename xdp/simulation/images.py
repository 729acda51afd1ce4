"""Simulated images: expected counts become Poisson counts, with gaps and bad pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from xdp.experiment.detector import Detector, Panel
from xdp.experiment.experiment import ExperimentList
from xdp.reflections.table import ReflectionTable

GAP = -1
"""What images hold in pixels that are not there, as Pilatus detectors write it."""
_HOT = (1e3, 1e5)
"""Fewest and most counts of a hot pixel in a frame: above most reflections, within the trusted range. A choice."""


@dataclass(frozen=True)
class Defects:
    """Pixels that are not what they seem.

    Attributes
    ----------
    gaps : list of bool (slow, fast)
        Per panel: pixels that are not there, marked -1 in the images.
    bad : int64 (n, 3)
        Panel, slow, fast of hot and dead pixels, which nothing in the images marks.
    counts : float64 (n,)
        What they count on average in each frame; 0 for dead ones.
    """

    gaps: list[np.ndarray]
    bad: np.ndarray
    counts: np.ndarray


@dataclass(frozen=True)
class Simulation:
    """A simulated series and its truth.

    Attributes
    ----------
    experiments : ExperimentList
        The true models.
    truth : ReflectionTable
        All reflections drawn, see :func:`xdp.simulation.rotation.simulate_rotation`.
    n_frames : int
    defects : Defects
    seed : int
        Frame i depends on the models, the options, `seed` and i alone.
    expected : callable
        ``expected(frame)``: expected counts, one float64 (slow, fast) array a panel, before defects.
    """

    experiments: ExperimentList
    truth: ReflectionTable
    n_frames: int
    defects: Defects
    seed: int
    expected: Callable[[int], list[np.ndarray]]

    def draw_frame(self, index: int) -> list[np.ndarray]:
        """Draw the counts of one frame.

        Parameters
        ----------
        index : int
            The frame, from 0.

        Returns
        -------
        list of (slow, fast) int32
            One array a panel, -1 in gaps.

        Raises
        ------
        IndexError
            If there is no such frame.
        """
        if not 0 <= index < self.n_frames:
            raise IndexError(f"frame must lie in 0 to {self.n_frames - 1}, got {index}")
        # a generator for each frame, so that it does not depend on which frames were drawn before
        rng = np.random.default_rng([self.seed, index])
        panels = self.expected(index)
        for (panel, slow, fast), counts in zip(self.defects.bad, self.defects.counts, strict=True):
            panels[panel][slow, fast] = counts
        images = [rng.poisson(panel).astype(np.int32) for panel in panels]
        for image, gaps in zip(images, self.defects.gaps, strict=True):
            image[gaps] = GAP
        return images

    def iterate_frames(self) -> Iterator[list[np.ndarray]]:
        """Draw the frames in order, one at a time.

        Returns
        -------
        iterator of list of (slow, fast) int32
            As of :meth:`draw_frame`.
        """
        return (self.draw_frame(index) for index in range(self.n_frames))

    def stack(self) -> np.ndarray:
        """Stack all frames into one array.

        Returns
        -------
        (frame, panel, slow, fast) int32
            Panels must be of one size.
        """
        return np.stack([np.stack(frame) for frame in self.iterate_frames()])


def make_defects(detector: Detector, n_hot: int, n_dead: int, seed: int) -> Defects:
    """Make the gaps that the panels' mask rectangles say, and hot and dead pixels at random places.

    Parameters
    ----------
    detector : Detector
    n_hot, n_dead : int
        How many pixels of each kind, over all panels.
    seed : int

    Returns
    -------
    Defects
    """
    # A stream of its own: frames use (seed, frame).
    rng = np.random.default_rng([seed, 1 << 40])
    n = n_hot + n_dead
    panels = rng.integers(0, len(detector), n)
    bad = np.array([(p, rng.integers(detector[p].shape[0]), rng.integers(detector[p].shape[1])) for p in panels])
    low, high = np.log(_HOT).tolist()
    # evenly in the logarithm: hot pixels differ by orders of magnitude
    counts = np.where(np.arange(n) < n_hot, np.exp(rng.uniform(low, high, n)), 0.0)
    return Defects([_make_gaps(panel) for panel in detector], bad.reshape(n, 3).astype(np.int64), counts)


def _make_gaps(panel: Panel) -> np.ndarray:
    """Mark the pixels within the panel's mask rectangles, bool (slow, fast)."""
    gaps = np.zeros(panel.shape, bool)
    for x0, y0, x1, y1 in panel.mask:
        gaps[max(y0, 0) : y1, max(x0, 0) : x1] = True
    return gaps
