"""Clients: none for threads, processes of this machine, a running scheduler."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from fake_commands import put_command

from xdp.cluster import ClusterOptions, MpOptions, connect
from xdp.cluster.batch.dialects import DIALECTS
from xdp.cluster.batch.jobs import WorkerPlan, make_cluster
from xdp.cluster.batch.site import Site
from xdp.cluster.connect import _cancel_jobs_of_lost_run, _end_jobs_and_scheduler
from xdp.cluster.state import RunState
from xdp.errors import OptionError, XdpError


def test_threads_need_no_client_and_no_import():
    code = (
        "import sys\nfrom xdp.cluster import MpOptions, connect\n"
        "with connect(MpOptions()) as client:\n    assert client is None\n"
        "print([name for name in ('distributed', 'dask_jobqueue', 'dask', 'asyncio') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_processes_of_this_machine():
    state = RunState(None, "x")
    with connect(MpOptions(method="multiprocessing", nproc=2), state=state) as client:
        pids = set(client.run(os.getpid).values())
        assert len(pids) == 2
        assert os.getpid() not in pids
        assert sorted(client.nthreads().values()) == [1, 1]
        assert client.scheduler.address.startswith("tls://127.0.0.1:")
        assert client.submit(lambda a: a + 1, 2).result() == 3
        assert state.data["dashboard"].startswith("http://localhost:")
        assert dashboard_addresses(state.data["dashboard"]) == {"127.0.0.1"}


def dashboard_addresses(link):
    """Addresses on which this process listens at the dashboard's port."""
    import psutil

    port = int(link.split(":")[2].split("/")[0])
    connections = psutil.Process().net_connections(kind="inet")
    return {item.laddr.ip for item in connections if item.status == "LISTEN" and item.laddr.port == port}


def test_jobs_of_several_threads():
    with connect(MpOptions(method="multiprocessing", njobs=2, nproc=3), ClusterOptions(dashboard="none")) as client:
        assert sorted(client.nthreads().values()) == [3, 3]


def test_a_task_that_kills_its_workers_is_named():
    with (pytest.raises(XdpError, match="the task threshold-12 killed its workers 3 times"),
          connect(MpOptions(method="multiprocessing"), ClusterOptions(dashboard="none")) as client):
        client.submit(os._exit, 1, key="threshold-12").result()


def test_a_performance_report_is_written(tmp_path):
    path = tmp_path / "report.html"
    options = ClusterOptions(performance_report=str(path), dashboard="none")
    with connect(MpOptions(method="multiprocessing"), options) as client:
        client.submit(sum, [1, 2]).result()
    assert "Dask Performance Report" in path.read_text()


def test_joining_a_running_scheduler(tmp_path):
    from distributed import LocalCluster

    from xdp.cluster.security import load_security, make_credentials

    folder = make_credentials(tmp_path / "tls")
    with LocalCluster(n_workers=1, processes=False, security=load_security(folder), protocol="tls://",
                      dashboard_address=None, host="127.0.0.1") as cluster:
        options = ClusterOptions(address=cluster.scheduler_address, tls_folder=str(folder))
        with connect(MpOptions(method="address"), options) as client:
            assert client.submit(sum, [1, 2]).result() == 3
        assert cluster.scheduler.workers  # the scheduler is not ours to close


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"mp\.method=address needs cluster\.address"),
        ({"address": "tcp://127.0.0.1:1"}, "is not encrypted: anyone on the network"),
        ({"address": "tls://127.0.0.1:1"}, r"needs cluster\.tls_folder"),
    ],
)
def test_what_an_address_needs(options, message):
    with pytest.raises(OptionError, match=message), connect(MpOptions(method="address"), ClusterOptions(**options)):
        pass


def refused(at, timeout, message):
    """Join a scheduler, which must fail."""
    options = ClusterOptions(**at, start_timeout=timeout)
    with pytest.raises(XdpError, match=message), connect(MpOptions(method="address"), options):
        pass


def test_workers_at_an_address_must_have_the_program(tmp_path):
    from distributed import LocalCluster

    (tmp_path / "xdp").mkdir()
    (tmp_path / "xdp" / "__init__.py").write_text("raise ImportError")
    with LocalCluster(n_workers=0, protocol="tcp://", host="127.0.0.1", dashboard_address=None) as cluster:
        at = {"address": cluster.scheduler_address, "security": "none"}
        refused(at, 1, r"has no workers, and none came within cluster\.start_timeout=1 s")
        command = [sys.executable, "-m", "distributed.cli.dask_worker", cluster.scheduler_address, "--no-nanny",
                   "--no-dashboard", "--local-directory", str(tmp_path)]
        worker = subprocess.Popen(command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path)},
                                  stderr=subprocess.DEVNULL)
        try:
            refused(at, 60, "has no xdp, this is xdp")
        finally:
            worker.kill()
            worker.wait()


def test_nobody_at_the_address():
    options = ClusterOptions(address="tcp://127.0.0.1:1", security="none", start_timeout=1)
    with pytest.raises(XdpError, match="no scheduler answers at"), connect(MpOptions(method="address"), options):
        pass


def test_a_wrong_dashboard_is_refused():
    options = ClusterOptions(dashboard="here")
    with pytest.raises(OptionError, match="host:port or none, got 'here'"), connect(
        MpOptions(method="multiprocessing"), options
    ):
        pass


def test_connect_works_off_the_main_thread():
    seen = []

    def work():
        with connect(MpOptions(method="multiprocessing"), ClusterOptions(dashboard="none")) as client:
            seen.append(client.submit(sum, [1, 2]).result())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert seen == [3]


CHATTY = """
import signal, socket, sys, warnings
import distributed.utils
from xdp.cluster import ClusterOptions, MpOptions, connect

with connect(MpOptions(method="multiprocessing", nproc=2), ClusterOptions(dashboard="none")) as client:
    message = "Couldn't detect a suitable IP address for reaching '8.8.8.8', defaulting to hostname: no route"
    warnings.warn(message, RuntimeWarning)
    print("begun", flush=True)
    client.submit(__import__("time").sleep, 60).result()
"""


def test_ctrl_c_prints_nothing_of_dask(tmp_path):
    """A terminal sends it to all processes of the command: to the workers, too."""
    with subprocess.Popen([sys.executable, "-c", CHATTY], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, start_new_session=True,
                          preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)) as process:
        assert process.stdout.readline() == "begun\n"
        time.sleep(1.0)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert said.count("Traceback") == said.count("KeyboardInterrupt") == 1  # Python's own, of this script
    for word in ("8.8.8.8", "still alive", "distributed.nanny", "Process Dask Worker"):
        assert word not in said


def test_the_jobs_of_a_killed_run_are_cancelled(tmp_path, monkeypatch):
    """A worker that was starting when its driver was killed holds its slot until death_timeout otherwise."""
    put_command(tmp_path, monkeypatch, "squeue", """case "$*" in *"-n xdp-worker-kfzt -o %i") printf '4\n9\n';; esac""")
    put_command(tmp_path, monkeypatch, "scancel", f'echo "$@" > {tmp_path}/cancelled')
    killed = RunState(tmp_path / "state.json", "find_spots")
    killed.data.update(scheduler="slurm", job_name="xdp-worker-kfzt", pid=2**22 + 1)  # above the largest pid of Linux
    killed.write()
    _cancel_jobs_of_lost_run(RunState(tmp_path / "state.json", "find_spots"), 10)
    assert (tmp_path / "cancelled").read_text() == "4 9\n"


def test_a_batch_system_without_answer_does_not_stop_the_resumed_run(tmp_path, monkeypatch):
    put_command(tmp_path, monkeypatch, "squeue", "echo down >&2; exit 1")
    killed = RunState(tmp_path / "state.json", "find_spots")
    killed.data.update(scheduler="slurm", job_name="xdp-worker-kfzt", pid=2**22 + 1)
    killed.write()
    _cancel_jobs_of_lost_run(RunState(tmp_path / "state.json", "find_spots"), 10)


def test_a_job_whose_submission_outlasts_the_run_is_cancelled(tmp_path, monkeypatch):
    """The run's other jobs may have done all its work while the batch system still takes this one."""
    put_command(tmp_path, monkeypatch, "sbatch",
                f"touch {tmp_path}/begun; sleep 2; touch {tmp_path}/taken; echo 'Submitted batch job 7'")
    put_command(tmp_path, monkeypatch, "squeue", f"""if [ -e {tmp_path}/taken ]; then
  case "$*" in *"-n xdp-worker"*) echo 7;; *) echo '7 PENDING';; esac; fi""")
    put_command(tmp_path, monkeypatch, "scancel", f'echo "$@" >> {tmp_path}/cancelled')
    site = Site(scheduler="slurm", host="127.0.0.1", command_timeout=20)
    plan = WorkerPlan(site, DIALECTS["slurm"], 1, str(tmp_path))
    made = make_cluster(plan, security=None, dashboard=None)
    made.scale(1)
    while not (tmp_path / "begun").exists():
        time.sleep(0.05)
    _end_jobs_and_scheduler(made, (), site.command_timeout)
    assert plan.submissions.ids == {"7"}
    assert "7" in (tmp_path / "cancelled").read_text().split()
