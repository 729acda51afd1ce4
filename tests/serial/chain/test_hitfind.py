"""Tests of mod_hitfind: what is a hit, and what is done with it."""

import numpy as np
import pytest
from chain_data import draw_events, make_cfg
from hit_data import is_hit

from xdp.errors import OptionError
from xdp.serial.chain.configuration import ModuleSettings, parse_chain
from xdp.serial.chain.hitfind import HitfindModule, IndexModule, find_device, parse_region
from xdp.serial.chain.modules import ChainRun
from xdp.serial.chain.run import run_chain

PEAKS = {"threshold": 40, "distl_min_peaks": 16, "distl_flags": "permissive"}
HITS = sum(map(is_hit, range(6)))


def find(events=None, module="mod_hitfind", **keys):
    text = make_cfg(module, **({"address": "CxiDs1-0|Cspad-0"} | keys))
    return run_chain(parse_chain(text), events or draw_events()).modules[0]


def test_without_a_threshold_every_event_passes():
    assert find().n_kept == 6
    assert find(distl_min_peaks=16, distl_flags="permissive").n_kept == 6


def test_peaks_and_their_number():
    assert find(**PEAKS).n_kept == HITS == find(**PEAKS | {"distl_min_peaks": 20}).n_kept
    assert find(**PEAKS | {"distl_min_peaks": 1000}).n_kept == 0
    assert find(**PEAKS | {"threshold": 4000}).n_kept == 0


def test_restrictive_asks_for_more():
    images = draw_events()[0].image[0] + 60
    events = draw_events(1, image=[images])
    assert find(events, **PEAKS | {"threshold": 70}).n_kept == 1
    assert find(events, **PEAKS | {"threshold": 70, "distl_flags": "restrictive"}).n_kept == 0


def test_highest_pixel_and_region():
    image = np.full((160, 160), 5)
    image[20, 30] = 500
    events = draw_events(1, image=[image])
    assert find(events, threshold=500).n_kept == 1
    assert find(events, threshold=501).n_kept == 0
    assert find(events, threshold=500, roi="30:31,20:21").n_kept == 1
    assert find(events, threshold=500, roi="31:,:").n_kept == 0
    assert find(events, threshold=500, roi=":,:21").n_kept == 1


def test_negated_hits_are_skipped_and_misses_go_on():
    assert find(**PEAKS, negate_hits=True).n_kept == 6 - HITS


@pytest.mark.parametrize(("keys", "message"), [
    ({"distl_min_peaks": 3, "threshold": 1}, "needs distl_flags"),
    ({"distl_min_peaks": 3, "threshold": 1, "distl_flags": "permissive restrictive"}, "needs distl_flags"),
    ({"distl_min_peaks": 3, "distl_flags": "permissive", "roi": "1:2,3:4"}, "give one"),
    ({"roi": "1,2"}, "roi must be"),
    ({"xtal_target": "absent"}, r"nor with \.params"), ({"address": "CxiEndstation-0|Princeton-0"}, "knows Cspad"),
    ({"address": "None"}, "address is wanted")])
def test_errors_at_the_start(keys, message):
    with pytest.raises(OptionError, match=message):
        find(**keys)


@pytest.mark.parametrize("name", ["target.phil", "target"])
def test_spotfinders_settings_come_from_the_target(tmp_path, name, caplog):
    (tmp_path / "target.phil").write_text("distl {\n minimum_spot_area = 15\n tile_flags = 1 1\n res.outer = None\n}\n")
    assert find(**PEAKS, xtal_target=tmp_path / name).n_kept == 0
    assert "distl.tile_flags is not used: tiles follow" in caplog.text
    (tmp_path / "wrong.phil").write_text("distl.nothing = 3\n")
    with pytest.raises(OptionError, match=r"wrong\.phil: distl"):
        find(**PEAKS, xtal_target=tmp_path / "wrong.phil")


@pytest.mark.parametrize("line", ["scanbox_windows = 120 60 60", "minimum_signal_height = 1.0",
                                  "minimum_spot_height = 60", "spot_area_maximum_factor = 1",
                                  "peak_intensity_maximum_factor = 0.1", "compactness_filter = False",
                                  "peripheral_margin = 40", "res.outer = 9", "res.inner = 9", "minimum_spot_area = 9"])
def test_each_setting_of_spotfinder_is_read(tmp_path, line):
    (tmp_path / "t.phil").write_text(f"distl.{line}\n")
    module = HitfindModule(ModuleSettings("mod_hitfind", "a", {"address": "Cspad-0", "threshold": "4",
                                                              "xtal_target": str(tmp_path / "t.phil")}))
    module.begin(ChainRun())
    settings = module.distl.options.settings
    name, _, text = line.partition(" = ")
    value = getattr(settings.res, name[4:]) if name.startswith("res.") else getattr(settings, name)
    wanted = tuple(int(v) for v in text.split()) if " " in text else type(value)(text) if text != "False" else False
    assert value == wanted


@pytest.mark.parametrize("dispatch", ["view", "spots"])
def test_viewers_are_said_to_be_absent(dispatch, caplog):
    assert find(dispatch=dispatch).n_kept == 6
    assert "opens a viewer" in caplog.text


def test_write_dict_writes_hits(tmp_path):
    find(**PEAKS, dispatch="write_dict", out_dirname=tmp_path, out_basename="hit-")
    assert len(list(tmp_path.glob("hit-*.h5"))) == HITS


def test_indexing_skips_what_cannot_be_indexed(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr("xdp.serial.chain.hitfind.index_shot", lambda shot, folder, prefix, *_: seen.append(
        (shot.index, folder, prefix)) or ("x.refl" if shot.index == 0 else None))
    keys = {**PEAKS, "integration_dirname": tmp_path, "integration_basename": "int-"}
    counts = find(**keys, dispatch="index")
    assert counts.n_kept == 1 == counts.result.n_indexed
    assert seen == [(0, str(tmp_path), "int-"), (3, str(tmp_path), "int-")]
    assert find(module="mod_index", **keys).n_kept == 1
    assert IndexModule(ModuleSettings("mod_index", "a", {})).settings.keys == {"dispatch": "index"}


def test_addresses_and_regions():
    assert [find_device(a) for a in ("CxiDs1-0|Cspad-0", "CxiDs1.0:Cspad.0", "DetInfo(CxiDs1.0:Cspad.0)", "marccd-1",
                                     "MfxEndstation-0|Rayonix-0")] == ["cspad", "cspad", "cspad", "marccd", "rayonix"]
    assert parse_region("1:2,:") == (slice(1, 2), slice(None, None))
