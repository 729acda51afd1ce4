"""Do two checkouts write the same, byte for byte? And do they take the same time?

    python benchmarks/compare_checkouts.py FIRST SECOND [--only rot_dev 'stills/index*'] [--isolated]
    python benchmarks/compare_checkouts.py FIRST SECOND --time [--turns 9] [--only rot_dev/integrate]

FIRST and SECOND are folders of checkouts, each with ``.venv/bin/python`` and ``.venv/bin/xdp``. Both run the commands
of `checkouts/commands.txt` in scratch folders of the same relative names. Then every file that they wrote, what they
printed and their exit status are compared. What cannot be equal (times, mostly) is listed in `checkouts/files.py`,
with the reasons; `checkouts/site` lets both count the identifiers that they would draw at random. A line is printed
for each file that differs, with the size of the difference; the exit status is 1 if there are any. Changed wording in
logs and on the screen is not among them: it is listed once for all commands in the end (`checkouts/words.py`).

The first checkout's outputs are kept in ``--baseline`` by its commit, so that later comparisons run only the second
one. A command of the second reads what the second wrote before. With ``--isolated`` it reads what the first wrote, so
that a difference shows only where it arises. With ``--only``, what the commands that were not chosen write comes from
the first.

With ``--time`` the main commands run in turns on the first checkout's files. CPU seconds of a command are user and
system time of all its processes. One turn before the others compiles kernels.
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from checkouts.commands import TIMED, Command, compute_keys, read_commands
from checkouts.files import Differences, compare_folders
from checkouts.run import Runner, Store
from checkouts.words import Rewording

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def name_commit(checkout: Path) -> str:
    """The commit of a checkout, with a digest of the changes that are not committed."""
    commit = _git(checkout, "rev-parse", "HEAD").decode().strip()[:12]
    changes = _git(checkout, "diff", "HEAD", "--", "xdp")
    return f"{commit}-{hashlib.sha256(changes).hexdigest()[:8]}" if changes else commit


def choose(commands: list[Command], patterns: list[str]) -> list[Command]:
    """The commands of the sets, or with the places, that match one of the patterns; all without patterns."""
    if not patterns:
        return commands
    chosen = [c for c in commands if any(fnmatch.fnmatch(text, p) for p in patterns for text in (c.group, c.place))]
    if not chosen:
        raise SystemExit(f"no command matches {' '.join(patterns)}; sets are "
                         f"{', '.join(dict.fromkeys(c.group for c in commands))}")
    return chosen


def add_inputs(commands: list[Command], chosen: list[Command]) -> list[Command]:
    """The chosen commands and all whose files they need, in order."""
    known = {command.place: command for command in commands}
    needed: set[str] = set()
    waiting = [command.place for command in chosen]
    while waiting:
        place = waiting.pop()
        if place not in needed:
            needed.add(place)
            waiting += known[place].inputs
    return [command for command in commands if command.place in needed]


def fill_baseline(args: argparse.Namespace, commands: list[Command], chosen: list[Command]) -> Store:
    """The first checkout's outputs of the chosen commands; those that are not kept yet are made."""
    keys, store = compute_keys(commands), Store(args.baseline / name_commit(args.first))
    with scratch_folder() as folder:
        runner = Runner(args.first, args.data, folder)
        for command in add_inputs(commands, chosen):
            run = store.read_run(command.place)
            if run is None or run.key != keys[command.place]:
                run, printed = runner.run(command, runner.prepare(command, store), keys[command.place])
                store.keep(command.place, folder, printed, run)
                print(f"  first: {command.place} {run.cpu:.1f} s CPU, exit status {run.status}", flush=True)
    return store


def run_second(command: Command, runner: Runner, baseline: Store, store: Store, isolated: bool) -> None:
    """Run a command with the second checkout, and keep what it wrote."""
    run, printed = runner.run(command, runner.prepare(command, baseline))
    store.keep(command.place, runner.scratch, printed, run)
    if isolated or (run.status and not baseline.read_run(command.place).status):
        runner.forget(command.place)  # commands that read its files get the first's


def compare_command(command: Command, first: Store, second: Store) -> Differences:
    """What differs between the kept outputs of a command."""
    place = command.place
    runs = first.read_run(place), second.read_run(place)
    found = compare_folders(place, first.files(place), second.files(place), (runs[0].scratch, runs[1].scratch))
    if runs[0].status != runs[1].status:
        found.lines.insert(0, f"exit status: {runs[0].status} and {runs[1].status}")
    return found


@dataclass
class Report:
    """What was found so far; each addition is printed."""

    n_commands: int = 0
    different: list[str] = field(default_factory=list)
    rewordings: Counter[Rewording] = field(default_factory=Counter)
    cpu: tuple[float, float] = (0.0, 0.0)

    def add(self, place: str, found: Differences, seconds: tuple[float, float]) -> None:
        """Count and print what was found of a command, and the CPU seconds that both checkouts took."""
        self.n_commands += 1
        self.cpu = self.cpu[0] + seconds[0], self.cpu[1] + seconds[1]
        self.rewordings += found.rewordings
        if found.lines:
            self.different.append(place)
        said = "differs" if found.lines else "same, other words" if found.rewordings else "same"
        print("\n    ".join([f"{place} ({seconds[1]:.1f} s): {said}", *found.lines]), flush=True)

    def print_end(self, names: tuple[str, str]) -> None:
        """Print the changes of wording and the summary; `names` are those of the commits."""
        if self.rewordings:
            print("\nChanged wording in logs and on the screen, numbers as #, with the number of places:")
        for rewording, count in self.rewordings.most_common():
            print(f"{count} x\n{rewording}")
        print(f"\n{self.n_commands} commands, results of {len(self.different)} differ", *self.different)
        print(f"CPU {self.cpu[0]:.0f} s of {names[0]}, {self.cpu[1]:.0f} s of {names[1]}, compiling included")


def compare(args: argparse.Namespace) -> bool:
    """Run what is missing, compare, print; whether the results are the same."""
    commands = read_commands()
    chosen = choose(commands, args.only)
    baseline, report = fill_baseline(args, commands, chosen), Report()
    with scratch_folder() as folder, scratch_folder() as kept:
        runner, store = Runner(args.second, args.data, folder), Store(args.keep or kept)
        for command in chosen:
            if not args.reuse:
                run_second(command, runner, baseline, store, args.isolated)
            elif store.read_run(command.place) is None:
                raise SystemExit(f"{store.folder / command.place}: nothing is kept there; run without --reuse")
            seconds = baseline.read_run(command.place).cpu, store.read_run(command.place).cpu
            report.add(command.place, compare_command(command, baseline, store), seconds)
    report.print_end((name_commit(args.first), name_commit(args.second)))
    return not report.different


def measure(args: argparse.Namespace) -> None:
    """Print the CPU seconds of the main commands, both checkouts in turns, as a table of medians."""
    commands = read_commands()
    chosen = choose([command for command in commands if command.place in TIMED], args.only)
    baseline = fill_baseline(args, commands, chosen)
    print(f"CPU seconds, medians of {args.turns} turns of {name_commit(args.first)} and {name_commit(args.second)}\n\n"
          "| command | first | second | second/first | range of first | of second |\n|---|---|---|---|---|---|")
    totals = [0.0, 0.0]
    for command in chosen:
        seconds = time_command(command, args, baseline)
        medians = [statistics.median(each) for each in seconds]
        totals = [total + median for total, median in zip(totals, medians, strict=True)]
        ranges = " | ".join(f"{min(each):.2f} to {max(each):.2f}" for each in seconds)
        print(f"| {command.place} | {medians[0]:.2f} | {medians[1]:.2f} | {medians[1] / medians[0]:.3f} | {ranges} |",
              flush=True)
    print(f"| all | {totals[0]:.2f} | {totals[1]:.2f} | {totals[1] / totals[0]:.3f} | | |")


def time_command(command: Command, args: argparse.Namespace, baseline: Store) -> tuple[list[float], list[float]]:
    """CPU seconds of a command in each turn, of both checkouts; who comes first changes from turn to turn."""
    seconds: tuple[list[float], list[float]] = [], []
    with scratch_folder() as one, scratch_folder() as two:
        runners = Runner(args.first, args.data, one), Runner(args.second, args.data, two)
        for turn in range(args.turns + 1):
            for which in ((0, 1), (1, 0))[turn % 2]:
                run, printed = runners[which].run(command, runners[which].prepare(command, baseline))
                if run.status:
                    raise SystemExit(f"{command.place} failed:\n{printed[1].decode()[-2000:]}")
                if turn:
                    seconds[which].append(run.cpu)
    return seconds


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A new folder that goes in the end; the names of all have the same length."""
    folder = Path(tempfile.mkdtemp(prefix="compare-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _git(checkout: Path, *words: str) -> bytes:
    """What a git command prints about a checkout."""
    return subprocess.run(["git", "-C", str(checkout), *words], check=True, capture_output=True).stdout


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=lambda text: Path(text).resolve(), help="checkout of before")
    parser.add_argument("second", type=lambda text: Path(text).resolve(), help="checkout of after")
    parser.add_argument("--only", nargs="+", default=[], metavar="PATTERN", help="sets, or set/command, with * and ?")
    parser.add_argument("--isolated", action="store_true", help="each command reads what the first checkout wrote")
    parser.add_argument("--baseline", type=Path, default=Path(tempfile.gettempdir()) / "compare-baseline",
                        help="folder that keeps the first checkout's outputs")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the second checkout's outputs there")
    parser.add_argument("--reuse", action="store_true", help="run nothing with the second: compare what --keep kept")
    parser.add_argument("--data", type=Path, default=DATA.resolve(), help="folder of data sets (%(default)s)")
    parser.add_argument("--time", action="store_true", help="measure CPU seconds in turns")
    parser.add_argument("--turns", type=int, default=9)
    args = parser.parse_args()
    if args.time:
        measure(args)
    else:
        sys.exit(0 if compare(args) else 1)


if __name__ == "__main__":
    os.umask(0o022)
    main()
