"""Settings of Sphinx for the reference, whose pages are made from docstrings."""

from __future__ import annotations

import ast
import re
import sys
import types
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import xdp  # noqa: E402

project = "xdp"
author = "the authors of xdp"
copyright = "the authors of xdp, BSD-3-Clause"
release = version = xdp.__version__
extensions = ["sphinx.ext.autodoc", "sphinx.ext.mathjax", "numpydoc"]
exclude_patterns = ["build"]
html_theme = "alabaster"
html_theme_options = {"description": "X-ray diffraction images to intensities", "page_width": "1100px"}
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # numpydoc's Parameters name the types
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
suppress_warnings = ["ref.python"]  # names such as "frame", which several classes have

#: What is written about each room; the order is that of the work.
ROOMS = {
    "experiment": "Models", "images": "Images", "spotfinding": "Spot finding", "indexing": "Indexing",
    "prediction": "Prediction", "refinement": "Refinement", "integration": "Integration", "exporting": "Export",
    "reflections": "Reflection tables", "pipeline": "Pipeline", "laue": "Laue data", "pictures": "Pictures",
    "report": "Reports", "options": "Options", "work": "Work", "cluster": "Clusters", "simulation": "Simulation",
}


def setup(app) -> None:
    """Have the pages of the rooms written before anything is read, and docstrings read as they are meant."""
    app.connect("builder-inited", lambda _: write_pages())
    app.connect("autodoc-skip-member", skip_what_is_not_ours)
    app.connect("autodoc-process-docstring", escape_bars, priority=900)


def skip_what_is_not_ours(app, what, name, obj, skip, options) -> bool | None:
    """Leave out names that a module only imports, and names of types."""
    module = getattr(obj, "__module__", None) or ""
    return True if isinstance(obj, types.GenericAlias) or (what == "module" and not module.startswith("xdp")) else None


def escape_bars(app, what, name, obj, options, lines: list[str]) -> None:
    """Write bars so that they are absolute values, ``|s1|``, not substitutions of reStructuredText."""
    for i, line in enumerate(lines):
        parts = line.split("``")  # what stands between two of these is literal
        parts[::2] = [re.sub(r"(?<!\\)\|", r"\\|", part) for part in parts[::2]]
        lines[i] = "``".join(parts)


def write_pages(folder: Path = Path(__file__).parent / "rooms") -> None:
    """A page for each room: its modules in order of their paths, private ones left out."""
    folder.mkdir(exist_ok=True)
    for room, title in ROOMS.items():
        lines = [title, "=" * len(title), "", f".. automodule:: xdp.{room}", "   :no-members:", ""]
        for path in sorted((ROOT / "xdp" / room).rglob("*.py")):
            if path.name.startswith("_") or not ast.get_docstring(ast.parse(path.read_text())):
                continue
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            lines += [module, "-" * len(module), "", f".. automodule:: {module}", "   :members:", ""]
        page, text = folder / f"{room}.rst", "\n".join(lines)
        if not page.exists() or page.read_text() != text:
            page.write_text(text)
