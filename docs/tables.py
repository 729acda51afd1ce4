"""Parameter tables of these pages, written from the option models: `python docs/tables.py` rewrites them in place.

A table stands between `<!-- parameters: module:Model [scope] -->` and `<!-- end of parameters -->`; a test checks that
what stands there is what the models say.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path

from xdp.options.tree import Definition, build_tree
from xdp.options.words import write_value

FOLDER = Path(__file__).parent
BLOCK = re.compile(r"(<!-- parameters: (\S+):(\w+)(?: (\S+))? -->\n).*?(<!-- end of parameters -->)", re.DOTALL)


def row(definition: Definition) -> str:
    """One parameter: path, default, what it must be, help."""
    level = f" (expert level {definition.level})" if definition.level else ""
    default = "none given" if definition.multiple else f"`{_default(definition)}`"
    several = "; may be given several times" if definition.multiple else ""
    cells = f"`{definition.path}`", default, definition.wanted + several, definition.help + level
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(definition: Definition) -> str:
    """The default as one would type it."""
    is_choice = definition.kind.base == "choice"  # whose PHIL text lists all words
    if is_choice and isinstance(definition.default, tuple):
        return "+".join(definition.default)
    return str(definition.default) if is_choice else write_value(definition, definition.default)


def table(module: str, model: str, scope: str | None) -> str:
    """The table of all parameters of an option model, or of those within one scope."""
    found = build_tree(getattr(importlib.import_module(module), model)).definitions()
    rows = [row(item) for item in found if scope is None or f"{item.path}.".startswith(f"{scope}.")]
    return "\n".join(["| parameter | default | value | meaning |", "|---|---|---|---|", *rows, ""])


def with_tables(text: str) -> str:
    """A page with its tables made anew."""
    return BLOCK.sub(lambda found: found[1] + table(found[2], found[3], found[4]) + found[5], text)


if __name__ == "__main__":
    for page in sorted(FOLDER.glob("*.md")):
        page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")
