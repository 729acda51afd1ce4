"""How spot finding scales: measured on one and two workers of this machine, simulated on up to a thousand.

    python benchmarks/scaling.py [--frames 3600] [--workers 1 2] [--folder DIR]

Timed is spot finding inside a running process whose workers are there and have worked on a few frames (start-up is in
benchmarks/find_spots.py): threads of the process, and processes under a Dask scheduler. Overhead is the part of the
workers' time in which they ran no task, although there was work: building the graph, scheduling, the end of the run.
Weak scaling gives each worker as many frames as one had. The cost of a task that does nothing is measured for the
simulation, which is that of `xdp plan`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from series import repeated_series

PROBE = """
import json, sys, time
from xdp.cluster import connect
from xdp.cluster.options import MpOptions
from xdp.experiment import read_experiments
from xdp.spotfinding.graph import find_spots_to_file
from xdp.spotfinding.options import FindSpotsOptions
expt, method, nproc, frames, out = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
experiments = read_experiments(expt)
mp = {"method": method, "nproc": nproc}
def options(last):
    return FindSpotsOptions(output={"reflections": out}, spotfinder={"mp": mp, "scan_range": ((1, last),)})
with connect(options(1).spotfinder.mp) as client:
    find_spots_to_file(experiments, options(20 * nproc + 20), client)
    busy, start = None, time.perf_counter()
    if client is None:
        find_spots_to_file(experiments, options(frames), client)
    else:
        from distributed import get_task_stream
        with get_task_stream(client) as stream:
            find_spots_to_file(experiments, options(frames), client)
        parts = [part for task in stream.data for part in task["startstops"] if part["action"] == "compute"]
        busy = sum(part["stop"] - part["start"] for part in parts)
    seconds = time.perf_counter() - start
print(json.dumps([seconds, busy]))
"""


def measured(expt: Path, method: str, nproc: int, frames: int) -> tuple[float, float | None]:
    """Seconds of a run, and seconds in which its workers computed (all workers together)."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([sys.executable, "-c", PROBE, str(expt), method, str(nproc), str(frames),
                               str(Path(folder) / "strong.refl")], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    return tuple(json.loads(done.stdout.splitlines()[-1]))


def nothing(shared, number: int) -> int:
    """The task of the empty graph."""
    return number


def dispatch_seconds(n_tasks: int = 2000) -> float:
    """Seconds of the driver for a task that does nothing, submitted, run and taken in as a stage does it."""
    from xdp.cluster import connect
    from xdp.cluster.options import MpOptions
    from xdp.cluster.running import on_client

    with connect(MpOptions(method="multiprocessing", nproc=2)) as client:
        list(on_client(nothing, 0, [(i,) for i in range(50)], client))
        start = time.perf_counter()
        list(on_client(nothing, 0, [(i,) for i in range(n_tasks)], client))
        return (time.perf_counter() - start) / n_tasks


def simulated(expt: Path, n_frames: int, dispatch: float) -> None:
    """The table of up to 1,000 workers of one thread, with this machine's times."""
    import dataclasses

    from xdp.cluster.planning import forecast
    from xdp.experiment import read_experiments
    from xdp.spotfinding.chunks import frames_per_task
    from xdp.spotfinding.options import FindSpotsOptions
    from xdp.spotfinding.sampling import sampled_costs

    options = FindSpotsOptions()
    costs, _ = sampled_costs(read_experiments(expt), options, 60)
    costs = dataclasses.replace(costs, dispatch=dispatch)
    print(f"\nsimulated, {n_frames} frames, {1e3 * costs.frame:.2f} ms a frame, driver {1e3 * costs.driver:.2f} ms a "
          f"frame and {1e3 * dispatch:.2f} ms a task:\n| workers | tasks | s | efficiency |\n|---|---|---|---|")
    for n in (1, 10, 30, 100, 300, 1000):
        one = forecast(n_frames, costs, n, 1, lambda k: frames_per_task(n_frames, k, options.spotfinder.mp))
        print(f"| {n} | {one.n_tasks} | {one.seconds:.1f} | {100 * one.efficiency:.0f} % |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=3600)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--simulate", type=int, default=100_000, help="frames of the simulated run")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "xdp-benchmark")
    args = parser.parse_args()
    images = repeated_series(args.folder / f"images_{args.frames}", args.frames)
    expt = args.folder / f"scaling_{args.frames}.expt"
    subprocess.run([str(Path(sys.executable).with_name("xdp")), "import", *map(str, images),
                    f"output.experiments={expt}"], cwd=args.folder, check=True, stdout=subprocess.DEVNULL)
    print("| workers | frames | kind | s | speed-up | overhead |\n|---|---|---|---|---|---|")
    for method, kind in (("none", "threads"), ("multiprocessing", "processes")):
        first: dict[int, float] = {}
        for workers in args.workers:
            for frames in sorted({args.frames, args.frames * workers // max(args.workers)}, reverse=True):
                seconds, busy = measured(expt, method, workers, frames)
                first.setdefault(frames, seconds)
                overhead = "" if busy is None else f"{100 * (1 - busy / (seconds * workers)):.1f} %"
                print(f"| {workers} | {frames} | {kind} | {seconds:.2f} | {first[frames] / seconds:.2f} | {overhead} |",
                      flush=True)
    simulated(expt, args.simulate, dispatch_seconds())


if __name__ == "__main__":
    main()
