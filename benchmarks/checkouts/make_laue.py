"""Laue scans for comparing checkouts: run by a checkout's interpreter, it writes into the current folder.

    python make_laue.py FRAME.jp2

- ``scan__mccd.h5``: simulated, 128 x 128 pixels, 12 angles of 3 pairs;
- ``series.log`` and ``xray_images/*.jp2``: the same scan's first twelve frames as a Lauecollect log and its images;
- ``ge__mccd.h5``: spots of a measured frame, moved over its background from angle to angle, noise drawn anew.

The simulator is found by its functions' names, since modules may move between checkouts.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import imagecodecs
import numpy as np
from scipy import ndimage


def find_simulator() -> ModuleType:
    """The module of `xdp` that defines `simulate_laue`."""
    import xdp

    root = Path(xdp.__file__).parent
    for path in sorted(root.rglob("*.py")):
        if "\ndef simulate_laue(" in path.read_text(encoding="utf-8"):
            return importlib.import_module(".".join(("xdp", *path.relative_to(root).with_suffix("").parts)))
    raise SystemExit("no module of xdp defines simulate_laue: say in make_laue.py where it went")


def write_series(images: np.ndarray, folder: Path) -> None:
    """Frames as JPEG 2000 images (readable without geometry) and the log of a beamline beside them."""
    (folder / "xray_images").mkdir()
    rows = ["# written for comparing checkouts", "#date time\tfile\tdelay\tangle[deg]"]
    for i, counts in enumerate(images):
        name = f"s_{i:03d}.jp2"
        packed = imagecodecs.jpeg2k_encode(counts, reversible=True, level=0)
        (folder / "xray_images" / name).write_bytes(packed)
        rows.append(f"now\t{name}\t{'-' if i % 2 == 0 else '1ns'}\t{i // 4}")
    (folder / "series.log").write_text("\n".join(rows) + "\n")


def move_spots(frame: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frames of 12 angles, off and on, that show the frame's spots elsewhere at each angle; angles; the background."""
    background = ndimage.median_filter(frame, 31)
    noise = 1.4826 * np.median(np.abs(frame - background))
    spots = np.where(frame - background > 6 * noise, frame - background, 0)
    rng = np.random.default_rng(0)
    angles = np.repeat(np.arange(12), 2)
    frames = [background + np.roll(spots, (41 * angle, 67 * angle), (0, 1)) + noise * rng.standard_normal(frame.shape)
              for angle in angles]
    return np.rint(frames).clip(0, 65535).astype(np.uint16), angles * 1.0, background


def main() -> None:
    """Write the three scans."""
    simulator = find_simulator()
    scan = simulator.simulate_laue(simulator.LaueScan(n_angles=12, n_repeats=3, n_spots=8, seed=4))
    simulator.write_laue_scan("scan__mccd.h5", scan)
    write_series(scan.images[:12], Path())
    frame = imagecodecs.imread(sys.argv[1])[700:1212, 700:1212].astype(np.float64)
    images, angles, background = move_spots(frame)
    turned = simulator.LaueSimulation(images, angles, np.tile([False, True], 12), np.ones(24, int), background, {}, 1.0)
    simulator.write_laue_scan("ge__mccd.h5", turned)


if __name__ == "__main__":
    main()
