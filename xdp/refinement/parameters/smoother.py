"""Smooth functions of the scan: parameters that change slowly from frame to frame.

A parameter is given by values at equally spaced nodes; between them it is the average of the nearest three with
Gaussian weights, the smoother of Aimless (Evans & Murshudov 2013, Acta Cryst. D69, 1204) that scan-varying refinement
uses (Waterman et al. 2016, Acta Cryst. D72, 558).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_N_AVERAGE = 3
_SIGMA = 0.7  # in units of the node spacing; the width that goes with an average of three


@dataclass(frozen=True)
class Smoother:
    """Nodes over the interval [start, stop] (frames), `n_intervals` equal steps between its ends."""

    start: float
    stop: float
    n_intervals: int

    def __post_init__(self):
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

    def weights(self, frames: np.ndarray) -> np.ndarray:
        """Weights (n, n_nodes) of the nodes at `frames` (n,); each row sums to one, at most three are not zero."""
        z = (np.asarray(frames, dtype=np.float64) - self.start) / (self.stop - self.start) * self.n_intervals
        distance = z[:, None] - self.positions[None, :]
        n_average = min(_N_AVERAGE, self.n_nodes)
        sigma = _SIGMA if n_average == _N_AVERAGE else _SIGMA - 0.05
        first = np.clip(np.round(z - self.positions[0]).astype(np.int64) - 1, 0, self.n_nodes - n_average)
        if self.n_nodes == n_average:
            first[:] = 0
        near = (np.arange(self.n_nodes) >= first[:, None]) & (np.arange(self.n_nodes) < first[:, None] + n_average)
        weights = np.where(near, np.exp(-((distance / sigma) ** 2)), 0.0)
        return weights / weights.sum(axis=1, keepdims=True)
