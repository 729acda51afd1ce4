"""Smooth functions of the scan: parameters that change slowly from frame to frame.

A parameter is given by values at equally spaced nodes. Between them it is the average of the nearest three with
Gaussian weights. This is the smoother of Aimless (Evans & Murshudov 2013, Acta Cryst. D69, 1204), which scan-varying
refinement took over (Waterman et al. 2016, Acta Cryst. D72, 558).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Nodes that are averaged, and the width of the weights exp(-(d / sigma)^2) in units of the nodes' distance: the pair
# that scan-varying refinement uses elsewhere too, so that refined models can be compared.
_N_AVERAGE = 3
_SIGMA = 0.7
_SIGMA_TWO = 0.7 - 0.05  # the width where there are only two nodes


@dataclass(frozen=True)
class Smoother:
    """Nodes over a range of frames.

    Parameters
    ----------
    start, stop : float
        The ends of the range, in frames.
    n_intervals : int
        Equal steps between them. With one or two there is a node at each end of a step. With more there is a node at
        the middle of each step, and one half a step outside each end of the range.

    Raises
    ------
    ValueError
        If the range is empty or there is no interval.

    Examples
    --------
    >>> import numpy as np
    >>> smoother = Smoother(0.0, 10.0, 1)
    >>> smoother.n_nodes
    2
    >>> np.round(smoother.compute_weights(np.array([0.0, 5.0])), 3).tolist()
    [[0.914, 0.086], [0.5, 0.5]]
    """

    start: float
    stop: float
    n_intervals: int

    def __post_init__(self) -> None:
        if self.n_intervals < 1 or not self.stop > self.start:
            raise ValueError(f"a smoother needs a range and at least one interval, got {self}")

    @property
    def n_nodes(self) -> int:
        """Number of parameter values."""
        return self.n_intervals + (1 if self.n_intervals < 3 else 2)

    @property
    def positions(self) -> np.ndarray:
        """Node positions (n_nodes,) in intervals from `start`; with three or more the outer ones lie half outside."""
        nodes = np.arange(self.n_nodes, dtype=np.float64)
        return nodes if self.n_intervals < 3 else nodes - 0.5

    def compute_weights(self, frames: np.ndarray) -> np.ndarray:
        """Compute the weights (n, n_nodes) of the nodes at `frames` (n,).

        Each row sums to one, and at most three of its weights are not zero.
        """
        z = (np.asarray(frames, dtype=np.float64) - self.start) / (self.stop - self.start) * self.n_intervals
        distance = z[:, None] - self.positions[None, :]
        n_average = min(_N_AVERAGE, self.n_nodes)
        sigma = _SIGMA if n_average == _N_AVERAGE else _SIGMA_TWO
        # the nearest node is the middle one of three; at the ends the first or last three serve
        first = np.clip(np.round(z - self.positions[0]).astype(np.int64) - 1, 0, self.n_nodes - n_average)
        if self.n_nodes == n_average:
            first[:] = 0
        near = (np.arange(self.n_nodes) >= first[:, None]) & (np.arange(self.n_nodes) < first[:, None] + n_average)
        weights = np.where(near, np.exp(-((distance / sigma) ** 2)), 0.0)
        return weights / weights.sum(axis=1, keepdims=True)
