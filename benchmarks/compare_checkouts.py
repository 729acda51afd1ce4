"""Do two checkouts write the same, byte for byte? And do they take the same time?

    python benchmarks/compare_checkouts.py FIRST SECOND [--only rot_dev 'stills/index*'] [--isolated]
    python benchmarks/compare_checkouts.py FIRST SECOND --time [--turns 9] [--only rot_dev/integrate]

FIRST and SECOND are folders of checkouts, each with ``.venv/bin/python`` and ``.venv/bin/xdp``. Both run the commands
of `checkouts/commands.txt` in scratch folders of the same relative names. Then every file that they wrote, logs
included, what they printed and their exit status are compared. What cannot be equal (times, mostly) is listed in
`checkouts/files.py`, with the reasons; `checkouts/site` lets both count the identifiers that they would draw at
random. A line is printed for each difference, with its size; the exit status is 1 if there are any.

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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from checkouts.commands import TIMED, Command, compute_keys, read_commands
from checkouts.files import compare_contents, compare_folders
from checkouts.run import ERRORS, SCREEN, Run, Runner, Store

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


def fill_baseline(runner: Runner, store: Store, commands: list[Command], keys: dict[str, str]) -> None:
    """Run with the first checkout what the baseline lacks."""
    for command in commands:
        run = store.read_run(command.place)
        if run is None or run.key != keys[command.place]:
            folder = runner.prepare(command, store)
            run, printed = runner.run(command, folder, keys[command.place])
            store.keep(command.place, runner.scratch, printed, run)
            print(f"  first: {command.place} {run.cpu:.1f} s CPU, exit status {run.status}", flush=True)


def compare_command(command: Command, runner: Runner, baseline: Store, store: Store, isolated: bool
                    ) -> tuple[Run, list[str]]:
    """Run a command with the second checkout; the facts of its run, and its differences from the baseline."""
    folder = runner.prepare(command, baseline)
    run, printed = runner.run(command, folder)
    store.keep(command.place, runner.scratch, printed, run)
    before = baseline.read_run(command.place)
    scratch = before.scratch, run.scratch
    if isolated or (run.status and not before.status):
        runner.forget(command.place)
    said = [] if run.status == before.status else [f"exit status: {before.status} and {run.status}"]
    for name, text in zip((SCREEN, ERRORS), printed, strict=True):
        printed_before = baseline.read_text(command.place, name)
        if difference := compare_contents(f"{command.place}/{name}", printed_before, text, scratch):
            said.append(f"{name}: {difference}")
    said += compare_folders(command.place, baseline.files(command.place), store.files(command.place), scratch)
    return run, said


def compare(args: argparse.Namespace) -> int:
    """Run what is missing, compare, print; the number of commands with differences."""
    commands = read_commands()
    chosen, keys = choose(commands, args.only), compute_keys(commands)
    baseline = Store(args.baseline / name_commit(args.first))
    with scratch_folder() as folder:
        fill_baseline(Runner(args.first, args.data, folder), baseline, add_inputs(commands, chosen), keys)
    cpu, n_different = [0.0, 0.0], 0
    with scratch_folder() as folder, scratch_folder() as kept:
        runner, store = Runner(args.second, args.data, folder), Store(args.keep or kept)
        for command in chosen:
            run, said = compare_command(command, runner, baseline, store, args.isolated)
            cpu = [cpu[0] + baseline.read_run(command.place).cpu, cpu[1] + run.cpu]
            n_different += bool(said)
            print(f"{command.place} ({run.cpu:.1f} s): {'differs' if said else 'same'}", flush=True)
            for line in said:
                print(f"    {line}", flush=True)
    print(f"{len(chosen)} commands, {n_different} with differences; CPU {cpu[0]:.0f} s and {cpu[1]:.0f} s "
          f"({name_commit(args.first)}, {name_commit(args.second)}; kernels' compilation counts where it was needed)")
    return n_different


def measure(args: argparse.Namespace) -> None:
    """Print the CPU seconds of the main commands, both checkouts in turns, as a table of medians."""
    commands = read_commands()
    chosen = choose([command for command in commands if command.place in TIMED], args.only)
    baseline, keys = Store(args.baseline / name_commit(args.first)), compute_keys(commands)
    with scratch_folder() as folder:
        fill_baseline(Runner(args.first, args.data, folder), baseline, add_inputs(commands, chosen), keys)
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
    parser.add_argument("--data", type=Path, default=DATA.resolve(), help="folder of data sets (%(default)s)")
    parser.add_argument("--time", action="store_true", help="measure CPU seconds in turns")
    parser.add_argument("--turns", type=int, default=9)
    args = parser.parse_args()
    if args.time:
        measure(args)
    else:
        sys.exit(1 if compare(args) else 0)


if __name__ == "__main__":
    os.umask(0o022)
    main()
