"""An installed DIALS for tests: its commands and scripts, with its start-up and its results shared.

Two things save most of the time that DIALS would take. Its commands run in forks of a server that has imported it
(:mod:`dials_server`, one to each process of pytest). And what a command wrote is kept for the run of the tests, so that
the next test that asks for the same command on the same files gets copies, whichever process of pytest it runs in.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from processes import lock

#: A word for dials.index where the test is about what follows. DIALS refines five of its candidates then, not fifty,
#: which takes half the time. On these data, of one crystal with many spots, the first is the right one.
QUICK_INDEX = "basis_vector_combinations.max_refine=5"
_SERVER = Path(__file__).parent / "dials_server.py"
# Files up to this size are known by what they hold. Larger ones are images of the shared data, known by name and time.
_LARGE = 2**26


@functools.cache
def dials_python() -> str | None:
    """The Python interpreter that imports DIALS (Debian's package puts it into the system's own)."""
    for candidate in (os.environ.get("XDP_DIALS_PYTHON"), "/usr/bin/python3"):
        if candidate and shutil.which(candidate):
            probe = subprocess.run([candidate, "-c", "import dials, dxtbx, cctbx"], capture_output=True, check=False)
            if probe.returncode == 0:
                return candidate
    return None


def dials_environment() -> dict[str, str]:
    """The environment DIALS runs in: its HDF5 finds our compression plugins, our packages stay out of its way."""
    import hdf5plugin

    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    environment["HDF5_PLUGIN_PATH"] = hdf5plugin.PLUGINS_PATH
    environment["OMP_NUM_THREADS"] = "1"
    return environment


def request_key(words: list[str], folder: Path) -> str | None:
    """What the result of a command in `folder` depends on, as a name; None where that cannot be told from its words.

    Files in `folder` count by their name in it and what they hold, so that the same command in another folder has the
    same key. Others count by their path too, since DIALS writes the paths of images into its files.
    """
    parts = []
    for word in words:
        value = word.rpartition("=")[2]
        if "#" in value and not os.path.isabs(value):
            return None  # a template of images in the folder
        path = folder / value
        if not value or not path.exists():
            if os.path.isabs(value) and "#" not in value:
                return None  # output elsewhere
            parts.append(word)
            continue
        is_inside = path.resolve().is_relative_to(folder.resolve())
        parts.append(word.replace(str(folder), "") if is_inside else word)
        files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
        parts += [_content_key(file) for file in files]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _content_key(file: Path) -> str:
    """What `file` holds, as a short text; of a large one its name, size and time."""
    status = file.stat()
    if status.st_size > _LARGE:
        return f"{file} {status.st_size} {status.st_mtime_ns}"
    return hashlib.sha256(file.read_bytes()).hexdigest()


def file_states(folder: Path) -> dict[Path, tuple[int, int]]:
    """Time and size of each file below `folder`."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in files}


def changed_since(before: dict[Path, tuple[int, int]], folder: Path) -> list[Path]:
    """The files below `folder` that are new, or not as they were."""
    return [path for path, state in file_states(folder).items() if before.get(path) != state]


def keep_files(kept: Path, folder: Path, files: list[Path], text: str) -> None:
    """Copy the files of a command and its printed text to `kept`, unless they name the folder that it ran in."""
    mark = os.fsencode(folder)
    if mark in text.encode() or any(mark in path.read_bytes() for path in files):
        return  # in another folder the result is another
    draft = kept.with_suffix(".new")
    shutil.rmtree(draft, ignore_errors=True)
    (draft / "files").mkdir(parents=True)
    for path in files:
        target = draft / "files" / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    (draft / "output.txt").write_text(text)
    draft.rename(kept)


class Server:
    """A process of DIALS' Python that runs :mod:`dials_server`, from the first request to :meth:`stop`."""

    def __init__(self) -> None:
        self._process: subprocess.Popen | None = None

    def _start(self) -> subprocess.Popen:
        process = subprocess.Popen([dials_python(), str(_SERVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   text=True, env=dials_environment(), start_new_session=True)
        self._process = process
        assert process.stdout.readline() == "ready\n", "DIALS does not start"
        return process

    def run(self, words: list[str], code: str | None, folder: Path) -> tuple[int, str, str]:
        """Run a command or the text of a script in `folder`: its exit status, output and errors."""
        process = self._process or self._start()
        with tempfile.TemporaryDirectory() as place:
            request = {"words": words, "code": code, "folder": str(folder), "output": f"{place}/text"}
            try:
                print(json.dumps(request), file=process.stdin, flush=True)
                answer = process.stdout.readline()
            except BaseException:  # such as the time limit of a test: the command must not go on behind the next one
                self.stop()
                raise
            if not answer:
                self.stop()
                raise AssertionError(f"DIALS' server ended with {words[:3]}")
            out, err = (Path(f"{place}/text.{end}").read_text(errors="replace") for end in ("out", "err"))
        return int(answer), out, err

    def stop(self) -> None:
        """End the server and what it runs."""
        process, self._process = self._process, None
        if process is not None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


class Dials:
    """An installed DIALS: runs its commands, or Python code inside it.

    Parameters
    ----------
    results : Path
        A folder for what commands wrote; processes of pytest that are given the same folder share the results.
    """

    def __init__(self, results: Path) -> None:
        self._results = results
        self._server = Server()

    def stop(self) -> None:
        """End the process of DIALS; a later command starts another."""
        self._server.stop()

    def command(self, *arguments: object, cwd: Path) -> str:
        """Run a command such as ``dials.find_spots``, or copy what it wrote before; its output, or a failure with it.

        A result is known by the words and by what the files hold that they name.
        """
        words, folder = [str(a) for a in arguments], Path(cwd)
        key = request_key(words, folder)
        if key is None:
            return self._run(words, None, folder)
        kept = self._results / key
        with lock(kept.with_suffix(".lock")):
            if not kept.exists():
                before = file_states(folder)
                text = self._run(words, None, folder)
                keep_files(kept, folder, changed_since(before, folder), text)
                return text
        shutil.copytree(kept / "files", folder, dirs_exist_ok=True)
        return (kept / "output.txt").read_text()

    def file(self, path: Path, *arguments: object, cwd: Path) -> str:
        """Run the Python file `path` in DIALS' interpreter; what it prints."""
        return self._run([str(path), *map(str, arguments)], path.read_text(), Path(cwd))

    def script(self, code: str, *arguments: object, cwd: Path) -> dict[str, np.ndarray]:
        """Run Python `code` in DIALS' interpreter; what it saves by ``np.savez("out.npz", ...)`` comes back."""
        self._run(["-c", *map(str, arguments)], code, Path(cwd))
        out = Path(cwd) / "out.npz"
        if not out.exists():
            return {}
        with np.load(out) as saved:
            return {name: saved[name] for name in saved.files}

    def _run(self, words: list[str], code: str | None, folder: Path) -> str:
        status, out, err = self._server.run(words, code, folder)
        assert status == 0, f"{words[:3]} failed ({status}):\n{out[-3000:]}\n{err[-3000:]}"
        return out
