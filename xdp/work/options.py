"""Parameters that say where work runs; every stage that can be spread uses these two models."""

from __future__ import annotations

from typing import Literal

from xdp.options import AUTO, Auto, FilePath, Options, option

BATCH_METHODS = ("drmaa", "sge", "lsf", "pbs", "slurm")
"""Methods that submit jobs to a batch system."""


class WorkerOptions(Options):
    """Where the work runs."""

    # method, njobs and nproc have these names in DIALS' spotfinder.mp and integration.mp, too

    method: Literal["none", "multiprocessing", "drmaa", "sge", "lsf", "pbs", "slurm", "address"] = option(
        "none", "none: threads of this process; multiprocessing: processes on this machine; address: the workers of "
        "the scheduler at cluster.address; else jobs of that batch system.")
    njobs: int | None = option(
        1, "Jobs of the batch system; with multiprocessing more than 1 is that many processes, of nproc threads each.",
        ge=1)
    nproc: int | Auto | None = option(
        1, "Cores of this machine to use, or threads of each job where there are jobs; None or Auto: all cores that "
        "may be used.", ge=1)


class MpOptions(WorkerOptions):
    """Where and how the work runs."""

    chunksize: int | Auto | None = option(
        AUTO, "Frames that a task reads. Auto: min_chunksize or more, so that all workers have work to the end.", ge=1)
    # stopping is the default: frames that are missing without anybody's wish would be found too late
    killed_task: Literal["stop", "skip"] = option(
        "stop", "What becomes of a task that kills its workers again and again: stop the run, naming it, or skip its "
        "frames with a warning. On clusters only: in a single process nothing outlives such a task.", expert=1)
    min_chunksize: int | None = option(
        20, "Fewest frames of a task where chunksize is Auto; a short series may have fewer.", ge=1)


class ClusterOptions(Options):
    """The batch system and how long to be patient with it."""

    name: str | None = option(
        None,
        "The site: NAME.yaml is looked for in the folders of $XDP_CLUSTER_CONFIGS, ./cluster_configs, "
        "~/.config/xdp/clusters and /etc/xdp/clusters. Without it the batch system's own defaults are used.",
    )
    config: FilePath | None = option(
        None, "A file with the settings of the site (queue, memory, walltime ...)", expert=1, file="input")
    address: str | None = option(None, "Join the scheduler that runs at this address, tls://host:port", expert=1)
    queue: str | None = option(None, "The queue or partition, in place of the site file's", expert=1)
    start_timeout: float = option(
        300.0, "Seconds to wait for the first worker before giving up with the batch system's reasons", expert=1, gt=0
    )
    replace_jobs: int = option(
        3,
        "How often each job may be replaced when the batch system kills it; then work goes on with fewer",
        expert=1,
        ge=0,
    )
    dashboard: str = option(
        "localhost:0", "Where the dashboard listens, host:port (port 0: a free one), or none", expert=1
    )
    # without encryption whoever reaches the port can send the workers code to run
    security: Literal["tls", "none"] = option(
        "tls",
        "tls: certificates made for this run; none: plain TCP, by which anyone on the network can run code as you",
        expert=2,
    )
    tls_folder: FilePath | None = option(
        None, "A folder of mode 0700 that all nodes see, for the run's certificates; default ~/.xdp",
        expert=2, file="input")
    performance_report: FilePath | None = option(
        None, "Write Dask's performance report (HTML) to this file", expert=1, file="output")
