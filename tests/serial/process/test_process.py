"""Whole runs of stills_process on drawn shots."""

import logging

import numpy as np
import pytest
from shot_data import CELL, NAMED, SHOTS, draw_shots, write_shots

import xdp
from xdp.errors import XdpError
from xdp.serial.hits.table import read_shot_table
from xdp.serial.process.options import StillsProcessOptions
from xdp.serial.process.process import stills_process, stills_process_to_files

HITS = [bool(shot) for shot in SHOTS]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shots")
    images, model = draw_shots()
    stack, geometry = write_shots(folder, images, model)
    return stack, {"events.geometry": geometry.partition("=")[2], **NAMED}


@pytest.fixture(scope="module")
def found(run):
    return stills_process(run[0], run[1])


def to_files(run, **named):
    from xdp.options.named import make_options

    return stills_process_to_files([run[0]], make_options(StillsProcessOptions, run[1], named))


def test_hits_are_integrated_and_of_misses_only_rows_are_kept(found):
    assert (found.table["verdict"] == "integrated").tolist() == HITS
    assert (found.table["verdict"] == "miss").tolist() == [not hit for hit in HITS]
    assert len(found.experiments) == 3
    for experiment in found.experiments:
        np.testing.assert_allclose(experiment.crystal.unit_cell, CELL, rtol=0.01)
    table = found.reflections
    assert np.bincount(table["id"]).tolist() == found.table["n_integrated"][HITS].tolist()
    # experiments know their shots: the image is the one that was processed
    assert [e.imageset.single_file_indices for e in found.experiments] == [(1,), (3,), (4,)]
    assert found.report.facts["indexed"] == 3


def test_spots_are_those_of_find_spots(run, found):
    images = xdp.import_images(run[0], reference_geometry=run[1]["events.geometry"])
    spots = xdp.find_spots(images.experiments)
    assert found.table["n_peaks"].tolist() == np.bincount(spots.reflections["id"], minlength=len(SHOTS)).tolist()


def test_results_do_not_depend_on_bags_and_threads(run, tmp_path, monkeypatch):
    written = []
    for k, named in enumerate(({}, {"mp.chunksize": 1, "nproc": 2})):
        folder = tmp_path / str(k)
        folder.mkdir()
        monkeypatch.chdir(folder)
        result = to_files(run, **named, **{"output.stream": "run.stream"})
        assert len(result.files) == 4
        written.append({p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()})
        written[-1]["table"] = {n: c.tolist() for n, c in read_shot_table("shots.zarr").items() if c.dtype == object}
    assert written[0] == written[1]
    assert set(written[0]) == {"idx-0000_indexed.refl", "idx-0000_refined.expt", "idx-0000_integrated.refl",
                               "idx-0000_integrated.expt", "run.stream", "table"}


def test_workers_of_a_client_give_the_same(run, found):
    from clients import InlineClient

    spread = stills_process(run[0], run[1], client=InlineClient(), **{"mp.chunksize": 1})
    assert spread.reflections == found.reflections
    assert spread.experiments == found.experiments
    assert spread.table["message"].tolist() == found.table["message"].tolist()


def test_a_file_set_for_each_shot(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = to_files(run, composite_output=False)
    names = {path.name for path in tmp_path.glob("idx-*")}
    assert names == {f"idx-run_{k:05d}_{end}" for k in (1, 3, 4) for end in (
        "indexed.refl", "refined.expt", "integrated.refl", "integrated.expt")}
    assert len(result.experiments) == 3
    table = xdp.read_reflections("idx-run_00003_integrated.refl")
    assert set(table["id"].tolist()) == {0}
    assert table.identifiers[0] == xdp.read_experiments("idx-run_00003_integrated.expt")[0].identifier


def test_a_shot_with_a_fault_takes_no_other(run, tmp_path, caplog):
    images, model = draw_shots()
    images = images.astype(np.float32)
    images[0] = 7.0
    images[2, 5, 5] = np.nan
    stack, geometry = write_shots(tmp_path, images, model)
    named = run[1] | {"events.geometry": geometry.partition("=")[2]}
    with caplog.at_level(logging.INFO):
        result = stills_process(stack, named)
    assert result.table["reason"][[0, 2]].tolist() == ["blank", "not finite"]
    assert result.counts.reasons == {"blank": 1, "not finite": 1}
    assert (result.table["verdict"] == "integrated").tolist() == HITS
    assert "run_00000: failed (blank)" in caplog.text
    with pytest.raises(XdpError, match=r"run_00000: .*all its pixels are 7"):
        stills_process(stack, named, squash_errors=False)


def test_a_defect_of_ours_is_one_shots_failure(run, monkeypatch):
    from xdp.serial.process.spots import ShotSpotFinder

    find, calls = ShotSpotFinder.find, []

    def fail_once(self, shot):
        calls.append(1)
        if len(calls) == 4:
            raise ZeroDivisionError("a defect")
        return find(self, shot)

    monkeypatch.setattr(ShotSpotFinder, "find", fail_once)
    result = stills_process(run[0], run[1])
    assert result.table["verdict"][3] == "failed"
    assert (result.table["reason"][3], result.table["stage"][3]) == ("error", "spotfinding")
    assert "ZeroDivisionError" in result.table["message"][3]
    assert result.counts.n_with_lattice == 2


def test_an_interrupted_run_goes_on(run, tmp_path, monkeypatch):
    from xdp.serial.process.shot import ShotProcessor

    monkeypatch.chdir(tmp_path)
    process, done = ShotProcessor.process, []

    def stop_at_four(self, number):
        if number == 4 and len(done) == 4:
            done.append(-1)
            raise KeyboardInterrupt
        done.append(number)
        return process(self, number)

    monkeypatch.setattr(ShotProcessor, "process", stop_at_four)
    with pytest.raises(KeyboardInterrupt):
        to_files(run, **{"mp.chunksize": 1})
    result = to_files(run, **{"mp.chunksize": 1})
    # the task after it had begun when the run was stopped; none runs twice
    assert sorted(done) == [-1, 0, 1, 2, 3, 4, 5]
    assert result.counts.n_with_lattice == 3
    assert not list(tmp_path.glob(".xdp*"))


def test_steps_can_be_left_out(run):
    result = stills_process(run[0], run[1], **{"dispatch.integrate": False})
    assert (result.table["verdict"] == "indexed").tolist() == HITS
    assert result.counts.n_integrated == 0
    result = stills_process(run[0], run[1], **{"dispatch.index": False})
    assert (result.table["verdict"] == "hit").tolist() == HITS
    result = stills_process(run[0], run[1], **{"dispatch.find_spots": False})
    assert set(result.table["verdict"]) == {"miss"}
    result = stills_process(run[0], run[1], **{"hit_finder.maximum_number_of_reflections": 20})
    assert (result.table["verdict"] == "junk").tolist() == HITS
    result = stills_process(run[0], run[1], **{"hit_finder.enable": False, "max_images": 2})
    assert len(result.table["index"]) == 2


def test_no_lattice_is_explained(run, monkeypatch, caplog):
    monkeypatch.setattr("xdp.serial.process.process.HITS_WITHOUT_LATTICE", 2)
    with caplog.at_level(logging.WARNING):
        result = stills_process(run[0], run[1] | {"unit_cell": (41.0, 53.0, 67.0, 90, 90, 90), "space_group": "P222"},
                                **{"mp.chunksize": 2})
    assert result.counts.n_with_lattice == 0
    assert "None of 2 hits has a lattice" in caplog.text or "None of 3 hits has a lattice" in caplog.text
    assert "  3. " in caplog.text
    assert result.table["reason"][1] == "not indexed"
