"""PHIL text made from option models: the whole scope for ``-c``, the changed parameters for the log."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator
from typing import Any

from xdp.options.model import Options
from xdp.options.tree import Definition, Scope, build_tree
from xdp.options.words import write_value

_WIDTH = 79  # as PHIL prints


def scope_text(model: type[Options] | Options, expert_level: int | None = None, attributes_level: int = 0) -> str:
    """PHIL text of a model with its defaults, or of an instance with its values.

    Parameters
    ----------
    model : type or instance of Options
    expert_level : int, optional
        Leave out parameters and scopes of a higher level; None or a negative number shows all.
    attributes_level : int
        0: names and values; 1: with ``.help``; 2: also ``.type``, ``.multiple``, ``.expert_level``; 3: also unset ones.
    """
    values = model if isinstance(model, Options) else None
    root = build_tree(type(model) if isinstance(model, Options) else model)
    # No limit is a level that no parameter has.
    limit = expert_level if expert_level is not None and expert_level >= 0 else 1_000_000
    lines = [line for child in root.children for line in _show(child, values, "", limit, attributes_level)]
    return "".join(f"{line}\n" for line in lines)


def _show(node: Definition | Scope, values: Options | None, indent: str, limit: int, attributes: int) -> Iterator[str]:
    """Lines of one node; `values` is the instance of the enclosing model (None: its defaults)."""
    if (node.expert or 0) > limit:
        return
    value = node.default if values is None else getattr(values, node.attribute)
    for one in _instances(node, value):
        if isinstance(node, Definition):
            yield from _definition_lines(node, one, indent)
            yield from _attribute_lines(node, indent, attributes)
            continue
        yield from _opening(node, indent, attributes)
        inner = one if isinstance(one, Options) else None
        for child in node.children:
            yield from _show(child, inner, indent + "  ", limit, attributes)
        yield f"{indent}}}"


def _instances(node: Definition | Scope, value: Any) -> tuple:
    """The values to print: one, or each of a repeated parameter; None stands for "nothing given"."""
    return (value or (None,)) if node.multiple else (value,)


def _definition_lines(node: Definition, value: Any, indent: str) -> Iterator[str]:
    """``name = words``, continued with a backslash where the line grows too long."""
    start = f"{indent}{node.name} ="
    line = start
    text = write_value(node, value)
    # A quoted text must not be cut at its blanks.
    words = text.split(" ") if node.kind.base not in ("str", "path", "strings") else [text]
    for word in words:
        if len(line) + len(word) > _WIDTH - 3 and line != start and line.strip():
            yield line + " \\"
            line = " " * len(start)
        line = f"{line} {word}"
    yield line


def _opening(node: Scope, indent: str, attributes: int) -> Iterator[str]:
    lines = list(_attribute_lines(node, indent, attributes))
    if not lines:
        yield f"{indent}{node.name} {{"
        return
    yield f"{indent}{node.name}"
    yield from lines
    yield f"{indent}{{"


def _attribute_lines(node: Definition | Scope, indent: str, level: int) -> Iterator[str]:
    """The ``.help`` and other attributes that `level` asks for."""
    if level >= 1 and (node.help or level >= 3):
        yield from _help_lines(node.help, indent)
    if level < 2:
        return
    shown: list[tuple[str, Any]] = [("multiple", node.multiple or None), ("expert_level", node.expert)]
    if isinstance(node, Definition):
        shown.insert(0, ("type", node.type_text))
    for name, value in shown:
        if value is not None or level >= 3:
            yield f"{indent}  .{name} = {value}"


def _help_lines(help: str, indent: str) -> Iterator[str]:
    start = f"{indent}  .help = "
    if not help:
        yield start + "None"
        return
    escaped = help.replace("\\", "\\\\").replace('"', '\\"')
    # Neighbouring strings are one text to PHIL.
    for block in textwrap.wrap(escaped, _WIDTH - 2 - len(start)) or [""]:
        yield f'{start}"{block}"'
        start = " " * len(start)


def changed_text(options: Options) -> str:
    """Write the parameters that differ from their defaults as PHIL text; an empty string if none does.

    Examples
    --------
    >>> from xdp.spotfinding.options import FindSpotsOptions
    >>> from xdp.options.named import make_options
    >>> print(changed_text(make_options(FindSpotsOptions, {"d_min": 2.0})), end="")
    spotfinder {
      filter {
        d_min = 2
      }
    }
    """
    lines = [line for child in build_tree(type(options)).children for line in _diff(child, options, "")]
    return "".join(f"{line}\n" for line in lines)


def write_changes(path: str | os.PathLike, changed: str) -> None:
    """Write the text of changed parameters to a PHIL file.

    Parameters
    ----------
    path : path
        The file, which appears whole.
    changed : str
        As :func:`changed_text` gives it; the file of an empty text is empty.
    """
    from xdp.files import atomic_output

    with atomic_output(path) as part:
        part.write_text(changed + "\n" if changed else "", encoding="utf-8")


def _diff(node: Definition | Scope, values: Options, indent: str) -> Iterator[str]:
    value = getattr(values, node.attribute)
    # Also a whole scope: a model equals another if all its fields do.
    if value == node.default:
        return
    if isinstance(node, Definition):
        for one in _instances(node, value):
            yield from _definition_lines(node, one, indent)
        return
    for one in _instances(node, value):
        yield f"{indent}{node.name} {{"
        if one is not None:
            for child in node.children:
                yield from _diff(child, one, indent + "  ")
        yield f"{indent}}}"
