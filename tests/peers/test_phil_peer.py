"""The same command-line words, given to DIALS' parser and to ours."""

from __future__ import annotations

import itertools
import json
import random

import pytest
from pydantic import create_model

from xdp.errors import OptionError
from xdp.options import AUTO, Options, option, parse
from xdp.options.paths import resolve
from xdp.options.tree import build_tree

pytestmark = pytest.mark.peer

PATHS = """
import sys, json, importlib, io, contextlib
import numpy as np
from dials.util.options import PhilCommandParser
scope = importlib.import_module(sys.argv[1]).phil_scope
system = PhilCommandParser(phil=scope).system_phil
interpreter = system.command_line_argument_interpreter()
def levels(scope, path):
    result = []
    for item in scope.active_objects():
        here = path + [[item.name, item.expert_level]]
        result += [here] if item.is_definition else levels(item, here)
    return result
def meaning(word):
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            found = interpreter.process_arg(arg=word + "=1").all_definitions()
    except Exception as error:
        return None
    return found[0].path
words = json.loads(open(sys.argv[2]).read()) if len(sys.argv) > 2 else []
open("out.json", "w").write(json.dumps({"levels": levels(system, []), "meaning": [meaning(w) for w in words]}))
"""


def model_of(levels: list) -> type[Options]:
    """Option models with the names and expert levels of a DIALS scope, all parameters being text."""
    fields = {}
    for (name, level), group in itertools.groupby(levels, key=lambda path: tuple(path[0])):
        below = [path[1:] for path in group]
        field = f"{name}_"  # some of DIALS' names are Python keywords or pydantic's own
        if below == [[]]:
            fields[field] = (str | None, option(None, "", expert=level, file="text"))
        else:
            inner = model_of(below)
            fields[field] = (inner, option(inner(), "", expert=level))
    return create_model("Scope", __base__=Options, **fields)


def typed_words(paths: list[str]) -> list[str]:
    """Abbreviations of many kinds: every tail of every path, and pieces cut at random places."""
    draw = random.Random(7)
    words = set()
    for path in paths:
        parts = path.split(".")
        words |= {".".join(parts[start:]) for start in range(len(parts))}
        words |= {".".join(parts[start:])[:-1] for start in range(len(parts))}
        for _ in range(4):
            start, stop = sorted(draw.sample(range(len(path) + 1), 2))
            words.add(path[start:stop])
    words |= {"d_minn", "nonsense"}
    return sorted(word for word in words if all(part.isidentifier() for part in word.split(".")))


@pytest.mark.parametrize("command", ["find_spots", "index", "integrate"])
def test_abbreviations_mean_the_same_parameter(dials, tmp_path, command):
    module = f"dials.command_line.{command}"
    dials.script(PATHS, module, cwd=tmp_path)
    levels = json.loads((tmp_path / "out.json").read_text())["levels"]
    paths = [".".join(name for name, _ in path) for path in levels]
    words = typed_words(paths)
    (tmp_path / "words.json").write_text(json.dumps(words))
    dials.script(PATHS, module, "words.json", cwd=tmp_path)
    theirs = json.loads((tmp_path / "out.json").read_text())["meaning"]
    root = build_tree(model_of(levels))

    def ours(word):
        try:
            return resolve(root, word).path
        except OptionError:
            return None

    differing = [(word, their, ours(word)) for word, their in zip(words, theirs, strict=True) if ours(word) != their]
    assert not differing
    assert len(words) > 300
    assert sum(their is None for their in theirs) > 10


VALUES = """
import sys, json, io, contextlib
import libtbx
import numpy as np
from dials.util.options import PhilCommandParser
from dials.command_line.find_spots import phil_scope
def plain(value):
    if value is libtbx.Auto:
        return "Auto"
    if hasattr(value, "parameters"):
        return list(value.parameters())
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value
def read(words):
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            params, rest = PhilCommandParser(phil=phil_scope).parse_args(words, quick_parse=True)
    except Exception:
        return None
    finder, output = params.spotfinder, params.output
    untrusted = [[plain(getattr(item, name)) for name in ("panel", "circle", "rectangle", "polygon", "pixel")]
        for item in finder.filter.untrusted]
    return {"d_min": finder.filter.d_min, "size": plain(finder.filter.min_spot_size), "untrusted": untrusted,
        "max_size": finder.filter.max_spot_size,
        "scan_range": plain(finder.scan_range), "resolution_range": plain(finder.filter.resolution_range),
        "cell": plain(finder.filter.ice_rings.unit_cell), "algorithm": finder.threshold.algorithm,
        "kernel": plain(finder.threshold.dispersion.kernel_size), "shoeboxes": output.shoeboxes, "log": output.log,
        "rest": rest}
cases = json.loads(open("cases.json").read())
open("out.json", "w").write(json.dumps([read(words) for words in cases]))
"""

CASES = [
    ["output.log=xdp.log"],
    ["d_min=2", "imported.expt"],
    ["d_min=2", "filter.d_min=3"],
    ["d_min=1e1", "min_spot_size=3.0"],
    ["min_spot_size=auto"],
    ["min_spot_size=None"],
    ["min_spot_size=0"],
    ["min_spot_size=2.5"],
    ["max_spot_size=None"],
    ["spot_size=3"],
    ["nonsense=3"],
    ["untrusted.circle=1,2,3", "untrusted.rectangle=1,2,3,4"],
    ["untrusted.circle=1,2,3", "untrusted.circle=1,2,3"],
    ["untrusted.circle=1,2,3", "panel=2", "untrusted.circle=1,2,3"],
    ["untrusted.circle=None"],
    ["untrusted.circle=1,2,3;untrusted.rectangle=1,2,3,4"],
    ["untrusted.polygon=1,2,3,4,5,6", "untrusted.pixel=7,8"],
    ["block.phil"],
    ["block.phil", "untrusted.panel=3", "d_min=4"],
    ["d_min=4", "block.phil"],
    ["scan_range=1,10", "scan_range=20,30", "scan_range=1,10"],
    ["scan_range=1,10", "scan_range=None"],
    ["scan_range=1,10,20"],
    ["scan_range=(1, 10)"],
    ["resolution_range=10,20", "resolution_range=3,4.5"],
    ["unit_cell=78,78,37"],
    ["unit_cell=5 6 7 80 90 100"],
    ["algorithm=dispersion"],
    ["algorithm=*dispersion dispersion_extended radial_profile"],
    ["algorithm=DISPERSION"],
    ["algorithm=fast"],
    ["kernel_size=[4 5]"],
    ["kernel_size=4"],
    ["shoeboxes=off"],
    ["shoeboxes=maybe"],
    ["output.log=a b"],
    ["output.log='a  b'"],
    ["output.log=None"],
    ['output.log="None"'],
    ["output.log=$HOME/x"],
    ["output.log='$HOME/x'"],
    ["d_min=3 # finer"],
    ["!d_min=3"],
    ["d_min="],
    ["d_min=-1"],
    ["output.log='a"],
]

BLOCK = """# a file as users write it
spotfinder
  .help = "all of it"
{
  filter {
    untrusted { panel = 1
      circle = 1 2 3
      rectangle = 4,5,6,7 }
    untrusted { panel = 1 }
    d_min = 2.5
      .type = float
  }
}
!output.log = gone
output.shoeboxes = no; spotfinder.scan_range = 3 4
"""


def test_words_give_the_same_values(dials, tmp_path, monkeypatch):
    from xdp.spotfinding.options import FindSpotsOptions

    monkeypatch.chdir(tmp_path)
    (tmp_path / "block.phil").write_text(BLOCK)
    (tmp_path / "cases.json").write_text(json.dumps(CASES))
    dials.script(VALUES, cwd=tmp_path)
    theirs = json.loads((tmp_path / "out.json").read_text())

    def plain(value):
        if value is AUTO:
            return "Auto"
        return [plain(item) for item in value] if isinstance(value, tuple) else value

    def ours(words):
        try:
            options, rest = parse(FindSpotsOptions, ["output.log=dials.find_spots.log", *words])
        except OptionError:
            return None
        finder, output = options.spotfinder, options.output
        names = ("panel", "circle", "rectangle", "polygon", "pixel")
        return {
            "d_min": finder.filter.d_min,
            "size": plain(finder.filter.min_spot_size),
            "max_size": finder.filter.max_spot_size,
            "untrusted": [[plain(getattr(item, name)) for name in names] for item in finder.filter.untrusted],
            "scan_range": plain(finder.scan_range),
            "resolution_range": plain(finder.filter.resolution_range),
            "cell": plain(finder.filter.ice_rings.unit_cell),
            "algorithm": finder.threshold.algorithm,
            "kernel": plain(finder.threshold.dispersion.kernel_size),
            "shoeboxes": output.shoeboxes,
            "log": output.log,
            "rest": rest,
        }

    for words, their in zip(CASES, theirs, strict=True):
        assert ours(words) == their, words




@pytest.mark.parametrize("attributes", [0, 2])
def test_dials_reads_the_text_we_print(dials, tmp_path, attributes):
    """Our printed scope is PHIL to libtbx: parsed by it, and shown by it again, it is the same text."""
    from xdp.options import scope_text
    from xdp.spotfinding.options import FindSpotsOptions

    text = scope_text(FindSpotsOptions, None, attributes)
    (tmp_path / "ours.phil").write_text(text)
    code = (
        "import sys, iotbx.phil\n"
        "scope = iotbx.phil.parse(file_name='ours.phil')\n"
        "open('out.txt', 'w').write(scope.as_str(attributes_level=int(sys.argv[1])))"
    )
    dials.script(code, attributes, cwd=tmp_path)

    def without_none(shown):
        # libtbx prints allow_none=True where None is allowed and nothing where it is not, but reads nothing as True
        return shown.replace(", allow_none=True", "").replace("(allow_none=True)", "")

    assert without_none((tmp_path / "out.txt").read_text()) == without_none(text)
