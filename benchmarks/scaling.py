"""How spot finding and integration scale: measured on one and two workers of this machine, simulated on up to 1,000.

    python benchmarks/scaling.py [--frames 3600] [--sweeps 10] [--workers 1 2] [--folder DIR]

Timed is the stage inside a running process whose workers are there and have worked on a few frames (start-up is in
benchmarks/find_spots.py and integrate.py): threads of the process, and processes under a Dask scheduler. Overhead is
the part of the workers' time in which they ran no task before the last one was done: building the graph and scheduling.
The end is the part of the run after that, in which the driver writes the table. CPU is that of the driver and of all
workers: what a run of processes takes more than one of threads is Dask's, and wall times on a machine that others use
say little beside it. Weak scaling gives each worker as many frames as one had. Integration is that of rot_dev's 60
frames, as so many sweeps with a crystal each. The cost of a task that does nothing is measured for the simulation,
which is that of `xdp plan`.
"""

from __future__ import annotations

import argparse
import json
import operator
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from integrate import refined
from series import repeated_series

PROBE = """
import json, os, resource, sys, time
from xdp.cluster import connect
expt, method, nproc, amount, folder = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
mp = {"method": method, "nproc": nproc}
def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
STAGE
with connect(options(1).MP) as client:
    run(1, client)
    before = cpu() + sum(client.run(cpu).values() if client is not None else ())
    busy, end, begun, start = None, None, time.time(), time.perf_counter()
    if client is None:
        run(amount, client)
    else:
        from distributed import get_task_stream
        with get_task_stream(client) as stream:
            run(amount, client)
    seconds = time.perf_counter() - start
    used = cpu() + sum(client.run(cpu).values() if client is not None else ()) - before
    if client is not None:
        parts = [part for task in stream.data for part in task["startstops"] if part["action"] == "compute"]
        busy = sum(part["stop"] - part["start"] for part in parts)
        end = begun + seconds - max(part["stop"] for part in parts)
print(json.dumps([seconds, busy, end, used]))
"""
FIND_SPOTS = """
from xdp.experiment import read_experiments
from xdp.spotfinding.find import find_spots_to_file
from xdp.spotfinding.options import FindSpotsOptions
experiments = read_experiments(expt)
def options(last):
    return FindSpotsOptions(output={"reflections": folder + "/strong.refl"},
                            spotfinder={"mp": mp, "scan_range": ((1, last),)})
def run(frames, client):
    find_spots_to_file(experiments, options(max(frames, 40 * nproc)), client=client)
"""
INTEGRATE = """
from dataclasses import replace
import numpy as np
from xdp.experiment import ExperimentList
from xdp.experiment.io import read_experiments
from xdp.integration.integrate import integrate_to_file
from xdp.integration.options import IntegrateOptions
from xdp.reflections.refl import read_reflections
from xdp.reflections.table import ReflectionTable
(experiment,), spots = read_experiments(expt), read_reflections(expt.replace(".expt", ".refl"))
def sweeps(n):
    copies, tables = [], []
    images = os.path.dirname(experiment.imageset.template)
    for i in range(n):
        there = f"{folder}/images-{i}"  # another place, or they were crystals on the same images
        if not os.path.exists(there):
            os.symlink(images, there)
        imageset = replace(experiment.imageset, template=experiment.imageset.template.replace(images, there))
        copies.append(replace(experiment, identifier=f"sweep-{i}", imageset=imageset))
        rows = spots.select(np.arange(len(spots)))
        rows["id"] = np.full(len(spots), i, np.int32)
        tables.append(ReflectionTable({name: rows[name] for name in rows}, {i: f"sweep-{i}"}, len(rows)))
    return ExperimentList(copies), ReflectionTable.concatenate(tables)
def options(n):
    return IntegrateOptions(output={"reflections": folder + "/integrated.refl",
                                    "experiments": folder + "/integrated.expt"}, integration={"mp": mp})
def run(n, client):
    integrate_to_file(*sweeps(n), options(n), client)
"""
STAGES = {"find_spots": PROBE.replace("STAGE", FIND_SPOTS).replace("MP", "spotfinder.mp"),
          "integrate": PROBE.replace("STAGE", INTEGRATE).replace("MP", "integration.mp")}


def measured(stage: str, expt: Path, method: str, nproc: int,
             amount: int) -> tuple[float, float | None, float | None, float]:
    """Seconds of a run; of all its workers computing; from the last task to the end; CPU seconds of all of it."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([sys.executable, "-c", STAGES[stage], str(expt), method, str(nproc), str(amount),
                               folder], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    return tuple(json.loads(done.stdout.splitlines()[-1]))


def dispatch_seconds(n_tasks: int = 2000) -> tuple[float, float]:
    """Wall and CPU seconds of the driver for a task that does nothing, submitted, run and fetched as a stage does it.

    The wall time is that of two idle workers that wait for each next task, which a task of any length hides; the CPU
    time is what bounds a run of many workers.
    """
    from xdp.cluster import connect
    from xdp.work.options import MpOptions
    from xdp.work.workers import run_on_client

    with connect(MpOptions(method="multiprocessing", nproc=2)) as client:
        list(run_on_client(operator.add, 0, [(i,) for i in range(50)], client))
        start, used = time.perf_counter(), time.process_time()
        list(run_on_client(operator.add, 0, [(i,) for i in range(n_tasks)], client))
        return (time.perf_counter() - start) / n_tasks, (time.process_time() - used) / n_tasks


def simulated(expt: Path, n_frames: int, dispatch: tuple[float, float]) -> None:
    """The table of up to 1,000 workers of one thread, with this machine's times."""
    import dataclasses

    from xdp.experiment import read_experiments
    from xdp.spotfinding.options import FindSpotsOptions
    from xdp.spotfinding.run.chunks import choose_frames_per_task
    from xdp.spotfinding.run.sampling import measure_costs
    from xdp.work.forecast import forecast_run

    options = FindSpotsOptions()
    costs, _ = measure_costs(read_experiments(expt), options, 60)
    costs = dataclasses.replace(costs, dispatch=dispatch[1])
    print(f"\nan empty task: {1e3 * dispatch[0]:.2f} ms, {1e3 * dispatch[1]:.2f} ms of the driver's CPU")
    print(f"\nsimulated, {n_frames} frames, {1e3 * costs.frame:.2f} ms a frame, driver {1e3 * costs.driver:.2f} ms a "
          f"frame and {1e3 * (costs.dispatch + costs.task):.2f} ms a task:\n"
          "| workers | tasks | s | efficiency |\n|---|---|---|---|")
    mp = options.spotfinder.mp
    for n in (1, 10, 30, 100, 300, 1000):
        one = forecast_run(n_frames, costs, n, 1, lambda k: choose_frames_per_task(n_frames, k, mp, costs.n_pixels))
        print(f"| {n} | {one.n_tasks} | {one.seconds:.1f} | {100 * one.efficiency:.0f} % |")


def table(stage: str, expt: Path, most: int, workers: list[int]) -> None:
    """Strong and weak scaling of a stage up to `most` frames or sweeps."""
    print(f"\n{stage}:\n| workers | {'frames' if stage == 'find_spots' else 'sweeps'} | kind | s | speed-up | overhead "
          "| end | CPU s |\n|---|---|---|---|---|---|---|---|")
    for method, kind in (("none", "threads"), ("multiprocessing", "processes")):
        first: dict[int, float] = {}
        for n in workers:
            for amount in sorted({most, most * n // max(workers)}, reverse=True):
                seconds, busy, end, used = measured(stage, expt, method, n, amount)
                first.setdefault(amount, seconds)
                lost = " | " if busy is None or end is None else (
                    f"{100 * (1 - end / seconds - busy / (seconds * n)):.1f} % | {100 * end / seconds:.1f} %")
                print(f"| {n} | {amount} | {kind} | {seconds:.2f} | {first[amount] / seconds:.2f} | {lost} "
                      f"| {used:.1f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=3600, help="of spot finding; 0: none")
    parser.add_argument("--sweeps", type=int, default=10, help="of 60 frames, to be integrated; 0: none")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--simulate", type=int, default=100_000, help="frames of the simulated run; 0: none")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "xdp-benchmark")
    args = parser.parse_args()
    n_frames = args.frames or 60
    images = repeated_series(args.folder / f"images_{n_frames}", n_frames)
    expt = args.folder / f"scaling_{n_frames}.expt"
    subprocess.run([str(Path(sys.executable).with_name("xdp")), "import", *map(str, images),
                    f"output.experiments={expt}"], cwd=args.folder, check=True, stdout=subprocess.DEVNULL)
    if args.frames:
        table("find_spots", expt, args.frames, args.workers)
    if args.sweeps:
        table("integrate", Path(refined(args.folder, 60)[0]), args.sweeps, args.workers)
    if args.simulate:
        simulated(expt, args.simulate, dispatch_seconds())


if __name__ == "__main__":
    main()
