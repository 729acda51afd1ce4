"""Reference profiles: the mean shape of strong reflections in their own frame, here and there on the detector.

Each reference reflection is brought to the grid of Kabsch's frame, divided by its sum, and added to the profiles near
it. Sums are kept in whole numbers, so that profiles are the same to the last bit in whatever blocks and order the
reflections come. A profile of few references is drawn towards the mean of all, and that towards the Gaussian of sigma_b
and sigma_m.

References
----------
W. Kabsch, J. Appl. Cryst. 21, 916 (1988), doi:10.1107/S0021889888007903; Acta Cryst. D66, 133 (2010),
doi:10.1107/S0907444909047374: the reflection's frame, the shares of frames, reference profiles.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from xdp.experiment import Experiment
from xdp.experiment.pixels import px_to_s1
from xdp.integration.profiles._kernels_reference import (
    AREA_ONE,
    ONE,
    WEIGHT_ONE,
    Contributions,
    ProfileSums,
    add_references,
)
from xdp.integration.profiles.arguments import (
    BoxPixels,
    GridSteps,
    Rays,
    ReferenceShapes,
    ReflectionData,
    RotationGeometry,
)
from xdp.integration.profiles.fitting_options import ProfileFittingOptions
from xdp.integration.profiles.sampler import Sampler, make_sampler
from xdp.integration.profiles.scatter.shape_scatter import ShapeScatter
from xdp.integration.profiles.sharpening import erf, sharpen
from xdp.reflections.flags import Flag
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable

logger = logging.getLogger(__name__)

GRID_REACH = 1.5
"""The grid reaches this much farther than the foreground, which ends at n sigma: pixels of the foreground are whole on
it although a pixel, and the parallelepiped of a frame, stick out. A choice."""

FULL = 0.99
"""Reflections with more than this partiality are whole. As in DIALS."""

_LEAST_SHARP = 0.1
"""Of the variance of a learned profile at least so much is the reflections', the rest their pixels'. A choice."""

ENOUGH = 100.0
"""A profile of this many references needs no prior: each of its points is an average over 100 reflections. A choice."""

PRIOR_WORTH = 10.0
"""As many references is the prior worth where there are none; less and less up to `ENOUGH`. A choice."""


class ProfileModel(Protocol):
    """What of a profile model is needed here: angles in radians, one or one a frame."""

    n_sigma: float
    sigma_b: Any
    sigma_m: Any


def can_fit(experiment: Experiment) -> bool:
    """Whether profiles can be fitted: the crystal turns while a frame is taken.

    Examples
    --------
    >>> from xdp.experiment import Experiment
    >>> can_fit(Experiment("a still, without scan"))
    False
    """
    scan = experiment.scan
    return experiment.goniometer is not None and scan is not None and scan.oscillation[1] != 0.0


@dataclass(frozen=True)
class ProfileGrid:
    """The frames of an experiment's reflections: grid, geometry, and where reference profiles stand.

    Attributes
    ----------
    experiment : Experiment
        With all its models.
    sigma_b, sigma_m, n_sigma : float
        The Gaussian model, rad; of a model that varies with the scan the mean.
    options : ProfileFittingOptions
    sampler : Sampler
    model : GaussianRSModel or None
        Where widths differ between reflections: each has a grid of its own, in units of its own widths, so that one
        profile serves all.
    """

    experiment: Any
    sigma_b: float
    sigma_m: float
    n_sigma: float
    options: ProfileFittingOptions
    sampler: Sampler
    model: Any = None

    @classmethod
    def from_model(cls, experiment: Experiment, model: ProfileModel, options: ProfileFittingOptions) -> ProfileGrid:
        """The grid of an experiment.

        Parameters
        ----------
        experiment : Experiment
            With all its models.
        model : ProfileModel
            Widths, rad; of one that varies with the scan the mean is taken, since all reflections share the grid,
            unless its ``spread`` says how they differ.
        options : ProfileFittingOptions
        """
        # a model of one width for all may have no such field
        differs = getattr(model, "spread", None) is not None
        return cls(experiment, float(np.mean(model.sigma_b)), float(np.mean(model.sigma_m)), float(model.n_sigma),
                   options, make_sampler(experiment, options), model if differs else None)

    @property
    def half(self) -> int:
        """Grid points on either side of the middle (``grid_size``, 5 where that is None)."""
        return self.options.grid_size or 5

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of a profile: planes along e3, points of a plane along (e2, e1)."""
        return 2 * self.half + 1, (2 * self.half + 1) ** 2

    @property
    def steps(self) -> np.ndarray:
        """Distance of grid points along e1 and e2, and along e3, rad (2,).

        The grid reaches `GRID_REACH` n sigma to either side, in `half` steps and a half.
        """
        return np.array([self.sigma_b, self.sigma_m]) * (GRID_REACH * self.n_sigma / (self.half + 0.5))

    @property
    def sigma(self) -> float:
        """Standard deviation of the Gaussian model in steps, the same along each axis."""
        return (self.half + 0.5) / (GRID_REACH * self.n_sigma)

    @property
    def edge_erf(self) -> np.ndarray:
        """The error function of the Gaussian along e3 at the limits of the planes."""
        edges = np.arange(2 * self.half + 2) - (self.half + 0.5)
        return erf(edges / (np.sqrt(2.0) * self.sigma))

    def describe(self, table: ReflectionTable, boxes: Shoeboxes) -> ReflectionData:
        """What kernels must know of reflections.

        Parameters
        ----------
        table : ReflectionTable
            With ``s1`` and ``xyzcal.px``.
        boxes : Shoeboxes
            Of the same reflections, with masks and backgrounds.
        """
        step_b, step_m = self.steps.tolist()
        grid = GridSteps(step_b, step_m, self.sigma, self.half, self.edge_erf)
        rays = Rays.from_table(table, self._compute_learning_steps(table, boxes.panel))
        return ReflectionData(RotationGeometry.from_experiment(self.experiment), grid, rays,
                              BoxPixels.from_shoeboxes(boxes))

    def _compute_learning_steps(self, table: ReflectionTable, panel: np.ndarray) -> np.ndarray:
        """Compute the steps with which references are learned, rad: (3,), or (n, 3) where widths differ.

        There pixels count twice: a reference is seen through its pixels, and their counts are shared by area.
        References at all resolutions then have the same shape on the grid.
        """
        if self.model is None:
            return self.steps[[0, 0, 1]]
        variances, pixel, sigma_m = self._compute_local_widths(table, panel)
        across = self.model.spread.grid / self.sigma * np.sqrt(2.0 * (variances + 2.0 * pixel))
        return np.column_stack([across, sigma_m / self.sigma])

    def _compute_local_widths(self, table: ReflectionTable, panel: np.ndarray
                              ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Compute variances along e1 and e2 without pixels, those of pixels, rad^2 (n, 2), and sigma_m, rad (n,)."""
        part = ReflectionTable({"s1": table["s1"], "xyzcal.px": table["xyzcal.px"], "panel": panel})
        spread = self.model.spread
        rays = spread.describe(self.experiment, part)
        growth = self.model.compute_widths(self.experiment, part["xyzcal.px"][:, 2])[0] / self.sigma_b
        return (spread.compute_variances(rays) * np.square(growth)[:, None], rays.pixel,
                self.model.compute_sigma_m(self.experiment, part))

    def compute_fit_steps(self, table: ReflectionTable, panel: np.ndarray, areas: np.ndarray) -> np.ndarray | None:
        """Compute the steps with which profiles are fitted to reflections.

        A sharp profile has lost the pixels of its references, ``areas``. Its steps are such that it is as wide as the
        reflection, whose own pixels see it then.

        Parameters
        ----------
        table : ReflectionTable
            With ``s1`` and ``xyzcal.px``.
        panel : (n,) int
        areas : (n, 2) float64
            Squared length of a pixel along e1 and e2, in cells, in the profile of each reflection.

        Returns
        -------
        (n, 3) float64, or None where all reflections have the steps of the grid
            In rad.
        """
        if self.model is None:
            return None
        variances, _, sigma_m = self._compute_local_widths(table, panel)
        learned = 0.5 * (self.sigma / self.model.spread.grid) ** 2
        # pixels that are wider than the reflections leave next to nothing of a profile
        sharp = np.maximum(learned - areas / 6.0, _LEAST_SHARP * learned)
        return np.column_stack([np.sqrt(variances / sharp), sigma_m / self.sigma])

    def make_gaussian(self, area: float) -> np.ndarray:
        """The Gaussian model as the mean of its transforms would be: (n_side, n_side^2), with sum 1.

        Sigma_b, estimated from pixels, contains their size once. Sharing a pixel's counts by area adds it again, as a
        variance of area/12 along each axis.

        Parameters
        ----------
        area : float
            Of a pixel, in cells of the grid.
        """
        edges = np.arange(2 * self.half + 2) - (self.half + 0.5)
        # along e3 frames share counts by the model itself, which adds nothing
        spread = math.sqrt(self.sigma ** 2 + area / 12.0)
        if self.model is not None:  # steps follow from the variance of one coordinate, with its pixels
            spread = self.sigma / (math.sqrt(2.0) * self.model.spread.grid)
        line = np.diff(erf(edges / (np.sqrt(2.0) * spread)))
        out = np.diff(self.edge_erf)[:, None] * np.outer(line, line).ravel()
        return out / out.sum()

    def estimate_pixel_area(self) -> float:
        """Estimate the area of a pixel in cells of the grid, half way to a corner of the first panel.

        There it is about the mean over the panel: pixels subtend less towards its edges.
        """
        panel, beam = self.experiment.detector[0], self.experiment.beam
        corner = 0.25 * np.asarray(panel.image_size)
        points = corner + np.array([[-0.5, 0.0], [0.5, 0.0], [0.0, -0.5], [0.0, 0.5]])
        ends = px_to_s1(self.experiment.detector, beam, 0, points) * beam.wavelength
        return float(np.linalg.norm(np.cross(ends[1] - ends[0], ends[3] - ends[2])) / self.steps[0] ** 2)


@dataclass(frozen=True)
class ReferenceProfiles:
    """Reference profiles of an experiment.

    Attributes
    ----------
    grid : ProfileGrid
    profiles : (n_profiles, n_side, n_side^2) float32
        Along e3 and (e2, e1); each sums to 1.
    sharp : (n_profiles, n_side, (n_side + 2)^2) float32
        Without the blur of pixels and cells: what the profiles were before they were measured in pixels, to be
        interpolated between grid points; with a border of zeros along e2 and e1.
    n_references : (n_profiles,) float64
        Sum of the weights of the references of each.
    areas : (n_profiles, 2) float64
        Mean square of a pixel's length along e1 and e2 in the references of each, in cells.
    scatter : ShapeScatter
        How far reflections differ from their profiles.
    """

    grid: ProfileGrid
    profiles: np.ndarray
    sharp: np.ndarray
    n_references: np.ndarray
    areas: np.ndarray
    scatter: ShapeScatter = field(default_factory=ShapeScatter)

    def place_to_fit(self, given: ReflectionData, table: ReflectionTable, nearest: np.ndarray) -> ReflectionData:
        """Give reflections the steps with which their profiles are fitted.

        Parameters
        ----------
        given : ReflectionData
        table : ReflectionTable
            Of the same reflections, with ``s1`` and ``xyzcal.px``.
        nearest : (n,) int64
            Number of the profile of each.
        """
        steps = self.grid.compute_fit_steps(table, given.boxes.panel, self.areas[nearest])
        return given if steps is None else given._replace(rays=given.rays._replace(steps=steps))

    def choose_shapes(self, given: ReflectionData) -> ReferenceShapes:
        """Choose the profile of each reflection, and give all profiles in the form that kernels take.

        Parameters
        ----------
        given : ReflectionData

        Returns
        -------
        ReferenceShapes
        """
        nearest = self.grid.sampler.find_nearest(given.boxes.panel, given.rays.centre)
        threshold = float(self.grid.options.threshold or 0.0)
        return ReferenceShapes(nearest, self.profiles, self.sharp, threshold,
                               threshold * self.profiles.max(axis=(1, 2)),
                               self.scatter.compute(given.rays.s1, given.geometry.s0))

    def get_cube(self, index: int) -> np.ndarray:
        """Get a profile as a cube.

        Parameters
        ----------
        index : int
            Number of the profile.

        Returns
        -------
        (n_side, n_side, n_side) float32
            Along e3, e2, e1.
        """
        n = self.profiles.shape[1]
        return self.profiles[index].reshape(n, n, n)


class ReferenceGrid:
    """Sums of transformed reference reflections of an experiment.

    Parameters
    ----------
    grid : ProfileGrid
    n_partitions : int
        Sums are kept apart for so many groups of references, of which each can be left out.
    """

    def __init__(self, grid: ProfileGrid, n_partitions: int = 1) -> None:
        # whole numbers: their sums are exact, and do not depend on the order in which blocks are added
        shape = (n_partitions, grid.sampler.n_profiles)
        self.grid = grid
        self.sums = np.zeros((*shape, *grid.shape), np.int64)
        self.weights = np.zeros(shape, np.int64)
        self.areas, self.areas_2 = np.zeros((2, *shape), np.int64)
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
        # columns are compared first: the kernel then looks at the pixels of few
        rows = np.flatnonzero(self._find_candidates(table, boxes))
        used = np.zeros(len(table), bool)
        if not len(rows):
            return used
        given = self.grid.describe(table, boxes)
        nearby, weights = self.grid.sampler.find_neighbours(given.boxes.panel[rows], given.rays.centre[rows])
        whole = np.rint(weights * WEIGHT_ONE).astype(np.int64)
        groups = np.zeros(len(rows), np.int64) if partition is None else np.asarray(partition)[rows]
        # each group's sums are apart, so that finish(without=...) can leave one out
        for group in np.unique(groups):
            is_in = groups == group
            chosen = rows[is_in]
            add_references(chosen, given, Contributions(nearby[is_in], whole[is_in]),
                           ProfileSums(self.sums[group], self.weights[group], self.areas[group],
                                       self.areas_2[group]))
            used[chosen[chosen >= 0]] = True
            self.counts[group] += np.count_nonzero(chosen >= 0)
        return used

    def merge(self, other: ReferenceGrid) -> ReferenceGrid:
        """Add the sums of another grid; neither is changed.

        Parameters
        ----------
        other : ReferenceGrid
            Of the same experiment and as many partitions.
        """
        # without __init__, which would fill large arrays with zeros only to replace them
        out = ReferenceGrid.__new__(ReferenceGrid)
        out.grid = self.grid
        for name in ("sums", "weights", "areas", "areas_2", "counts"):
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
        areas = self.areas[keep].sum(axis=0) / (AREA_ONE * WEIGHT_ONE)
        areas_2 = self.areas_2[keep].sum(axis=0) / (AREA_ONE * WEIGHT_ONE)
        count = int(self.counts[keep].sum())
        if count < ENOUGH and without is None:
            logger.warning("Only %d reflections to learn profiles from: profiles are averaged with the Gaussian of "
                           "sigma_b %.4f and sigma_m %.4f degrees", count,
                           *np.rad2deg([self.grid.sigma_b, self.grid.sigma_m]))
        area = areas.sum() / weights.sum() if count else self.grid.estimate_pixel_area()
        # the mean of all is drawn towards the Gaussian, and each profile towards that mean
        overall = _mix_with_prior(sums.sum(axis=0), count, weights.sum(), self.grid.make_gaussian(area))
        profiles = np.stack([_mix_with_prior(s, w, w, overall) for s, w in zip(sums, weights, strict=True)])
        # counts less background may be negative, but no part of a reflection is
        profiles = np.maximum(profiles, 0.0)
        profiles /= profiles.sum(axis=(1, 2), keepdims=True)
        # pixels subtend less towards the edges of a panel; a profile without references gets the mean area
        area_2 = areas_2.sum() / weights.sum() if count else area
        area_here = np.stack([np.divide(found, weights, out=np.full(len(weights), mean), where=weights > 0.0)
                              for found, mean in ((areas, area), (areas_2, area_2))], axis=1)
        sharp = sharpen(profiles, area_here)
        return ReferenceProfiles(self.grid, profiles.astype(np.float32), sharp.astype(np.float32), weights, area_here)

    @cached_property
    def _image_sizes(self) -> np.ndarray:
        """Fast and slow size of each panel."""
        return np.array([panel.image_size for panel in self.grid.experiment.detector])

    def _find_candidates(self, table: ReflectionTable, boxes: Shoeboxes) -> np.ndarray:
        """Find the reflections that may be references, by their columns."""
        flags = table["flags"]
        wanted = np.uint64(Flag.REFERENCE_SPOT | Flag.INTEGRATED_SUM)
        bbox = table.get("bbox", boxes.bbox)
        size = self._image_sizes[boxes.panel.astype(np.int64)]
        on_panel = (bbox[:, 0] >= 0) & (bbox[:, 2] >= 0) & (bbox[:, 1] <= size[:, 0]) & (bbox[:, 3] <= size[:, 1])
        return (flags & wanted == wanted) & (table["partiality"] > FULL) & on_panel


def _mix_with_prior(total: np.ndarray, n: float, weight: float, prior: np.ndarray) -> np.ndarray:
    """Mean of `n` references, whose weighted sum and weight are given, drawn towards a prior where they are few."""
    if n >= ENOUGH:
        return total / weight
    worth = PRIOR_WORTH * (1.0 - n / ENOUGH)
    # without references nothing is known but the prior
    mean = total / weight if weight > 0.0 else prior
    return (n * mean + worth * prior) / (n + worth)
