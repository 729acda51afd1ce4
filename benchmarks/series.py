"""Make longer series for benchmarks: rot_dev's 60 images repeated, with the angles of their headers running on."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

SHARED = Path(__file__).parents[2] / "shared" / "data"


def repeated_series(folder: Path, n_frames: int) -> list[Path]:
    """Write `n_frames` unpacked CBF files into `folder`; rot_dev over and over, each 0.5 degrees on."""
    sources = sorted((SHARED / "rot_dev" / "cbf").glob("*.cbf.gz"))
    if not sources:
        raise SystemExit(f"needs the rot_dev images in {SHARED}")
    folder.mkdir(parents=True, exist_ok=True)
    contents = [gzip.decompress(source.read_bytes()) for source in sources]
    paths = []
    for number in range(n_frames):
        path = folder / f"series_{number + 1:05d}.cbf"
        if not path.exists():
            angle = f"# Start_angle {10.0 + 0.5 * number:.4f} deg.".encode()
            content = re.sub(rb"# Start_angle [^\n\r]*deg\.", angle, contents[number % len(contents)], count=1)
            path.write_bytes(content)
        paths.append(path)
    return paths
