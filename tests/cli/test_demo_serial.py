"""The demonstration of serial data."""

import json

import pytest

from xdp.cli import demo_serial
from xdp.cli.main import main
from xdp.experiment import read_experiments


def test_the_demonstration_finds_the_true_hits(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):  # the second takes the place of the first
        assert main(["demo", "serial", "n_shots=12", "n_darks=6"]) == 0
    said = capsys.readouterr().out
    for name in ("simulate", *demo_serial.STEPS):
        assert f"\n{name} " in f"\n{said}"
    truth = json.loads((tmp_path / "xdp_demo_serial" / "truth.json").read_text())["shots"]
    n = sum(kind in ("hit", "double") for kind in truth)
    assert f"{n} hits, {n} of the {n} true ones among them" in said
    assert len(read_experiments(tmp_path / "xdp_demo_serial" / "hits.expt")) == n


@pytest.mark.parametrize(("words", "message"), [(["a.cxi"], "takes no files"), (["n_shots=2"], "n_shots")])
def test_wrong_words(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "serial", *words]) == 1
    assert message in capsys.readouterr().err


def test_a_run_of_somebody_else_stays(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "run.h5").write_text("precious")
    assert main(["demo", "serial", "output.directory=mine"]) == 1
    assert "not of an earlier demo" in capsys.readouterr().err
    assert (tmp_path / "mine" / "run.h5").read_text() == "precious"
