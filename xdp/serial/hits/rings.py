"""Rings about the beam: which pixel belongs to which, and a sample of each ring's pixels, once for a geometry."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from xdp.experiment import Beam, Detector
from xdp.serial.hits._kernels_radial import gather_samples, span_tiles

LEAST_PIXELS = 200
"""A ring joins its outer neighbours until it has so many pixels. The spread of so many is known to 5 %; a choice."""
SAMPLE = 200
"""Pixels of a ring whose values are looked at. More would make the statistics of large rings better than needed, and
slower; CrystFEL takes 100. A choice."""
SAME_PLACE = 1e-3
"""Panels that lie within so many mm across the beam give the same rings: a thousandth of a pixel moves no spot."""


class RingMap(NamedTuple):
    """Rings of one geometry.

    Attributes
    ----------
    rings : list of (slow, fast) int32
        Number of each pixel's ring, one array a panel; -1 where it may not be used.
    radius : (rings,) float64
        Mean distance of each ring from the beam, in pixels.
    samples : list of (n,) int64
        For each panel the flat indices of the pixels that are looked at.
    places : list of (n,) int64
        For each panel where their values go, so that those of a ring follow each other.
    first : (rings + 1,) int64
        Where each ring begins in that order.
    spans : list of int32 (rows, columns, 2)
        Lowest and highest ring of each tile of each panel, see :func:`span_tiles`.
    """

    rings: list[np.ndarray]
    radius: np.ndarray
    samples: list[np.ndarray]
    places: list[np.ndarray]
    first: np.ndarray
    spans: list[np.ndarray]

    def sample_values(self, panels: Sequence[np.ndarray], top: float = np.inf) -> np.ndarray:
        """The values of the sampled pixels, ring after ring, float32; NaN for those of `top` and more."""
        found, wanted = [panel.shape for panel in panels], [ring.shape for ring in self.rings]
        if found != wanted:
            raise ValueError(f"the rings are of panels of {wanted} (slow, fast) pixels, the image has {found}")
        values = np.empty(int(self.first[-1]), np.float32)
        for panel, index, place in zip(panels, self.samples, self.places, strict=True):
            gather_samples(np.ascontiguousarray(panel), index, place, top, values)
        return values


class RingMaps:
    """The rings of the geometries of a run, each made once; threads may share them.

    Parameters
    ----------
    min_radius, max_radius : float
        Pixels nearer to the beam or further from it are left out, pixels.
    """

    def __init__(self, min_radius: float = 0.0, max_radius: float = np.inf) -> None:
        self.limits = (min_radius, max_radius)
        self._reset()

    def _reset(self) -> None:
        """Begin with no geometry."""
        self._lock = threading.Lock()
        self._made: dict[tuple, RingMap] = {}
        self._keys: dict[int, tuple[Detector, tuple]] = {}
        self._mask: tuple[Sequence[np.ndarray] | None, object] = (None, None)

    def __getstate__(self) -> dict:
        return {"limits": self.limits}

    def __setstate__(self, state: dict) -> None:
        self.limits = state["limits"]
        self._reset()

    def find(self, detector: Detector, beam: Beam, valid: Sequence[np.ndarray] | None = None) -> RingMap:
        """The rings of a shot's geometry.

        Parameters
        ----------
        detector : Detector
        beam : Beam
        valid : sequence of (slow, fast) bool, optional
            Pixels that may be used.

        Returns
        -------
        RingMap
        """
        with self._lock:
            key = (*self._name_geometry(detector, beam), self._find_mask_name(valid))
            if key not in self._made:
                # Distances of many shots give the same rings: more geometries than these are a sign of odd data
                if len(self._made) >= 8:
                    self._made.clear()
                self._made[key] = make_ring_map(detector, beam, valid, self.limits)
            return self._made[key]

    def _find_mask_name(self, valid: Sequence[np.ndarray] | None) -> object:
        """The name of a mask; shots of one file share theirs."""
        if self._mask[0] is not valid:
            self._mask = valid, _name_mask(valid)
        return self._mask[1]

    def _name_geometry(self, detector: Detector, beam: Beam) -> tuple:
        """What the rings depend on: where panels lie across the beam. Moving the detector along it changes no ring."""
        known = self._keys.get(id(detector))
        if known is None or known[0] is not detector:
            direction = beam.unit_s0
            frames = np.stack([panel.d_matrix for panel in detector])
            across = frames - np.einsum("i,j,pjk->pik", direction, direction, frames)
            depth = np.einsum("j,pjk->pk", direction, frames)
            depth[:, 2] -= depth[:, 2].min()
            # Whole numbers as floats, so that damaged geometries with huge numbers have names, too; -0 is 0.
            numbers = np.rint(np.concatenate([across.ravel(), depth.ravel()]) / SAME_PLACE) + 0.0
            if len(self._keys) > 64:
                self._keys.clear()
            # the detector is kept, so that its id stays its own
            known = self._keys[id(detector)] = detector, (numbers.tobytes(), tuple(detector.panel_shapes))
        return known[1]


def _name_mask(valid: Sequence[np.ndarray] | None) -> object:
    """A name for a mask: what it holds, as a hash; None without one."""
    if valid is None:
        return None
    return tuple(hash(np.packbits(mask).tobytes()) for mask in valid)


def compute_radii(detector: Detector, beam: Beam) -> list[np.ndarray]:
    """Distance of each pixel from the beam in pixels of a flat detector at the first panel's distance.

    Parameters
    ----------
    detector : Detector
    beam : Beam

    Returns
    -------
    list of (slow, fast) float64
        The tangent of the scattering angle times the distance up to 45 degrees; beyond that it grows with the angle,
        so that pixels behind the sample have a radius, too.
    """
    panel = detector[0]
    scale = max(panel.distance, 1e-6) / panel.pixel_size[0]
    out = []
    for panel in detector:
        height, width = panel.shape
        frame = panel.d_matrix
        along_slow = (np.arange(height) + 0.5) * panel.pixel_size[1]
        along_fast = (np.arange(width) + 0.5) * panel.pixel_size[0]
        parallel = (frame.T @ beam.unit_s0)
        depth = parallel[2] + along_slow[:, None] * parallel[1] + along_fast[None, :] * parallel[0]
        square = np.zeros((height, width))
        for axis in range(3):
            square += (frame[axis, 2] + along_slow[:, None] * frame[axis, 1] + along_fast[None, :] * frame[axis, 0])**2
        angle = np.arctan2(np.sqrt(np.maximum(square - depth * depth, 0.0)), depth)
        out.append(scale * np.where(angle < np.pi / 4, np.tan(np.minimum(angle, np.pi / 4)), 1.0 + 2 * (
            angle - np.pi / 4)))
    return out


def make_ring_map(detector: Detector, beam: Beam, valid: Sequence[np.ndarray] | None = None,
                  limits: tuple[float, float] = (0.0, np.inf)) -> RingMap:
    """Number the rings of a geometry, one pixel wide or wider where they have few pixels.

    Parameters
    ----------
    detector : Detector
    beam : Beam
    valid : sequence of (slow, fast) bool, optional
        Pixels that may be used.
    limits : (float, float)
        Least and greatest distance from the beam, pixels.

    Returns
    -------
    RingMap
    """
    radii = compute_radii(detector, beam)
    used = [(r >= limits[0]) & (r < limits[1]) for r in radii]
    if valid is not None:
        used = [a & b for a, b in zip(used, valid, strict=True)]
    whole = np.concatenate([r[u] for r, u in zip(radii, used, strict=True)])
    number = _join_thin_rings(np.bincount(whole.astype(np.int64), minlength=1))
    rings = []
    for radius, mask in zip(radii, used, strict=True):
        ring = np.full(radius.shape, -1, np.int32)
        ring[mask] = number[radius[mask].astype(np.int64)]
        rings.append(ring)
    n_rings = int(number.max()) + 1 if number.size and whole.size else 0
    flat = np.concatenate([ring[ring >= 0] for ring in rings])
    sums = np.bincount(flat, whole, n_rings), np.maximum(np.bincount(flat, minlength=n_rings), 1)
    return RingMap(rings, sums[0] / sums[1], *_choose_samples(rings, n_rings), [span_tiles(ring) for ring in rings])


def _join_thin_rings(n_pixels: np.ndarray) -> np.ndarray:
    """Number of the joint ring of each ring one pixel wide."""
    number, at, n = np.zeros(len(n_pixels), np.int32), 0, 0
    for ring, more in enumerate(n_pixels):
        number[ring] = at
        n += more
        if n >= LEAST_PIXELS:
            at, n = at + 1, 0
    # what is left at the outer end joins the last whole ring
    return np.minimum(number, max(at - (n < LEAST_PIXELS), 0))


def _choose_samples(rings: Sequence[np.ndarray], n_rings: int) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """Pixels that are looked at, evenly spread over each ring, where their values go, and where each ring begins."""
    flat = np.concatenate([ring.reshape(-1) for ring in rings])
    place = np.flatnonzero(flat >= 0)
    place = place[np.argsort(flat[place], kind="stable")]
    size = np.bincount(flat[place], minlength=n_rings)
    begin = np.concatenate([[0], np.cumsum(size)])
    rank = np.arange(place.size) - begin[flat[place]]
    n = size[flat[place]]
    # of n pixels those where the count of samples goes up: any number of them, without gaps or doubles
    step = np.minimum(SAMPLE, n)
    chosen = place[(rank + 1) * step // n > rank * step // n]
    bounds = np.cumsum([0, *(ring.size for ring in rings)])
    panel = np.searchsorted(bounds, chosen, side="right") - 1
    samples = [np.sort(chosen[panel == k]) - bounds[k] for k in range(len(rings))]
    joint = np.concatenate([sample + bounds[k] for k, sample in enumerate(samples)])
    place = np.empty(joint.size, np.int64)
    place[np.argsort(flat[joint], kind="stable")] = np.arange(joint.size)
    places = np.split(place, np.cumsum([sample.size for sample in samples])[:-1])
    return samples, places, np.concatenate([[0], np.cumsum(np.minimum(size, SAMPLE))])
