"""xdp find_spots against dials.find_spots, on the same images, in one run.

    python benchmarks/find_spots.py [--frames 60 600] [--nproc 1 2] [--repeat 3] [--folder DIR]

Timed is the whole command, from the start of the process to its end (start-up, reading, decoding, finding, writing with
shoeboxes), with the images in the page cache and kernels compiled; programs take turns, the median of the repeats
counts. The bare decode is h5py reading the same counts from bitshuffle-LZ4 HDF5 in one thread, and Numba reading and
decoding the CBF, frame after frame, both inside a running process and between the commands' turns. `after start-up` is
the time inside the process after its imports, by the difference of two series' lengths.
"""

from __future__ import annotations

import shutil
import statistics
import time
from pathlib import Path

from measure import XDP, arguments, machine, run, side_by_side
from series import SHARED, repeated_series


def whole_commands(frames: int, nproc: int, repeat: int, folder: Path) -> dict[str, float]:
    """Both programs on a series of `frames` images."""
    images = repeated_series(folder / f"images_{frames}", frames)
    work = folder / f"run_{frames}"
    work.mkdir(exist_ok=True)
    run([XDP, "import", *map(str, images), "output.experiments=imported.expt", "output.compatibility=dials-3.12"],
        work)
    expt = str(work / "imported.expt")
    commands = {"xdp": [[XDP, "find_spots", expt, f"nproc={nproc}"]]}
    if shutil.which("dials.find_spots"):
        commands["dials"] = [["dials.find_spots", expt, f"nproc={nproc}"]]
    found = side_by_side(commands, repeat, work, with_memory=False)
    return {name: cost.wall for name, cost in found.items()}


def decode_times(repeat: int, folder: Path) -> tuple[float, float]:
    """Seconds a frame of rot_dev to read and decode all of its frames: by h5py from HDF5, by Numba from CBF."""
    import h5py
    import hdf5plugin  # noqa: F401

    from xdp.images.formats.find import find_format

    formats = [find_format(path) for path in repeated_series(folder / "images_60", 60)]
    h5, cbf = [], []
    for _ in range(repeat + 1):
        with h5py.File(SHARED / "rot_dev" / "rot_dev_data_000001.h5") as file:
            data = file["entry/data/data"] if "entry/data/data" in file else file["entry/data"]["data"]
            start = time.perf_counter()
            for k in range(len(data)):
                data[k]
            h5.append((time.perf_counter() - start) / len(data))
        start = time.perf_counter()
        for image in formats:
            image.raw(0)
        cbf.append((time.perf_counter() - start) / len(formats))
    return statistics.median(h5[1:]), statistics.median(cbf[1:])


def main() -> None:
    """Parse and run."""
    args = arguments(__doc__).parse_args()
    print(machine())
    decodes = [decode_times(args.repeat, args.folder)]
    print("| frames | nproc | DIALS s | xdp s | ratio |\n|---|---|---|---|---|")
    found: dict[tuple[int, int], dict[str, float]] = {}
    for nproc in args.nproc:
        for frames in args.frames:
            result = found[frames, nproc] = whole_commands(frames, nproc, args.repeat, args.folder)
            dials = result.get("dials", float("nan"))
            ours = result["xdp"]
            print(f"| {frames} | {nproc} | {dials:.2f} | {ours:.2f} | {dials / ours:.1f} |", flush=True)
            decodes.append(decode_times(args.repeat, args.folder))
    h5, cbf = (statistics.median(seconds) for seconds in zip(*decodes, strict=True))
    print(f"bare decode of a 981 x 831 frame: h5py {1e3 * h5:.2f} ms, CBF {1e3 * cbf:.2f} ms (with reading)")
    if len(args.frames) > 1:
        few, many = min(args.frames), max(args.frames)
        per_frame = {n: (found[many, n]["xdp"] - found[few, n]["xdp"]) / (many - few) for n in args.nproc}
        for nproc, seconds in per_frame.items():
            print(f"after start-up, nproc={nproc}: {1e3 * seconds:.2f} ms a frame, {seconds / h5:.1f} x h5py, "
                  f"{seconds / cbf:.1f} x CBF decode")
        if {1, 2} <= set(per_frame):
            print(f"two threads over one: {per_frame[1] / per_frame[2]:.2f}")


if __name__ == "__main__":
    main()
