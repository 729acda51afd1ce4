"""Small sweeps and stills drawn by hand: counts in an .npy file, and the experiments that describe them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from xdp.experiment import Beam, Detector, Experiment, ExperimentList, Goniometer, ImageSet, Panel, Scan
from xdp.images.reader import open_reader
from xdp.spotfinding.options import FindSpotsOptions

SHAPE = (64, 72)


def panel(shape=SHAPE, **changes) -> Panel:
    """A panel 100 mm from the sample, the beam through its middle; 0.2 mm pixels."""
    slow, fast = shape
    model = {"fast_axis": (1.0, 0.0, 0.0), "slow_axis": (0.0, -1.0, 0.0),
             "origin": (-0.1 * fast, 0.1 * slow, -100.0), "image_size": (fast, slow), "pixel_size": (0.2, 0.2),
             "trusted_range": (0.0, 60000.0), "type": "SENSOR_PAD"}
    return Panel(**(model | changes))


def background(n_frames: int, n_panels: int = 1, shape=SHAPE, mean: float = 2.0, seed: int = 5) -> np.ndarray:
    """Poisson counts (frame, panel, slow, fast)."""
    return np.random.default_rng(seed).poisson(mean, (n_frames, n_panels, *shape)).astype(np.uint16)


def add_spot(counts: np.ndarray, frames: slice | int, slow: int, fast: int, height: int = 200, panel: int = 0) -> None:
    """Put a spot of 3 x 3 pixels around (slow, fast) on some frames."""
    counts[frames, panel, slow - 1:slow + 2, fast - 1:fast + 2] += np.uint16(height // 2)
    counts[frames, panel, slow, fast] += np.uint16(height - height // 2)


def crossing_spots(n_frames: int = 23, n_panels: int = 2) -> np.ndarray:
    """Counts with many spots of 1 to 9 frames' depth, at random places: some cross any border between chunks."""
    counts = background(n_frames, n_panels)
    rng = np.random.default_rng(17)
    for _ in range(40 * n_panels):
        first, depth = rng.integers(0, n_frames), rng.integers(1, 10)
        add_spot(counts, slice(first, first + depth), *rng.integers((3, 3), (SHAPE[0] - 3, SHAPE[1] - 3)),
                 int(rng.integers(80, 600)), int(rng.integers(n_panels)))
    counts[:, 0, 5, 5] = 3000  # lit on all frames
    return counts


def sweep(folder: Path, counts: np.ndarray, first_image: int = 1, name: str = "sweep.npy", **changes) -> ExperimentList:
    """One sweep of 0.1 degree images from `counts` (frame, panel, slow, fast); `changes` are of the panels."""
    np.save(folder / name, counts)
    n_frames, n_panels, *shape = counts.shape
    panels = tuple(panel(tuple(shape), name=f"p{i}", **changes) for i in range(n_panels))
    scan = Scan((first_image, first_image + n_frames - 1), (0.0, 0.1))
    imageset = ImageSet("ImageSequence", template=str(folder / name), single_file_indices=tuple(range(n_frames)))
    return ExperimentList([Experiment("sweep-0", Beam((0.0, 0.0, 1.0), 1.0), Detector(panels),
                                      Goniometer((1.0, 0.0, 0.0)), scan, imageset=imageset)])


def stills(folder: Path, counts: np.ndarray, name: str = "stills.npy") -> ExperimentList:
    """Each frame of `counts` a still of its own."""
    np.save(folder / name, counts)
    detector = Detector(tuple(panel(counts.shape[2:], name=f"p{i}") for i in range(counts.shape[1])))
    beam = Beam((0.0, 0.0, 1.0), 1.0)
    return ExperimentList(
        Experiment(f"still-{i}", beam, detector, imageset=ImageSet(
            "ImageSet", images=(str(folder / name),), single_file_indices=(i,))) for i in range(len(counts)))


def options(*words: str) -> FindSpotsOptions:
    """Options as from the command line."""
    from xdp.options import parse

    return parse(FindSpotsOptions, words)[0]


__all__ = ["add_spot", "background", "crossing_spots", "open_reader", "options", "panel", "stills", "sweep"]
