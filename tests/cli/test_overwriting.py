"""No output of any command over an input: a table of outputs by inputs, made from the option models."""

from __future__ import annotations

import itertools
import json
import os
import re
from pathlib import Path

import h5py
import pytest

from xdp.cli.main import COMMANDS, main
from xdp.cluster.batch.arguments import MODELS, load_model
from xdp.options.tree import Definition, Scope, build_tree

WITHOUT_PARAMETERS = {"submit", "status", "cancel", "logs"}
READ_ONLY = {"show"}
WORDS = ["in.expt", "in.refl", "a_0001.cbf", "b_####.cbf", "c*.cbf", "master.h5", "in.zarr"]
#: Each kind of file that is behind the words: named, of a template, a pattern, an .expt, a master file or a store.
BEHIND = ["in.expt", "in.refl", "a_0001.cbf", "b_0002.cbf", "c_0001.cbf", "master.h5", "data_000001.h5",
          "in.zarr/zarr.json", "model_0003.cbf", "model.mask", "still.cbf", "params.phil"]
#: One folder holds all: a template, the files of which nothing else names.
IMAGESETS = [{"__id__": "ImageSequence", "template": "model_####.cbf", "mask": "model.mask"},
             {"__id__": "ImageSet", "images": ["still.cbf"]}]


#: What an output in place replaces: the input of its own kind.
ENDINGS = {"experiments": ".expt", "reflections": ".refl"}


def is_in_place(item: Definition) -> bool:
    return item.in_place and item.path == f"output.{item.name}"


def spelled(target: str, number: int) -> str:
    """A name of a file, each time another kind: its own, a link, a hard link, a path with detours."""
    way = number % 4
    if way == 0:
        return target
    if way == 3:
        return f"./around/../{target}"
    name = f"link{number}{'' if '.' not in target else os.path.splitext(target)[1]}"
    os.symlink(os.path.abspath(target), name) if way == 1 else os.link(target, name)
    return name


def definitions(scope: Scope) -> list[tuple[Definition, Scope]]:
    """All parameters, each with the scope that holds it."""
    found = []
    for child in scope.children:
        found += [(child, scope)] if isinstance(child, Definition) else definitions(child)
    return found


#: Scopes whose parameters are refused: `process` has one cluster for all its stages.
SHARED = ("find_spots.cluster", "integrate.cluster")


def of_role(command: str, role: str) -> list[tuple[Definition, Scope]]:
    return [(item, scope) for item, scope in definitions(build_tree(load_model(command)))
            if item.file == role and not item.path.startswith(SHARED)]


def outputs(command: str) -> list[tuple[Definition, Scope]]:
    return of_role(command, "output")


def as_output(item: Definition, scope: Scope, target: str, number: int) -> list[str]:
    """Words that make a file the output that a parameter names."""
    words = []
    value = spelled(target, number)
    if item.names:
        field = "prefix" if "{prefix}" in item.names else item.name
        prefix = f"pre{number}"
        name = item.names.format(**{field: prefix, "directory": "."}).replace("*", "_1")
        os.symlink(os.path.abspath(target), name)
        value = prefix
    if item.when:
        words.append(f"{item.path.rpartition('.')[0]}.{item.when}=True")
    return [*words, f"{item.path}={value}"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with something of each kind; no file is a valid one, since none is read before the refusal."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "around").mkdir()
    (tmp_path / "in.zarr").mkdir()
    for name in BEHIND:
        Path(name).write_text(f"raw {name}\n")
    Path("in.expt").write_text(json.dumps({"__id__": "ExperimentList", "imageset": IMAGESETS}))
    Path("params.phil").write_text("")
    for name in ("b_0001.cbf", "model_0001.cbf"):
        Path(name).write_text("raw\n")
    os.unlink("master.h5")
    with h5py.File("master.h5", "w") as file:
        file["data"] = h5py.ExternalLink("data_000001.h5", "/data")
    return tmp_path


def everything() -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(Path().rglob("*")) if p.is_file()}


def test_all_commands_are_in_the_table():
    assert set(MODELS) == set(COMMANDS) - WITHOUT_PARAMETERS
    silent = {command for command in MODELS if not outputs(command)}
    assert silent == READ_ONLY | {"demo"}, "a command without outputs: is it so?"


@pytest.mark.parametrize("command", [c for c in MODELS if outputs(c)])
def test_no_output_of_a_command_is_an_input(folder, capsys, command):
    words = WORDS if command != "laue_spots" else ["master.h5"]
    behind = BEHIND if command != "laue_spots" else ["master.h5", "data_000001.h5", "params.phil"]
    numbers = itertools.count()
    named = [(f"named{i}.bin", [f"{item.path}=named{i}.bin"]) for i, (item, _) in enumerate(of_role(command, "input"))]
    for name, _ in named:
        Path(name).write_text("a map\n")
    there = set(os.listdir())
    for (item, scope), (target, more) in itertools.product(outputs(command), [*((b, []) for b in behind), *named]):
        if is_in_place(item) and target.endswith(ENDINGS[item.name]):
            continue
        said = as_output(item, scope, target, next(numbers))
        before = everything()
        overwrite = ["overwrite=True"] if command.startswith("laue") else []
        status = main([command, *words, "params.phil", *more, *said, *overwrite])
        error = capsys.readouterr().err
        assert status == 1, (item.path, target)
        assert f"would replace {target.partition('/')[0]}" in error, (error, said)
        assert f"{item.path}={said[-1].partition('=')[2]}" in error or item.names, error
        assert everything() == before
        # The links of hundreds of cases would be read again with each.
        for name in set(os.listdir()) - there:
            os.unlink(name)


def test_outputs_in_place_are_those_of_the_documentation():
    text = (Path(__file__).parents[2] / "docs" / "files.md").read_text(encoding="utf-8")
    rows = text.partition("| command | in place |\n|---|---|\n")[2].partition("\n\n")[0].splitlines()
    listed = set()
    for row in rows:
        commands, names = (re.findall(r"`([^`]+)`", cell) for cell in row.strip("|").split("|"))
        listed |= set(itertools.product(commands, names))
    found = {(command, item.path) for command in MODELS for item, _ in outputs(command) if is_in_place(item)}
    assert listed == found
