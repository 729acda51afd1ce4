"""The command find_hits."""

from hit_data import draw_run, write_run

from xdp.cli.main import main
from xdp.serial.hits.table import read_shot_table


def test_hits_of_a_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path, draw_run(9))
    words = ["find_hits", "run.npy", "events.geometry=geometry.expt", "events.energy=9537", "experiments=hits.expt"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "hits: 3" in said
    assert "Saved the table of 9 shots to hits.zarr" in said
    assert "misses" in said
    assert (read_shot_table("hits.zarr")["verdict"] == "hit").sum() == 3
    assert main(words) == 0  # once more over the older table
    assert main(["find_hits", "run.npy", "table=run.npy"]) == 1
    assert "input" in capsys.readouterr().err


def test_no_shots_are_an_error(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["find_hits"]) == 1
    assert "needs shots" in capsys.readouterr().err


def test_parquet_is_refused_before_the_work(tmp_path, monkeypatch, capsys):
    import sys

    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    write_run(tmp_path, draw_run(2))
    assert main(["find_hits", "run.npy", "parquet=hits.parquet"]) == 1
    assert "pip install pyarrow" in capsys.readouterr().err
    assert not (tmp_path / "hits.zarr").exists()
