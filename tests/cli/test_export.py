"""The command export: the file that its parameters name, and what it says of it."""

from __future__ import annotations

import gemmi
import pytest
from export_data import make_integrated, make_sweeps

from xdp.cli.main import main
from xdp.experiment import write_experiments
from xdp.reflections import write_reflections


@pytest.fixture
def integrated(folder):
    """integrated.expt and integrated.refl of 40 reflections."""
    write_experiments("integrated.expt", make_sweeps())
    write_reflections("integrated.refl", make_integrated())
    return folder


def test_the_default_is_an_mtz_file(integrated, capsys):
    assert main(["export", "integrated.expt", "integrated.refl", "mtz.hklout=lyso.mtz", "d_min=1"]) == 0
    mtz = gemmi.read_mtz_file("lyso.mtz")
    assert f"Saved {mtz.nreflections} reflections to lyso.mtz" in capsys.readouterr().out
    assert 0 < mtz.nreflections <= 40
    assert "hklout" in (integrated / "xdp.export.log").read_text()


@pytest.mark.parametrize(("words", "message"), [
    (["integrated.expt"], "a .refl for each .expt"), (["integrated.expt", "integrated.refl", "format=pdf"], "format"),
])
def test_wrong_words_write_nothing(integrated, capsys, words, message):
    assert main(["export", *words]) == 1
    assert message in capsys.readouterr().err
    assert sorted(p.suffix for p in integrated.iterdir() if p.suffix != ".log") == [".expt", ".refl"]
