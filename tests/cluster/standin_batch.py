#!/usr/bin/env python3
"""A stand-in for LSF and PBS in tests: it behaves as the real commands were seen to, and runs jobs on this machine.

Linked under the names bsub, bjobs, bkill, qsub, qstat and qdel. Each job is a process group of its own that waits for
one of so many slots. The folder $XDP_STANDIN holds one JSON file a job, `slots` (a number) and, if it exists, `down`:
then no command answers. There is no daemon: the submitting command leaves a runner behind.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(os.environ["XDP_STANDIN"])
QUEUES = ("normal", "workq", "psfehq")


@contextlib.contextmanager
def locked():
    """All jobs, to be read and changed by one process at a time."""
    with open(FOLDER / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        jobs = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("job*.json"))}
        yield jobs
        for name, job in jobs.items():
            part = FOLDER / f"{name}.part"
            part.write_text(json.dumps(job))
            os.replace(part, FOLDER / f"{name}.json")


def submit(kind: str, script: str, directory: str) -> int:
    """Take a job in; its number."""
    mark = {"lsf": "#BSUB", "pbs": "#PBS"}[kind]
    options = [line[len(mark) :].strip() for line in script.splitlines() if line.startswith(mark)]
    words = [word for line in options for word in shlex.split(line)]
    queue = words[words.index("-q") + 1] if "-q" in words else ("normal" if kind == "lsf" else "workq")
    name = words[words.index("-J" if kind == "lsf" else "-N") + 1]
    if queue not in QUEUES:
        if kind == "lsf":
            leave(255, f"{queue}: No such queue. Job not submitted.")
        leave(170, "qsub: Unknown queue")
    with locked() as jobs:
        number = len(jobs) + 1
        path = FOLDER / f"script{number}"
        path.write_text(script)
        out = words[words.index("-o") + 1] if "-o" in words else "."
        jobs[f"job{number}"] = {"number": number, "kind": kind, "queue": queue, "name": name, "state": "PEND",
                                "directory": directory, "group": 0, "out": out, "cores": cores(words)}
    subprocess.Popen([sys.executable, __file__, "run", str(number)], start_new_session=True,
                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return number


def cores(words: list[str]) -> int:
    """Slots of a job: -n N, ncpus=N or ppn=N."""
    if "-n" in words:
        return int(words[words.index("-n") + 1])
    found = re.search(r"(?:ncpus|ppn)=(\d+)", " ".join(words))
    return int(found[1]) if found else 1


def run(number: int) -> None:
    """Wait for free slots, run the job, note its end."""
    key = f"job{number}"
    while True:
        with locked() as jobs:
            job = jobs[key]
            if job["state"] != "PEND":
                return
            busy = sum(other["cores"] for other in jobs.values() if other["state"] == "RUN")
            if busy + job["cores"] <= int((FOLDER / "slots").read_text()):
                process = start(job)
                job.update(state="RUN", group=process.pid)
                break
        time.sleep(0.1)
    status = process.wait()
    with locked() as jobs:
        jobs[key]["state"] = "DONE" if status == 0 else "EXIT"


def start(job: dict) -> subprocess.Popen:
    """The job's process group, with the environment and the folder that its batch system gives."""
    number, kind = job["number"], job["kind"]
    home = os.environ.get("HOME", "/")
    environment = {"HOME": home, "PATH": "/usr/bin:/bin", "USER": os.environ.get("USER", "root"), "SHELL": "/bin/bash",
                   "XDP_STANDIN": str(FOLDER)}
    host = os.uname().nodename
    if kind == "lsf":
        out = job["out"].replace("%J", str(number))
        directory = job["directory"]
        environment |= {"LSB_JOBID": str(number), "LSB_JOBNAME": job["name"], "LSB_HOSTS": host,
                        "LSB_MCPU_HOSTS": f"{host} {job['cores']}", "LSB_QUEUE": job["queue"]}
    else:
        out = str(Path(job["out"]) / f"{number}.vm.OU")
        directory = home  # PBS starts jobs at home
        (FOLDER / f"nodes{number}").write_text(f"{host}\n" * job["cores"])
        environment |= {"PBS_JOBID": f"{number}.vm", "PBS_NODEFILE": str(FOLDER / f"nodes{number}"),
                        "NCPUS": str(job["cores"]), "PBS_O_WORKDIR": job["directory"], "TMPDIR": str(FOLDER)}
    with open(out, "w") as log:
        return subprocess.Popen(["/bin/bash", str(FOLDER / f"script{number}")], cwd=directory, env=environment,
                                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)


def kill(job: dict) -> None:
    """INT, TERM, KILL to the job's process group, as bkill does."""
    if job["state"] == "RUN":
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(job["group"], number)
            time.sleep(0.1)
    job["state"] = "EXIT"


def leave(status: int, text: str) -> None:
    """Complain and end."""
    sys.stderr.write(text + "\n")
    sys.exit(status)


def bsub(args: list[str]) -> None:
    """Submission from the standard input: a script given as an argument is a command without directives."""
    number = submit("lsf", sys.stdin.read(), os.getcwd())
    with locked() as jobs:
        queue = jobs[f"job{number}"]["queue"]
    kind = "default queue" if queue == "normal" else "queue"
    sys.stdout.write(f"Job <{number}> is submitted to {kind} <{queue}>.\n")


def bjobs(args: list[str]) -> None:
    """Seven columns of the unfinished jobs."""
    with locked() as jobs:
        alive = [job for job in jobs.values() if job["state"] in ("PEND", "RUN")]
    if not alive:
        leave(255, "No unfinished job found")
    sys.stdout.write("JOBID   USER    STAT  QUEUE      FROM_HOST   EXEC_HOST   JOB_NAME   SUBMIT_TIME\n")
    for job in alive:
        host = "vm" if job["state"] == "RUN" else ""
        sys.stdout.write(f"{job['number']:<7} root    {job['state']:<5} {job['queue']:<10} vm          {host:<11} "
                         f"{job['name']:<10} Nov 21 01:44\n")


def bkill(args: list[str]) -> None:
    """Kill jobs; an unknown one is an error."""
    with locked() as jobs:
        for word in args:
            job = jobs.get(f"job{word}")
            if job is None:
                leave(255, f"Job <{word}>: No matching job found")
            kill(job)
            sys.stdout.write(f"Job <{word}> is being terminated\n")


def qsub(args: list[str]) -> None:
    """Submission of a file."""
    number = submit("pbs", Path(args[-1]).read_text(), os.getcwd())
    sys.stdout.write(f"{number}.vm\n")


def qstat(args: list[str]) -> None:
    """Six columns of the unfinished jobs; nothing at all if there are none."""
    with locked() as jobs:
        alive = [job for job in jobs.values() if job["state"] in ("PEND", "RUN")]
    if alive:
        sys.stdout.write("Job id            Name             User              Time Use S Queue\n")
        sys.stdout.write("----------------  ---------------- ----------------  -------- - -----\n")
    for job in alive:
        letter = {"PEND": "Q", "RUN": "R"}[job["state"]]
        sys.stdout.write(f"{job['number']}.vm{'':12}  {job['name'][:15]:<16} root              00:00:01 {letter} "
                         f"{job['queue']}\n")


def qdel(args: list[str]) -> None:
    """Delete jobs by their id with or without the server's name."""
    with locked() as jobs:
        for word in args:
            job = jobs.get(f"job{word.split('.')[0]}")
            if job is None:
                leave(153, f"qdel: Unknown Job Id {word}")
            kill(job)


if __name__ == "__main__":
    if sys.argv[1:2] == ["run"]:
        run(int(sys.argv[2]))
    else:
        if (FOLDER / "down").exists():
            time.sleep(600)
        globals()[Path(sys.argv[0]).name](sys.argv[1:])
