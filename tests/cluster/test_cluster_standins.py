"""LSF and PBS by stand-ins: scripts, submissions, refusals, killed jobs, commands that hang."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from xdp.cluster import ClusterOptions, MpOptions, connect
from xdp.cluster.batch.cancelling import cancel_run
from xdp.cluster.batch.commands import SchedulerError
from xdp.cluster.batch.dialects import DIALECTS, Request
from xdp.cluster.batch.site import Site
from xdp.cluster.batch.submission import Driver, find_job_status, submit_driver
from xdp.cluster.state import RunState
from xdp.errors import XdpError

COMMANDS = {"lsf": ("bsub", "bjobs", "bkill"), "pbs": ("qsub", "qstat", "qselect", "qdel")}


@pytest.fixture(params=["lsf", "pbs"])
def batch(request, tmp_path, monkeypatch):
    """The name of a batch system whose commands come first on the path; four slots."""
    commands = tmp_path / "bin"
    commands.mkdir()
    for name in COMMANDS[request.param]:
        shutil.copy(Path(__file__).parent / "standin_batch.py", commands / name)
        (commands / name).chmod(0o755)
    folder = tmp_path / "standin"
    folder.mkdir()
    (folder / "slots").write_text("4")
    monkeypatch.setenv("XDP_STANDIN", str(folder))
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    yield request.param
    (folder / "down").unlink(missing_ok=True)
    dialect = DIALECTS[request.param]
    left = dialect.list_jobs(30)
    dialect.cancel_jobs(list(left), 30)
    assert left == {}, "jobs were left behind"


def options(tmp_path, scheduler, text="", **kwargs):
    path = tmp_path / "site.yaml"
    path.write_text(f"scheduler: {scheduler}\ncommand_timeout: 3\n{text}\n")
    return ClusterOptions(config=str(path), dashboard="none", tls_folder=str(tmp_path / "tls"), **kwargs)


def asking():
    """A function that says where it runs; made here, since workers cannot import the tests."""

    def where():
        return os.getcwd(), os.environ.get("LSB_JOBID") or os.environ.get("PBS_JOBID"), os.environ.get("SITE")

    return where


def test_workers_in_jobs(batch, tmp_path):
    state = RunState(None, "x")
    chosen = options(tmp_path, batch, "variables: {SITE: here}")
    with connect(MpOptions(method=batch, njobs=2, nproc=2), chosen, state) as client:
        client.wait_for_workers(2, timeout=60)
        folder, job, site = client.submit(asking()).result(60)
        assert set(client.nthreads().values()) == {2}
        assert client.gather(client.map(abs, range(-20, 0)))[0] == 20
    assert site == "here"
    assert job.split(".")[0] in {"1", "2"}
    assert folder == str(tmp_path / "work")
    assert list((tmp_path / "work" / "xdp-logs").iterdir())
    assert not any((tmp_path / "tls").iterdir())


def test_workers_of_jobs_that_ask_for_no_memory_find_out_what_they_may_use(batch, tmp_path):
    with connect(MpOptions(method=batch, nproc=2), options(tmp_path, batch, "memory:")) as client:
        workers = client.scheduler_info()["workers"].values()
        assert all(0 < worker["memory_limit"] != 4_000_000_000 for worker in workers)
    script = (tmp_path / "standin" / "script1").read_text()
    assert not re.search(r"mem=|^#BSUB -M", script, re.MULTILINE)


def test_a_folder_with_a_blank(batch, tmp_path, monkeypatch):
    folder = tmp_path / "my data"
    folder.mkdir()
    monkeypatch.chdir(folder)
    with connect(MpOptions(method=batch), options(tmp_path, batch)) as client:
        assert client.submit(asking()).result(60)[0] == str(folder)
    assert list((folder / "xdp-logs").iterdir())


def test_a_folder_that_no_job_script_can_name(batch, tmp_path, monkeypatch):
    folder = tmp_path / 'my "data"'
    folder.mkdir()
    monkeypatch.chdir(folder)
    with pytest.raises(XdpError, match="a job script cannot name a folder with quotes"), connect(
        MpOptions(method=batch), options(tmp_path, batch, start_timeout=10)
    ):
        pass


def test_a_killed_job_is_replaced(batch, tmp_path):
    state = RunState(None, "x")
    with connect(MpOptions(method=batch, njobs=1), options(tmp_path, batch), state) as client:
        first = client.submit(asking(), pure=False).result(60)[1]
        DIALECTS[batch].cancel_jobs([first], 30)
        second = client.submit(asking(), pure=False).result(120)[1]
    assert second != first
    assert len(state.data["failures"]) == 1
    # what a worker and Dask print when they are ended is no reason
    assert not re.search(r"KeyboardInterrupt|8\.8\.8\.8|still alive|signal", state.data["failures"][0]["text"])


def test_a_wrong_queue_is_quoted_at_once(batch, tmp_path):
    said = {"lsf": r"bsub said: fast: No such queue\. Job not submitted\.", "pbs": "qsub said: qsub: Unknown queue"}
    with pytest.raises(XdpError, match=f"no job could be started: {said[batch]}"), connect(
        MpOptions(method=batch), options(tmp_path, batch, queue="fast")
    ):
        pass


def test_a_batch_system_that_hangs_is_named(batch, tmp_path):
    (tmp_path / "standin" / "down").write_text("")
    start = time.monotonic()
    command = COMMANDS[batch][0]
    with pytest.raises(XdpError, match=f"{command} did not answer within 3 s"), connect(
        MpOptions(method=batch), options(tmp_path, batch, start_timeout=5)
    ):
        pass
    assert time.monotonic() - start < 60


def test_jobs_that_wait_are_counted(batch, tmp_path):
    (tmp_path / "standin" / "slots").write_text("0")
    with pytest.raises(XdpError, match=r"start_timeout=3 s: 0 workers, 2 jobs queued, 0 starting"), connect(
        MpOptions(method=batch, njobs=2), options(tmp_path, batch, start_timeout=3)
    ):
        pass


@pytest.mark.parametrize("batch", ["pbs"], indirect=True)
def test_a_job_that_waits_is_alive_whatever_its_server_is_called(batch, tmp_path, monkeypatch):
    monkeypatch.setattr("xdp.cluster.batch.census.GRACE", 0.0)  # from when on a job that is not listed counts as dead
    (tmp_path / "standin" / "slots").write_text("0")
    with pytest.raises(XdpError, match=r"start_timeout=3 s: 0 workers, 1 jobs queued, 0 starting, 0 failed; "
                       r"job 1\.vm\S* waits: [^;]*$"), connect(
        MpOptions(method=batch, njobs=1), options(tmp_path, batch, start_timeout=3, replace_jobs=0)
    ):
        pass


def test_jobs_that_die_tell_why(batch, tmp_path):
    chosen = options(tmp_path, batch, "prologue: ['echo no module named ccp4 >&2; exit 1']", replace_jobs=0)
    with pytest.raises(XdpError, match="ended or was killed; it said: no module named ccp4"), connect(
        MpOptions(method=batch), chosen
    ):
        pass


@pytest.mark.parametrize("spooled", [False, True])
@pytest.mark.parametrize("batch", ["lsf"], indirect=True)
def test_output_errors_and_lsfs_report_come_into_one_file(batch, tmp_path, spooled):
    if spooled:
        (tmp_path / "standin" / "spooled").write_text("")
    text = run_to_the_end(batch, tmp_path, "echo out; echo err >&2; exit 7")
    assert "\nout\nerr\n" in f"\n{text}"
    assert "\nExited with exit code 7.\n\nResource usage summary:\n" in text
    assert (text.index("Resource usage") < text.index("\nerr\n")) == spooled
    assert "TERM_" not in text


@pytest.mark.parametrize("batch", ["lsf"], indirect=True)
@pytest.mark.parametrize("units", [None, "kb"])
def test_memory_that_lsf_has_is_given_and_limited(batch, tmp_path, units):
    """A number alone is MB for one option and kB for the other: a thousand times too much would wait for ever."""
    (tmp_path / "standin" / "enforce").write_text("")
    if units is not None:
        (tmp_path / "standin" / "old").write_text("")
    text = run_to_the_end(batch, tmp_path, "python3 -c 'x = b\"1\" * 100_000_000'", memory="4GB", lsf_units=units)
    assert "Successfully completed." in text
    assert "Total Requested Memory :                     4000.00 MB" in text


@pytest.mark.parametrize("batch", ["lsf"], indirect=True)
def test_lsf_ends_a_job_above_its_limit(batch, tmp_path):
    (tmp_path / "standin" / "enforce").write_text("")
    text = run_to_the_end(batch, tmp_path, "python3 -c 'x = b\"1\" * 300_000_000; import time; time.sleep(60)'",
                          memory="100MB")
    assert "TERM_MEMLIMIT: job killed after reaching LSF memory usage limit.\nExited with exit code 137.\n" in text


@pytest.mark.parametrize("batch", ["lsf"], indirect=True)
def test_an_old_lsf_refuses_units_and_is_quoted(batch, tmp_path):
    (tmp_path / "standin" / "old").write_text("")
    with pytest.raises(XdpError, match="4000MB: MEMLIMT value should be a positive integer"):
        run_to_the_end(batch, tmp_path, "true")


def run_to_the_end(name, tmp_path, command, **keys):
    """Run a job of a shell command; all that its log folder holds."""
    logs = tmp_path / "logs"
    logs.mkdir()
    site = Site(scheduler=name, **keys)
    script = DIALECTS[name].make_script(Request("job", command, 2, site.memory_bytes, str(logs)), site)
    (tmp_path / "script.sh").write_text(script)
    job = DIALECTS[name].submit_script(script, str(tmp_path / "script.sh"), 10)
    end = time.monotonic() + 30
    while job in DIALECTS[name].list_jobs(10) and time.monotonic() < end:
        time.sleep(0.1)
    files = list(logs.iterdir())
    assert len(files) == 1
    return files[0].read_text()


def test_the_driver_as_a_job(batch, tmp_path):
    driver = Driver(Site(scheduler=batch), 1, tmp_path / "run", ("--version",), run="69")
    submit_driver(driver)
    end = time.monotonic() + 30
    while find_job_status(tmp_path / "run") != "gone" and time.monotonic() < end:
        time.sleep(0.2)
    logs = [path.read_text() for path in (tmp_path / "run" / "xdp-logs").iterdir()]
    assert any(text.startswith("xdp 0.") for text in logs)


def test_a_waiting_driver_can_be_cancelled_and_not_be_doubled(batch, tmp_path):
    (tmp_path / "standin" / "slots").write_text("0")
    driver = Driver(Site(scheduler=batch), 1, tmp_path / "run", ("--version",))
    job = submit_driver(driver)
    with pytest.raises(XdpError, match=r"job .* of this run is under way; xdp cancel"):
        submit_driver(driver)
    said = {"lsf": r"queued \(Job slot limit reached: 1 host; Not enough processors .* requirement\)",
            "pbs": r"queued \(Not Running: Insufficient amount of resource: ncpus \(R: 1 A: 0 T: 0\)\)"}
    assert re.fullmatch(said[batch], find_job_status(tmp_path / "run"))
    assert cancel_run(tmp_path / "run") == [job]
    assert find_job_status(tmp_path / "run") == "gone"


def test_the_stand_in_answers_as_the_real_ones(batch, tmp_path):
    unknown = {"lsf": (["bkill", "999"], 255, "Job <999>: No matching job found"),
               "pbs": (["qdel", "999"], 153, "Unknown Job Id")}[batch]
    done = subprocess.run(unknown[0], capture_output=True, text=True, check=False)
    assert (done.returncode, unknown[2] in done.stderr) == (unknown[1], True)


def test_why_jobs_wait_is_said_early_and_in_the_error(batch, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    (tmp_path / "standin" / "slots").write_text("0")
    said = {"lsf": "Job slot limit reached: 1 host; Not enough processors to meet the job's spanning requirement",
            "pbs": r"Not Running: Insufficient amount of resource: ncpus \(R: 1 A: 0 T: 0\)"}[batch]
    with pytest.raises(XdpError, match=rf"start_timeout=3 s: .* 0 failed; job 1\S* waits: {said}$"), connect(
        MpOptions(method=batch), options(tmp_path, batch, start_timeout=3)
    ):
        pass
    assert re.search(f"Waiting for workers: .* waits: {said}", caplog.text)


def test_a_submission_that_hangs_leaves_no_job(batch, tmp_path):
    """The job is taken, though nobody hears of it: the fixture looks into the queue."""
    (tmp_path / "standin" / "lost").write_text("")
    (tmp_path / "standin" / "slots").write_text("0")
    command = COMMANDS[batch][0]
    with pytest.raises(XdpError, match=f"{command} did not answer within 3 s"), connect(
        MpOptions(method=batch), options(tmp_path, batch, start_timeout=4, replace_jobs=0)
    ):
        pass
    assert len(list((tmp_path / "standin").glob("job*.json"))) == 1


def test_a_driver_whose_submission_hangs_is_cancelled(batch, tmp_path):
    (tmp_path / "standin" / "lost").write_text("")
    (tmp_path / "standin" / "slots").write_text("0")
    driver = Driver(Site(scheduler=batch, command_timeout=3), 1, tmp_path / "run", ("--version",))
    with pytest.raises(XdpError, match="did not answer within 3 s; it was taken all the same and is cancelled: job 1"):
        submit_driver(driver)
    assert not (tmp_path / "run" / "xdp-job.json").exists()


def test_a_driver_that_comes_up_after_all_can_be_cancelled(batch, tmp_path, monkeypatch):
    """The batch system is silent as the submission is given up, and answers again later."""
    (tmp_path / "standin" / "lost").write_text("")
    (tmp_path / "standin" / "slots").write_text("0")

    def silent(self, name, timeout):
        raise SchedulerError("no answer")

    driver = Driver(Site(scheduler=batch, command_timeout=3), 1, tmp_path / "run", ("--version",))
    with monkeypatch.context() as patch:
        patch.setattr(type(DIALECTS[batch]), "find_jobs_by_name", silent)
        with pytest.raises(XdpError, match="may still come up in the queue: xdp cancel"):
            submit_driver(driver)
    assert re.match("queued", find_job_status(tmp_path / "run"))
    with pytest.raises(XdpError, match=r"job .* of this run is under way"):
        submit_driver(driver)
    assert [job.split(".")[0] for job in cancel_run(tmp_path / "run")] == ["1"]
    assert find_job_status(tmp_path / "run") == "gone"


@pytest.mark.parametrize("batch", ["lsf"], indirect=True)
def test_volclava_takes_our_jobs(batch, tmp_path, monkeypatch):
    (tmp_path / "standin" / "volclava").write_text("")
    monkeypatch.setenv("FROM_THE_DRIVER", "yes")
    keys = {"lsf_units": "kb", "clear_environment": False, "memory": "4GB"}
    text = run_to_the_end(batch, tmp_path, "echo $FROM_THE_DRIVER >&2", **keys)
    assert text.startswith("yes\n")
    assert not (tmp_path / "work" / "nv").exists()
    (tmp_path / "logs").rename(tmp_path / "before")
    text = run_to_the_end(batch, tmp_path, "echo err >&2", lsf_units="kb")
    assert "err" not in text.splitlines()
    assert (tmp_path / "work" / "nv").read_text() == "err\n"
