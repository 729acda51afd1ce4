"""Tests of whole chains: which shots reach which module, and what is written."""

import logging

import numpy as np
import pytest
from chain_data import FIRST_TIME, REFERENCE, DrawnShots, draw_events, make_cfg, write_target
from hit_data import is_hit

from xdp.errors import OptionError
from xdp.serial.chain.configuration import parse_chain
from xdp.serial.chain.run import run_chain
from xdp.serial.events import Events

BASE = {"address": "CxiDs1-0|Cspad-0"}


def go(text, events=None, **options):
    return run_chain(parse_chain(text), events or draw_events(), **options)


def counts(done):
    return [(m.n_reached, m.n_kept, m.n_failed) for m in done.modules]


def test_the_reference_run(tmp_path, monkeypatch, caplog):
    write_target(tmp_path)
    indexed = []
    monkeypatch.setattr("xdp.serial.chain.hitfind.index_shot",
                        lambda shot, folder, prefix, *_: indexed.append((folder, prefix, shot.index)) or (
                            None if shot.index == 3 else "int-x.refl"))
    with caplog.at_level(logging.INFO):
        done = go(REFERENCE.format(folder=tmp_path, threshold=40))
    # of six shots 0 and 3 are hits; 3 cannot be indexed
    assert counts(done) == [(6, 2, 0), (2, 2, 0), (2, 1, 0), (1, 1, 0)]
    assert sorted(p.name for p in (tmp_path / "lysozyme").iterdir()) == ["shot-20160708220524133.h5",
                                                                         "shot-20160708220527133.h5"]
    assert [p.name for p in (tmp_path / "indexed").iterdir()] == ["idx-20160708220524133.h5"]
    assert indexed == [(str(tmp_path / "lysozyme"), "int-", 0), (str(tmp_path / "lysozyme"), "int-", 3)]
    assert "Subprocess 00: Spotfinder YES HIT image #00000 @ 2016-07-08T22:05Z24.133" in caplog.text
    assert "Spotfinder NO  HIT image #00001 @ 2016-07-08T22:05Z25.133; 0 spots > 40" in caplog.text
    assert f"BRAGG {FIRST_TIME / 1e9:.3f} " in caplog.text
    assert "Processed 6 shots" in caplog.text
    assert "calib_dir is not used" in caplog.text


def test_results_do_not_depend_on_threads_or_batches(tmp_path):
    write_target(tmp_path)
    text = "\n".join(REFERENCE.format(folder=tmp_path, threshold=40).split("[my_ana_pkg.mod_hitfind:index]")[0].replace(
        "          my_ana_pkg.mod_hitfind:index \\\n          my_ana_pkg.mod_dump:indexed\n", "").splitlines())
    results = [counts(go(text, draw_events(9), **named)) for named in ({}, {"nproc": 3, "chunksize": 2},
                                                                       {"chunksize": 1})]
    assert results[0] == results[1] == results[2] == [(9, 3, 0), (3, 3, 0)]


class Bad(DrawnShots):
    """Shots of which some are bad."""

    def read(self, index):
        if index == 1:
            raise RuntimeError("psana: the event is damaged")
        return super().read(index)


def test_bad_shots_are_recorded_and_the_others_go_on(tmp_path):
    events = Events([Bad(6, photon_energy=lambda i: None if i == 2 else 9537.0,
                         distance=lambda i: None if i == 3 else 60.0,
                         time=lambda i: None if i == 4 else FIRST_TIME + i)])
    done = go(make_cfg("mod_hitfind", **BASE), events)
    assert [(number, reason) for number, reason, _ in done.failures] == [(1, "error"), (2, "no energy"),
                                                                         (3, "no distance"), (4, "no time")]
    assert counts(done) == [(5, 2, 3)]
    assert done.report.facts == {"shots": 6, "failed": 4}


def test_modules_of_users(monkeypatch):
    class Users:
        def __init__(self, settings):
            self.seen = []

        def begin(self, run):
            self.number = run.fields["run"]

        def event(self, event):
            self.seen.append(event.shot.index)
            if event.shot.index == 2:
                raise ValueError("odd")
            return event.shot.index < 4

        def end(self):
            return Seen(self.seen)

    class Seen:
        def __init__(self, seen):
            self.seen = seen

        def join(self, other):
            self.seen += other.seen

    class Point:
        name, value = "mine", "mine:Users"

        def load(self):
            return Users

    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [Point()])
    done = go("[psana]\nmodules = pkg.mod_mine", run=7, chunksize=2)
    assert counts(done) == [(6, 3, 1)]
    assert done.modules[0].result.seen == [0, 1, 2, 3, 4, 5]


def test_an_unknown_module_names_the_known_ones():
    with pytest.raises(OptionError, match="there is no module mod_none: known are mod_hitfind"):
        go(make_cfg("mod_none"))


def test_unknown_keys_are_named_in_one_warning(caplog):
    text = ("[pyana]\nmodules = m.mod_hitfind:a m.mod_hitfind:b\n[m.mod_hitfind]\naddress = Cspad-0\nzzz = 1\n"
            "[m.mod_hitfind:b]\nyyy = 2")
    go(text)
    lines = [r.message for r in caplog.records if "unknown arguments" in r.message]
    assert lines == ["Ignored unknown arguments: zzz (mod_hitfind:a), zzz (mod_hitfind:b), yyy (mod_hitfind:b)"]


def test_the_corrected_image_is_what_later_modules_see(tmp_path):
    import h5py

    dark = tmp_path / "dark.npy"
    np.save(dark, np.full((160, 160), 3.0))
    text = (f"[pyana]\nmodules = p.mod_hitfind p.mod_dump\n[p.mod_hitfind]\naddress = Cspad-0\ndark_path = {dark}\n"
            f"cache_image = {{cache}}\n[p.mod_dump]\nout_dirname = {tmp_path}\nout_basename = {{cache}}-\n")
    for cache, offset in ((True, 3.0), (False, 0.0)):
        go(text.format(cache=cache), draw_events(1))
        with h5py.File(tmp_path / f"{cache}-20160708220524133.h5") as file:
            np.testing.assert_array_equal(file["data"][0] + offset, DrawnShots().read(0).image[0])


def test_run_numbers_and_fields(tmp_path):
    text = make_cfg("mod_dump", out_dirname=f"{tmp_path}/rRUN_NO", out_basename="a-")
    go(text, draw_events(1), run=69)
    assert (tmp_path / "r69" / "a-20160708220524133.h5").exists()
    with pytest.raises(OptionError, match="RUN_NO needs the number"):
        go(text)
    dark = tmp_path / "cxi_avg-r0069.npy"
    np.save(dark, np.zeros((160, 160)))
    fields = make_cfg("mod_hitfind", **BASE, dark_path=f"{tmp_path}/{{experiment!l}}_avg-r{{run:04d}}.npy")
    assert counts(go(fields, run=69, experiment="CXI")) == [(6, 6, 0)]


def test_detz_offset_of_the_chain_is_that_of_the_shots(tmp_path, caplog):
    import h5py
    from hit_data import draw_run

    with h5py.File(tmp_path / "run.h5", "w") as file:
        file["entry_1/data_1/data"] = draw_run(2)
        file["LCLS/detector_1/EncoderValue"] = np.array([-500.0, -490.0])
        file["LCLS/photon_energy_eV"] = np.array([9000.0, 9000.0])
    text = "[pyana]\nmodules = p.mod_dump:a p.mod_dump:b\n[p.mod_dump]\nout_dirname = {0}\nout_basename = a-\n" \
           "[p.mod_dump:a]\ndetz_offset = 581\n[p.mod_dump:b]\ndetz_offset = 590\n"
    run_chain(parse_chain(text.format(tmp_path)), tmp_path / "run.h5")
    assert "several detz_offset" in caplog.text
    with h5py.File(sorted(tmp_path.glob("a-*.h5"))[1]) as file:
        assert file.attrs["distance"] == pytest.approx(91.0)


def test_shots_without_times_are_named_by_their_numbers(tmp_path, caplog):
    go(make_cfg("mod_dump", out_dirname=tmp_path, out_basename="a-"), draw_events(2, time=None))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a-00000000000000000.h5", "a-00000000000000001.h5"]
    assert "have no times" in caplog.text
    assert counts(go(make_cfg("mod_hitfind", **BASE), draw_events(2, time=None))) == [(2, 2, 0)]


def test_hits_are_hits(tmp_path):
    text = make_cfg("mod_hitfind", **BASE, threshold=40, distl_min_peaks=16, distl_flags="permissive")
    done = go(text, draw_events(9))
    assert done.modules[0].n_kept == sum(map(is_hit, range(9)))
