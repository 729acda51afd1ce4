"""The driver itself as a batch job, so that the login node is free: submit, follow, cancel, read the logs."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xdp.cluster.batch.arguments import make_paths_whole
from xdp.cluster.batch.command_check import check_command
from xdp.cluster.batch.commands import SchedulerError
from xdp.cluster.batch.dialects import DIALECTS, QUEUED, Dialect, Request
from xdp.cluster.batch.job_names import make_driver_name
from xdp.cluster.batch.site import Site
from xdp.cluster.state import FILE_NAME, VARIABLE
from xdp.errors import OptionError, XdpError
from xdp.files import atomic_output
from xdp.protection import Input, Inputs

JOB_FILE = "xdp-job.json"
"""What is known of the driver's job, in the run's folder."""
SCRIPT_FILE = "xdp-job.sh"
"""The script of that job, beside it; kept, so that users see what was submitted."""
DEFAULT_PATH = ("/usr/bin", "/bin")
"""Folders that are on the path of every job."""


@dataclass(frozen=True)
class Driver:
    """A driver job to be.

    Attributes
    ----------
    site : Site
    cores : int
        Cores of the job.
    out : Path
        Folder where the run works and leaves everything.
    args : tuple of str
        Arguments of ``xdp``; ``{run}`` and ``{experiment}`` in them are replaced.
    run, experiment : str
        Labels of the beam time, also given as $XDP_RUN and $XDP_EXPERIMENT.
    """

    site: Site
    cores: int
    out: Path
    args: tuple[str, ...]
    run: str = ""
    experiment: str = ""

    def make_command(self) -> list[str]:
        """Make the words of the command that the job runs: Python, xdp, and inputs by their whole paths.

        Raises
        ------
        OptionError
            If a label is needed and not given, or the command has no such parameter.
        """
        words = make_paths_whole([self._fill_labels(word) for word in self.args])
        return [self.site.python or sys.executable, "-m", "xdp.cli.main", *words]

    def _fill_labels(self, word: str) -> str:
        for name, value in {"run": self.run, "experiment": self.experiment}.items():
            if f"{{{name}}}" in word and not value:
                raise OptionError(f"{word!r} needs --{name}")
            word = word.replace(f"{{{name}}}", value)
        return word

    def make_request(self) -> Request:
        """Make the request of the job: it works in its folder and keeps its state there.

        What the driver needs of the environment here travels as variables: the import path, the folders of sites' files
        and whatever its batch system's commands need to find their server.
        """
        out = self.out.absolute()
        # each arena of malloc reserves 64 MB of address space, which h_vmem counts
        environment = {"MALLOC_ARENA_MAX": "4", VARIABLE: str(out / FILE_NAME), "XDP_RUN": self.run,
                       "XDP_EXPERIMENT": self.experiment,
                       "XDP_CLUSTER_CONFIGS": os.pathsep.join(_list_site_folders())}
        dialect = find_dialect(self.site)
        for name in ("NUMBA_CACHE_DIR", "PYTHONPATH", *dialect.settings):
            if os.environ.get(name):
                environment[name] = os.environ[name]
        command = f"cd {shlex.quote(str(out))} && exec {shlex.join(self.make_command())}"
        return Request(self.job_name, command, self.cores, self.site.memory_bytes, str(out / self.site.log_folder),
                       {key: value for key, value in environment.items() if value},
                       _find_command_folders(dialect, self.args))

    @property
    def job_name(self) -> str:
        """The name of the job, which no other run has."""
        return make_driver_name(self.out, self.run or self.out.name)

    def make_script(self) -> str:
        """Make the job script in the words of the site's batch system.

        Raises
        ------
        OptionError
            If the site has none that jobs are submitted to.
        """
        return find_dialect(self.site).make_script(self.make_request(), self.site)


def _list_site_folders() -> list[str]:
    """Where the job finds the files of sites that are found from here."""
    # a relative folder means another one in the job, which works elsewhere
    named = filter(None, os.environ.get("XDP_CLUSTER_CONFIGS", "").split(os.pathsep))
    here = ["cluster_configs"] if os.path.isdir("cluster_configs") else []
    return [os.path.abspath(folder) for folder in (*named, *here)]


def _find_command_folders(dialect: Dialect, words: Sequence[str]) -> tuple[str, ...]:
    """Where the commands of the batch systems are found here, unless every job finds them there, too.

    A driver submits jobs itself, to the batch system of ``mp.method``, and jobs start with a short path. Without
    these folders it finds no command, or one of the same name of another batch system.
    """
    methods = [match[1] for word in words if (match := re.fullmatch(r"(?:\w+\.)*method=(\w+)", word))]
    names = dict.fromkeys([*(name for name in methods if name in DIALECTS), dialect.name])
    found = [shutil.which(DIALECTS[name].submit_command[0]) for name in names]
    folders = dict.fromkeys(os.path.dirname(os.path.abspath(path)) for path in found if path)
    return tuple(folder for folder in folders if folder not in DEFAULT_PATH)


def find_dialect(site: Site) -> Dialect:
    """The batch system of a site.

    Raises
    ------
    OptionError
        If jobs cannot be submitted by it.
    """
    if site.scheduler not in DIALECTS:
        raise OptionError(f"a driver is submitted to one of {', '.join(DIALECTS)}, not to {site.scheduler}")
    return DIALECTS[site.scheduler]


def submit_driver(driver: Driver) -> str:
    """Write the job script into the run's folder and submit it.

    Parameters
    ----------
    driver : Driver
        What shall run, and where.

    Returns
    -------
    str
        The job's id.

    Raises
    ------
    XdpError
        If the folder cannot be made, a run is under way in it, a file of ours there is an input of the command, the
        command could not begin (see :func:`xdp.cluster.batch.command_check.check_command`), or the submission is
        refused.
    """
    out, dialect = driver.out, find_dialect(driver.site)
    _refuse_inputs(driver)
    _refuse_second(out, driver.site.command_timeout)
    check_command(driver.make_command()[3:], out.absolute())
    try:
        (out / driver.site.log_folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise XdpError(f"{out}: cannot make the run's folder: {error.strerror}") from error
    path = out / SCRIPT_FILE
    script = driver.make_script()
    with atomic_output(path) as part:
        part.write_text(script, encoding="utf-8")
    path.chmod(0o755)
    # the state of a former run in this folder would be taken for that of this one
    (out / FILE_NAME).unlink(missing_ok=True)
    record = {"scheduler": dialect.name, "job": None, "name": driver.job_name, "command": driver.make_command(),
              "run": driver.run, "experiment": driver.experiment, "timeout": driver.site.command_timeout,
              "logs": driver.site.log_folder}
    # written before the job is there: a submission that hangs may be taken all the same, and xdp cancel finds it
    _write_record(out, record)
    try:
        job = dialect.submit_script(script, str(path), driver.site.command_timeout)
    except SchedulerError as error:
        raise SchedulerError(f"{error}{_cancel_lost_job(driver, dialect)}") from error
    _write_record(out, {**record, "job": job})
    return job


def _write_record(out: Path, record: dict[str, Any]) -> None:
    """Write what is known of the job into the run's folder."""
    with atomic_output(out / JOB_FILE) as part:
        part.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _cancel_lost_job(driver: Driver, dialect: Dialect) -> str:
    """Cancel the job if it was taken though its submission failed; what is to be added to the message.

    Where the batch system does not answer, the record of the job stays for ``xdp cancel``.
    """
    # asked at once: most systems have taken the job by now, if they have at all
    try:
        found = dialect.cancel_by_name(driver.job_name, driver.site.command_timeout)
    except SchedulerError:
        return f"; a job named {driver.job_name} may still come up in the queue: xdp cancel {driver.out} ends it"
    (driver.out / JOB_FILE).unlink(missing_ok=True)
    return f"; it was taken all the same and is cancelled: job {', '.join(found)}" if found else ""


def _refuse_inputs(driver: Driver) -> None:
    """Raise XdpError where a file that is written or removed here is read by the command."""
    def find() -> Iterator[Input]:
        from xdp.images.input_files import find_files_of_words

        return find_files_of_words(driver.make_command())

    inputs = Inputs(find)
    for name in (SCRIPT_FILE, JOB_FILE, FILE_NAME):
        inputs.refuse(driver.out / name)


def _refuse_second(out: Path, timeout: float) -> None:
    """Raise XdpError where a job of this run is in the queue."""
    if (out / JOB_FILE).exists():
        record = read_job(out)
        if record["job"] in DIALECTS[record["scheduler"]].list_jobs(timeout):
            raise XdpError(f"{out}: job {record['job']} of this run is under way; xdp cancel {out} ends it")


def read_job(out: str | os.PathLike) -> dict[str, Any]:
    """Read what is known of the driver job of a run.

    Parameters
    ----------
    out : path
        The run's folder.

    Returns
    -------
    dict
        Among others ``scheduler``, the name of a dialect, and ``job``, the id. Where the submission was given up and
        the job may come up later, ``job`` is the id that the batch system has for its name, or empty.

    Raises
    ------
    XdpError
        If the folder is not that of a submitted run, or the batch system does not answer where it has to be asked.
    """
    path = Path(out) / JOB_FILE
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise XdpError(f"{path}: no submitted run there ({error.strerror})") from error
    except ValueError as error:
        raise XdpError(f"{path}: damaged: {error}") from error
    if not isinstance(record, dict) or record.get("scheduler") not in DIALECTS or "job" not in record:
        raise XdpError(f"{path}: not the record of a job")
    if record["job"] is None:
        # its submission was given up; meanwhile the job may have come up
        found = DIALECTS[record["scheduler"]].find_jobs_by_name(str(record.get("name")), _read_timeout(record))
        record["job"] = found[0] if found else ""
    return record


def _read_timeout(record: dict[str, Any]) -> float:
    """Seconds that a command of the batch system may take; 30 in records that do not say."""
    return float(record.get("timeout", 30))


def find_job_status(out: str | os.PathLike) -> str:
    """Find out how the driver job stands in its queue.

    Parameters
    ----------
    out : path
        The run's folder.

    Returns
    -------
    str
        queued, with the batch system's reason in brackets where it gives one, running, failed, or gone.

    Raises
    ------
    XdpError
        If the folder is not that of a submitted run, or the batch system does not answer.
    """
    record = read_job(out)
    dialect, timeout = DIALECTS[record["scheduler"]], _read_timeout(record)
    status = dialect.list_jobs(timeout).get(record["job"], "gone")
    reason = ""
    if status == QUEUED:
        with contextlib.suppress(SchedulerError):
            reason = dialect.find_waiting_reason(record["job"], timeout)
    return f"{status} ({reason})" if reason else status


def list_log_files(out: str | os.PathLike) -> Sequence[Path]:
    """The logs of a run, oldest first: of the jobs and of the commands.

    Raises
    ------
    XdpError
        If the folder does not exist.
    """
    folder = Path(out)
    if not folder.is_dir():
        raise XdpError(f"{folder}: no such folder")
    name = "xdp-logs"
    with contextlib.suppress(XdpError):
        name = str(read_job(folder).get("logs", name))
    # a folder without a record is that of a run started by hand
    found = [*folder.glob("*.log"), *(folder / name).glob("*")]
    return sorted((path for path in found if path.is_file()), key=lambda path: path.stat().st_mtime)
