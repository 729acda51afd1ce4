"""The one place that makes a Dask client."""

from __future__ import annotations

import contextlib
import logging
import shutil
import socket
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xdp
from xdp.cluster.ending import end_on_signals
from xdp.cluster.environment import DASK, NO_ROUTE, make_nanny_variables
from xdp.cluster.state import RunState
from xdp.errors import OptionError, XdpError
from xdp.options.named import make_options
from xdp.work.cores import count_threads
from xdp.work.options import ClusterOptions, MpOptions, WorkerOptions

if TYPE_CHECKING:
    from distributed import Client

log = logging.getLogger(__name__)


@contextlib.contextmanager
def connect(mp: WorkerOptions | Mapping[str, Any] | None = None,
            cluster: ClusterOptions | Mapping[str, Any] | None = None, state: RunState | None = None, **named: Any
            ) -> Iterator[Client | None]:
    """Give a Dask client with workers as `mp` asks for; workers and jobs end with the block.

    ``mp.method=none`` gives None: the stage runs on threads of this process, and nothing of Dask's distributed part is
    imported.

    Parameters
    ----------
    mp : WorkerOptions or dict, optional
        Where and how the work runs.
    cluster : ClusterOptions or dict, optional
        The batch system.
    state : RunState, optional
        Records the jobs, the workers, the dashboard and failures.

    **named
        Parameters of `mp` by name: ``method="slurm", njobs=4, nproc=8``.

    Yields
    ------
    distributed.Client or None

    Raises
    ------
    XdpError
        If no worker can be had, with the batch system's own words, or if a task killed its workers again and again.

    Examples
    --------
    >>> import xdp
    >>> with xdp.connect(method="none", nproc=2) as client:
    ...     print(client)
    None
    """
    if not isinstance(mp, WorkerOptions) or named:
        mp = make_options(type(mp) if isinstance(mp, WorkerOptions) else MpOptions, mp, named)
    cluster = make_options(ClusterOptions, cluster)
    state = state or RunState(None, "")
    if mp.method == "none":
        yield None
        return
    makers = {"multiprocessing": _connect_locally, "address": _join_scheduler}
    import dask
    import distributed  # noqa: F401  its defaults first: set within the block, they would go with it

    make = makers.get(mp.method, _connect_to_jobs)
    with dask.config.set(DASK), end_on_signals(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", NO_ROUTE, RuntimeWarning)
        with make(mp, cluster, state) as client, _write_report(cluster):
            try:
                yield client
            except Exception as error:
                as_user_error = _name_killing_task(error)
                if as_user_error is error:
                    raise
                raise as_user_error from error


def _name_killing_task(error: Exception) -> Exception:
    """Dask's complaint about a task that kills workers, as a user error; other errors as they are."""
    from distributed.scheduler import KilledWorker

    if not isinstance(error, KilledWorker):
        return error
    return XdpError(f"the task {error.task} killed its workers {error.allowed_failures + 1} times (memory? see "
                    "memory in the site's file, and the jobs' logs); the run stops there and may be started again")


@contextlib.contextmanager
def _connect_locally(mp: WorkerOptions, cluster: ClusterOptions, state: RunState) -> Iterator[Client]:
    """Processes of this machine: nproc of them, or njobs with nproc threads each."""
    import dask
    from distributed import Client, LocalCluster
    from distributed.security import Security

    jobs = mp.njobs or 1
    workers, threads = (jobs, count_threads(mp)) if jobs > 1 else (count_threads(mp), 1)
    security = Security.temporary() if cluster.security == "tls" else None
    scratch = tempfile.mkdtemp(prefix="xdp-workers-")
    try:
        preload = [*dask.config.get("distributed.worker.preload", []), "xdp.cluster.worker_setup"]
        with dask.config.set({"distributed.nanny.pre-spawn-environ": make_nanny_variables(),
                              "distributed.worker.preload": preload}), LocalCluster(
            n_workers=workers,
            threads_per_worker=threads,
            host="127.0.0.1",
            protocol="tls://" if security else "tcp://",
            security=security,
            dashboard_address=_find_dashboard_address(cluster) or "127.0.0.1:0",
            scheduler_kwargs={"dashboard": _find_dashboard_address(cluster) is not None},
            local_directory=scratch,
            silence_logs=logging.CRITICAL,  # what users need to know comes in our own words
        ) as made, Client(made, security=security) as client:
            _announce_dashboard(client, cluster, state)
            yield client
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextlib.contextmanager
def _join_scheduler(mp: WorkerOptions, cluster: ClusterOptions, state: RunState) -> Iterator[Client]:
    """The workers of a scheduler that runs already."""
    from distributed import Client

    from xdp.cluster.security import load_security

    if not cluster.address:
        raise OptionError("mp.method=address needs cluster.address=tls://host:port")
    if not cluster.address.startswith("tls://") and cluster.security != "none":
        raise OptionError(f"cluster.address={cluster.address} is not encrypted: anyone on the network could run code "
                          "as you; use tls://, or write cluster.security=none")
    security = None
    if cluster.address.startswith("tls://"):
        if cluster.tls_folder is None:
            raise OptionError(f"cluster.address={cluster.address} needs cluster.tls_folder with ca.pem and key.pem")
        security = load_security(cluster.tls_folder)
    try:
        client = Client(cluster.address, security=security, timeout=cluster.start_timeout)
    except (OSError, TimeoutError) as error:
        raise XdpError(f"no scheduler answers at {cluster.address}: {error}") from error
    with client:
        # another version of the code would fail later, or give other numbers
        _check_workers(client, cluster)
        yield client


def _check_workers(client: Client, cluster: ClusterOptions) -> None:
    """Raise XdpError unless a running scheduler has workers, and those this program."""
    try:
        client.wait_for_workers(1, timeout=cluster.start_timeout)
    except TimeoutError:
        raise XdpError(f"the scheduler at {cluster.address} has no workers, and none came within "
                       f"cluster.start_timeout={cluster.start_timeout:g} s") from None

    def version() -> str | None:  # within a function, or workers would need the program to read it
        try:
            import xdp
        except ImportError:
            return None
        return xdp.__version__

    for address, there in client.run(version).items():
        if there != xdp.__version__:
            has = "no xdp" if there is None else f"xdp {there}"
            raise XdpError(f"the worker at {address} has {has}, this is xdp {xdp.__version__}: start the workers of "
                           f"{cluster.address} where the same xdp is installed")


@contextlib.contextmanager
def _connect_to_jobs(mp: WorkerOptions, cluster: ClusterOptions, state: RunState) -> Iterator[Client]:
    """Jobs of a batch system."""
    from distributed import Client

    from xdp.cluster.batch.site import choose_site
    from xdp.cluster.security import load_security, make_credentials, remove_credentials
    from xdp.work.kernel_cache import use_kernel_cache

    site = choose_site(mp.method, cluster)
    folder = make_credentials(cluster.tls_folder) if cluster.security == "tls" else None
    security = None if folder is None else load_security(folder)
    made: Any = None
    dog: Any = None
    try:
        _cancel_jobs_of_lost_run(state, site.command_timeout)
        made, dog = _start_jobs(site, mp, cluster, security, state)
        dog.wait_for_first_worker(cluster.start_timeout)
        # the driver knows by the cache whether workers have to compile first, which takes longer than a small task
        with Client(made, security=security) as client, dog.watch_during(client), use_kernel_cache(site.kernel_cache):
            _announce_dashboard(client, cluster, state)
            yield client
    finally:
        # the watchdog first: it would replace the jobs that are cancelled
        if dog is not None:
            dog.stop()
        if made is not None:
            _end_jobs_and_scheduler(made, () if dog is None else dog.jobs.values(), site.command_timeout)
        # once more: what the killed driver was just submitting may have come into the queue since
        _cancel_jobs_of_lost_run(state, site.command_timeout)
        if folder is not None:
            remove_credentials(folder)


def _cancel_jobs_of_lost_run(state: RunState, timeout: float) -> None:
    """Cancel the jobs of a killed driver whose run this one resumes: some would hold their slots until death_timeout.

    They are found by their name, which that run alone has. A batch system that does not answer is no reason to stop.
    """
    from xdp.cluster.batch.dialects import DIALECTS

    lost = state.lost_run or {}
    name, dialect = str(lost.get("job_name", "")), DIALECTS.get(str(lost.get("scheduler", "")))
    if name and dialect is not None:
        with contextlib.suppress(XdpError):
            if ended := dialect.cancel_by_name(name, timeout):
                log.info("Cancelled jobs that the killed run left behind: %s", ", ".join(ended))


def _start_jobs(site: Any, mp: WorkerOptions, cluster: ClusterOptions, security: Any, state: RunState
                ) -> tuple[Any, Any]:
    """Start the scheduler, submit the jobs, set the watchdog on them."""
    from xdp.cluster.batch.job_names import make_worker_name
    from xdp.cluster.batch.jobs import WorkerPlan, make_cluster
    from xdp.cluster.batch.watchdog import Watchdog

    # batch systems make no folders, and a job without a place for its log fails to start
    logs = Path(site.log_folder).absolute()
    try:
        logs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise XdpError(f"{logs}: cannot make the folder of the jobs' logs: {error.strerror}") from error
    plan = WorkerPlan(site, _choose_dialect(mp.method, site), site.cores or count_threads(mp), str(logs),
                      make_worker_name())
    made = make_cluster(plan, security=security, dashboard=_find_dashboard_address(cluster))
    jobs = mp.njobs or 1
    memory = site.memory or "as much memory as there is"
    log.info("Submitting %d jobs of %d cores and %s by %s", jobs, plan.cores, memory, mp.method)
    state.update(scheduler=getattr(plan.dialect, "native", plan.dialect).name, job_name=plan.job_name)
    made.scale(jobs)
    return made, Watchdog(made, jobs, cluster.replace_jobs, state, patience=cluster.start_timeout)


def _choose_dialect(method: str, site: Any) -> Any:
    """The batch system's dialect; for DRMAA the one that speaks to its library."""
    if method == "drmaa":
        from xdp.cluster.batch.drmaa import Drmaa

        return Drmaa(site.scheduler)
    from xdp.cluster.batch.dialects import DIALECTS

    return DIALECTS[method]


def _end_jobs_and_scheduler(made: Any, former: Iterable[Any], timeout: float) -> None:
    """End the jobs, also the `former` ones that Dask left behind, and those whose submission was given up."""
    jobs = {job.job_id for job in [*made.workers.values(), *former] if job.job_id}
    plan = made._job_kwargs["plan"]
    with contextlib.suppress(Exception):  # the jobs must be cancelled even if Dask stumbles over its own end
        made.close(timeout=2 * timeout)
    # Dask does not wait for those that are being submitted: they would come into the queue after the last look at it
    plan.submissions.wait(timeout)
    jobs |= plan.submissions.ids
    with contextlib.suppress(XdpError):
        listed = plan.dialect.list_jobs(timeout)  # asked for each id as it was submitted: PBS lists shortened ones
        plan.dialect.cancel_jobs(sorted(job for job in jobs if job in listed), timeout)
    # by name, even if the list did not come: a submission that was given up may have been taken all the same, and has
    # no id here. A batch system that is busy is asked once more
    for pause in (1.0, 0.0):
        try:
            plan.dialect.cancel_by_name(plan.job_name, timeout)
            break
        except XdpError:
            time.sleep(pause)


def _find_dashboard_address(cluster: ClusterOptions) -> str | None:
    if cluster.dashboard.lower() == "none":
        return None
    host, _, port = cluster.dashboard.rpartition(":")
    if not port.isdigit():
        raise OptionError(f"cluster.dashboard must be host:port or none, got {cluster.dashboard!r}")
    return f"{'127.0.0.1' if host in ('', 'localhost') else host}:{port}"


def _announce_dashboard(client: Any, cluster: ClusterOptions, state: RunState) -> None:
    """Say where the dashboard is and how to reach it from elsewhere."""
    link = client.dashboard_link if cluster.dashboard.lower() != "none" else None
    if not link:
        return
    port = link.split(":")[2].split("/")[0]
    state.update(dashboard=f"http://localhost:{port}/status on {socket.gethostname()}")
    log.info("Dashboard: http://localhost:%s/status (from elsewhere: ssh -L %s:localhost:%s %s)", port, port, port,
             socket.gethostname())


@contextlib.contextmanager
def _write_report(cluster: ClusterOptions) -> Iterator[None]:
    """Dask's performance report, where it is asked for."""
    if cluster.performance_report is None:
        yield
        return
    from distributed import performance_report

    with performance_report(filename=cluster.performance_report):
        yield
