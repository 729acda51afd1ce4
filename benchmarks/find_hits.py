"""Processor time of hit finding beside that of reading the images, for all measures; and what a second worker gains.

``python benchmarks/find_hits.py [FILES] [key=value ...]``: without files a drawn CSPAD run (64 panels, photons of 8
counts and noise, every third shot with 400 spots), and stills_dev of the shared data. Prints milliseconds of processor
time a shot for reading alone, for each measure with reading, and their ratio; then the time by the clock with one
worker and with two. The better of two runs counts, so that kernels are compiled and files are in the cache.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import xdp
from xdp.serial.events import open_events

MEASURES = {
    "own_misses": {"own_misses.sample": 9},
    "peakfinder8": {"peakfinder8.threshold": 60},
    "spots": {"spots.dispersion.gain": 8},
    "distl": {"distl.threshold": 450},
}
"""Parameters of each measure. With a threshold peakfinder8 needs no sample of the run; own_misses looks at a tenth of
it, as the default of 200 shots is of a run of 2,000."""
SHARED = Path(os.environ.get("XDP_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
GEOMETRY = SHARED / "serial" / "geom" / "cspad-cxiformat.geom"


def measure_time(work, clock) -> float:
    """Seconds of the faster of two runs."""
    times = []
    for _ in range(2):
        begin = clock()
        work()
        times.append(clock() - begin)
    return min(times)


def decode_all(files, events) -> int:
    """Read all shots and throw them away; how many there are."""
    return sum(bool(shot.image) for shot in open_events(files, events))


def draw_cspad(path: Path, n_shots: int = 90) -> None:
    """Write a run as Cheetah lays a CSPAD out: int16, a chunk a shot, shuffled and packed by gzip."""
    import h5py

    random = np.random.default_rng(3)
    with h5py.File(path, "w") as file:
        data = file.create_dataset("entry_1/data_1/data", (n_shots, 1480, 1552), "i2", chunks=(1, 1480, 1552),
                                   compression="gzip", compression_opts=3, shuffle=True)
        for number in range(n_shots):
            image = random.poisson(1.2, data.shape[1:]) * 8 + random.normal(0, 3, data.shape[1:])
            for _ in range(400 if number % 3 == 0 else 0):
                slow, fast = random.integers(4, 1475), random.integers(4, 1547)
                image[slow - 1:slow + 2, fast - 1:fast + 2] += 150
                image[slow, fast] += 600
            data[number] = image.astype("i2")
        file["entry_1/data_1/mask"] = np.zeros(data.shape[1:], "u2")
        file["LCLS/photon_energy_eV"] = np.full(n_shots, 9500.0)
        file["LCLS/detector_1/EncoderValue"] = np.full(n_shots, -450.0)


def compare(title: str, files, events) -> None:
    """Print the table of one run."""
    n = decode_all(files, events)
    reading = measure_time(lambda: decode_all(files, events), time.process_time)
    print(f"{title}: {n} shots; reading alone {1e3 * reading / n:.2f} ms a shot")
    for name, named in MEASURES.items():
        def find(n_workers=1, name=name, named=named):
            xdp.find_hits(files, {"events": events, "mp": {"nproc": n_workers}}, algorithm=name, powder=None, **named)

        taken = measure_time(find, time.process_time)
        one, two = (measure_time(lambda k=k: find(k), time.perf_counter) for k in (1, 2))
        print(f"{name:12s} {1e3 * taken / n:8.2f} ms a shot, {taken / reading:5.2f} times reading; "
              f"two workers are {one / two:.2f} times as fast as one")


def main(words) -> None:
    """Print the tables."""
    logging.getLogger("xdp").setLevel(logging.WARNING)
    files = [word for word in words if "=" not in word]
    events = dict(word.split("=", 1) for word in words if "=" in word)
    if files:
        compare("given", files, events)
        return
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run.cxi"
        draw_cspad(run)
        compare("drawn CSPAD", [str(run)], {"geometry": str(GEOMETRY)})
    compare("stills_dev", [str(SHARED / "stills_dev" / "stills_dev.h5")], {})


if __name__ == "__main__":
    main(sys.argv[1:])
