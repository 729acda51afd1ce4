"""Which line of a job's logs is quoted as the reason of its end."""

from __future__ import annotations

import pytest

from xdp.cluster.batch.job_logs import find_reason_in_logs


def test_the_reason_comes_from_the_job_s_own_log(tmp_path):
    (tmp_path / "xdp-worker.o12").write_text("a\n2026 - distributed.worker - INFO - talk\nImportError: no numba\n\n")
    (tmp_path / "xdp-worker.o1").write_text("other\n")
    (tmp_path / "xdp-worker.7.err").write_text("bash: module: command not found\n")
    assert find_reason_in_logs(str(tmp_path), "12") == "ImportError: no numba"
    assert find_reason_in_logs(str(tmp_path), "7.vm") == "bash: module: command not found"
    assert find_reason_in_logs(str(tmp_path), "99") == ""


LSF_HEAD = "------\nSender: LSF System <lsfadmin@vm>\n\nYour job looked like:\n# LSBATCH: User input\n# Error: none\n\n"
LSF_TAIL = "Resource usage summary:\n\n    Run time :   3 sec.\n\nThe output (if any) {}\n\n"
LSF_HINT = "\nPS:\n\nRead file <worker.12.err> for stderr output of this job.\n\n"


@pytest.mark.parametrize(
    ("logs", "words"),
    [
        ({"err": "ModuleNotFoundError: no ccp4\n", "out": "TERM_MEMLIMIT: job killed.\nExited with signal 9.\n\n"},
         "TERM_MEMLIMIT: job killed."),
        ({"err": "Traceback\nModuleNotFoundError: no ccp4\n", "out": "Exited with exit code 1.\n\n"},
         "ModuleNotFoundError: no ccp4"),
        ({"err": "no module named ccp4\n", "out": "Exited with exit code 1.\n\n"}, "no module named ccp4"),
        ({"out": "Exited with exit code 1.\n\n"}, "Exited with exit code 1."),
    ],
)
@pytest.mark.parametrize("place", ["follows:", "is above this job summary."])
def test_the_reason_of_a_job_of_lsf(tmp_path, logs, words, place):
    for name, text in logs.items():
        report = f"{LSF_HEAD}{text}{LSF_TAIL.format(place)}{LSF_HINT}" if name == "out" else text
        (tmp_path / f"worker.12.{name}").write_text(report)
    assert find_reason_in_logs(str(tmp_path), "12") == words


def test_the_reason_beside_lsf_s_report(tmp_path):
    """One file for both, with output after the report or before it."""
    report = f"{LSF_HEAD}Exited with exit code 1.\n\n{LSF_TAIL}"
    (tmp_path / "worker.12.out").write_text(report.format("follows:") + "no module named ccp4\n")
    (tmp_path / "worker.13.out").write_text("no module named ccp4\n\n" + report.format("is above this job summary."))
    assert {find_reason_in_logs(str(tmp_path), job) for job in ("12", "13")} == {"no module named ccp4"}


def test_an_error_tells_more_than_what_comes_after_it(tmp_path):
    (tmp_path / "worker.13.out").write_text(
        "slurmstepd: error: Detected 1 oom_kill event in StepId=13.batch.\n2026 - distributed - WARNING - closing\n"
        "/usr/lib/python3.11/multiprocessing/resource_tracker.py:224: UserWarning: 1 leaked\n"
        "  warnings.warn('resource_tracker: There appear to be 1 leaked semaphore objects')\n")
    reason = find_reason_in_logs(str(tmp_path), "13")
    assert reason == "slurmstepd: error: Detected 1 oom_kill event in StepId=13.batch."
    (tmp_path / "worker.14.out").write_text("good bye\n  warnings.warn('x')\nPS: Read file <worker.14.err> for it.\n")
    assert find_reason_in_logs(str(tmp_path), "14") == "good bye"


INTERRUPTED = """Traceback (most recent call last):
  File "/usr/lib/python3.11/asyncio/runners.py", line 190, in run
    return runner.run(main)
asyncio.exceptions.CancelledError

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "<frozen runpy>", line 198, in _run_module_as_main
    raise KeyboardInterrupt()
KeyboardInterrupt
"""


@pytest.mark.parametrize("said", [
    INTERRUPTED,
    "/usr/lib/python3/distributed/utils.py:181: RuntimeWarning: Couldn't detect a suitable IP address for reaching "
    "'8.8.8.8', defaulting to hostname: [Errno 101] Network is unreachable\n  warnings.warn(\n",
    "2026-11-30 15:00:00,000 - distributed.nanny - WARNING - Worker process still alive after 4.0 seconds, killing\n",
    "User defined signal 2\n",
    "/var/spool/job_scripts/12: line 14:  4321 User defined signal 2   python -m distributed.cli.dask_worker\n",
    "Terminated\n",
])
def test_the_echo_of_an_end_is_no_reason(tmp_path, said):
    log = tmp_path / "xdp-worker-kfzt.o12"
    log.write_text(said)
    assert find_reason_in_logs(str(tmp_path), "12") == ""
    log.write_text(f"bash: module: command not found\n{said}")
    assert find_reason_in_logs(str(tmp_path), "12") == "bash: module: command not found"


def test_the_exception_below_a_traceback_is_the_reason_and_no_line_of_code(tmp_path):
    (tmp_path / "w.o12").write_text("Traceback (most recent call last):\n  File 'x.py', line 1\n    raise KeyError\n"
                                    "ValueError: no such site\n" + INTERRUPTED)
    assert find_reason_in_logs(str(tmp_path), "12") == "ValueError: no such site"


def test_the_label_of_a_run_is_no_number_of_a_job(tmp_path):
    (tmp_path / "xdp-69-kfzt.12.out").write_text("of job 12\n")
    (tmp_path / "xdp-worker-kfzt.o69").write_text("of job 69\n")
    assert find_reason_in_logs(str(tmp_path), "69") == "of job 69"
    assert find_reason_in_logs(str(tmp_path), "12") == "of job 12"
