"""For the test that our sentences are ours: which texts of the project stand in an installed peer's sources too.

A text is a string or docstring of a Python file, or a line of a page. Two texts share words where a number of words in
a row are the same, whatever their case and punctuation.
"""

from __future__ import annotations

import ast
import csv
import importlib
import pkgutil
import re
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import xdp
from xdp.options.model import Options

PLACES = ("xdp", "docs", "workflows", "benchmarks", "README.md", "CHANGELOG.md")
HELP = re.compile(r"""\.help\s*=\s*((?:(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')[\s\\]*)+|[^\n]*)""")
Run = tuple[str, ...]


class Hit(NamedTuple):
    """A text of ours that shares words with a peer: where it stands, the shared runs, and where the first one is."""

    place: str
    runs: tuple[Run, ...]
    peer: str

    def __str__(self) -> str:
        return f"{self.place}: {' '.join(self.runs[0])} ({len(self.runs)} runs; {self.peer})"


def words_of(text: str) -> list[str]:
    """The words of a text in small letters; paths, names of files and assignments count as none."""
    text = re.sub(r"['\"]\s*\n\s*['\"]", "", text)  # one PHIL help over several quoted lines
    plain = re.sub(r"\S*[._/=]\w\S*", " | ", text.lower()).replace("-", " ")
    return re.findall(r"[a-z]{2,}|[ai]\b", plain)


def strings_of(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of each string in a Python file; an f-string without its values is one text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a peer's escape sequences
        try:
            tree = ast.parse(path.read_text(encoding="utf-8", errors="replace"))
        except (SyntaxError, ValueError):  # a peer's templates
            return
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
        elif isinstance(node, ast.JoinedStr):
            parts = [v.value for v in node.values if isinstance(v, ast.Constant) and isinstance(v.value, str)]
            yield node.lineno, " ".join(parts)


def runs_of(text: str, length: int) -> list[Run]:
    """All runs of `length` words in a text."""
    words = words_of(text)
    return [tuple(words[i:i + length]) for i in range(len(words) - length + 1)]


def peer_strings(folders: Iterable[Path]) -> list[tuple[str, str]]:
    """Place and text of all strings in the Python files of the peers' folders."""
    files = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    return [(f"{path.parent.name}/{path.name}:{line}", text) for path in files for line, text in strings_of(path)]


def our_texts(project: Path) -> Iterator[tuple[str, str]]:
    """Place and text of all our strings, docstrings and lines of pages."""
    for name in PLACES:
        base = project / name
        for path in [base] if base.is_file() else sorted([*base.rglob("*.py"), *base.rglob("*.md")]):
            lines = strings_of(path) if path.suffix == ".py" else enumerate(path.read_text("utf-8").splitlines(), 1)
            yield from ((f"{path.relative_to(project)}:{line}", text) for line, text in lines)


def shared_texts(ours: Iterable[tuple[str, str]], theirs: Iterable[tuple[str, str]], length: int = 7) -> list[Hit]:
    """Texts of ours that share `length` words in a row with one of theirs."""
    known: dict[Run, str] = {}
    for place, text in theirs:
        for run in runs_of(text, length):
            known.setdefault(run, place)
    found = []
    for place, text in ours:
        shared = tuple(run for run in runs_of(text, length) if run in known)
        if shared:
            found.append(Hit(place, shared, known[shared[0]]))
    return found


def help_texts(texts: Iterable[tuple[str, str]]) -> dict[Run, str]:
    """The words of each help text in PHIL scopes that stand in the given strings, and where."""
    found: dict[Run, str] = {}
    for place, text in texts:
        for quoted in HELP.findall(text):
            joined = re.sub(r"""["']?[\s\\]*\n\s*["']?""", " ", quoted)
            found.setdefault(tuple(fold(joined)), place)
    return found


def fold(text: str) -> list[str]:
    """The words of a text, numbers and names included, without case and punctuation."""
    return re.findall(r"[a-z0-9_]+", text.lower())


def option_texts() -> list[tuple[str, str]]:
    """Place and text of each help text and docstring of our option models."""
    for module in pkgutil.walk_packages(xdp.__path__, "xdp."):
        if "options" in module.name or module.name.startswith("xdp.cli."):
            importlib.import_module(module.name)
    found = []
    models = list(Options.__subclasses__())
    for model in models:
        models += model.__subclasses__()
        if model.__module__.startswith("xdp."):
            name = f"{model.__module__}:{model.__name__}"
            found.append((name, model.__doc__ or ""))
            found += [(f"{name}.{field}", info.description or "") for field, info in model.model_fields.items()]
    return found


def read_allowed(path: Path) -> dict[str, str]:
    """The phrases that may stand as a peer has them, each with the reason (two columns: phrase, reason)."""
    with path.open(encoding="utf-8") as file:
        return {row["phrase"]: row["reason"] for row in csv.DictReader(file, delimiter="\t")}


def is_allowed(run: Run, allowed: Iterable[str]) -> bool:
    """Whether a run of words stands in one of the allowed phrases."""
    return any(is_within(run, phrase) for phrase in allowed)


def is_within(run: Run, phrase: str) -> bool:
    """Whether a run of words stands in a phrase."""
    return run in runs_of(phrase, len(run))
