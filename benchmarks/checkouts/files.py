"""Where two folders of outputs differ, and by how much: a line a file.

Files are compared byte for byte. What cannot be equal is taken away first: the name of the scratch folder, of which
each run has its own (of the same length; models name masks by their whole paths), and what :data:`RULES` lists with
reasons.
"""

from __future__ import annotations

import bz2
import difflib
import fnmatch
import gzip
import lzma
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from checkouts.readers import read_arrays, read_values
from checkouts.run import list_files, replace_path
from checkouts.words import Rewording, compare_words, describe_numbers, differ_in_numbers_only, shorten

LEFT_OUT = (".xdp-process.json",)
"""The record of what is done: it holds times of change of files."""


class Rule(NamedTuple):
    """What is taken away before files are compared.

    Attributes
    ----------
    files : str
        Pattern of ``<set>/<command>/<file>``.
    pattern, instead : bytes
        Regular expression and what takes its place.
    why : str
        The reason.
    """

    files: str
    pattern: bytes
    instead: bytes
    why: str


_DATE, _SECONDS = rb"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d", rb" +\d+\.\d+ s\b"
RULES = (
    Rule("*/stdout.txt", _DATE, b"<date>", "when the command was run"),
    Rule("*/stdout.txt", _SECONDS, b" <seconds>", "how long it took"),
    Rule("*.log", _DATE, b"<date>", "when the command was run"),
    Rule("*.log", _SECONDS, b" <seconds>", "how long it took"),
    Rule("*/xdp.process.json", rb'"seconds": [\d.]+', b'"seconds": <seconds>', "how long each stage took"),
    Rule("rot_dev/plan/stdout.txt", rb"(?:[ \d.%]|\n(?=[ \d]))+", b" # ", "a forecast from times measured on the spot"),
    Rule("*.gz", rb"(?s)\A(\x1f\x8b..)....", rb"\1<at>", "gzip's header holds the time of compression"),
    Rule("demo/*", rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", b"<identifier>",
         "identifiers are made from the models and the whole paths of the images, which lie in the scratch folder"),
)


WORDS = ("*/stdout.txt", "*/stderr.txt", "*.log")
"""Files of which wording and numbers are compared apart (:mod:`checkouts.words`); not those of the set `parameters`."""


@dataclass
class Differences:
    """What differs between two folders of outputs.

    Attributes
    ----------
    lines : list of str
        A line for each file that differs.
    rewordings : Counter
        How often which wording changed in logs and printed lines.
    """

    lines: list[str] = field(default_factory=list)
    rewordings: Counter[Rewording] = field(default_factory=Counter)


def compare_folders(place: str, first: Path, second: Path, scratch: tuple[str, str]) -> Differences:
    """Compare all that a command wrote and printed.

    Parameters
    ----------
    place : str
        ``<set>/<command>``.
    first, second : Path
        Folders of files.
    scratch : tuple of str
        The scratch folders in which they were written.
    """
    names = [{str(path.relative_to(folder)) for path in list_files(folder)} for folder in (first, second)]
    found = Differences()
    for name in sorted(name for name in names[0] | names[1] if Path(name).name not in LEFT_OUT):
        if name not in names[1] or name not in names[0]:
            found.lines.append(f"{name}: only in the {'first' if name in names[0] else 'second'}")
            continue
        said, rewordings = compare_contents(f"{place}/{name}", (first / name).read_bytes(),
                                            (second / name).read_bytes(), scratch)
        found.rewordings += rewordings
        if said:
            found.lines.append(f"{name}: {said}")
    return found


def compare_contents(name: str, first: bytes, second: bytes, scratch: tuple[str, str]
                     ) -> tuple[str, Counter[Rewording]]:
    """How two files of one name, ``<set>/<command>/<file>``, differ: in results, and in wording."""
    second = replace_path(second, scratch[1], scratch[0])
    first, second = apply_rules(name, first), apply_rules(name, second)
    if first == second:
        return "", Counter()
    if not name.startswith("parameters/") and any(fnmatch.fnmatch(name, pattern) for pattern in WORDS):
        return compare_words(first.decode(errors="replace"), second.decode(errors="replace"))
    return describe_difference(name, first, second), Counter()


MANY_LINES = 4000
"""Longer texts are not aligned line by line, which takes the square of this."""


def apply_rules(name: str, content: bytes) -> bytes:
    """The content without what :data:`RULES` takes away."""
    for rule in RULES:
        if fnmatch.fnmatch(name, rule.files):
            content = re.sub(rule.pattern, rule.instead, content)
    return content


def describe_difference(name: str, first: bytes, second: bytes) -> str:
    """How two contents that are not equal differ, as exactly as the kind of file allows."""
    for describe in (_describe_arrays, _describe_values, _describe_text):
        try:
            said = describe(name, first, second)
        except Exception as error:  # a file that is broken is a difference too, and must not end the run
            said = f"cannot be read ({type(error).__name__}: {error})"
        if said:
            return said
    return _describe_bytes(first, second)


def _describe_arrays(name: str, first: bytes, second: bytes) -> str:
    """Differences between the arrays of two tables, images or HDF5 files; empty for other files."""
    one, two = read_arrays(name, first), read_arrays(name, second)
    if one is None or two is None:
        return ""
    return _describe_items(one, two, _describe_array) or "all arrays equal, the bytes around them are not"


def _describe_values(name: str, first: bytes, second: bytes) -> str:
    """Differences between two JSON files; empty for other files."""
    one, two = read_values(name, first), read_values(name, second)
    if one is None or two is None:
        return ""
    return _describe_items(one, two, _describe_value) or "all values equal, written differently"


def _describe_items(one: dict, two: dict, describe: Callable) -> str:
    """Differences between two dictionaries, the first eight of them in words."""
    found = [f"{key} only in the {'first' if key in one else 'second'}" for key in sorted(one.keys() ^ two.keys())]
    found += [f"{key} {said}" for key in one if key in two and (said := describe(one[key], two[key]))]
    return "; ".join(found[:8]) + (f"; and {len(found) - 8} more" if len(found) > 8 else "")


def _describe_array(one, two) -> str:
    """Number of values that differ, largest absolute and relative difference."""
    import numpy as np

    if one.dtype != two.dtype or one.shape != two.shape:
        return f"is {one.dtype}{list(one.shape)} and {two.dtype}{list(two.shape)}"
    if one.tobytes() == two.tobytes():
        return ""
    if one.dtype.kind not in "biuf":
        return f"{np.count_nonzero(one != two)} of {one.size} values"
    left, right = one.astype(np.float64), two.astype(np.float64)
    other = ~((left == right) | (np.isnan(left) & np.isnan(right)))
    gap = np.abs(left - right)[other]
    scale = np.maximum(np.abs(left), np.abs(right))[other]
    if not gap.size:
        return "differs in signs of zeros or kinds of NaN"
    return f"{gap.size} of {one.size} values, max abs {gap.max():.3g}, max rel {(gap / scale).max():.3g}"


def _describe_value(one, two) -> str:
    """Two values of a JSON file that differ."""
    if one == two and type(one) is type(two):
        return ""
    if isinstance(one, float) and isinstance(two, float):
        return f"{one!r} and {two!r} (rel {abs(one - two) / max(abs(one), abs(two)):.2g})"
    return f"{shorten(repr(one))} and {shorten(repr(two))}"


def _describe_text(name: str, first: bytes, second: bytes) -> str:
    """Number of lines that differ, and the first of them; by how much where only numbers do; empty for no text."""
    try:
        one, two = (_unpack(name, content).decode() for content in (first, second))
    except UnicodeDecodeError:
        return ""
    if one == two:
        return "equal once unpacked"
    left, right = one.splitlines(), two.splitlines()
    pairs = [(a, b) for a, b in zip(left, right, strict=False) if a != b]
    if len(left) == len(right) and differ_in_numbers_only(pairs):
        return describe_numbers(pairs)
    if len(left) + len(right) > MANY_LINES:
        return f"{len(pairs)} of {len(left)} and {len(right)} lines"
    matcher = difflib.SequenceMatcher(None, left, right, autojunk=False)
    blocks = [(left[a:b], right[c:d]) for kind, a, b, c, d in matcher.get_opcodes() if kind != "equal"]
    n_lines = sum(max(len(a), len(b)) for a, b in blocks)
    shown = " | ".join(f"-{shorten(''.join(a[:1]))} +{shorten(''.join(b[:1]))}" for a, b in blocks[:3])
    return f"{n_lines} of {len(left)} lines: {shown}" + (" ..." if len(blocks) > 3 else "")


def _unpack(name: str, content: bytes) -> bytes:
    """The content of a compressed file."""
    unpackers = {".gz": gzip.decompress, ".bz2": bz2.decompress, ".xz": lzma.decompress}
    return unpackers.get(Path(name).suffix, bytes)(content)


def _describe_bytes(first: bytes, second: bytes) -> str:
    """Number of bytes that differ."""
    if len(first) != len(second):
        return f"{len(first)} and {len(second)} bytes"
    return f"{sum(a != b for a, b in zip(first, second, strict=True))} of {len(first)} bytes"
