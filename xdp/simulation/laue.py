"""A pump-probe Laue scan with known truth: frames at several angles, without and with laser, for tests and benchmarks.

A spot appears at one place of the detector on all frames of one angle (or of several, as neighbouring angles of a
mosaic crystal may share one), with a Gaussian profile and an intensity from a falling distribution as a white beam
gives. With laser its intensity changes by a photo-response of 0 to 10 %. Counts are Poisson, over a background that
varies slowly, lies in a beamstop's shadow, and carries the detector's grid.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LaueScan:
    """What `LaueSimulation.frames` is to draw.

    Attributes
    ----------
    shape : tuple of int
        Rows, columns.
    n_angles, n_repeats : int
        Angles, and off/on pairs at each.
    n_spots : int
        Spots at each angle.
    background : float
        Mean counts in the middle, outside the shadow.
    intensity : float
        Median total counts of a spot; the distribution is log-normal with a spread of a factor e.
    width : float
        Standard deviation of a spot's profile, pixels.
    response : float
        Largest relative change of a spot's intensity with laser; each spot's is drawn between 0 and it.
    n_shared : int
        Of each angle's spots, how many lie where the previous angle has one too (several spot-bearing groups a pixel).
    n_same : int
        Over how many angles such a shared spot stays.
    min_distance : float
        Spots of one angle keep this distance (pixels) from each other.
    seed : int
        Of the random numbers.
    """

    shape: tuple[int, int] = (128, 128)
    n_angles: int = 36
    n_repeats: int = 5
    n_spots: int = 12
    background: float = 100.0
    intensity: float = 4000.0
    width: float = 1.3
    response: float = 0.1
    n_shared: int = 2
    n_same: int = 3
    min_distance: float = 14.0
    seed: int = 0


@dataclass(frozen=True)
class LaueSimulation:
    """A drawn scan and its truth.

    Attributes
    ----------
    images : ndarray, shape (n_frames, rows, columns), uint16
        Counts.
    angle : ndarray of float
        Degrees, of each frame.
    laser : ndarray of bool
        Of each frame: off and on in turn.
    repeat : ndarray of int
        Of each frame.
    background : ndarray, shape (rows, columns)
        Mean counts without spots.
    spots : dict of ndarray
        ``angle_index``, ``x``, ``y`` (row and column, pixel centres at whole numbers), ``intensity`` (counts without
        laser), ``response`` (intensity with laser over that without, less 1).
    width : float
        Of the profiles, pixels.
    """

    images: np.ndarray
    angle: np.ndarray
    laser: np.ndarray
    repeat: np.ndarray
    background: np.ndarray
    spots: dict[str, np.ndarray]
    width: float


def simulate_laue(scan: LaueScan | None = None) -> LaueSimulation:
    """Draw a scan.

    Parameters
    ----------
    scan : LaueScan, optional
        The same parameters give the same counts.

    Returns
    -------
    LaueSimulation
    """
    scan = scan or LaueScan()
    rng = np.random.default_rng(scan.seed)
    background = make_laue_background(scan.shape, scan.background, rng)
    spots = _place_spots(scan, rng)
    n_frames = scan.n_angles * scan.n_repeats * 2
    index = np.repeat(np.arange(scan.n_angles), scan.n_repeats * 2)
    laser = np.tile([False, True], scan.n_angles * scan.n_repeats)
    repeat = np.tile(np.repeat(np.arange(1, scan.n_repeats + 1), 2), scan.n_angles)
    images = np.empty((n_frames, *scan.shape), np.uint16)
    for frame in range(n_frames):
        mean = background + draw_spot_image(spots, int(index[frame]), bool(laser[frame]), scan.shape, scan.width)
        # a detector of 16 bits saturates
        images[frame] = np.minimum(rng.poisson(mean), np.iinfo(np.uint16).max)
    return LaueSimulation(images, 1.0 * index, laser, repeat, background, spots, scan.width)


def make_laue_background(shape: tuple[int, int], level: float, rng: np.random.Generator) -> np.ndarray:
    """Make the mean counts without spots: broad scattering, the beamstop's shadow with its arm, the detector's grid.

    Parameters
    ----------
    shape : (int, int)
        Rows, columns.
    level : float
        Mean counts in the middle, outside the shadow.
    rng : numpy.random.Generator
        Draws the response of each pixel, 1 % about 1.

    Returns
    -------
    (rows, columns) float64
    """
    # the image reaches from -1 to 1 both ways
    x, y = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    smooth = level * (0.4 + 0.6 * np.exp(-(x**2 + y**2) / 0.8)) * (1 + 0.1 * x)
    radius = np.hypot(x, y)
    shadow = 1 / (1 + np.exp(-(radius - 0.15) / 0.02))
    arm = 1 - 0.5 * (np.abs(y) < 0.03) * (x > 0)
    # as where the modules of a detector join
    grid = 1 + 0.03 * ((np.arange(shape[0]) % 32 == 0)[:, None] | (np.arange(shape[1]) % 32 == 0)[None, :])
    pixel_response = rng.normal(1, 0.01, shape)
    return np.maximum(smooth * (0.1 + 0.9 * shadow) * arm * grid * pixel_response, 0.05 * level)


def _place_spots(scan: LaueScan, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Place the spots of all angles, and draw their intensities and responses."""
    rows = []
    lasting: list[tuple[float, float, int]] = []
    for angle in range(scan.n_angles):
        # spots of earlier angles that are still there, then new ones
        places = [(x, y) for x, y, last in lasting if last >= angle]
        fresh = _draw_places(scan, places, rng)
        kept = len(places)
        lasting += [(x, y, angle + scan.n_same - 1) for x, y in fresh[:max(0, scan.n_shared - kept)]]
        for x, y in places + fresh:
            intensity = scan.intensity * np.exp(rng.normal())
            rows.append((angle, x, y, intensity, scan.response * rng.random()))
    columns = np.array(rows).reshape(-1, 5).T
    names = ("angle_index", "x", "y", "intensity", "response")
    spots = dict(zip(names, columns, strict=True))
    return spots | {"angle_index": spots["angle_index"].astype(np.int64)}


def _draw_places(scan: LaueScan, taken: list[tuple[float, float]],
                 rng: np.random.Generator) -> list[tuple[float, float]]:
    """Draw random places for the rest of one angle's spots, at a distance from each other and from the border."""
    places = list(taken)
    margin = 8 * scan.width
    # where there is no room for more, it ends with fewer
    for _ in range(100 * scan.n_spots):
        if len(places) >= scan.n_spots:
            break
        x, y = (float(rng.uniform(margin, n - 1 - margin)) for n in scan.shape)
        if all(np.hypot(x - a, y - b) >= scan.min_distance for a, b in places):
            places.append((x, y))
    return places[len(taken):]


def draw_spot_image(spots: dict[str, np.ndarray], angle: int, laser: bool, shape: tuple[int, int],
                    width: float) -> np.ndarray:
    """Draw the mean counts of the spots on a frame: Gaussian profiles, cut at six widths.

    Parameters
    ----------
    spots : dict of array
        As of :class:`LaueSimulation`.
    angle : int
        Number of the angle.
    laser : bool
        Whether the laser was on.
    shape : (int, int)
        Rows, columns.
    width : float
        Standard deviation of the profiles, pixels.

    Returns
    -------
    (rows, columns) float64
    """
    image = np.zeros(shape)
    reach = int(np.ceil(6 * width))
    for i in np.flatnonzero(spots["angle_index"] == angle):
        x, y = spots["x"][i], spots["y"][i]
        rows = np.arange(max(0, round(x) - reach), min(shape[0], round(x) + reach + 1))
        columns = np.arange(max(0, round(y) - reach), min(shape[1], round(y) + reach + 1))
        profile = np.exp(-0.5 * ((rows - x) / width) ** 2)[:, None] * np.exp(-0.5 * ((columns - y) / width) ** 2)
        counts = spots["intensity"][i] * (1 + spots["response"][i] * laser)
        image[np.ix_(rows, columns)] += counts * profile / (2 * np.pi * width**2)
    return image


def write_laue_scan(path: str | os.PathLike, scan: LaueSimulation, *, chunks: tuple[int, int, int] | None = None,
                    compression: str | None = "gzip", shuffle: bool = False) -> None:
    """Write a drawn scan as ``xdp laue_import`` would write it: ``images`` and the group ``lauecollect``.

    Parameters
    ----------
    path : path
        The HDF5 file to make.
    scan : LaueSimulation
        What to write.
    chunks : tuple of int, optional
        Frames, rows and columns stored together; None: one frame, 128 rows.
    compression : str, optional
        Of h5py; None: none.
    shuffle : bool
        Whether bytes are shuffled before compression.
    """
    import h5py

    shape = scan.images.shape
    with h5py.File(path, "w") as file:
        file.create_dataset("images", data=scan.images, chunks=chunks or (1, min(128, shape[1]), shape[2]),
                            compression=compression, shuffle=shuffle)
        group = file.create_group("lauecollect")
        group["angle"], group["laser"], group["repeat"] = scan.angle, scan.laser.astype(np.uint8), scan.repeat
