"""The command stills_process."""

import pytest
from shot_data import WORDS, draw_shots, write_shots

from xdp.cli.main import main


@pytest.fixture
def words(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return ["stills_process", *write_shots(tmp_path, *draw_shots(((), (1,))))]


def test_a_run(words, tmp_path, capsys):
    assert main([*words, *WORDS]) == 0
    said = capsys.readouterr().out
    assert "run_00001:" in said
    assert "reflections integrated" in said
    assert "Saved the table of 2 shots to shots.zarr" in said
    record = "".join(path.read_text() for path in (tmp_path / "debug").iterdir())
    steps = [line.split(",")[-1] for line in record.splitlines() if ",run_00001," in line]
    assert steps[:4] == ["start", "spotfind_start", "index_start", "integrate_start"]
    assert steps[4].startswith("integrate_ok_")
    assert main([*words, *WORDS, "output.output_debug_logs=False"]) == 1
    assert "output_debug_logs" in capsys.readouterr().err


def test_tags_are_shown(words, capsys):
    assert main([*words, "show_image_tags=True"]) == 0
    assert capsys.readouterr().out == "run_00000\nrun_00001\n"
    assert main([*words, "image_tag=run_00007"]) == 1
    assert "no shot has this tag" in capsys.readouterr().err


def test_nothing_indexed_is_a_failure(words, capsys):
    assert main([*words, "image_tag=run_00000", *WORDS]) == 1
    assert "no shot of 1 was indexed" in capsys.readouterr().err
    assert main([*words, "image_tag=run_00000", "dispatch.index=False"]) == 0


def test_no_shots(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["stills_process"]) == 1
    assert "shots are wanted" in capsys.readouterr().err
