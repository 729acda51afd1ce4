"""How fast xdp laue_spots is, and how much memory it takes.

    python benchmarks/laue_speed.py [--frames 360] [--size 2048] [--folder DIR] [--kernels-only]

Whole command: against one read and decode of the same gzip HDF5 by h5py (one thread, as HDF5 does it), for images
stored in tiles of rows, as laue_import writes them, and in whole frames. Kernels: against NumPy in tiles of 4,096
pixels and a loop over scipy.stats.kruskal, one thread each.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

import h5py
import numpy as np
from scipy import stats

from xdp.laue.background import Grouping, Trimming, compute_grouped_background, compute_trimmed_background
from xdp.simulation.laue import LaueScan, LaueSimulation, draw_spot_image, make_laue_background, simulate_laue

# Runs a command and prints its wall time, processor time and largest resident size (MB).
PROBE = """
import resource, subprocess, sys, time
start = time.perf_counter()
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, code)
"""


def write_stack(path: Path, n_frames: int, size: int, rows: int) -> None:
    """A scan of `n_frames` with 300 spots an angle of 10 frames; noise is cut at random from a long Gaussian one."""
    rng = np.random.default_rng(0)
    shape = (size, size)
    background = make_laue_background(shape, 100.0, rng).astype(np.float32)
    spread = np.sqrt(background)
    pool = rng.standard_normal(2 * size * size, dtype=np.float32)
    n_angles = -(-n_frames // 10)
    truth = simulate_laue(LaueScan(shape=(64, 64), n_angles=1, n_repeats=1, n_spots=1))
    n_spots = 300 * n_angles
    spots = {"angle_index": np.repeat(np.arange(n_angles), 300), "x": rng.uniform(12, size - 12, n_spots),
             "y": rng.uniform(12, size - 12, n_spots), "intensity": 4000 * np.exp(rng.normal(size=n_spots)),
             "response": 0.1 * rng.random(n_spots)}
    truth = LaueSimulation(**{**truth.__dict__, "spots": spots})
    with h5py.File(path, "w") as file:
        data = file.create_dataset("images", (n_frames, *shape), np.uint16, chunks=(1, rows, size), compression="gzip",
                                   compression_opts=1, shuffle=True)
        for frame in range(n_frames):
            start = int(rng.integers(0, size * size))
            noise = pool[start:start + size * size].reshape(shape)
            mean = draw_spot_image(truth.spots, frame // 10, bool(frame % 2), shape, 1.3).astype(np.float32)
            image = np.rint(background + mean + noise * np.sqrt(spread**2 + mean)).clip(0, 65535).astype(np.uint16)
            for row in range(0, size, rows):
                planes = image[row:row + rows].reshape(-1).view(np.uint8).reshape(-1, 2).T
                data.id.write_direct_chunk((frame, row, 0), zlib.compress(np.ascontiguousarray(planes), 1))
        file["lauecollect/angle"] = np.arange(n_frames) // 10 * 2.0
        file["lauecollect/laser"] = np.arange(n_frames) % 2


def read_once(path: Path) -> tuple[float, float]:
    """Wall and processor seconds of h5py for all frames, one after another."""
    with h5py.File(path) as file:
        data = file["images"]
        target = np.empty(data.shape[1:], data.dtype)
        start, start_cpu = time.perf_counter(), time.process_time()
        for frame in range(data.shape[0]):
            data.read_direct(target, np.s_[frame])
        return time.perf_counter() - start, time.process_time() - start_cpu


def run(path: Path, *options: str) -> tuple[float, float, float]:
    """Wall seconds, processor seconds, largest resident megabytes of the command."""
    output = path.with_name("out.h5")
    command = [sys.executable, "-m", "xdp.cli.main", "laue_spots", "-o", str(output), *options, str(path)]
    command[1:3] = ["-c", "import sys; from xdp.cli.main import main; sys.exit(main(sys.argv[1:]))"]
    done = subprocess.run([sys.executable, "-c", PROBE, *command], capture_output=True, text=True, check=True)
    wall, cpu, memory, code = map(float, done.stdout.split())
    assert code == 0, done.stderr
    output.unlink()
    return wall, cpu, memory


RUNS = (("mp.nproc=1",), ("mp.nproc=2",), ("mp.nproc=2", "-S", "pairs"), ("mp.nproc=2", "-m", "kruskal"))


def whole_command(folder: Path, n_frames: int, size: int) -> None:
    print(f"{n_frames} frames of {size} x {size} uint16, {n_frames * size * size * 2 / 2**30:.2f} GiB")
    print("                                               wall seconds              processor seconds")
    print("stored in      options                       once command  ratio      once command  ratio   peak MB")
    for title, rows in (("row tiles", 128), ("whole frames", size)):
        path = folder / f"{rows}__mccd.h5"
        write_stack(path, n_frames, size, rows)
        for options in RUNS:
            once, once_cpu = read_once(path)
            wall, cpu, memory = run(path, *options)
            print(f"{title:14s} {' '.join(options):28s} {once:6.1f} {wall:7.1f} {wall / once:6.2f}   {once_cpu:7.1f} "
                  f"{cpu:7.1f} {cpu / once_cpu:6.2f} {memory:9.0f}", flush=True)
        path.unlink()


def numpy_trimmed(values: np.ndarray, n_removed: int) -> None:
    """The same statistics with NumPy, in tiles of 4,096 pixels."""
    for begin in range(0, values.shape[1], 4096):
        tile = values[:, begin:begin + 4096]
        keep = len(tile) - n_removed
        kept = np.partition(tile, keep - 1, axis=0)[:keep]
        kept.mean(axis=0), kept.std(axis=0), np.subtract(*np.percentile(kept, [75, 25], axis=0))
        tile.max(axis=0), tile.argmax(axis=0)


def scipy_kruskal(values: np.ndarray, groups: np.ndarray, alpha: float) -> None:
    """Rejection of groups with a loop over scipy.stats.kruskal."""
    for pixel in values.T:
        left = list(range(groups.max() + 1))
        samples = [pixel[groups == group] for group in left]
        while len(samples) > 1 and stats.kruskal(*samples).pvalue < alpha:
            samples.pop(int(np.argmax([sample.mean() for sample in samples])))
        kept = np.concatenate(samples)
        kept.mean(), kept.std(), np.subtract(*np.percentile(kept, [75, 25]))


def per_pixel(function, values: np.ndarray, repeats: int = 3) -> float:
    """Microseconds of processor time a pixel (one thread; fair on a busy machine), the best of some runs."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function(values)
        times.append(time.process_time() - start)
    return 1e6 * min(times) / values.shape[1]


def kernels() -> None:
    scan = simulate_laue(LaueScan(shape=(64, 512), n_spots=60))
    values = scan.images.reshape(len(scan.images), -1)
    groups = np.round(scan.angle).astype(int)
    grouping = Grouping(tuple(groups.tolist()))
    maxgroup = Grouping(tuple(groups.tolist()), test="maxgroup")
    for how in (grouping, maxgroup):
        compute_grouped_background(values[:, :64], how)
    compute_trimmed_background(values[:, :64], Trimming(90))
    ours = per_pixel(lambda v: compute_trimmed_background(v, Trimming(90)), values)
    numpy = per_pixel(lambda v: numpy_trimmed(v, 90), values)
    print(f"n_removed: {ours:.2f} us a pixel, NumPy {numpy:.2f}: {numpy / ours:.1f} x")
    ours = per_pixel(lambda v: compute_grouped_background(v, grouping), values)
    scipy = per_pixel(lambda v: scipy_kruskal(v, groups, 0.05), values[:, ::64], 1)
    print(f"kruskal:   {ours:.2f} us a pixel, SciPy {scipy:.0f}: {scipy / ours:.0f} x")
    print(f"maxgroup:  {per_pixel(lambda v: compute_grouped_background(v, maxgroup), values):.2f} us a pixel")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=360)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--kernels-only", action="store_true")
    arguments = parser.parse_args()
    kernels()
    if not arguments.kernels_only:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            whole_command(Path(folder), arguments.frames, arguments.size)


if __name__ == "__main__":
    main()
