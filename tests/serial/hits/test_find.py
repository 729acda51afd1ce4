"""Tests of hit finding on whole runs."""

import json
import logging

import numpy as np
import pytest
from hit_data import draw_run, draw_shot, is_hit, write_run

import xdp
from xdp.errors import OptionError, XdpError
from xdp.serial.events import open_events
from xdp.serial.hits.find import find_hits, find_hits_to_file, make_measure, spread_sample
from xdp.serial.hits.options import FindHitsOptions, HitMeasureOptions
from xdp.serial.hits.table import read_shot_table

N = 30
TRUTH = np.array([is_hit(k) for k in range(N)])


@pytest.fixture(scope="module")
def run_files(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run"), draw_run(N))


def find(files, **named):
    return find_hits(files[0], {"events.geometry": str(files[1]), "events.energy": 9537.0}, **named)


def verdicts(found):
    return found.table["verdict"] == "hit"


def test_hits_without_any_number_given(run_files, caplog):
    with caplog.at_level(logging.INFO):
        found = find(run_files)
    assert np.array_equal(verdicts(found), TRUTH)
    assert (found.n_shots, found.n_hits, found.n_failed) == (N, 10, 0)
    assert found.thresholds.text() in caplog.text
    assert found.thresholds.n_misses == 20
    assert len(found.experiments) == 10
    assert len({e.identifier for e in found.experiments}) == 10
    assert len(found.reflections) == 0
    assert found.report.facts["hit rate"] == "33.33 %"
    assert len(found.report.tables[0].rows) == 15


@pytest.mark.parametrize(("gain", "pedestal"), [(0.1, 0.0), (3.0, 0.0), (30.0, 0.0), (1.0, 20.0), (0.1, 20.0)])
def test_gain_and_pedestal_change_no_verdict(gain, pedestal, tmp_path):
    assert np.array_equal(verdicts(find(write_run(tmp_path, draw_run(N, gain, pedestal)), powder=None)), TRUTH)


def test_distl_on_a_run(run_files):
    found = find(run_files, powder=None, algorithm="distl", **{"distl.threshold": 40, "distl_min_peaks": 12})
    # the recipe takes no pixel of 0 for background: it finds nothing on the nearly dark shots
    is_dark = np.arange(N) % 7 == 1
    assert np.array_equal(verdicts(found), TRUTH & ~is_dark)


@pytest.mark.parametrize("named", [{"algorithm": "peakfinder8"},
                                   {"algorithm": "peakfinder8", "peakfinder8.threshold": 25},
                                   {"algorithm": "spots", "spots.min_spot_size": 4}])
def test_all_measures(run_files, named):
    assert np.array_equal(verdicts(find(run_files, powder=None, **named)), TRUTH)


def test_results_do_not_depend_on_threads_or_batches(run_files):
    first = find(run_files, chunksize=7)
    for named in ({"nproc": 3, "chunksize": 7}, {"chunksize": 4}):
        other = find(run_files, **named)
        for name, column in first.table.items():
            np.testing.assert_array_equal(other.table[name], column)
        for a, b in zip(first.powder, other.powder, strict=True):
            assert a.n == b.n
            np.testing.assert_array_equal(a.total, b.total)
            np.testing.assert_array_equal(a.highest, b.highest)


def test_workers_of_a_client_give_the_same(run_files):
    from clients import InlineClient

    alone, spread = find(run_files, chunksize=7), find(run_files, chunksize=7, client=InlineClient())
    for name, column in alone.table.items():
        np.testing.assert_array_equal(spread.table[name], column)
    np.testing.assert_array_equal(spread.powder[0].total, alone.powder[0].total)


def test_files_of_a_run(run_files, tmp_path, monkeypatch):
    monkeypatch.setattr("xdp.serial.hits.find.PART", 12)
    options = FindHitsOptions().model_copy(update={
        "events": FindHitsOptions().events.model_copy(update={"geometry": str(run_files[1]), "energy": 9537.0}),
        "mp": FindHitsOptions().mp.model_copy(update={"chunksize": 5}),
        "output": FindHitsOptions().output.model_copy(update={
            "table": str(tmp_path / "hits.zarr"), "powder": str(tmp_path / "powder.h5"),
            "experiments": str(tmp_path / "hits.expt")})})
    found = find_hits_to_file(run_files[0], options)
    table = read_shot_table(tmp_path / "hits.zarr")
    assert table["index"].tolist() == list(range(N)) == found.table["index"].tolist()
    assert len(list((tmp_path / "hits.zarr").glob("part-*"))) == 2
    assert np.array_equal(table["verdict"] == "hit", TRUTH)
    import h5py

    with h5py.File(tmp_path / "powder.h5") as file:
        images = draw_run(N)
        np.testing.assert_array_equal(file["hits/sum"][0], images[TRUTH].sum(0))
        np.testing.assert_array_equal(file["misses/maximum"][0], images[~TRUTH].max(0))
    hits = xdp.read_experiments(tmp_path / "hits.expt")
    assert [e.imageset.single_file_indices[0] for e in hits] == np.flatnonzero(TRUTH).tolist()


def test_bad_shots_are_counted_by_reason(tmp_path):
    images = draw_run(N)
    images[4] = 7
    found = find(write_run(tmp_path, images), powder=None)
    assert found.n_failed == 1
    assert found.reasons == {"blank": 1}
    assert found.table["reason"][4] == "blank"
    assert found.report.tables[1].rows == (("blank", "1"),)


def test_runs_of_misses_and_of_hits(tmp_path):
    misses = find(write_run(tmp_path, draw_run(12, n_spots=0)), powder=None)
    assert misses.n_hits == 0
    hits = find(write_run(tmp_path, np.array([draw_shot(k, 30) for k in range(12)])), powder=None)
    assert hits.n_hits == 12


def test_one_shot(tmp_path):
    assert find(write_run(tmp_path, draw_run(1)), powder=None).n_hits == 1


def test_open_events_may_be_given(run_files):
    events = open_events(run_files[0], geometry=str(run_files[1]), energy=9537.0, skip=3, count=4)
    found = find_hits(events, powder=None)
    assert found.table["index"].tolist() == [3, 4, 5, 6]
    assert found.n_hits == 2


def test_errors_say_what_is_wrong(run_files):
    with pytest.raises(OptionError, match="algorithm"):
        find(run_files, algorithm="none")
    with pytest.raises(XdpError, match="no shots"):
        find_hits(open_events(run_files[0], skip=N))


def test_sample_is_spread_over_the_run(run_files):
    assert spread_sample(1000, 4) == [125, 375, 625, 875]
    assert find(run_files, powder=None, sample=9).thresholds.n_sample == 9


@pytest.mark.parametrize("name", ["own_misses", "peakfinder8", "distl", "spots"])
def test_each_algorithm_has_its_measure(name):
    assert make_measure(HitMeasureOptions(algorithm=name)).needs_sample is (name in ("own_misses", "peakfinder8"))


@pytest.fixture(scope="module")
def stills(shared_data):
    truth = json.loads((shared_data / "stills_dev" / "truth.json").read_text())
    return shared_data / "stills_dev" / "stills_dev.h5", np.array([s["kind"] == "hit" for s in truth["shots"]])


@pytest.mark.parametrize("algorithm", ["own_misses", "peakfinder8"])
def test_the_thirty_hits_of_stills_dev_and_no_other(stills, algorithm):
    found = find_hits(stills[0], algorithm=algorithm, powder=None)
    assert np.array_equal(verdicts(found), stills[1])
    assert found.n_hits == 30


@pytest.mark.parametrize(("gain", "pedestal", "dtype"), [(0.1, 0, "float32"), (3, 0, "int32"), (30, 0, "int32"),
                                                         (1, 20, "int32"), (0.1, 20, "int32"), (30, 20, "float32")])
def test_gain_and_pedestal_of_stills_dev(stills, gain, pedestal, dtype, tmp_path):
    import h5py

    with h5py.File(stills[0]) as file:
        images = np.rint(file["entry/data/data"][()] * gain + pedestal).astype(dtype) if dtype == "int32" else (
            file["entry/data/data"][()] * np.float32(gain) + np.float32(pedestal))
    experiment = xdp.import_images([stills[0]]).experiments[0]
    stack, geometry = write_run(tmp_path, images, experiment)
    found = find_hits(stack, {"events.geometry": str(geometry)}, powder=None)
    assert (verdicts(found) != stills[1]).sum() <= 1


def test_blank_images_of_the_thaumatin_grid_are_the_weakest(shared_data):
    files = sorted((shared_data / "thaumatin_grid_pilatus6m").glob("*.bz2"))
    found = find_hits(files, powder=None)
    is_blank = np.array([int(name.split("_")[-1][:4]) >= 15 for name in map(str, found.table["id"])])
    n = found.table["n_peaks"]
    assert is_blank.sum() == 3
    assert n[is_blank].max() < 0.2 * n[~is_blank].min()
    assert verdicts(found)[~is_blank].all()


def write_options(files, folder, **calibration):
    """Options that write all files to a folder, in parts of 12 shots."""
    from xdp.options.named import make_options

    named = {"events.geometry": str(files[1]), "events.energy": 9537.0, "mp.chunksize": 6, **calibration}
    names = {"table": "hits.zarr", "powder": "powder.h5", "experiments": "hits.expt"}
    return make_options(FindHitsOptions, named | {f"output.{k}": str(folder / name) for k, name in names.items()}, {})


class Interrupted(BaseException):
    """Stands for a kill: nothing catches it."""


@pytest.mark.parametrize("n_before", [13, 24])
def test_a_killed_run_goes_on_behind_its_last_part(n_before, run_files, tmp_path, monkeypatch, caplog):
    from xdp.serial.hits import find as module

    monkeypatch.setattr(module, "PART", 12)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    find_hits_to_file(run_files[0], write_options(run_files, whole))
    measure_shots, read = module.measure_shots, []

    def die(work, first, last):
        if first >= n_before:
            raise Interrupted
        return measure_shots(work, first, last)

    def watch(work, first, last):
        read.append(first)
        return measure_shots(work, first, last)

    with monkeypatch.context() as context:
        context.setattr(module, "measure_shots", die)
        with pytest.raises(Interrupted):
            find_hits_to_file(run_files[0], write_options(run_files, killed))
    monkeypatch.setattr(module, "measure_shots", watch)
    with caplog.at_level(logging.INFO):
        found = find_hits_to_file(run_files[0], write_options(run_files, killed))
    assert read[0] == n_before // 12 * 12
    assert f"has done {read[0]} of {N} shots" in caplog.text
    for name, column in read_shot_table(whole / "hits.zarr").items():
        np.testing.assert_array_equal(read_shot_table(killed / "hits.zarr")[name], column)
    assert (whole / "powder.h5").read_bytes() == (killed / "powder.h5").read_bytes()
    assert (whole / "hits.expt").read_bytes() == (killed / "hits.expt").read_bytes()
    assert (found.n_shots, found.n_hits) == (N, 10)
    assert not list(killed.glob(".xdp*"))


def test_other_parameters_begin_anew(run_files, tmp_path, monkeypatch):
    from xdp.serial.hits import find as module

    monkeypatch.setattr(module, "PART", 12)
    measure_shots = module.measure_shots
    for energy in (9537.0, 9000.0):
        options = write_options(run_files, tmp_path)
        options = options.model_copy(update={"events": options.events.model_copy(update={"energy": energy})})
        read = []

        def die(work, first, last, read=read):
            read.append(first)
            if first >= 14:
                raise Interrupted
            return measure_shots(work, first, last)

        with monkeypatch.context() as context:
            context.setattr(module, "measure_shots", die)
            with pytest.raises(Interrupted):
                find_hits_to_file(run_files[0], options)
        assert read[0] == 0


def test_raw_counts_are_corrected_by_the_dark_of_xdp_average(tmp_path):
    """Raw counts of a pedestal for each pixel: hits and powder patterns are those of the photons."""
    random = np.random.default_rng(5)
    photons = draw_run(N)
    pedestal = random.normal(900.0, 60.0, photons.shape[1:])
    raw = np.rint(photons * 8.0 + pedestal + random.normal(0, 2.0, photons.shape)).astype(np.int32)
    dark = np.rint(pedestal + random.normal(0, 2.0, (20, *photons.shape[1:]))).astype(np.int32)
    dark[:, 5, 5], raw[:, 5, 5] = 7, 20000  # a pixel whose dark does not vary
    (tmp_path / "dark").mkdir()
    files, dark_files = write_run(tmp_path, raw), write_run(tmp_path / "dark", dark)
    from xdp.cli.main import main

    assert main(["average", str(dark_files[0]), "-R", f"outputdir={tmp_path}", "averagebase=dark_avg",
                 "stddevbase=dark_std", "maxbase=dark_max", "log=None"]) == 0
    dark_file = next(tmp_path.glob("dark_avg*.h5"))
    plain = find(files, powder=None)
    found = find(files, dark_path=str(dark_file))
    assert np.array_equal(verdicts(found), TRUTH)
    # the pedestal's own spread hides the photons'
    assert abs(found.thresholds.gain - 8.0) < 0.3 < abs(plain.thresholds.gain - 8.0)
    mean = found.powder[1].total[0] / found.powder[1].n
    assert mean[5, 5] == 0
    np.testing.assert_allclose(np.delete(mean.ravel(), 5 * 160 + 5), np.delete(
        (photons[~TRUTH].mean(0) * 8).ravel(), 5 * 160 + 5), atol=5.0)
    # the hits are written with the detector as it is
    assert found.experiments[0].detector[0].trusted_range[0] == 0.0


@pytest.mark.parametrize(("calibration", "reason", "words"), [
    ({"dark_path": "other.npy"}, "wrong shape", "shape"),
    ({"dark_path": "dark.npy", "common_mode_correction": "median"}, "bad value", "has no deviation")])
def test_a_dark_that_does_not_fit_fails_the_shots_not_the_run(run_files, tmp_path, calibration, reason, words):
    np.save(tmp_path / "other.npy", np.zeros((50, 60)))
    np.save(tmp_path / "dark.npy", np.zeros((160, 160)))
    calibration = calibration | {"dark_path": str(tmp_path / calibration["dark_path"])}
    found = find(run_files, powder=None, **calibration)
    assert found.reasons == {reason: N}
    assert words in found.table["message"][0]
