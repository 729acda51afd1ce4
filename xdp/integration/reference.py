"""Reference profiles: the mean shape of strong reflections in their own frame, here and there on the detector.

Each reference reflection is brought to the grid of Kabsch's frame, divided by its sum, and added to the profiles near
it. Sums are kept in whole numbers: whatever the blocks in which reflections come, and in whatever order blocks are
joined, profiles are the same to the last bit. Where there are few references, a profile leans on the mean of all, and
that on the Gaussian of sigma_b and sigma_m.

References
----------
W. Kabsch, J. Appl. Cryst. 21, 916 (1988), doi:10.1107/S0021889888007903; Acta Cryst. D66, 133 (2010),
doi:10.1107/S0907444909047374: the reflection's frame, the shares of frames, reference profiles.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from scipy.special import erf

from xdp.experiment import Experiment
from xdp.integration import _kernels_transform as kernels
from xdp.integration.fitting_options import FittingOptions
from xdp.integration.sampler import Sampler, make_sampler
from xdp.reflections.flags import Flag
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable

logger = logging.getLogger(__name__)

GRID_REACH = 1.5
"""The grid reaches this much farther than the foreground, which ends at n sigma."""

FULL = 0.99
"""Reflections with at least this partiality are whole."""

ONE = 2 ** 28
"""What stands for the number 1 in sums of profiles, and..."""

WEIGHT_ONE = 1024
"""... in sums of weights."""

ENOUGH = 100.0
"""A profile of this many references needs no help."""

PRIOR_WORTH = 10.0
"""As many references is the prior worth where there are none; less and less up to `ENOUGH`."""


class ProfileModel(Protocol):
    """What of a profile model is needed here: angles in radians, one or one a scan point."""

    n_sigma: float
    sigma_b: Any
    sigma_m: Any


def can_fit(experiment: Experiment) -> bool:
    """Whether profiles can be fitted: the crystal turns while a frame is taken."""
    scan = experiment.scan
    return experiment.goniometer is not None and scan is not None and scan.oscillation[1] != 0.0


@dataclass(frozen=True)
class Grid:
    """The frames of an experiment's reflections: grid, geometry, and where reference profiles stand.

    Attributes
    ----------
    experiment : Experiment
    sigma_b, sigma_m, n_sigma : float
        The Gaussian model, rad; of a model that varies with the scan the mean.
    options : FittingOptions
    sampler : Sampler
    """

    experiment: Experiment
    sigma_b: float
    sigma_m: float
    n_sigma: float
    options: FittingOptions
    sampler: Sampler

    @classmethod
    def of(cls, experiment: Experiment, model: ProfileModel, options: FittingOptions) -> Grid:
        """Make it from models and options."""
        return cls(experiment, float(np.mean(model.sigma_b)), float(np.mean(model.sigma_m)), float(model.n_sigma),
                   options, make_sampler(experiment, options))

    @property
    def half(self) -> int:
        """Grid points on either side of the middle."""
        return self.options.grid_size or 5

    @property
    def shape(self) -> tuple[int, int]:
        """Of a profile: planes along e3, points of a plane along (e2, e1)."""
        return 2 * self.half + 1, (2 * self.half + 1) ** 2

    @property
    def steps(self) -> np.ndarray:
        """Between grid points along e1 and e2, and along e3: rad."""
        return np.array([self.sigma_b, self.sigma_m]) * (GRID_REACH * self.n_sigma / (self.half + 0.5))

    @property
    def sigmas(self) -> np.ndarray:
        """Of the Gaussian, in steps."""
        return np.full(2, (self.half + 0.5) / (GRID_REACH * self.n_sigma))

    @property
    def edge_erf(self) -> np.ndarray:
        """The error function of the Gaussian along e3 at the limits of the planes."""
        edges = np.arange(2 * self.half + 2) - (self.half + 0.5)
        return erf(edges / (np.sqrt(2.0) * self.sigmas[1]))

    def geometry(self) -> dict[str, Any]:
        """What all kernels must know of the experiment, by the names of their arguments."""
        experiment = self.experiment
        detector = experiment.detector
        d = np.stack([np.asarray(detector.d_matrix(i), np.float64) for i in range(len(detector))])
        return {"axis": np.asarray(experiment.goniometer.rotation_axis_lab, np.float64),
                "turn": float(np.deg2rad(experiment.scan.oscillation[1])),
                "d_matrix": d, "d_inverse": np.linalg.inv(d),
                "pixel_size": np.array([p.pixel_size for p in detector], np.float64),
                "steps": self.steps, "sigmas": self.sigmas, "half": self.half, "edge_erf": self.edge_erf}

    def reflections(self, table: ReflectionTable, boxes: Shoeboxes) -> dict[str, Any]:
        """What all kernels must know of reflections, by the names of their arguments."""
        s0 = np.broadcast_to(np.asarray(self.experiment.beam.s0, np.float64), (len(table), 3))
        return {"s1": np.ascontiguousarray(table["s1"], np.float64), "s0": np.ascontiguousarray(s0),
                "centre": np.ascontiguousarray(table["xyzcal.px"], np.float64),
                "panel": boxes.panel.astype(np.int64), "bbox": boxes.bbox, "offsets": boxes.offsets,
                "data": boxes.data, "background": boxes.background, "mask": boxes.mask}

    def gaussian(self) -> np.ndarray:
        """The Gaussian model on the grid within the foreground, sum 1."""
        edges = np.arange(2 * self.half + 2) - (self.half + 0.5)
        line = np.diff(erf(edges / (np.sqrt(2.0) * self.sigmas[0])))
        square = (np.arange(2 * self.half + 1) - self.half) ** 2
        inside = square[:, None] + square <= (self.n_sigma * self.sigmas[0] + 0.7) ** 2
        out = np.diff(self.edge_erf)[:, None] * (np.outer(line, line) * inside).ravel()
        return out / out.sum()


@dataclass(frozen=True)
class ReferenceProfiles:
    """Finished reference profiles of an experiment.

    Attributes
    ----------
    grid : Grid
    profiles : (n_profiles, n_side, n_side^2) float32
        Along e3 and (e2, e1); each sums to 1.
    ratios : the same
        Of profile and Gaussian model, where the model is of any size.
    inside : float
        The part of the Gaussian model that the foreground of an average reference holds.
    n_references : (n_profiles,) float64
        Sum of the weights of the references of each.
    """

    grid: Grid
    profiles: np.ndarray
    ratios: np.ndarray
    inside: float
    n_references: np.ndarray

    def cube(self, index: int) -> np.ndarray:
        """Profile `index` as (e3, e2, e1)."""
        n = self.profiles.shape[1]
        return self.profiles[index].reshape(n, n, n)


class ReferenceGrid:
    """Sums of transformed reference reflections of an experiment.

    Parameters
    ----------
    grid : Grid
    n_partitions : int
        Sums are kept apart for so many groups of references, of which each can be left out.
    """

    def __init__(self, grid: Grid, n_partitions: int = 1) -> None:
        shape = (n_partitions, grid.sampler.n_profiles)
        self.grid = grid
        self.observed = np.zeros((*shape, *grid.shape), np.int64)
        self.expected = np.zeros((*shape, *grid.shape), np.int64)
        self.weights = np.zeros(shape, np.int64)
        self.inside = np.zeros((n_partitions, 2), np.int64)

    def accumulate(self, table: ReflectionTable, boxes: Shoeboxes, partition: np.ndarray | None = None) -> np.ndarray:
        """Add the reflections that can serve as references.

        As in DIALS these are reference spots, integrated by summation, whole (partiality > 0.99), with their box
        on the panel and each foreground pixel valid and their own.

        Parameters
        ----------
        table : ReflectionTable
            With ``flags``, ``partiality``, ``s1``, ``xyzcal.px``.
        boxes : Shoeboxes
            With masks and backgrounds.
        partition : (n,) int, optional
            Group of each reflection; without it all are in group 0.

        Returns
        -------
        (n,) bool
            Which were used: they get the flag USED_IN_MODELLING.
        """
        rows = np.flatnonzero(self._candidates(table, boxes))
        used = np.zeros(len(table), bool)
        if not len(rows):
            return used
        given, geometry = self.grid.reflections(table, boxes), self.grid.geometry()
        nearby, weights = self.grid.sampler.neighbours(given["panel"][rows], given["centre"][rows])
        whole = np.rint(weights * WEIGHT_ONE).astype(np.int64)
        groups = np.zeros(len(rows), np.int64) if partition is None else np.asarray(partition)[rows]
        for group in np.unique(groups):
            is_in = groups == group
            chosen = rows[is_in]
            kernels.accumulate(chosen, **given, **geometry, profiles=nearby[is_in], weights=whole[is_in],
                               one=float(ONE), observed=self.observed[group], expected=self.expected[group],
                               weight_sum=self.weights[group], inside=self.inside[group])
            used[chosen[chosen >= 0]] = True
        return used

    def merge(self, other: ReferenceGrid) -> ReferenceGrid:
        """The sums of both."""
        out = ReferenceGrid.__new__(ReferenceGrid)
        out.grid = self.grid
        for name in ("observed", "expected", "weights", "inside"):
            setattr(out, name, getattr(self, name) + getattr(other, name))
        return out

    def finish(self, without: int | None = None) -> ReferenceProfiles:
        """Make profiles of the sums.

        Each is the mean of its references, negative points taken as 0, divided by its sum. One of n < `ENOUGH`
        references is ``(n mean + k prior) / (n + k)``, k = `PRIOR_WORTH` (1 - n / `ENOUGH`), the prior being the
        mean of all references of the experiment, and of that the Gaussian model.

        Parameters
        ----------
        without : int, optional
            A group of references to leave out.

        Warns
        -----
        In the log, where the experiment has too few references.
        """
        keep = np.arange(len(self.inside)) != (-1 if without is None else without)
        weights = self.weights[keep].sum(axis=0) / WEIGHT_ONE
        observed = self.observed[keep].sum(axis=0) / (ONE * WEIGHT_ONE)
        expected = self.expected[keep].sum(axis=0) / (ONE * WEIGHT_ONE)
        total, count = self.inside[keep].sum(axis=0)
        if count < ENOUGH and without is None:
            logger.warning("Only %d reflections to learn profiles from: they lean on the Gaussian of sigma_b %.4f and "
                           "sigma_m %.4f degrees", count, *np.rad2deg([self.grid.sigma_b, self.grid.sigma_m]))
        model = expected.sum(axis=0) if count else self.grid.gaussian()
        model = model / model.sum()
        overall = _lean(observed.sum(axis=0), min(weights.sum(), float(count)), weights.sum(), model)
        profiles = np.stack([_lean(o, w, w, overall) for o, w in zip(observed, weights, strict=True)])
        profiles = np.maximum(profiles, 0.0)
        profiles /= profiles.sum(axis=(1, 2), keepdims=True)
        models = np.stack([_lean(e, w, w, model) for e, w in zip(expected, weights, strict=True)])
        is_large = models > 1e-4 * models.max(axis=(1, 2), keepdims=True)
        ratios = np.clip(np.divide(profiles, models, out=np.ones_like(models), where=is_large), 0.0, 10.0)
        inside = total / ONE / count if count else 1.0 - np.exp(-0.5 * self.grid.n_sigma ** 2)
        return ReferenceProfiles(self.grid, profiles.astype(np.float32), ratios.astype(np.float32), float(inside),
                                 weights)

    @cached_property
    def _image_sizes(self) -> np.ndarray:
        """Fast and slow size of each panel."""
        return np.array([panel.image_size for panel in self.grid.experiment.detector])

    def _candidates(self, table: ReflectionTable, boxes: Shoeboxes) -> np.ndarray:
        """Which reflections may be references, as far as their columns tell."""
        flags = table["flags"]
        wanted = np.uint64(Flag.REFERENCE_SPOT | Flag.INTEGRATED_SUM)
        bbox = table.get("bbox", boxes.bbox)
        size = self._image_sizes[boxes.panel.astype(np.int64)]
        on_panel = (bbox[:, 0] >= 0) & (bbox[:, 2] >= 0) & (bbox[:, 1] <= size[:, 0]) & (bbox[:, 3] <= size[:, 1])
        return (flags & wanted == wanted) & (table["partiality"] > FULL) & on_panel


def _lean(total: np.ndarray, n: float, weight: float, prior: np.ndarray) -> np.ndarray:
    """Mean of `n` references, whose weighted sum and weight are given, leaning on a prior where they are few."""
    if n >= ENOUGH:
        return total / weight
    worth = PRIOR_WORTH * (1.0 - n / ENOUGH)
    mean = total / weight if weight > 0.0 else prior
    return (n * mean + worth * prior) / (n + worth)


def with_options(grid: Grid, options: FittingOptions) -> Grid:
    """The same grid with other options."""
    return replace(grid, options=options, sampler=make_sampler(grid.experiment, options))
