"""The command xtc_process, over stand-ins for psana."""

import sys

import numpy as np
import pytest
from fake_psana import make_first, make_second
from shot_data import CELL, WORDS, draw_shots

import xdp
from xdp.cli.main import main
from xdp.cli.xtc_process import hide_password
from xdp.experiment import ExperimentList, write_experiments
from xdp.serial.hits.table import read_shot_table

COMMAND = ["xtc_process", "input.experiment=cxi49812", "input.run_num=69", "input.address=CxiDs2-0|Cspad-0",
           "geometry_file=geometry.expt", "format.cbf.override_energy=12657.9", "partiality.enable=False"]


@pytest.fixture(scope="module")
def drawn():
    return draw_shots(((), (1,), (), (4,)))


@pytest.fixture(params=[make_first, make_second])
def folder(request, drawn, tmp_path, monkeypatch):
    images, model = drawn
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "psana", request.param(list(images), encoder=-450.0))
    write_experiments("geometry.expt", ExperimentList([model]))
    return tmp_path


@pytest.fixture
def first(drawn, tmp_path, monkeypatch):
    """psana 1 alone."""
    images, model = drawn
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "psana", make_first(list(images), broken=(2,), encoder=-450.0))
    write_experiments("geometry.expt", ExperimentList([model]))
    return tmp_path


def test_a_run(folder, capsys):
    assert main([*COMMAND, *WORDS, "detz_offset=520"]) == 0
    said = capsys.readouterr().out
    assert "reflections integrated" in said
    table = read_shot_table("shots.zarr")
    assert table["verdict"].tolist() == ["miss", "integrated", "miss", "integrated"]
    # the encoder and the offset
    assert table["distance"].tolist() == [70.0] * 4
    # files by the number of the set, images by the time of the event
    names = {path.name for path in folder.iterdir()}
    assert {"idx-0000_integrated.expt", "idx-0000_integrated.refl", "idx-0000_indexed.refl",
            "idx-0000_refined.expt", "idx-0000.expt", "idx-0000_strong.refl"} <= names
    digits = table["tag"][1]
    assert len(digits) == 17
    assert f"idx-{digits}.cbf" in names
    assert not [name for name in names if name.startswith(("hit-", "shot-"))]
    experiments = xdp.read_experiments("idx-0000_integrated.expt")
    np.testing.assert_allclose(experiments[0].crystal.unit_cell, CELL, rtol=0.01)


def test_what_must_be_said(first, capsys):
    for missing, message in (("input.experiment=cxi49812", "input.experiment and input.run_num are needed"),
                             ("input.address=CxiDs2-0|Cspad-0", "input.address is needed"),
                             ("geometry_file=geometry.expt", "the geometry of the detector is needed")):
        assert main([word for word in [*COMMAND, "detz_offset=520"] if word != missing]) == 1
        assert message in capsys.readouterr().err
    assert main(COMMAND) == 1
    assert "format.cbf.detz_offset is needed" in capsys.readouterr().err
    assert main([*COMMAND, "run.h5"]) == 1
    assert "use xdp stills_process" in capsys.readouterr().err
    assert main([*COMMAND, "detz_offset=520", "joint_reintegration.enable=True"]) == 1
    assert "xdp refine and xdp integrate" in capsys.readouterr().err
    assert main([*COMMAND, "detz_offset=520", "radial_average.enable=True"]) == 1
    assert "two_theta_low and two_theta_high" in capsys.readouterr().err
    assert main([*COMMAND, "detz_offset=520", "use_ffb=True", "xtc_dir=."]) == 1
    assert "exclude each other" in capsys.readouterr().err


def test_psana_is_named_where_it_is_missing(first, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "psana", None)
    assert main([*COMMAND, "detz_offset=520"]) == 1
    assert "psana, which is not installed" in capsys.readouterr().err


def test_a_call_of_psana_that_raises_is_one_events_failure(first):
    assert main([*COMMAND, *WORDS, "detz_offset=520"]) == 0
    table = read_shot_table("shots.zarr")
    assert (table["verdict"][2], table["reason"][2]) == ("failed", "psana")
    assert "fell over in the middle" in table["message"][2]
    assert table["verdict"][3] == "integrated"


def test_the_record_is_heeded(first, capsys):
    words = [*COMMAND, *WORDS, "detz_offset=520"]
    assert main([*words, "max_events=2"]) == 0
    assert main([*words, "skip_processed_events=True"]) == 0
    assert read_shot_table("shots.zarr")["index"].tolist() == [2, 3]
    assert main([*words, "skip_unprocessed_events=True", "skip_bad_events=True"]) == 0
    assert len(read_shot_table("shots.zarr")["index"]) == 4
    # an event that was begun and not finished
    (first / "debug" / "debug_other_1.txt").write_text(
        "other,cxi49812-r0069_00001,2016-07-08T22:05Z24.133,    ,start\n")
    for path in (first / "debug").glob("debug_[!o]*"):
        path.unlink()
    assert main([*words, "skip_bad_events=True"]) == 0
    assert read_shot_table("shots.zarr")["index"].tolist() == [0, 2, 3]
    assert main([*words, "skip_unprocessed_events=True", "skip_processed_events=True", "skip_bad_events=True"]) == 1
    assert "no event is left" in capsys.readouterr().err


def test_events_by_their_time(first):
    words = [*COMMAND, *WORDS, "detz_offset=520"]
    assert main(words) == 0
    time = str(read_shot_table("shots.zarr")["timestamp"][3])
    assert main([*words, f"event_timestamp={time}"]) == 0
    assert read_shot_table("shots.zarr")["index"].tolist() == [3]


def test_ranks_share_the_events(first, monkeypatch):
    for task in (1, 2):
        for name, value in (("ID", task), ("FIRST", 1), ("LAST", 2)):
            monkeypatch.setenv(f"SGE_TASK_{name}", str(value))
        status = main([*COMMAND, *WORDS, "detz_offset=520", "mp.method=sge"])
        assert status == (0 if task == 2 else 1)  # the first has the misses
    assert read_shot_table("shots_rank0001.zarr")["index"].tolist() == [1, 3]
    assert read_shot_table("shots_rank0000.zarr")["index"].tolist() == [0, 2]
    assert (first / "idx-0001_integrated.refl").exists()


def test_what_is_dumped_and_measured_besides(first):
    assert main([*COMMAND, *WORDS, "detz_offset=520", "dump_all=True", "dump_strong=True", "reindex_strong=True",
                 "radial_average.enable=True", "two_theta_low=5", "two_theta_high=9", "composite_output=False",
                 "dispatch.coset=True", "psana_identifiers=True"]) == 0
    names = [path.name for path in first.iterdir()]
    count = {prefix: sum(name.startswith(prefix) and name.endswith(".cbf") for name in names)
             for prefix in ("shot-", "hit-", "idx-")}
    assert count == {"shot-": 3, "hit-": 2, "idx-": 2}
    table = read_shot_table("shots.zarr")
    # some counts a pixel of background where there is no crystal; of the event that failed nothing is known
    for name in ("two_theta_low", "two_theta_high"):
        assert 0.5 < table[name][0] < 5.0
        assert np.all(table[name][[1, 3]] > table[name][0])
        assert np.isnan(table[name][2])
    digits = table["tag"][1]
    again = xdp.read_reflections(f"idx-{digits}_reindexedstrong.refl")
    indexed = xdp.read_reflections(f"idx-{digits}_indexed.refl")
    assert len(again) >= len(indexed)
    control = xdp.read_reflections(f"idx-{digits}_coset6.refl")
    integrated = xdp.read_reflections(f"idx-{digits}_integrated.refl")
    assert len(control) > 10
    # nothing is there: intensities of the control are noise
    assert abs(control["intensity.sum.value"].mean()) < 0.05 * integrated["intensity.sum.value"].mean()
    cells = xdp.read_experiments(f"idx-{digits}_coset6.expt")
    assert cells[0].crystal.unit_cell[0] > 1.3 * CELL[0]


def test_known_orientations(first, capsys):
    words = [*COMMAND, *WORDS, "detz_offset=520"]
    assert main([*words, "max_events=3"]) == 0
    earlier = first / "earlier"
    earlier.mkdir()
    for path in first.glob("idx-0000_refined.expt"):
        path.rename(earlier / path.name)
    assert main([*words, f"known_orientations_folder={earlier}"]) == 0
    table = read_shot_table("shots.zarr")
    assert table["verdict"].tolist() == ["miss", "integrated", "failed", "not indexed"]
    assert "known_orientations" in table["message"][3]
    assert main([*words, "known_orientations_folder=nowhere"]) == 1
    assert "there are no .expt files" in capsys.readouterr().err


def test_gain_and_what_is_not_used(first, capsys):
    assert main([*COMMAND, "detz_offset=520", "estimate_gain_only=True"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum("estimated gain" in line for line in lines) == 3
    assert main([*COMMAND, *WORDS, "detz_offset=520", "db.password=secret", "input.stream=1,2", "bin_size=4"]) == 0
    said = capsys.readouterr()
    text = said.out + said.err
    assert "secret" not in text + (first / "xdp.xtc_process.log").read_text()
    for line in ("db.*: accepted and not used", "input.stream: accepted and not used",
                 "format.cbf.rayonix.bin_size: accepted and not used"):
        assert line in text


def test_a_data_source(first):
    words = [word for word in COMMAND if not word.startswith(("input.experiment", "input.run_num"))]
    assert main([*words, *WORDS, "detz_offset=520", "dispatch.datasource=exp=CXI/cxi49812:run=69:smd"]) == 0
    assert sys.modules["psana"].opened[-1] == "exp=cxi49812:run=69:idx"


def test_passwords_are_hidden():
    assert hide_password("db {\n  user = me\n  password = 'a b'\n}") == "db {\n  user = me\n  password = ***\n}"
