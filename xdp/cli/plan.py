"""Forecast spot finding on a cluster: wall time, memory and bytes read, and how many workers pay.

A few frames are timed here, on one thread; the rest is a simulation with the times that workers take to start and the
driver to hand out tasks. Nothing is submitted. Nodes that are faster or slower than this machine, queues, and file
systems that many nodes read at once are not known to it: the bytes per second tell what the latter must bear.

Parameters are those of `xdp find_spots`, and:

  --cluster NAME   the site, sge, lsf, pbs, slurm or NAME.yaml: its cores and memory are used
  plan.sample      frames to time (40)
  plan.max_jobs    the most jobs to look at (1024)

Examples:

  xdp plan imported.expt --cluster slurm
  xdp plan "image_####.cbf" --cluster mysite mp.nproc=8
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xdp.cluster.batch.site import Site
    from xdp.work.forecast import Costs, Forecast


def run(args: list[str]) -> int:
    """Time a few frames here, and print the forecast for 1, 2, 4 ... jobs as a table.

    Raises
    ------
    XdpError
        If the site is not known, or images cannot be read.
    """
    from xdp.cli.file_kinds import READS_IMAGES_OR_MODELS
    from xdp.cli.inputs import read_images
    from xdp.cli.parsing import parse_command
    from xdp.spotfinding.plan_options import PlanOptions
    from xdp.spotfinding.run.chunks import choose_frames_per_task
    from xdp.spotfinding.run.sampling import measure_costs
    from xdp.work.cores import count_threads
    from xdp.work.forecast import choose_forecast, forecast_run, list_worker_counts

    command = parse_command(PlanOptions, _expand_cluster_option(args), __doc__, "plan", reads=READS_IMAGES_OR_MODELS)
    options = command.options
    site = _choose_site(options)
    experiments, _ = read_images(command.inputs, "plan")
    costs, n_frames = measure_costs(experiments, options, options.plan.sample)
    mp = options.spotfinder.mp
    # A job of the site has as many threads as its file says, whatever this machine has.
    threads = site.cores or count_threads(mp)
    # More workers than two for each frame have nothing to do.
    steps = [n for n in list_worker_counts(options.plan.max_jobs) if n == 1 or n * threads <= 2 * n_frames]
    forecasts = [
        forecast_run(n_frames, costs, n, threads,
                     lambda k: choose_frames_per_task(n_frames, k * threads, mp, costs.n_pixels))
        for n in steps]
    sys.stdout.write(_format_forecast(costs, n_frames, threads, forecasts, choose_forecast(forecasts), site))
    return 0


def _expand_cluster_option(args: Sequence[str]) -> list[str]:
    """``--cluster NAME`` as the parameter it stands for."""
    from xdp.errors import OptionError

    words = list(args)
    # The spelling of xdp submit.
    while "--cluster" in words:
        at = words.index("--cluster")
        if at + 1 == len(words):
            raise OptionError("--cluster needs a name: sge, lsf, pbs, slurm, or a site's NAME.yaml")
        words[at:at + 2] = [f"cluster.name={words[at + 1]}"]
    return words


def _choose_site(options) -> Site:
    from xdp.cluster.batch.site import Site, choose_site

    # No site is named: the forecast is for this machine's like.
    if options.cluster.name is None and options.cluster.config is None:
        return Site()
    return choose_site(None, options.cluster)


def _format_forecast(costs: Costs, n_frames: int, threads: int, forecasts: Sequence[Forecast], best: Forecast,
          site: Site) -> str:
    """The forecast as a table with its conclusion."""
    memory = costs.memory(threads)
    lines = [
        f"{n_frames} frames, {costs.frame_bytes / 1e6:.2f} MB each, {n_frames * costs.frame_bytes / 1e9:.2f} GB in all",
        f"one thread: {1e3 * costs.frame:.1f} ms a frame (spread {100 * costs.spread:.0f} %); "
        f"driver: {1e3 * costs.driver:.2f} ms a frame and {1e3 * (costs.task + costs.dispatch):.1f} ms a task",
        f"memory of a worker of {threads} thread{'s' if threads > 1 else ''}: {memory / 1e9:.2f} GB",
        "",
        f"{'jobs':>5} {'tasks':>6} {'frames/task':>11} {'seconds':>9} {'efficiency':>10} {'read MB/s':>9}",
    ]
    lines += [f"{f.n_workers:5d} {f.n_tasks:6d} {f.frames_a_task:11d} {f.seconds:9.1f} {100 * f.efficiency:8.0f} % "
              f"{f.bytes_per_second / 1e6:9.0f}" for f in forecasts]
    lines += ["", f"More than {best.n_workers} job{'s' if best.n_workers > 1 else ''} of {threads} "
              f"core{'s' if threads > 1 else ''} do not pay: the run takes {best.seconds:.0f} s with so many."]
    if site.scheduler != "local":
        lines.append(f"xdp find_spots ... mp.method={site.scheduler} mp.njobs={best.n_workers} mp.nproc={threads}")
        if site.memory_bytes is not None and site.memory_bytes < memory:
            lines.append(f"The site's memory of {site.memory} a job is too little: ask for {memory / 1e9:.1f} GB")
    return "\n".join(lines) + "\n"
