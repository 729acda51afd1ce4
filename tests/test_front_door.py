"""The front door: what `import xdp` offers, what it costs, and that its stubs say the same."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import xdp
from xdp.errors import OptionError
from xdp.report.tables import Report

VERBS = ("import_images", "find_spots", "index", "refine", "refine_settings", "reindex", "integrate", "find_symmetry",
         "cosym", "scale", "merge", "compute_delta_cchalf", "estimate_resolution", "export", "process",
         "find_laue_spots", "find_hits", "stills_process", "refine_metrology")
#: Inputs that come before `options`, by verb.
INPUTS = {"import_images": ["paths"], "process": ["inputs"], "find_laue_spots": ["path"], "find_spots": ["experiments"],
          "find_hits": ["shots"], "stills_process": ["shots"]}


def run_python(code: str) -> str:
    """What a new interpreter prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_importing_the_package_loads_the_standard_library_alone():
    code = ("import sys; before = set(sys.modules); import xdp; new = set(sys.modules) - before; "
            "print(*sorted({name.partition('.')[0] for name in new} - set(sys.stdlib_module_names)))")
    assert run_python(code).split() == ["xdp"]


@pytest.mark.parametrize("name", xdp.__all__)
def test_every_name_is_there_and_has_a_docstring(name):
    value = getattr(xdp, name)
    assert name in dir(xdp)
    assert value.__name__ == name
    assert inspect.getdoc(value)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'indx'"):
        xdp.indx  # noqa: B018


def test_the_stubs_name_the_same_things_from_the_same_modules():
    tree = ast.parse(Path(xdp.__file__).with_suffix(".pyi").read_text())
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    found = {alias.asname: node.module for node in imports for alias in node.names}
    assert found == xdp._HOMES


@pytest.mark.parametrize("verb", VERBS)
def test_verbs_have_one_shape(verb):
    parameters = inspect.signature(getattr(xdp, verb)).parameters
    names = list(parameters)
    inputs = INPUTS.get(verb, ["experiments", "reflections"])
    assert names[:len(inputs) + 1] == [*inputs, "options"]
    assert parameters["options"].default is None
    for name in ("client", "progress"):
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert parameters[name].default is None
    assert parameters["named"].kind is inspect.Parameter.VAR_KEYWORD
    result = getattr(importlib.import_module(xdp._HOMES[verb]), inspect.signature(getattr(xdp, verb)).return_annotation)
    fields = {*dir(result), *getattr(result, "__dataclass_fields__", ())}
    assert {"experiments", "reflections", "report"} <= fields


@pytest.mark.parametrize("name", xdp.__all__)
def test_every_function_has_an_example_that_runs(name):
    value = getattr(xdp, name)
    if inspect.isfunction(value):
        assert ">>> " in inspect.getdoc(value)


@pytest.fixture(scope="module")
def found():
    """A simulated sweep, indexed by way of the front door."""
    from xdp.simulation import make_spots

    return xdp.index(*make_spots(), space_group="P43212")


def test_options_are_keywords_a_dictionary_or_a_model(found):
    experiments, spots = found.experiments, found.reflections
    ways = [{"refinement.parameterisation.scan_varying": False}, xdp.RefineOptions.model_validate(
        {"refinement": {"parameterisation": {"scan_varying": False}}})]
    results = [xdp.refine(experiments, spots, way) for way in ways]
    results.append(xdp.refine(experiments, spots, scan_varying=False))
    assert results[0].reflections == results[1].reflections == results[2].reflections
    with pytest.raises(OptionError, match="unknown parameter scan_varing; did you mean"):
        xdp.refine(experiments, spots, scan_varing=False)


def test_results_show_themselves(found):
    assert repr(found).startswith("<Indexed:")
    assert "<table>" in found._repr_html_()
    assert isinstance(found.report, Report)
    assert found.report.facts["indexed"] > 350
    assert "Indexed spots" in str(found.report)


def test_progress_and_clients_are_heard_of():
    from contextlib import contextmanager

    from xdp.reflections import ReflectionTable

    steps = []

    @contextmanager
    def progress(total, label):
        yield lambda n: steps.append((total, label, n))

    class Client:
        """Runs what is submitted, here."""

        n_submitted = 0

        def submit(self, function, *arguments, pure):
            self.n_submitted += 1
            self.result = lambda: function(*arguments)
            return self

    client, table = Client(), ReflectionTable({"miller_index": [[1, 2, 3]], "id": [0], "flags": [4]})
    moved = xdp.reindex(None, table, {"change_of_basis_op": "b,c,a"}, client=client, progress=progress)
    assert moved.reflections["miller_index"].tolist() == [[2, 3, 1]]
    assert steps == [(1, "indices", 1)]
    assert client.n_submitted == 1
