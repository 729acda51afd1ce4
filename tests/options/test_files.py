"""Which files an option model names, and that a model cannot keep quiet about them."""

from __future__ import annotations

import pytest

from xdp.errors import XdpError
from xdp.options import AUTO, Auto, FilePath, Options, option
from xdp.options.files import list_input_files, list_output_files, refuse_outputs
from xdp.options.tree import build_tree
from xdp.protection import Input, Inputs, protect


class Pictures(Options):
    directory: FilePath | None = option(None, "", file="folder")
    prefix: str | None = option("a*", "", file="output", names="{directory}/{prefix}_*.png")
    mask: str = option("hot", "", file="output", names="{mask}_*.pickle", when="write_mask")
    write_mask: bool = option(False, "")


class Region(Options):
    mask: FilePath | None = option(None, "", file="input")


class Output(Options):
    experiments: str = option("a.expt", "", file="output", in_place=True)
    log: FilePath | None = option(None, "", file="output")
    result: FilePath | Auto = option(AUTO, "", file="output")
    planes: tuple[str, ...] = option(("avg",), "", file="text")


class Model(Options):
    output: Output = option(Output(), "")
    pictures: Pictures = option(Pictures(), "")
    template: tuple[str, ...] = option((), "", multiple=True, file="input")
    region: tuple[Region, ...] = option((), "", multiple=True)


def test_inputs_are_those_that_are_set_also_in_repeated_scopes():
    model = Model(template=("a_##.cbf", "b_##.cbf"), region=(Region(mask="m1"), Region(), Region(mask="m2")))
    assert [(f.parameter, f.name) for f in list_input_files(model)] == [
        ("template", "a_##.cbf"), ("template", "b_##.cbf"), ("region.mask", "m1"), ("region.mask", "m2")]


def test_outputs_are_names_or_patterns_that_are_asked_for():
    model = Model(pictures=Pictures(directory="out[1]", write_mask=True))
    assert [(f.parameter, f.name, f.is_pattern, f.in_place) for f in list_output_files(model)] == [
        ("output.experiments", "a.expt", False, True), ("pictures.prefix", "out[[]1]/a[*]_*.png", True, False),
        ("pictures.mask", "hot_*.pickle", True, False)]
    assert [f.name for f in list_output_files(Model(pictures=Pictures(prefix=None)))] == ["a.expt"]
    assert [f.kind for f in list_output_files(Model())] == ["experiments", "prefix"]


def test_outputs_that_are_inputs_are_refused_by_name_and_by_pattern(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("raw", "a*_7.png"):
        (tmp_path / name).write_text("raw")
        model = Model(output=Output(log="raw"), pictures=Pictures(prefix="a*" if name != "raw" else None))
        with protect(Inputs(lambda name=name: [Input(name, "an input of this run")])):
            with pytest.raises(XdpError, match="would replace"):
                refuse_outputs(model)
            refuse_outputs(Model(pictures=Pictures(prefix="b")))


class Bare(Options):
    name: FilePath = option("a", "")


class Silent(Options):
    log: str = option("a.log", "")


class Nested(Options):
    output: Silent = option(Silent(), "")


@pytest.mark.parametrize("model", [Bare, Nested])
def test_a_model_must_say_what_its_paths_name(model):
    with pytest.raises(TypeError, match="must say what it names"):
        build_tree(model)
