"""Damaged files and random command lines, and what a command makes of them: a complaint of one line, or its work.

``python tests/support/fuzzing.py FILES COMMANDS [SEED]`` runs so many of each and lists what went wrong.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import math
import os
import random
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgpack

from xdp.cli.main import main
from xdp.cluster.batch.arguments import MODELS, load_model
from xdp.options.tree import Definition, build_tree

SECONDS = 10
#: Values that stand for what a wrong program, a wrong user or a broken disk may have put somewhere.
ODD = (None, True, False, 0, 1, -1, 2, 7, 2**31, -(2**31), 2**63, 2**70, -(2**70), 0.0, 0.5, -1.5, 1e-300, 1e300,
       -1e300, math.nan, math.inf, -math.inf, "", "x", "nan", "1", "\0", "####", "é", [], {}, [0], [1, 2, 3],
       [math.nan] * 3, [0.0] * 3, [0.0] * 9, ["a", "b"], [[]], [[1, 2, 3]], {"a": 1})


class Hang(BaseException):
    """A command that takes longer than `SECONDS`."""


@dataclass
class Outcome:
    """What a command did.

    Attributes
    ----------
    status : int or None
        Exit status; None where it raised.
    said : str
        All that it wrote.
    trouble : str
        What is wrong with that; empty if nothing.
    """

    status: int | None
    said: str
    trouble: str = ""


@contextlib.contextmanager
def time_limit(seconds: float = SECONDS) -> Iterator[None]:
    """Raise `Hang` in the block after so many seconds."""
    def ring(*_: Any) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run(words: list[str]) -> Outcome:
    """Run a command; one that takes too long once more, since kernels that it compiled first are then there."""
    outcome = run_once(words)
    return run_once(words) if outcome.trouble.startswith("hangs") else outcome


def run_once(words: list[str], seconds: float = SECONDS) -> Outcome:
    """Run a command in this process: it ends with status 0, or with 1 and one line, and warns of nothing."""
    out, err = io.StringIO(), io.StringIO()
    status, trouble = None, ""
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), time_limit(seconds), \
                warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            status = main(words)
    except Hang:
        trouble = f"hangs for {seconds} s"
    except Exception:
        trouble = traceback.format_exc()
    else:
        own = [w for w in warned if issubclass(w.category, RuntimeWarning)]
        lines = err.getvalue().strip().splitlines()
        if own:
            trouble = f"warning: {own[0].filename}:{own[0].lineno}: {own[0].message}"
        elif status not in (0, 1):
            trouble = f"status {status}"
        elif status == 1 and len([line for line in lines if ": error: " in line]) != 1:
            trouble = f"no one line of complaint: {lines}"
    return Outcome(status, out.getvalue() + err.getvalue(), trouble)


# ---- damaged files


def damage_json(source: Any, rng: random.Random) -> Any:
    """A copy of a JSON value with one to three places changed, taken out or doubled."""
    root = {"root": copy.deepcopy(source)}
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        places = [(parent, key) for parent, key in _places(root) if parent is not root]
        if not places:
            break
        parent, key = rng.choice(places)
        change = rng.random()
        if change < 0.15:
            del parent[key]
        elif change < 0.25 and isinstance(parent, list):
            parent.insert(key, copy.deepcopy(parent[key]))
        elif change < 0.35 and isinstance(parent[key], int | float) and not isinstance(parent[key], bool):
            parent[key] = parent[key] * rng.choice((-1, 0, 2, 1e6, 1e-6, 1e200))
        elif change < 0.45 and isinstance(parent, dict):
            parent[rng.choice((*parent, "new"))] = parent.pop(key)
        else:
            parent[key] = copy.deepcopy(rng.choice(ODD))
    return root["root"]


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Each place of a JSON value; of long lists the ends only, since their middles are alike."""
    found = []
    items = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())
    for key, inner in items if len(items) < 50 else items[:3] + items[-3:]:
        found.append((value, key))
        found += _places(inner)
    return found


def damage_expt(path: Path, rng: random.Random) -> bytes:
    """The bytes of an .expt file that is damaged in its structure, or here and there in its text."""
    if rng.random() < 0.15:
        return damage_bytes(path, rng)
    return json.dumps(damage_json(json.loads(path.read_text()), rng)).encode()


def damage_refl(path: Path, rng: random.Random) -> bytes:
    """The bytes of a .refl file with columns changed, or with bytes changed."""
    if rng.random() < 0.25:
        return damage_bytes(path, rng)
    magic, version, content = msgpack.unpackb(path.read_bytes(), raw=False, strict_map_key=False)
    content = copy.deepcopy(content)
    columns = content["data"]
    for _ in range(rng.choice((1, 1, 2, 3))):
        if not columns:
            break
        name = rng.choice(sorted(columns))
        column = columns[name]
        if isinstance(column, list) and len(column) == 2:  # whole so far
            _change_column(columns, name, column[0], *column[1], rng)
    if rng.random() < 0.2:
        content["nrows"] = rng.choice((0, 1, content["nrows"] + 1, 2**31, 2**62))
    if rng.random() < 0.2:
        content["identifiers"] = rng.choice(({}, {0: "a"}, {5: "b"}, {0: "a", 1: "a"}, None, [1]))
    return msgpack.packb([magic, version, content], use_bin_type=True)


_NAN, _INF, _HUGE = b"\0\0\0\0\0\0\xf8\x7f", b"\0\0\0\0\0\0\xf0\x7f", b"\0\0\0\0\0\0\xf0\x7e"


def _change_column(columns: dict[str, Any], name: str, kind: str, n: int, data: bytes, rng: random.Random) -> None:
    """Change one column: values, length, type, name, or take it out."""
    change = rng.random()
    if change < 0.45 and isinstance(data, bytes) and len(data) >= 8:
        item = rng.choice((_NAN, _INF, _HUGE, b"\xff" * 8, b"\0" * 8, b"\0\0\0\x80" * 2, os.urandom(8)))
        whole = len(data) // 8 * 8
        if rng.random() < 0.3:
            data = item * (whole // 8) + data[whole:]
        else:
            at = rng.randrange(whole // 8) * 8
            data = data[:at] + item + data[at + 8:]
        columns[name] = [kind, [n, data]]
    elif change < 0.7:
        del columns[name]
    elif change < 0.8:
        columns[name] = [rng.choice(("int", "double", "vec3<double>", "int6", "std::string", "bool", "x", "Shoebox<>")),
                         [n, data]]
    elif change < 0.9:
        columns[rng.choice((*sorted(columns), "new"))] = columns.pop(name)
    else:
        columns[name] = rng.choice(([kind, [n + 1, data]], [kind, [n, data[:-1] if isinstance(data, bytes) else data]],
                                    [kind], None, [kind, [2**40, b""]]))


def damage_bytes(path: Path, rng: random.Random) -> bytes:
    """The bytes of any file: cut, or with some changed, doubled or taken out, mostly in its first part, the header."""
    data = bytearray(path.read_bytes())
    if rng.random() < 0.2:
        return bytes(data[: rng.randrange(len(data) + 1)])
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        reach = len(data) if rng.random() < 0.3 else min(len(data), 2000)
        if not reach:
            break
        at = rng.randrange(reach)
        change = rng.random()
        if change < 0.5:
            data[at] = rng.randrange(256)
        elif change < 0.7:
            data[at] = rng.choice(b"0123456789-.e+ \n\0{}[]\"=;#")
        elif change < 0.85:
            del data[at:at + rng.choice((1, 2, 8, 64))]
        else:
            data[at:at] = data[at:at + rng.choice((1, 2, 8, 64))]
    return bytes(data)


# ---- random command lines


def random_value(item: Definition, files: list[str], rng: random.Random) -> str:
    """A value for a parameter: mostly one of its type, at times none."""
    kind = item.kind
    if rng.random() < 0.1:
        return rng.choice(("", "None", "Auto", "nan", "inf", "-1", "0", "1e400", "x", "1,2,3", "'", "{", "é", "$HOME"))
    if item.file is not None:
        return rng.choice((*files, "new.file", "nowhere/new.file", ".", "/dev/null", "None"))
    if kind.base == "choice":
        return rng.choice(kind.choices)
    if kind.base == "bool":
        return rng.choice(("True", "False"))
    low, high = item.bounds.get("ge", item.bounds.get("gt")), item.bounds.get("le", item.bounds.get("lt"))
    numbers = [v for v in (low, high, 0, 1, 2, 3, 10, 100, 0.5, 1e-3, 1e4, 1e9, -1) if v is not None]
    one: Callable[[], str] = lambda: f"{rng.choice(numbers):g}"  # noqa: E731
    if kind.base in ("int", "ints"):
        one = lambda: f"{int(rng.choice(numbers))}"  # noqa: E731
    if kind.base in ("ints", "floats"):
        return ",".join(one() for _ in range(kind.size or rng.choice((1, 2, 3, 4))))
    if kind.base in ("int", "float"):
        return one()
    if kind.base == "unit_cell":
        return rng.choice(("79,79,38,90,90,90", "1,1,1,90,90,90", "5,6,7,80,95,100", "1e4,1e4,1e4,90,90,90", "5,6,7"))
    if kind.base == "space_group":
        return rng.choice(("P43212", "P1", "I23", "19", "R3:H", "P 4nw 2abw", "Fd-3m"))
    return rng.choice(("a", "b,c,a", "h,k,l", "0", "Si", *files))


#: Parameters that would make a run of minutes, start processes, or wait for what never comes.
_LEFT_OUT = ("cluster.", "mp.", "nproc", "n_frames", "njobs")


def random_line(command: str, files: list[str], rng: random.Random) -> list[str]:
    """A command line: inputs from the files, and a few parameters of the command's model."""
    items = [item for item in build_tree(load_model(command)).definitions()
             if not any(part in f".{item.path}" for part in _LEFT_OUT)]
    words = [command, *(rng.choice(files) for _ in range(rng.choice((0, 1, 1, 2, 2, 3))))]
    for _ in range(rng.choice((0, 1, 1, 2, 3, 5))):
        if items:
            item = rng.choice(items)
            words.append(f"{item.path}={random_value(item, files, rng)}")
    return words


# ---- many of them


@dataclass
class Campaign:
    """What was run and what went wrong, each kind of trouble once."""

    n: int = 0
    troubles: dict[str, tuple[list[str], str]] = field(default_factory=dict)

    def note(self, words: list[str], outcome: Outcome, evidence: Path | None = None) -> None:
        """Count a run; keep its trouble, and the file that made it, where it is of a new kind."""
        self.n += 1
        if not outcome.trouble:
            return
        lines = outcome.trouble.strip().splitlines()
        places = [line.strip() for line in lines if "/xdp/" in line and line.strip().startswith("File")]
        key = f"{words[0] if not places else places[-1]} {lines[-1][:60]}"
        if key not in self.troubles:
            self.troubles[key] = (words, outcome.trouble)
            if evidence is not None and "XDP_FUZZ_KEEP" in os.environ:
                kept = Path(os.environ["XDP_FUZZ_KEEP"])
                kept.mkdir(exist_ok=True)
                shutil.copy(evidence, kept / f"{len(self.troubles):03d}-{evidence.name}")


#: What is done with a damaged file of each kind; {} stands for it. The good files lie beside it.
USES = {
    ".expt": (
        "show {} show_scan_varying=True", "show {} show_shared_models=True", "reindex {} change_of_basis_op=b,c,a",
        "export {} good.refl", "export {} good.refl format=json", "export {} good.refl format=xds_ascii",
        "export {} good.refl format=shelx", "export {} good.refl format=mmcif", "generate_mask {} d_min=3",
        "find_spots {}", "index {} good.refl", "refine {} good.refl", "integrate {} good.refl",
        "find_hot_pixels {} good.refl", "refine_bravais_settings {} good.refl", "search_beam_position {} good.refl",
        "estimate_gain {}", "convert {}", "export_images {} imageset_index=1", "model_background {}"),
    ".refl": (
        "show {} show_flags=True show_all_reflection_data=True max_reflections=3", "reindex {} hkl_offset=1,0,0",
        "export good.expt {}", "export good.expt {} format=json", "export good.expt {} format=xds_ascii",
        "export good.expt {} format=shelx", "export good.expt {} format=mmcif", "index good.expt {}",
        "refine good.expt {}", "integrate good.expt {}", "find_hot_pixels good.expt {}",
        "refine_bravais_settings good.expt {}", "search_beam_position good.expt {}",
        "export_images good.expt {} imageset_index=1"),
    ".phil": (
        "find_spots good.expt {}",),
    ".mask": (
        "find_spots good.expt lookup.mask={}", "integrate good.expt good.refl lookup.mask={}"),
    "": (
        "import {}", "show {} image_statistics.show_raw=True", "find_spots {}"),
}


def fuzz_files(folder: Path, n: int, seed: int = 0, kinds: tuple[str, ...] | None = None) -> Campaign:
    """Damage the files of a folder `n` times and give each to a command.

    Parameters
    ----------
    folder : path
        Holds good.expt, good.refl, files to be damaged; it becomes the current folder.
    n : int
        Files.
    seed : int
        Of all choices.
    kinds : tuple of str, optional
        Only files with these endings.
    """
    rng = random.Random(seed)
    sources = sorted(p for p in folder.iterdir() if p.is_file() and (kinds is None or p.suffix in kinds))
    campaign = Campaign()
    for _ in range(n):
        source = rng.choice(sources)
        ways = {".expt": damage_expt, ".refl": damage_refl}
        data = ways.get(source.suffix, damage_bytes)(source, rng)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            for good in sources if kinds is None else folder.iterdir():
                if good.is_file():
                    os.symlink(good, Path(scratch) / good.name)
            bad = Path(scratch) / f"bad_0001{source.name[source.name.index('.'):]}"
            bad.write_bytes(data)
            words = rng.choice(USES.get(source.suffix, USES[""])).format(bad.name).split()
            with contextlib.chdir(scratch):
                campaign.note(words, run(words), bad)
    return campaign


def fuzz_commands(folder: Path, n: int, seed: int = 0) -> Campaign:
    """Run `n` random command lines on the files of a folder."""
    rng = random.Random(seed)
    sources = sorted(p for p in folder.iterdir() if p.is_file())
    campaign = Campaign()
    commands = sorted(set(MODELS) - {"demo", "plan"})
    for _ in range(n):
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            for good in sources:
                shutil.copy(good, scratch)
            words = random_line(rng.choice(commands), [p.name for p in sources], rng)
            with contextlib.chdir(scratch):
                outcome = run(words)
            campaign.note(words, outcome)
            inputs = [p for p in sources if p.name in words]
            changed = [p.name for p in inputs if (Path(scratch) / p.name).read_bytes() != p.read_bytes()]
            if changed and not is_in_place(words, changed):
                campaign.note(words, Outcome(0, "", f"changed its inputs {changed}"))
    return campaign


def is_in_place(words: list[str], changed: list[str]) -> bool:
    """Whether a command may replace these inputs of its own kind."""
    own = {f"{item.path}={name}" for item in build_tree(load_model(words[0])).definitions() if item.in_place
           for name in changed if name.endswith({"experiments": ".expt", "reflections": ".refl"}[item.name])}
    return len(own.intersection(words)) == len(changed)


def report(campaign: Campaign) -> str:
    """What went wrong, each kind with the command and the end of its traceback."""
    parts = [f"{campaign.n} runs, {len(campaign.troubles)} kinds of trouble"]
    for key, (words, trouble) in campaign.troubles.items():
        parts.append(f"== {key}\n{' '.join(words)}\n" + "\n".join(trouble.strip().splitlines()[-6:]))
    return "\n\n".join(parts)


if __name__ == "__main__":
    from fuzz_inputs import make_inputs

    count_files, count_commands, *more = map(int, sys.argv[1:])
    with tempfile.TemporaryDirectory() as place:
        inputs = Path(place) / "inputs"
        inputs.mkdir()
        make_inputs(inputs)
        for made in (fuzz_files(inputs, count_files, *more), fuzz_commands(inputs, count_commands, *more)):
            sys.stdout.write(report(made) + "\n\n")
