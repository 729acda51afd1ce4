"""Serial runs in numbers: counts add up, also while parts come and by several readers; text and JSON."""

from __future__ import annotations

import json
import multiprocessing
import time

import numpy as np
import pytest

from xdp.cli.main import main
from xdp.errors import FormatError
from xdp.serial.hits.table import ShotTableWriter
from xdp.serial.live.summary import describe_shots, find_shot_table, summarise_shots
from xdp.serial.process.results.columns import make_columns

VERDICTS = ("integrated", "not indexed", "miss", "failed")


def _make_rows(first, n):
    return make_columns([{"index": i, "id": f"shot {i}", "verdict": VERDICTS[i % 4],
                          "reason": "truncated" if i % 4 == 3 else "", "n_lattices": int(i % 4 == 0),
                          "n_integrated": 10 * int(i % 4 == 0), "rmsd": 0.3 if i % 4 == 0 else np.nan,
                          **({f"cell_{k}": 50.0 + i % 8 for k in ("a", "b", "c", "alpha", "beta", "gamma")}
                             if i % 4 == 0 else {})} for i in range(first, first + n)])


def test_counts_add_up(tmp_path):
    writer = ShotTableWriter(tmp_path / "shots.zarr")
    assert summarise_shots(tmp_path / "shots.zarr")["n_shots"] == 0
    writer.append(_make_rows(0, 40))
    writer.append(_make_rows(40, 20))
    found = summarise_shots(find_shot_table(tmp_path))
    assert found["n_shots"] == sum(found["verdicts"].values()) == 60
    assert (found["n_hits"], found["n_indexed"], found["n_lattices"], found["n_reflections"]) == (30, 15, 15, 150)
    assert found["failures"] == {"truncated": 15}
    assert found["hit_rate"] == 50.0
    assert found["cell"][0] == 50.0
    assert found["rmsd"] == 0.3
    assert found["shots_per_second"] > 0.0
    text = describe_shots(found)
    assert "shots: 60 (15 integrated" in text
    assert "15 shots: truncated" in text


def test_a_folder_without_a_table(tmp_path):
    assert find_shot_table(tmp_path) is None
    with pytest.raises(FormatError):
        summarise_shots(tmp_path)


def test_the_command_writes_text_and_json(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ShotTableWriter(tmp_path / "shots.zarr").append(_make_rows(0, 8))
    assert main(["status", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["shots"]["n_shots"] == 8
    assert data["run"] is None
    assert main(["status"]) == 0
    assert "hits: 4 (50.0 %)" in capsys.readouterr().out


def _write_parts(path):
    writer = ShotTableWriter(path)
    for k in range(40):
        writer.append(_make_rows(25 * k, 25))
        time.sleep(0.01)


def test_each_look_at_a_growing_run_adds_up(tmp_path):
    path = tmp_path / "shots.zarr"
    process = multiprocessing.get_context("spawn").Process(target=_write_parts, args=(path,))
    process.start()
    seen = []
    while process.is_alive() or not seen or seen[-1] < 1000:
        if find_shot_table(tmp_path) is not None:
            found = summarise_shots(path)
            assert found["n_shots"] == sum(found["verdicts"].values())
            assert found["n_shots"] % 25 == 0
            seen.append(found["n_shots"])
        assert process.is_alive() or process.exitcode == 0
    process.join()
    assert seen == sorted(seen)
    assert seen[-1] == 1000
