"""What tests of importing share: options by short names, and a file that is no image."""

from __future__ import annotations

from pathlib import Path

from xdp.images.importing.options import ImportOptions


def make_import_options(**changes) -> ImportOptions:
    """Import options with nested values by their paths, ``input__template=...``."""
    tree: dict = {}
    for name, value in changes.items():
        node = tree
        *scopes, last = name.split("__")
        for scope in scopes:
            node = node.setdefault(scope, {})
        node[last] = value
    return ImportOptions.model_validate(tree)


def write_text_file(folder: Path) -> Path:
    (folder / "text.txt").write_text("hello")
    return folder / "text.txt"
