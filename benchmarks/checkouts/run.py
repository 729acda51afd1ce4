"""Running the commands with one checkout, and keeping what they write."""

from __future__ import annotations

import glob
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from checkouts.commands import Command

HERE = Path(__file__).resolve().parent
PRINTED, FACTS = ("stdout.txt", "stderr.txt"), "run.json"


@dataclass(frozen=True)
class Run:
    """What is kept of one run of a command.

    Attributes
    ----------
    key : str
        The command's key, see :func:`checkouts.commands.compute_keys`.
    status : int
        Exit status.
    cpu, wall : float
        Seconds, of all processes of the command together.
    scratch : str
        The folder below which it ran.
    """

    key: str
    status: int
    cpu: float
    wall: float
    scratch: str


class Store:
    """Outputs of commands: a folder each, with ``files/``, what was printed among them, and the facts of the run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def files(self, place: str) -> Path:
        """The folder of the files that a command wrote."""
        return self.folder / place / "files"

    def read_run(self, place: str) -> Run | None:
        """The facts of a run; None where there is none, or a broken-off one."""
        try:
            return Run(**json.loads((self.folder / place / FACTS).read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def keep(self, place: str, scratch: Path, printed: tuple[bytes, bytes], run: Run) -> None:
        """Copy a command's files from its scratch folder, and write the facts last."""
        shutil.rmtree(self.folder / place, ignore_errors=True)
        shutil.copytree(scratch / place, self.files(place))
        for name, text in zip(PRINTED, printed, strict=True):
            (self.files(place) / name).write_bytes(text)
        (self.folder / place / FACTS).write_text(json.dumps(asdict(run)))


class Runner:
    """Runs commands with one checkout, in a scratch folder.

    Parameters
    ----------
    checkout : Path
        Folder of the checkout; its interpreter is ``.venv/bin/python``, its program ``.venv/bin/xdp``.
    data : Path
        Folder of the data.
    scratch : Path
        Commands run in ``<scratch>/<set>/<name>``. Folders of all runs must have names of the same length, see
        :func:`replace_path`.
    """

    def __init__(self, checkout: Path, data: Path, scratch: Path) -> None:
        self._bin, self._data, self.scratch = checkout / ".venv" / "bin", data, scratch

    def prepare(self, command: Command, inputs: Store) -> Path:
        """The empty folder of a command, with its inputs beside it: those that are not there come from `inputs`."""
        for place in command.inputs:
            if not (self.scratch / place).exists():
                copy_files(inputs, place, self.scratch)
        folder = self.scratch / command.place
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def run(self, command: Command, folder: Path, key: str = "") -> tuple[Run, tuple[bytes, bytes]]:
        """Run a command in its folder: the facts, and what it printed (output, errors)."""
        words = [str(self._bin / "xdp"), *command.words]
        if command.words[0] == "make_laue":
            words = [str(self._bin / "python"), str(HERE / "make_laue.py"), *command.words[1:]]
        words = words[:1] + [word for text in words[1:] for word in self._expand(text, folder)]
        start = time.perf_counter()
        child = subprocess.Popen(words, cwd=folder, env=_environment(), stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        before = os.times()
        printed = child.communicate()
        after = os.times()
        cpu = sum(after[2:4]) - sum(before[2:4])
        return Run(key, child.returncode, cpu, time.perf_counter() - start, str(self.scratch)), printed

    def forget(self, place: str) -> None:
        """Remove a command's files from the scratch folder."""
        shutil.rmtree(self.scratch / place, ignore_errors=True)

    def _expand(self, text: str, folder: Path) -> list[str]:
        """A word of the table as the program gets it: places filled in, patterns looked up."""
        word = text.replace("$DATA", str(self._data)).replace("@", "../")
        if not ("*" in word or "?" in word):
            return [word]
        found = sorted(glob.glob(word, root_dir=folder))
        if not found:
            raise SystemExit(f"{word}: no such files, seen from {folder}")
        return found


def replace_path(content: bytes, old: str, new: str) -> bytes:
    """Contents of a file with another scratch folder; the names have the same length, so that nothing else changes."""
    if len(old) != len(new):
        raise ValueError(f"{old} and {new} must have the same length")
    return content.replace(old.encode(), new.encode())


def copy_files(store: Store, place: str, scratch: Path) -> None:
    """Copy what a command wrote into the scratch folder, as if it had run there."""
    run = store.read_run(place)
    if run is None:
        raise SystemExit(f"{store.folder / place}: there is no finished run")
    shutil.copytree(store.files(place), scratch / place)
    for path in list_files(scratch / place):
        content = path.read_bytes()
        changed = replace_path(content, run.scratch, str(scratch))
        if changed != content:
            path.write_bytes(changed)


def list_files(folder: Path) -> Iterable[Path]:
    """All files below a folder, sorted."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _environment() -> dict[str, str]:
    """The user's, with one thread in libraries, one width of tables, and identifiers that are counted.

    Python keeps the byte code of the package, as pip leaves it on a user's machine: without it each run compiles all
    sources, which measures their length.
    """
    others = ("XDP", "COMPARE_CHECKOUTS", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    return {**kept, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "COLUMNS": "120",
            "PYTHONPATH": str(HERE / "site")}
