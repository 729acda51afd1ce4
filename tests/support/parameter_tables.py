"""For tests that every parameter of a command is there as in the reference, and that each has an effect."""

from __future__ import annotations

import csv
import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest

from xdp.options import scope_text
from xdp.options.kinds import format_type
from xdp.options.model import Options
from xdp.options.tree import build_tree

TABLE = Path(__file__).parents[1] / "data" / "parameters.tsv"


def reference_rows(program: str) -> list[dict[str, str]]:
    """The rows of the reference's table (tests/data/parameters.tsv) that belong to a command."""
    with TABLE.open(encoding="utf-8") as file:
        return [row for row in csv.DictReader(file, delimiter="\t") if row["program"] == program]


def registry() -> tuple[dict[str, Callable], Callable]:
    """An empty dictionary of effects, and the decorator that enters a function under the parameters it shows.

    A function entered under several names runs until it passes for one of them; it then holds for the others.
    """
    effects: dict[str, Callable] = {}

    def effect(*names: str) -> Callable:
        def register(function: Callable) -> Callable:
            effects.update(dict.fromkeys(names, _until_passed(function)))
            return function
        return register

    return effects, effect


def _until_passed(check: Callable) -> Callable:
    """A check that does nothing more once it has passed."""
    passed = False

    @functools.wraps(check)
    def run(*given: Any) -> None:
        nonlocal passed
        if not passed:
            check(*given)
            passed = True

    return run


def check_declaration(model: type[Options], row: dict[str, str], *, own_multiples: str, exact: bool = False) -> None:
    """Fail unless a parameter has the type, default, level and multiplicity of the reference's row.

    Parameters whose path contains `own_multiples` are repeated otherwise than in the reference. With `exact` numbers
    are printed in the same way, and the reference's choice is chosen by us too.
    """
    path = row["parameter"]
    node = {d.path: d for d in build_tree(model).definitions()}[path]
    if row["type"] != "choice":
        assert (node.phil or format_type(node.kind, node.bounds)) == row["type"]
    alternatives = [row["default"], *re.findall(r"DIALS 3.12 has: (.*)$", row["source"])]
    shown = re.search(rf"^\s*{path.split('.')[-1]} = (.*)$", parent_text(model, path), re.MULTILINE)
    assert shown is not None
    assert any(is_same(shown[1], a, row["type"], exact=exact) for a in alternatives), (shown[1], alternatives)
    assert node.level == int(row["expert_level"])
    if own_multiples not in path:
        assert node.multiple == (row["multiple"] == "yes")


def parent_text(model: type[Options], path: str) -> str:
    """The printed scope that holds a parameter, without the scopes inside it."""
    lines: list[str] = []
    depth: list[str] = []
    scope = path.split(".")[:-1]
    for line in scope_text(model, expert_level=9).splitlines():
        if line.strip().endswith("{"):
            depth.append(line.split()[0])
        elif line.strip() == "}":
            depth.pop()
        elif depth == scope:
            lines.append(line)
    return "\n".join(lines)


def is_same(shown: str, expected: str, kind: str, *, exact: bool = False) -> bool:
    """Whether two printed values are the same; of choices the reference's must be among ours, with the same chosen."""
    words, wanted = shown.replace("'", "").split(), expected.replace("'", "").split()
    if kind == "choice":
        ours = set(words) if exact else {*words, *(f"*{w}" for w in words)}
        return set(wanted) <= ours and (
            [w for w in words if w[0] == "*"] == [w for w in wanted if w[0] == "*"])
    if kind.startswith(("float", "int(")) and not exact:
        try:
            return float(words[0]) == pytest.approx(float(wanted[0]), rel=1e-6)  # as many digits as are given
        except ValueError:
            pass
    return [w.lower() for w in words] == [w.lower() for w in wanted]


def nested_options(model: type[Options], settings: dict[str, Any]) -> Any:
    """Options of a model from dotted names."""
    tree: dict[str, Any] = {}
    for path, value in settings.items():
        node = tree
        *scopes, name = path.split(".")
        for scope in scopes:
            node = node.setdefault(scope, {})
        node[name] = value
    return model.model_validate(tree)


def leaves(model: type[Options], prefix: str = "") -> set[str]:
    """Dotted names of all parameters of an option model."""
    found = set()
    for name, info in model.model_fields.items():
        inner = info.annotation
        if get_origin(inner) is tuple:  # a scope that may be given several times
            inner = get_args(inner)[0]
        is_scope = isinstance(inner, type) and issubclass(inner, Options)
        found |= leaves(inner, f"{prefix}{name}.") if is_scope else {prefix + name}
    return found
