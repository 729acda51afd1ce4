"""Commands are checked before they become jobs."""

from __future__ import annotations

import os

import pytest

from xdp.cluster.batch.command_check import check_command
from xdp.cluster.batch.site import Site
from xdp.cluster.batch.submission import Driver, submit_driver
from xdp.errors import XdpError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("imported.expt", "a_0001.cbf", "mask.pickle"):
        (tmp_path / name).write_text("x")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("find_spot imported.expt", "no command 'find_spot'; did you mean find_spots"),
        ("status", "xdp status is not run as a job"),
        ("find_spots absent.expt", "absent.expt: no such file, folder or image template"),
        ("find_spots b_####.cbf", "b_####.cbf: no such file, folder or image template"),
        ("find_spots", "find_spots needs input files"),
        ("laue_spots -o x.h5 --dil=1 absent.h5", "absent.h5: no such file"),
        ("laue_spots -o x.h5", "laue_spots needs input files"),
        ("laue_spots -o absent/x.h5 imported.expt", "the folder .*/out/absent is not there"),
        ("laue_spots --out=there.refl imported.expt", "there.refl: is a folder"),
        ("laue_spots -o ../a_0001.cbf a_0001.cbf", "would replace .*a_0001.cbf, an input of this run"),
        ("laue_spots --sideways=1 imported.expt", "--sideways"),
        ("laue_spots -c high imported.expt", "cutoff"),
        ("find_spots imported.expt lookup.mask=absent.pickle", "lookup.mask=absent.pickle: no such file"),
        ("find_spots imported.expt d_min=fine", "d_min"),
        ("find_spots imported.expt frobnicate=1", "frobnicate"),
        ("find_spots --frobnicate imported.expt", "unknown option --frobnicate"),
        ("find_spots imported.expt output.reflections=absent/x.refl", "the folder .*/out/absent is not there"),
        ("find_spots imported.expt output.reflections=there.refl", "there.refl: is a folder"),
        ("find_spots a_0001.cbf output.reflections=../a_0001.cbf", "would replace .*a_0001.cbf, an input of this run"),
    ],
)
def test_mistakes_are_seen_before_anything_is_written(folder, words, message):
    out = folder / "out"
    (out / "there.refl").mkdir(parents=True)
    with pytest.raises(XdpError, match=message):
        submit_driver(Driver(Site(scheduler="slurm"), 1, out, tuple(words.split())))
    assert os.listdir(out) == ["there.refl"]


@pytest.mark.parametrize("words", [
    "find_spots imported.expt d_min=2 output.reflections=x.refl",
    "find_spots a_####.cbf", "find_spots a_%04d.cbf", "find_spots *.cbf", "import a_0001.cbf lookup.mask=mask.pickle",
    "import input.template=a_####.cbf", "demo", "find_spots -h",
    "laue_spots --dil=1 -o x.h5 imported.expt", "laue_spots imported.expt", "laue_spots -hh", "--version",
    "refine_bravais_settings imported.expt a_0001.cbf", "refine-bravais-settings imported.expt a_0001.cbf",
])
def test_what_can_begin_passes(folder, words):
    check_command(words.split(), folder / "out")
