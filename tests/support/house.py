"""Figures of the house: how well the package is documented, named and divided.

``python tests/support/house.py`` prints them; ``--list NAME`` lists what a figure counts against the house. A function
is public if neither it nor its module nor its class begins with an underscore. Properties count as attributes, not as
functions.
"""

from __future__ import annotations

import argparse
import ast
import collections
import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: names that each module of a kind has: the entry of a command
SHARED_NAMES = frozenset({"run"})


@dataclass
class Function:
    """One function or method."""

    place: str
    name: str
    is_public: bool
    is_method: bool
    n_arguments: int
    docstring: str
    n_lines: int


@dataclass
class House:
    """What was counted, and the places of each fault by the name of its figure."""

    figures: dict[str, float] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=lambda: collections.defaultdict(list))


def iterate_modules(root: Path = ROOT) -> Iterator[tuple[Path, str, ast.Module]]:
    """Path relative to the root, text and syntax tree of each module of the package."""
    for path in sorted((root / "xdp").rglob("*.py")):
        text = path.read_text()
        yield path.relative_to(root), text, ast.parse(text)


def iterate_functions(path: Path, tree: ast.AST, is_public: bool = True, in_class: bool = False) -> Iterator[Function]:
    """The functions of a module and of its classes, not those within functions."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield from iterate_functions(path, node, is_public and not node.name.startswith("_"), True)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            n_bound = int(in_class and not _has_decorator(node, "staticmethod"))
            if _has_decorator(node, "property", "cached_property", "overload"):
                continue  # read as attributes, or said by the function itself
            text = ast.get_docstring(node) or ""
            yield Function(f"{path}:{node.lineno} {node.name}", node.name, is_public and not node.name.startswith("_"),
                           in_class, len(arguments) - n_bound, text, node.end_lineno - node.lineno + 1)


def _has_decorator(node: ast.FunctionDef | ast.AsyncFunctionDef, *names: str) -> bool:
    """Whether a function is decorated by one of `names`."""
    return any(isinstance(d, ast.Name) and d.id in names for d in node.decorator_list)


def count_lines(text: str) -> tuple[int, int]:
    """Lines that hold code, docstrings left out, and comments of a module."""
    code: set[int] = set()
    n_comments = 0
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            n_comments += not token.string.startswith(("# noqa", "# type:"))
        elif token.type in (tokenize.NAME, tokenize.NUMBER, tokenize.OP) or (
                token.type == tokenize.STRING and not token.string.startswith(('"""', "'''"))):
            code.add(token.start[0])
    return len(code), n_comments


def count_doctests(tree: ast.Module) -> int:
    """How many docstrings of a module hold examples that run."""
    nodes = [n for n in ast.walk(tree) if isinstance(n, (ast.Module, ast.ClassDef, ast.FunctionDef))]
    return sum(">>> " in (ast.get_docstring(n) or "") for n in nodes)


def has_test(path: Path, root: Path = ROOT) -> bool:
    """Whether a module has a test file of its name, in the folder of tests that mirrors its own."""
    name = path.stem.lstrip("_")
    folder = root / "tests" / path.parent.relative_to("xdp")
    return (folder / f"test_{name}.py").exists()


def measure(root: Path = ROOT) -> House:
    """Count everything."""
    house = House()
    functions: list[Function] = []
    classes: dict[str, list[str]] = collections.defaultdict(list)
    publics: dict[str, list[str]] = collections.defaultdict(list)
    folders: collections.Counter[Path] = collections.Counter()
    n_code = n_comments = n_doctests = n_modules = 0
    for path, text, tree in iterate_modules(root):
        folders[path.parent] += 1
        here = list(iterate_functions(path, tree, not path.name.startswith("_") or path.name == "__init__.py"))
        functions += here
        code, comments = count_lines(text)
        n_code, n_comments, n_doctests = n_code + code, n_comments + comments, n_doctests + count_doctests(tree)
        if code > 30 and 100 * comments < 3 * code:
            house.faults["comments"].append(f"{path}: {comments} comments in {code} lines")
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                classes[node.name].append(f"{path}:{node.lineno}")
        for f in here:
            if not f.is_method and f.is_public and f.name not in SHARED_NAMES:
                publics[f.name].append(f.place)
        if path.name != "__init__.py" and code > 0:
            n_modules += 1
            if not has_test(path, root):
                house.faults["tests"].append(str(path))
    public = [f for f in functions if f.is_public]
    many = [f for f in public if f.n_arguments >= 4 and f.name not in SHARED_NAMES]
    house.faults["parameters"] = [f.place for f in many if "Parameters\n---" not in f.docstring]
    house.faults["one-line"] = [f.place for f in public if "\n" not in f.docstring]
    house.faults["arguments"] = [f"{f.place} ({f.n_arguments})" for f in functions if f.n_arguments > 10]
    house.faults["folders"] = [f"{folder}: {n}" for folder, n in folders.items() if n > 20 and folder.name != "cli"]
    house.faults["classes"] = [f"{name}: {', '.join(p)}" for name, p in classes.items() if len(p) > 1]
    house.faults["names"] = [f"{name}: {', '.join(p)}" for name, p in publics.items() if len(p) > 1]
    house.faults["long"] = [f"{f.place}: {f.n_lines}" for f in functions if f.n_lines - f.docstring.count("\n") > 60]
    house.figures = {
        "parameters": 100 * (1 - len(house.faults["parameters"]) / max(1, len(many))),
        "one-line": 100 * len(house.faults["one-line"]) / max(1, len(public)),
        "arguments": len(house.faults["arguments"]), "comments": 100 * n_comments / max(1, n_code),
        "doctests": n_doctests, "tests": 100 * len(house.faults["tests"]) / max(1, n_modules),
        "folders": len(house.faults["folders"]), "classes": len(house.faults["classes"]),
        "names": len(house.faults["names"]), "long": len(house.faults["long"]),
    }
    return house


_TITLES = {
    "parameters": "public functions of 4 and more arguments whose docstrings list Parameters, % (95 wanted)",
    "one-line": "public functions with a docstring of one line, % (at most 35)",
    "arguments": "functions of more than 10 arguments (none)",
    "comments": "comments for 100 lines of code (at least 5)",
    "doctests": "docstrings with examples that run (at least 60)",
    "tests": "modules without a test file of their name, % (at most 5)",
    "folders": "folders of more than 20 modules, commands aside (none)",
    "classes": "names that several classes have (none)",
    "names": "names that several public functions have (none)",
    "long": "functions of more than 60 lines (none)",
}


def main() -> None:
    """Print the figures, or the faults of one of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--list", choices=_TITLES)
    parser.add_argument("--in", dest="under", default="", help="only places that begin so, such as xdp/images")
    arguments = parser.parse_args()
    house = measure()
    if arguments.list:
        print("\n".join(place for place in house.faults[arguments.list] if arguments.under in place))
    else:
        for name, title in _TITLES.items():
            print(f"{house.figures[name]:7.1f}  {name:10s} {title}")


if __name__ == "__main__":
    main()
