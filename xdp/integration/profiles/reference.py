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
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from xdp.experiment import Experiment
from xdp.experiment.pixels import px_to_s1
from xdp.integration.profiles import _kernels_transform as kernels
from xdp.integration.profiles.fitting_options import FittingOptions
from xdp.integration.profiles.sampler import Sampler, make_sampler
from xdp.reflections.flags import Flag
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable

logger = logging.getLogger(__name__)

erf = np.vectorize(math.erf, otypes=[np.float64])
"""The error function of each value: scipy takes longer to import than this to run."""

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

SHARPENING = 12
"""Rounds of deconvolution: with fewer profiles in pixels are too wide and weak intensities too high, with more too low.
"""

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
        With all its models.
    sigma_b, sigma_m, n_sigma : float
        The Gaussian model, rad; of a model that varies with the scan the mean.
    options : FittingOptions
    sampler : Sampler
    """

    experiment: Any
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
    def sigma(self) -> float:
        """Of the Gaussian, in steps."""
        return (self.half + 0.5) / (GRID_REACH * self.n_sigma)

    @property
    def edge_erf(self) -> np.ndarray:
        """The error function of the Gaussian along e3 at the limits of the planes."""
        edges = np.arange(2 * self.half + 2) - (self.half + 0.5)
        return erf(edges / (np.sqrt(2.0) * self.sigma))

    def geometry(self) -> dict[str, Any]:
        """What all kernels must know of the experiment, by the names of their arguments."""
        experiment = self.experiment
        detector = experiment.detector
        d = np.stack([np.asarray(detector.d_matrix(i), np.float64) for i in range(len(detector))])
        return {"axis": np.asarray(experiment.goniometer.rotation_axis_lab, np.float64),
                "turn": float(np.deg2rad(experiment.scan.oscillation[1])),
                "d_matrix": d, "d_inverse": np.linalg.inv(d),
                "pixel_size": np.array([p.pixel_size for p in detector], np.float64),
                "steps": self.steps, "sigma": self.sigma, "half": self.half, "edge_erf": self.edge_erf}

    def reflections(self, table: ReflectionTable, boxes: Shoeboxes) -> dict[str, Any]:
        """What all kernels must know of reflections, by the names of their arguments."""
        s0 = np.broadcast_to(np.asarray(self.experiment.beam.s0, np.float64), (len(table), 3))
        return {"s1": np.ascontiguousarray(table["s1"], np.float64), "s0": np.ascontiguousarray(s0),
                "centre": np.ascontiguousarray(table["xyzcal.px"], np.float64),
                "panel": boxes.panel.astype(np.int64), "bbox": boxes.bbox, "offsets": boxes.offsets,
                "data": boxes.data, "background": boxes.background, "mask": boxes.mask}

    def gaussian(self, area: float) -> np.ndarray:
        """The Gaussian model as the mean of its transforms would be, sum 1; `area` of a pixel is in cells.

        Sigma_b, estimated from pixels, contains their size once; sharing a pixel's counts by area adds it again, and
        the size of the cells.
        """
        edges = np.arange(2 * self.half + 2) - (self.half + 0.5)
        spread = math.sqrt(self.sigma ** 2 + area / 12.0)
        line = np.diff(erf(edges / (np.sqrt(2.0) * spread)))
        out = np.diff(self.edge_erf)[:, None] * np.outer(line, line).ravel()
        return out / out.sum()

    def pixel_area(self) -> float:
        """Area of a pixel in cells of the grid, where no reference tells: half way to a corner of the first panel."""
        panel, beam = self.experiment.detector[0], self.experiment.beam
        corner = 0.25 * np.asarray(panel.image_size)
        points = corner + np.array([[-0.5, 0.0], [0.5, 0.0], [0.0, -0.5], [0.0, 0.5]])
        ends = px_to_s1(self.experiment.detector, beam, 0, points) * beam.wavelength
        return float(np.linalg.norm(np.cross(ends[1] - ends[0], ends[3] - ends[2])) / self.steps[0] ** 2)


@dataclass(frozen=True)
class ReferenceProfiles:
    """Finished reference profiles of an experiment.

    Attributes
    ----------
    grid : Grid
    profiles : (n_profiles, n_side, n_side^2) float32
        Along e3 and (e2, e1); each sums to 1.
    sharp : (n_profiles, n_side, (n_side + 2)^2) float32
        Without the blur of pixels and cells: what the profiles were before they were measured in pixels, to be
        interpolated between grid points; with a border of zeros along e2 and e1.
    n_references : (n_profiles,) float64
        Sum of the weights of the references of each.
    """

    grid: Grid
    profiles: np.ndarray
    sharp: np.ndarray
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
        self.sums = np.zeros((*shape, *grid.shape), np.int64)
        self.weights = np.zeros(shape, np.int64)
        self.areas = np.zeros(shape, np.int64)
        self.counts = np.zeros(n_partitions, np.int64)

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
                               one=float(ONE), sums=self.sums[group], weight_sum=self.weights[group],
                               area_sum=self.areas[group])
            used[chosen[chosen >= 0]] = True
            self.counts[group] += np.count_nonzero(chosen >= 0)
        return used

    def merge(self, other: ReferenceGrid) -> ReferenceGrid:
        """The sums of both."""
        out = ReferenceGrid.__new__(ReferenceGrid)
        out.grid = self.grid
        for name in ("sums", "weights", "areas", "counts"):
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
        keep = np.arange(len(self.counts)) != (-1 if without is None else without)
        weights = self.weights[keep].sum(axis=0) / WEIGHT_ONE
        sums = self.sums[keep].sum(axis=0) / (ONE * WEIGHT_ONE)
        areas = self.areas[keep].sum(axis=0) / (kernels.AREA_ONE * WEIGHT_ONE)
        count = int(self.counts[keep].sum())
        if count < ENOUGH and without is None:
            logger.warning("Only %d reflections to learn profiles from: they lean on the Gaussian of sigma_b %.4f and "
                           "sigma_m %.4f degrees", count, *np.rad2deg([self.grid.sigma_b, self.grid.sigma_m]))
        area = areas.sum() / weights.sum() if count else self.grid.pixel_area()
        overall = _lean(sums.sum(axis=0), count, weights.sum(), self.grid.gaussian(area))
        profiles = np.stack([_lean(s, w, w, overall) for s, w in zip(sums, weights, strict=True)])
        profiles = np.maximum(profiles, 0.0)
        profiles /= profiles.sum(axis=(1, 2), keepdims=True)
        area_here = np.divide(areas, weights, out=np.full(len(areas), area), where=weights > 0.0)
        sharp = sharpen(profiles, area_here)
        return ReferenceProfiles(self.grid, profiles.astype(np.float32), sharp.astype(np.float32), weights)

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


def blur(n_side: int, area: np.ndarray) -> np.ndarray:
    """How counts of a profile's cell come back to cells when they are measured in pixels, shape (n, n_side, n_side).

    Along e1 as along e2: the profile is linear between grid points, falls into pixels, and a pixel's counts are shared
    among cells. Over all positions of the pixels that is three times the box of a cell and twice the box of a pixel,
    the latter near to a Gaussian of variance area/6.
    """
    distance = np.arange(n_side, dtype=np.float64)
    sigma = np.sqrt(np.maximum(area, 1e-6) / 6.0)[:, None]
    line = (_thrice_integrated(distance + 1.5, sigma) - 3.0 * _thrice_integrated(distance + 0.5, sigma)
            + 3.0 * _thrice_integrated(distance - 0.5, sigma) - _thrice_integrated(distance - 1.5, sigma))
    return line[:, np.abs(np.arange(n_side)[:, None] - np.arange(n_side))]


def _thrice_integrated(x: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """A normal density integrated three times: its third difference is the blur by three boxes."""
    t = x / sigma
    density = np.exp(-0.5 * t * t) / (np.sqrt(2.0 * np.pi) * sigma)
    return 0.5 * ((x * x + sigma * sigma) * 0.5 * (1.0 + erf(t / np.sqrt(2.0))) + x * sigma * sigma * density)


def sharpen(profiles: np.ndarray, area: np.ndarray) -> np.ndarray:
    """Take the blur of pixels and cells off profiles, so that taking them to pixels does not blur them twice.

    Richardson (1972) and Lucy (1974): ``s <- s  B'(p / B s)``, `SHARPENING` times; s stays positive and sums to 1.

    Parameters
    ----------
    profiles, area : (n, n_side, n_side^2), (n,)
        Profiles, and the area of a pixel in cells for each.

    Returns
    -------
    (n, n_side, (n_side + 2)^2), with a border of zeros.

    References
    ----------
    W. H. Richardson, J. Opt. Soc. Am. 62, 55 (1972), doi:10.1364/JOSA.62.000055;
    L. B. Lucy, Astron. J. 79, 745 (1974), doi:10.1086/111605.
    """
    n_side = profiles.shape[1]
    target = profiles.reshape(len(profiles), n_side, n_side, n_side)
    b = blur(n_side, area)[:, None]
    out = target.copy()
    for _ in range(SHARPENING):
        seen = b @ out @ b
        out = out * (b @ np.divide(target, seen, out=np.zeros_like(seen), where=seen > 1e-12) @ b)
    out /= out.sum(axis=(1, 2, 3), keepdims=True)
    return np.pad(out, ((0, 0), (0, 0), (1, 1), (1, 1))).reshape(*profiles.shape[:2], -1)
