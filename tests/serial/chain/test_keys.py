"""Each key of mod_hitfind and mod_dump: its effect, or the line that says why it has none."""

import csv
import dataclasses

import numpy as np
import pytest
from chain_data import draw_events, make_cfg

from xdp.errors import OptionError
from xdp.serial.chain.configuration import ModuleSettings, parse_chain
from xdp.serial.chain.keys import (
    DATABASE,
    NEEDS_PSANA,
    AverageKeys,
    DumpKeys,
    HitfindKeys,
    KeyReport,
    RadialAverageKeys,
    ShotKeys,
    read_keys,
)
from xdp.serial.chain.modules import override_models
from xdp.serial.chain.run import run_chain

#: Keys whose effect other tests show, by the test.
SHOWN = {
    "address": "test_hitfind.py", "detz_offset": "test_run.py", "check_beam_status": "here", "override_energy": "here",
    "common_mode_correction": "here", "photon_threshold": "test_averages.py",
    "two_photon_threshold": "test_averages.py",
    "dark_path": "test_run.py", "dark_stddev": "here", "mask_path": "here", "gain_map_path": "here",
    "gain_map_level": "here", "cache_image": "test_run.py", "roi": "test_hitfind.py", "laser_1_status": "here",
    "laser_4_status": "here", "override_beam_x": "here", "override_beam_y": "here", "verbose": "here",
}
MODELS = {"hitfind": HitfindKeys, "dump": DumpKeys, "average": AverageKeys, "radial_average": RadialAverageKeys}


def read(model=HitfindKeys, run=None, **keys):
    report = KeyReport()
    settings = ModuleSettings("mod_x", "a", {key: str(value) for key, value in keys.items()})
    return read_keys(settings, model, run or {}, report), report


def count_kept(events=None, **keys):
    text = make_cfg("mod_hitfind", address="Cspad-0", **keys)
    return run_chain(parse_chain(text), events or draw_events()).modules[0]


def dump(tmp_path, **keys):
    """The image of one shot as mod_dump writes it."""
    run_chain(parse_chain(make_cfg("mod_dump", out_dirname=tmp_path, out_basename="a-", out_format="npy", **keys)),
              draw_events(1))
    return np.load(tmp_path / "a-20160708220524133.npy")


def test_every_key_of_all_modules_has_a_test_or_a_line():
    assert set(ShotKeys.model_fields) == set(SHOWN) | set(NEEDS_PSANA)


def test_all_keys_of_the_original_are_there(shared_data):
    known = {name for model in MODELS.values() for name in model.model_fields} | set(DATABASE)
    listed = set()
    for name in ("mod_hitfind_keys.tsv", "mod_dump_keys.tsv", "mpi_average_options.tsv"):
        with (shared_data.parent / "serial" / name).open(encoding="utf-8") as file:
            for where, keys, *_ in csv.reader(file, delimiter="\t"):
                if not keys.startswith("(") and where in ("event_info", "common_mode", "mod_hitfind", "mod_dump",
                                                          "mod_average"):
                    listed |= {key.strip(" .") for key in keys.split(",") if not key.strip().startswith("(")}
    assert listed - known <= {""}
    assert "threshold" in listed


@pytest.mark.parametrize("key", [*NEEDS_PSANA])
def test_keys_that_need_psana_say_so(key):
    value = {"crop_rayonix": "True", "calib_dir": "/calib"}.get(key, "3")
    _, report = read(**{key: value})
    assert report.list_warnings() == [f"{key} is not used: {NEEDS_PSANA[key]}"]


@pytest.mark.parametrize("key", DATABASE)
def test_keys_of_records_are_ignored_with_one_line_and_without_their_value(key):
    _, report = read(**{key: "geheim"})
    assert len(report.list_warnings()) == 1
    assert "geheim" not in report.list_warnings()[0]


@pytest.mark.parametrize(("key", "value"), [("threshold", "many"), ("dispatch", "dance"), ("distl_min_peaks", "1.5"),
                                            ("laser_1_status", "2"), ("cache_image", "perhaps"),
                                            ("common_mode_correction", "average")])
def test_wrong_values_name_module_and_key(key, value):
    with pytest.raises(OptionError, match=f"mod_x:a.*{key}"):
        read(**{key: value})


def test_defaults_are_the_originals():
    keys, report = read()
    assert (keys.detz_offset, keys.check_beam_status, keys.cache_image, keys.delta_k) == (575.0, True, True, 0.0)
    assert (keys.dispatch, keys.threshold, keys.distl_min_peaks, keys.negate_hits) == (None, None, None, False)
    assert (keys.integration_dirname, keys.integration_basename) == ("integration", "")
    assert report.list_warnings() == []


def test_words_numbers_and_fields():
    keys, _ = read(distl_flags="permissive", address="CxiDs1-0|Cspad-0", trial_id=7, trial=8, rungroup_id=9,
                   verbose=True)
    assert keys.distl_flags == ("permissive",)
    assert keys.address == "CxiDs1-0|Cspad-0"
    assert (keys.trial_id, keys.trial, keys.rungroup_id, keys.verbose) == (7, 8, 9, True)
    average, _ = read(AverageKeys, {"run": 69}, flags="inactive nonoise", mean_out="m-r{run:04d}")
    assert average.flags == ("inactive", "nonoise")
    assert average.mean_out == "m-r0069"
    with pytest.raises(OptionError, match="no field"):
        read(AverageKeys, mean_out="{nothing}")


def test_check_beam_status():
    events = draw_events(photon_energy=None)
    assert count_kept(events).n_failed == 6
    assert count_kept(events, check_beam_status=False).n_kept == 6


def test_override_energy_and_beam():
    keys, _ = read(override_energy=12398.4187, override_beam_x=70, override_beam_y=90)
    shot = override_models(draw_events(1)[0], keys)
    assert shot.photon_energy == 12398.4187
    assert shot.experiment.beam.wavelength == pytest.approx(1.0, abs=1e-5)
    panel = shot.experiment.detector[0]
    np.testing.assert_allclose(panel.d_matrix @ [7.0, 9.0, 1.0], [0, 0, -60.0], atol=1e-9)
    assert count_kept(draw_events(photon_energy=None), override_energy=9000).n_kept == 6


def test_laser_status():
    assert count_kept(laser_1_status=1).n_kept == 3
    assert count_kept(laser_1_status=0).n_kept == 3
    missing = count_kept(laser_4_status=1)
    assert missing.n_failed == 6


def test_dark_gain_mask_and_common_mode(tmp_path):
    plain = dump(tmp_path)
    dark, stddev, gain = np.full((160, 160), 3.0), np.ones((160, 160)), np.full((160, 160), 2.0)
    stddev[5, 5] = 0.0
    mask = np.zeros((160, 160), np.int32)
    mask[7, 7] = -2
    level = np.ones((160, 160))
    level[8] = 0
    for name, image in (("dark", dark), ("stddev", stddev), ("gain", gain), ("mask", mask), ("level", level)):
        np.save(tmp_path / f"{name}.npy", image)
    dark_keys = {"dark_path": tmp_path / "dark.npy", "dark_stddev": tmp_path / "stddev.npy"}
    np.testing.assert_array_equal(dump(tmp_path, **dark_keys), plain - 3.0)
    np.testing.assert_array_equal(dump(tmp_path, gain_map_path=tmp_path / "gain.npy"), plain * 2.0)
    scaled = dump(tmp_path, gain_map_path=tmp_path / "level.npy", gain_map_level=7)
    np.testing.assert_array_equal(scaled, np.where(level == 0, plain * 7.0, plain))
    common = dump(tmp_path, **dark_keys, common_mode_correction="median")
    np.testing.assert_allclose(common, plain - 3.0 - np.median((plain - 3.0)[stddev > 0]))
    # masked pixels and those whose dark does not vary are no highest pixel
    image = plain.copy()
    image[7, 7] = image[5, 5] = 9000
    events = draw_events(1, image=[image])
    assert count_kept(events, threshold=8000).n_kept == 1
    assert count_kept(events, threshold=8000, mask_path=tmp_path / "mask.npy").n_kept == 1
    assert count_kept(events, threshold=8000, mask_path=tmp_path / "mask.npy", **dark_keys).n_kept == 0


def test_a_dark_of_another_shape_is_the_shots_failure(tmp_path):
    np.save(tmp_path / "dark.npy", np.zeros((10, 10)))
    assert count_kept(dark_path=tmp_path / "dark.npy").n_failed == 6


def test_more_is_printed_with_verbose_only_where_asked():
    assert read(verbose=True)[0].verbose
    assert not read()[0].verbose


def test_settings_are_not_changed():
    settings = ModuleSettings("mod_x", "a", {"threshold": "4"})
    assert dataclasses.replace(settings).keys == {"threshold": "4"}
