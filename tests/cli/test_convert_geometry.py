"""The command convert_geometry (conversions: tests/images/geometry_files/test_convert.py)."""

from __future__ import annotations

from xdp.cli.main import main


def test_one_file_is_wanted(capsys):
    assert main(["convert_geometry"]) == 1
    assert "one geometry file, got none" in capsys.readouterr().err


def test_an_input_is_never_replaced(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = "clen=0.1\nres=1e4\na/min_fs=0\na/max_fs=9\na/min_ss=0\na/max_ss=9\na/corner_x=0\na/corner_y=0\n"
    (tmp_path / "x.geom").write_text(text)
    assert main(["convert_geometry", "x.geom", "output.geometry=x.geom"]) == 1
    assert (tmp_path / "x.geom").read_text() == text
