"""Where reference profiles stand: points on the detector (or on the Ewald sphere) times steps of the scan.

Each reflection is fitted with the nearest profile and, as a reference, contributes to the nearest and its neighbours
with a weight that falls to a half at half the distance between profiles.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from xdp.experiment import Experiment
from xdp.experiment.pixels import px_to_s1
from xdp.integration.profiles.fitting_options import ProfileFittingOptions

LEAST_WEIGHT = 0.01
"""A reference adds nothing to profiles where its weight would be less: farther than 1.3 distances between profiles."""

RINGS = (1, 8, 16, 32)
"""Profiles on the Ewald sphere: around the beam, and on each ring about it; all cover the same area. From the second on
a ring has twice the profiles of the one inside, so that each of these borders on two of the next."""

_STEP = 5.0
"""Degrees of a step of the scan where ``scan_step`` is None: the default."""
_FALL = 4.0 * math.log(2.0)
"""Of the weight ``exp(-_FALL d^2)``: a half at half the distance between profiles."""


@dataclass(frozen=True)
class Sampler:
    """One profile for each step of the scan; base of the other samplers.

    Attributes
    ----------
    experiment : Experiment
        With all its models.
    n_steps : int
        Steps of the scan.
    """

    experiment: Any
    n_steps: int

    n_places = 1
    """Profiles of a step."""

    @property
    def n_profiles(self) -> int:
        """Number of all profiles; they are counted step by step, and place by place within a step."""
        return self.n_steps * self.n_places

    @property
    def frames_per_step(self) -> float:
        """Frames in a step of the scan; not always a whole number."""
        first, last = self.experiment.scan.array_range
        return (last - first) / self.n_steps

    def find_nearest(self, panel: np.ndarray, xyz: np.ndarray) -> np.ndarray:
        """The profile of each reflection.

        Parameters
        ----------
        panel, xyz : (n,), (n, 3)
            Panel, and predicted fast, slow (px) and frame.

        Returns
        -------
        (n,) int64
        """
        return self._find_step(xyz) * self.n_places + self._find_place(panel, xyz)

    def find_neighbours(self, panel: np.ndarray, xyz: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The profiles to which each reflection contributes, the nearest among them, and with which weights.

        Parameters
        ----------
        panel, xyz
            As for :meth:`find_nearest`.

        Returns
        -------
        (n, m) int64, (n, m) float64
            Numbers of profiles, -1 where there are fewer than m, and weights between 0 and 1, 0 where less than
            `LEAST_WEIGHT`.
        """
        profiles, weights = [], []
        place, step = self._find_place(panel, xyz), self._find_step(xyz)
        # one array operation for each pair of offsets, over all reflections
        for other in self._list_around()[place].T:
            square = self._compute_square_distance(np.maximum(other, 0), panel, xyz)
            for turn in self._list_turns():
                there = step + turn
                is_there = (other >= 0) & (there >= 0) & (there < self.n_steps)
                weight = np.exp(-_FALL * (square + self._square_turns(there, xyz)))
                is_there &= weight >= LEAST_WEIGHT
                profiles.append(np.where(is_there, there * self.n_places + other, -1))
                weights.append(np.where(is_there, weight, 0.0))
        return np.stack(profiles, axis=1), np.stack(weights, axis=1)

    def list_coordinates(self) -> np.ndarray:
        """Where all profiles stand.

        Returns
        -------
        (n_profiles, 3) float64
            Fast and slow (px; for the sphere the angle from the beam and that around it, rad), and frame.

        Examples
        --------
        Of a detector of 240 x 200 pixels and a scan of 40 frames, 3 x 3 profiles in one step:

        >>> from xdp.experiment import Experiment
        >>> from xdp.simulation.models import make_detector, make_scan
        >>> experiment = Experiment("x", detector=make_detector((240, 200)), scan=make_scan(40, 0.5))
        >>> sampler = make_sampler(experiment, ProfileFittingOptions(scan_step=20.0))
        >>> sampler.list_coordinates()[:2].round(1).tolist()
        [[40.0, 33.3, 20.0], [120.0, 33.3, 20.0]]
        """
        first = self.experiment.scan.array_range[0]
        frames = (np.arange(self.n_steps) + 0.5) * self.frames_per_step + first
        places = np.tile(self._list_places(), (self.n_steps, 1))
        return np.column_stack([places, np.repeat(frames, self.n_places)])

    def _find_step(self, xyz: np.ndarray) -> np.ndarray:
        """The step of the scan that each reflection is on; the first or last for those beyond its ends."""
        z = (xyz[:, 2] - self.experiment.scan.array_range[0]) / self.frames_per_step
        return np.clip(np.floor(z).astype(np.int64), 0, self.n_steps - 1)

    def _square_turns(self, step: np.ndarray, xyz: np.ndarray) -> np.ndarray:
        """Square of the distance of reflections from the middle of a step, in steps."""
        z = (xyz[:, 2] - self.experiment.scan.array_range[0]) / self.frames_per_step
        return (step + 0.5 - z) ** 2

    def _list_turns(self) -> tuple[int, ...]:
        """The steps to which a reflection contributes, counted from its own."""
        # at two steps' distance the weight is below LEAST_WEIGHT
        return (-1, 0, 1)

    def _list_places(self) -> np.ndarray:
        """Fast and slow coordinates of a step's profiles, (n_places, 2)."""
        return np.zeros((1, 2))

    def _find_place(self, panel: np.ndarray, xyz: np.ndarray) -> np.ndarray:
        """Number of the nearest place of each reflection, (n,)."""
        return np.zeros(len(xyz), np.int64)

    def _list_around(self) -> np.ndarray:
        """The places to which a reflection of each place contributes, (n_places, m), -1 for none."""
        return np.zeros((1, 1), np.int64)

    def _compute_square_distance(self, place: np.ndarray, panel: np.ndarray, xyz: np.ndarray) -> np.ndarray:
        """Square of the distance of reflections from places, in units of the distance between places, (n,)."""
        return np.zeros(len(xyz))


@dataclass(frozen=True)
class RegularSampler(Sampler):
    """Three by three profiles on a panel, each in the middle of a ninth of it."""

    n_places = 9

    def _compute_size(self) -> np.ndarray:
        """Pixels between profiles."""
        return np.asarray(self.experiment.detector[0].image_size) / 3.0

    def _list_places(self) -> np.ndarray:
        j, i = np.divmod(np.arange(9), 3)
        return (np.stack([i, j], axis=1) + 0.5) * self._compute_size()

    def _find_place(self, panel: np.ndarray, xyz: np.ndarray) -> np.ndarray:
        i, j = np.clip(np.floor(xyz[:, :2] / self._compute_size()).astype(np.int64), 0, 2).T
        return j * 3 + i

    def _list_around(self) -> np.ndarray:
        # the eight around, those at corners too: their weight falls with the distance anyway
        j, i = np.divmod(np.arange(9), 3)
        near = (abs(i[:, None] - i) <= 1) & (abs(j[:, None] - j) <= 1)
        return np.where(near, np.arange(9), -1)

    def _compute_square_distance(self, place: np.ndarray, panel: np.ndarray, xyz: np.ndarray) -> np.ndarray:
        return (((self._list_places()[place] - xyz[:, :2]) / self._compute_size()) ** 2).sum(axis=1)


@dataclass(frozen=True)
class CircularSampler(Sampler):
    """One profile in the middle of a panel and eight around it, as in XDS."""

    n_places = 9

    def _compute_radii(self) -> tuple[np.ndarray, float, float]:
        """Centre, radius of what belongs to the middle profile, radius of the others' circle; pixels."""
        centre = np.asarray(self.experiment.detector[0].image_size) / 2.0
        inner = centre.min() / 3.0
        # the eight sectors reach to 3 inner radii; this circle halves the area of the ring, (1 + 9) / 2 = 5
        return centre, inner, inner * math.sqrt(5.0)

    def _list_places(self) -> np.ndarray:
        centre, _, outer = self._compute_radii()
        angle = np.arange(8) * math.pi / 4.0
        return np.vstack([centre, centre + outer * np.stack([np.cos(angle), np.sin(angle)], axis=1)])

    def _find_place(self, panel: np.ndarray, xyz: np.ndarray) -> np.ndarray:
        centre, inner, _ = self._compute_radii()
        x, y = (xyz[:, :2] - centre).T
        # half a sector is added, since the first one has its middle on the fast axis
        sector = np.floor(np.arctan2(y, x) * 4.0 / math.pi + 0.5).astype(np.int64) % 8
        return np.where(np.hypot(x, y) < inner, 0, sector + 1)

    def _list_around(self) -> np.ndarray:
        out = np.full((9, 9), -1)
        out[0] = np.arange(9)
        sector = np.arange(8)
        out[1:, :4] = np.stack([sector + 1, 0 * sector, (sector + 1) % 8 + 1, (sector - 1) % 8 + 1], axis=1)
        return out

    def _compute_square_distance(self, place: np.ndarray, panel: np.ndarray, xyz: np.ndarray) -> np.ndarray:
        _, inner, outer = self._compute_radii()
        width = np.where(place == 0, 2.0 * inner, 2.0 * (outer - inner))
        return (((self._list_places()[place] - xyz[:, :2]) / width[:, None]) ** 2).sum(axis=1)

    def _list_turns(self) -> tuple[int, ...]:
        return (0,)  # references count for their own step of the scan only

    def _square_turns(self, step: np.ndarray, xyz: np.ndarray) -> np.ndarray:
        return np.zeros(len(xyz))


@dataclass(frozen=True)
class SphericalSampler(CircularSampler):
    """Profiles about the beam on the Ewald sphere, each for the same area: for detectors of any shape."""

    n_places = sum(RINGS)

    def _compute_angles(self) -> np.ndarray:
        """Angle from the beam at which each ring ends, rad."""
        # a cap of half angle a has the area 2 pi (1 - cos a): equal shares of the sphere's 4 pi for all profiles
        return np.arccos(np.clip(1.0 - 2.0 * np.cumsum(RINGS) / sum(RINGS), -1.0, 1.0))

    def _compute_polar(self, panel: np.ndarray, xyz: np.ndarray) -> np.ndarray:
        """Angles from the beam, and around it from the rotation axis, of reflections; rad, (n, 2)."""
        beam, detector = self.experiment.beam, self.experiment.detector
        z = beam.unit_s0
        y = np.cross(z, self.experiment.goniometer.rotation_axis_lab)
        y /= np.linalg.norm(y)
        unit = np.empty((len(xyz), 3))
        for i in np.unique(panel):
            on = panel == i
            unit[on] = px_to_s1(detector, beam, int(i), xyz[on, :2]) * beam.wavelength
        around = np.arctan2(unit @ y, unit @ np.cross(z, y)) % (2.0 * math.pi)
        return np.stack([np.arccos(np.clip(unit @ z, -1.0, 1.0)), around], axis=1)

    def _list_places(self) -> np.ndarray:
        ends = np.concatenate([[0.0], self._compute_angles()])
        out = [(0.0, 0.0)]
        for ring in range(1, len(RINGS)):
            angle = 0.5 * (ends[ring] + ends[ring + 1])
            out += [(angle, (j + 0.5) * 2.0 * math.pi / RINGS[ring]) for j in range(RINGS[ring])]
        return np.array(out)

    def _find_place(self, panel: np.ndarray, xyz: np.ndarray) -> np.ndarray:
        angle, around = self._compute_polar(panel, xyz).T
        ring = np.clip(np.searchsorted(self._compute_angles(), angle, side="right"), 0, len(RINGS) - 1)
        on_ring = np.asarray(RINGS)[ring]
        sector = np.minimum((around * on_ring / (2.0 * math.pi)).astype(np.int64), on_ring - 1)
        return np.concatenate([[0], np.cumsum(RINGS)])[ring] + sector

    def _list_around(self) -> np.ndarray:
        first = np.concatenate([[0], np.cumsum(RINGS)])
        lists: list[list[int]] = [[0, *range(1, 9)]]
        for ring in range(1, len(RINGS)):
            n = RINGS[ring]
            for j in range(n):
                near = [first[ring] + m % n for m in (j, j + 1, j - 1)]
                # the next ring inwards has half as many profiles, the innermost is one cap
                near.append(first[ring - 1] + (j // 2 if ring > 1 else 0))
                near += [first[ring + 1] + 2 * j + m for m in (0, 1)] if ring + 1 < len(RINGS) else []
                lists.append(near)
        return np.array([near + [-1] * (9 - len(near)) for near in lists])

    def _compute_square_distance(self, place: np.ndarray, panel: np.ndarray, xyz: np.ndarray) -> np.ndarray:
        angle, around = self._compute_polar(panel, xyz).T
        there = self._list_places()[place]
        cosine = (np.cos(angle) * np.cos(there[:, 0])
                  + np.sin(angle) * np.sin(there[:, 0]) * np.cos(around - there[:, 1]))
        ends = self._compute_angles()
        widths = np.repeat(np.concatenate([[2.0 * ends[0]], np.diff(ends)]), RINGS)
        return (np.arccos(np.clip(cosine, -1.0, 1.0)) / widths[place]) ** 2


def make_sampler(experiment: Experiment, options: ProfileFittingOptions) -> Sampler:
    """The sampler that the options ask for.

    Steps of the scan are as many as fit into it at ``scan_step`` degrees, rounded up. Grids on the detector's face
    need one panel; with several there is one profile a step, as in DIALS, unless the grid is spherical.

    Parameters
    ----------
    experiment : Experiment
        With detector and scan; for the spherical grid also beam and goniometer.
    options : ProfileFittingOptions
        ``scan_step`` and ``grid_method`` are looked at.

    Returns
    -------
    Sampler
    """
    scan: Any = experiment.scan
    turn = abs(scan.oscillation[1]) * scan.n_frames
    step = options.scan_step or _STEP
    # the small number keeps rounding from adding a step where the scan is a whole number of them
    n_steps = min(max(math.ceil(turn / step - 1e-9), 1), scan.n_frames)
    kinds = {"single": Sampler, "regular_grid": RegularSampler, "circular_grid": CircularSampler,
             "spherical_grid": SphericalSampler}
    method = options.grid_method
    if len(experiment.detector or ()) > 1 and method in ("regular_grid", "circular_grid"):
        method = "single"
    return kinds[method](experiment, n_steps)
