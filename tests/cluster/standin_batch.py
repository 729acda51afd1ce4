#!/usr/bin/env python3
"""A stand-in for LSF and PBS in tests: it behaves as the real commands were seen to, and runs jobs on this machine.

Linked under the names bsub, bjobs, bkill, qsub, qstat, qselect and qdel. Each job is a process group of its own that
waits for one of so many slots. The folder $XDP_STANDIN holds one JSON file a job, `slots` (a number) and switches,
files that may exist:

- `down`: no command answers;
- `lost`: a submission is taken, but its command never answers;
- for LSF `enforce` (a job above its -M is killed), `spooled` (without LSB_STDOUT_DIRECT: the output comes into the file
  when the job has ended, below LSF's report, not above it), `old` (a release before 10.1.0.2, which knows no units) and
  `volclava` (as `old`; it refuses a second -R, and reads -env as -e nv, so that errors go to a file of that name).

There is no daemon: the submitting command leaves a runner behind.
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
HOST_MEMORY = 64e9  # LSF: a job that reserves more waits for ever
UNITS = {"KB": 1e3, "MB": 1e6, "GB": 1e9}


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
    if (FOLDER / "volclava").exists() and words.count("-R") > 1:
        leave(255, "-R: option is given twice. Job not submitted.")  # the real words are not known
    queue = words[words.index("-q") + 1] if "-q" in words else ("normal" if kind == "lsf" else "workq")
    name = words[words.index("-J" if kind == "lsf" else "-N") + 1]
    if queue not in QUEUES:
        if kind == "lsf":
            leave(255, f"{queue}: No such queue. Job not submitted.")
        leave(170, "qsub: Unknown queue")
    limit, reserved = memory(words)
    errors = "nv" if (FOLDER / "volclava").exists() and "-env" in words else ""
    # without -env none, LSF gives jobs the environment of bsub
    environment = {} if kind == "pbs" or "-env" in words else dict(os.environ)
    with locked() as jobs:
        number = len(jobs) + 1
        path = FOLDER / f"script{number}"
        path.write_text(script)
        out = words[words.index("-o") + 1] if "-o" in words else "."
        jobs[f"job{number}"] = {"number": number, "kind": kind, "queue": queue, "name": name, "state": "PEND",
                                "directory": directory, "group": 0, "out": out, "cores": cores(words),
                                "limit": limit, "reserved": reserved, "reason": "", "errors": errors,
                                "environment": environment}
    subprocess.Popen([sys.executable, __file__, "run", str(number)], start_new_session=True,
                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if (FOLDER / "lost").exists():
        time.sleep(600)
    return number


def cores(words: list[str]) -> int:
    """Slots of a job: -n N, ncpus=N or ppn=N."""
    if "-n" in words:
        return int(words[words.index("-n") + 1])
    found = re.search(r"(?:ncpus|ppn)=(\d+)", " ".join(words))
    return int(found[1]) if found else 1


def memory(words: list[str]) -> tuple[float, float]:
    """Bytes that a job of LSF may use (-M: kB where no unit stands) and that it reserves (rusage: MB)."""
    limit = words[words.index("-M") + 1] if "-M" in words else ""
    reserved = re.search(r"rusage\[mem=([^\]]*)\]", " ".join(words))
    texts = [limit, reserved[1] if reserved else ""]
    is_old = (FOLDER / "old").exists() or (FOLDER / "volclava").exists()
    if is_old and limit and not limit.isdigit():
        leave(255, f"{limit}: MEMLIMT value should be a positive integer. Job not submitted.")
    sizes = []
    for text, unit in zip(texts, ("KB", "MB"), strict=True):
        found = re.fullmatch(r"(\d+)(KB|MB|GB)?", text)
        sizes.append(int(found[1]) * UNITS[found[2] or unit] if found else 0.0)
    return sizes[0], sizes[1]


def used(group: int) -> int:
    """Bytes that the processes of a group have in memory."""
    total = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            total += int(fields[21]) * os.sysconf("SC_PAGE_SIZE") if int(fields[2]) == group else 0
    return total


def run(number: int) -> None:
    """Wait for free slots, run the job, note its end."""
    key = f"job{number}"
    while True:
        with locked() as jobs:
            job = jobs[key]
            if job["state"] != "PEND":
                return
            busy = sum(other["cores"] for other in jobs.values() if other["state"] == "RUN")
            free = busy + job["cores"] <= int((FOLDER / "slots").read_text())
            if free and job["reserved"] <= HOST_MEMORY:
                process = start(job)
                job.update(state="RUN", group=process.pid)
                break
        time.sleep(0.1)
    status = wait(process, job)
    with locked() as jobs:
        if job["kind"] == "lsf":
            report({**jobs[key], "reason": job["reason"] or jobs[key]["reason"]}, status)
        jobs[key]["state"] = "DONE" if status == 0 else "EXIT"


def wait(process: subprocess.Popen, job: dict) -> int:
    """Wait for a job's end; where limits are enforced, kill it if it takes more memory."""
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = process.wait(0.2)
            return status if status >= 0 else 128 - status
        if job["limit"] and (FOLDER / "enforce").exists() and used(process.pid) > job["limit"]:
            job["reason"] = "TERM_MEMLIMIT: job killed after reaching LSF memory usage limit."
            os.killpg(process.pid, signal.SIGKILL)


def report(job: dict, status: int) -> None:
    """Write LSF's own report to the job's output file: below the output, above it where that was spooled."""
    path = out_file(job)
    spooled = (FOLDER / "spooled").exists()
    line = "-" * 60
    script = (FOLDER / f"script{job['number']}").read_text()
    end = "Successfully completed." if status == 0 else f"Exited with exit code {status}."
    text = f"""
{line}
Sender: LSF System <lsfadmin@vm>
Subject: Job {job['number']}: <{job['name']}> in cluster <vm> {'Done' if status == 0 else 'Exited'}

Job <{job['name']}> was submitted from host <vm> by user <root> in cluster <vm> at Sat Nov 21 01:44:00 2026
Job was executed on host(s) <vm>, in queue <{job['queue']}>, as user <root> in cluster <vm> at Sat Nov 21 01:44:01 2026
<{job['directory']}> was used as the working directory.

Your job looked like:

{line}
# LSBATCH: User input
{script}

{line}

{job['reason'] + chr(10) if job['reason'] else ''}{end}

Resource usage summary:

    CPU time :                                   1.51 sec.
    Max Memory :                                 27 MB
    Average Memory :                             11.33 MB
    Total Requested Memory :                     {job['reserved'] / 1e6:.2f} MB
    Delta Memory :                               -
    Max Swap :                                   -
    Max Processes :                              4
    Max Threads :                                5
    Run time :                                   3 sec.
    Turnaround time :                            5 sec.

The output (if any) {'follows:' if spooled else 'is above this job summary.'}

"""
    said = (FOLDER / f"spool{job['number']}").read_text() if spooled else ""
    with open(path, "a") as file:
        file.write(text + said)


def out_file(job: dict) -> str:
    """Where the output of a job goes."""
    if job["kind"] == "lsf":
        return job["out"].replace("%J", str(job["number"]))
    return str(Path(job["out"]) / f"{job['number']}.vm.example.org.OU")


def start(job: dict) -> subprocess.Popen:
    """The job's process group, with the environment and the folder that its batch system gives."""
    number, kind = job["number"], job["kind"]
    home = os.environ.get("HOME", "/")
    given = job["environment"]
    environment = given | {"HOME": home, "PATH": given.get("PATH", "/usr/bin:/bin"), "SHELL": "/bin/bash",
                           "USER": os.environ.get("USER", "root"), "XDP_STANDIN": str(FOLDER)}
    host = os.uname().nodename
    if kind == "lsf":
        directory = job["directory"]
        environment |= {"LSB_JOBID": str(number), "LSB_JOBNAME": job["name"], "LSB_HOSTS": host,
                        "LSB_MCPU_HOSTS": f"{host} {job['cores']}", "LSB_QUEUE": job["queue"]}
    else:
        directory = home  # PBS starts jobs at home
        (FOLDER / f"nodes{number}").write_text(f"{host}\n" * job["cores"])
        environment |= {"PBS_JOBID": f"{number}.vm.example.org", "PBS_NODEFILE": str(FOLDER / f"nodes{number}"),
                        "NCPUS": str(job["cores"]), "PBS_O_WORKDIR": job["directory"], "TMPDIR": str(FOLDER)}
    spooled = kind == "lsf" and (FOLDER / "spooled").exists()
    with contextlib.ExitStack() as files:
        log = files.enter_context(open(FOLDER / f"spool{number}" if spooled else out_file(job), "a"))
        errors = files.enter_context(open(Path(directory) / job["errors"], "a")) if job["errors"] else subprocess.STDOUT
        return subprocess.Popen(["/bin/bash", str(FOLDER / f"script{number}")], cwd=directory, env=environment,
                                stdin=subprocess.DEVNULL, stdout=log, stderr=errors, start_new_session=True)


def kill(job: dict) -> None:
    """INT, TERM, KILL to the job's process group, as bkill does."""
    if job["state"] == "RUN":
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(job["group"], number)
            time.sleep(0.1)
    job.update(state="EXIT", reason="TERM_OWNER: job killed by owner.")


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
    """Seven columns of the unfinished jobs, of one name with -J; with -p and an id why that job waits."""
    name = args[args.index("-J") + 1] if "-J" in args else ""
    with locked() as jobs:
        alive = [job for job in jobs.values() if job["state"] in ("PEND", "RUN") and name in ("", job["name"])]
    if "-p" in args:
        alive = [job for job in alive if job["state"] == "PEND" and str(job["number"]) == args[-1]]
        if alive:
            sys.stdout.write("JOBID   USER    STAT  QUEUE      FROM_HOST   JOB_NAME   SUBMIT_TIME\n"
                             f"{args[-1]:<7} root    PEND  normal     vm          {alive[0]['name']} Nov 21 01:44\n"
                             " Job slot limit reached: 1 host;\n Not enough processors to meet the job's spanning "
                             "requirement;\n")
            return
    if not alive:
        leave(255, f"Job <{name}> is not found" if name else "No unfinished job found")
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
    """Submission of a file; the id has the server's full name, of which qstat prints the first part."""
    number = submit("pbs", Path(args[-1]).read_text(), os.getcwd())
    sys.stdout.write(f"{number}.vm.example.org\n")


def qselect(args: list[str]) -> None:
    """The ids of the unfinished jobs of a name."""
    name = args[args.index("-N") + 1]
    with locked() as jobs:
        found = [job for job in jobs.values() if job["state"] in ("PEND", "RUN") and job["name"] == name]
    sys.stdout.write("".join(f"{job['number']}.vm.example.org\n" for job in found))


def full(job: dict) -> str:
    """What qstat -f says of a job: its comment goes on in a line that begins with a tab."""
    comment = ("    comment = Not Running: Insufficient amount of resource: ncpus (R: 1 A: 0\n\t T: 0)\n"
               if job["state"] == "PEND" else "    comment = Job run at Mon Nov 30 at 10:00 on (vm:ncpus=1)\n")
    return (f"Job Id: {job['number']}.vm.example.org\n    Job_Name = {job['name']}\n    Job_Owner = root@vm\n"
            f"{comment}    etime = Mon Nov 30 10:00:00 2026\n\n")


def qstat(args: list[str]) -> None:
    """Six columns of the unfinished jobs, nothing at all if there are none; with -f and an id all about one job."""
    with locked() as jobs:
        alive = [job for job in jobs.values() if job["state"] in ("PEND", "RUN")]
    if "-f" in args:
        found = [job for job in alive if str(job["number"]) == args[-1].split(".")[0]]
        if not found:
            leave(153, f"qstat: Unknown Job Id {args[-1]}")
        sys.stdout.write(full(found[0]))
        return
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
