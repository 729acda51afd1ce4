"""Tests of mod_average and mod_radial_average."""

import h5py
import numpy as np
import pytest
from chain_data import draw_events, make_cfg

from xdp.errors import OptionError
from xdp.serial.chain.configuration import parse_chain
from xdp.serial.chain.run import run_chain

IMAGES = np.array([shot.image[0] for shot in draw_events()], float)


def average(tmp_path, module="mod_average", events=None, **keys):
    named = {"mean_out": tmp_path / "mean", "std_out": tmp_path / "std.h5", "max_out": tmp_path / "max.h5"}
    text = make_cfg(module, **(named if module == "mod_average" and "avg_dirname" not in keys else {}) | keys)
    return run_chain(parse_chain(text), events or draw_events(), chunksize=2).modules[0]


def read(path, name="data"):
    with h5py.File(path) as file:
        return file[name][()]


def test_mean_deviation_and_maximum(tmp_path):
    assert average(tmp_path).n_kept == 6
    np.testing.assert_allclose(read(tmp_path / "mean.h5")[0], IMAGES.mean(0), atol=1e-9)
    # divisor n - 1, as the original's
    np.testing.assert_allclose(read(tmp_path / "std.h5")[0], IMAGES.std(0, ddof=1), atol=1e-9)
    np.testing.assert_array_equal(read(tmp_path / "max.h5")[0], IMAGES.max(0))


def test_the_older_form_has_the_digits_of_the_mean_time(tmp_path):
    average(tmp_path, avg_dirname=tmp_path, avg_basename="avg-", stddev_dirname=tmp_path, stddev_basename="s-",
            max_dirname=tmp_path, max_basename="m-")
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"{x}-20160708220526633.h5" for x in ("avg", "m", "s")]


@pytest.mark.parametrize(("keys", "change"), [
    ({"flags": "noelastic", "elastic_threshold": 9}, lambda i: np.where(i > 9, 0, i)),
    ({"flags": "nonoise", "noise_threshold": 3}, lambda i: np.where(i < 3, 0, i)),
    ({"flags": "symnoise", "symnoise_threshold": 2}, lambda i: np.where(np.abs(i) < 2, 0, i)),
    ({"photon_threshold": 3, "two_photon_threshold": 8}, lambda i: (i >= 3) * 1.0 + (i >= 8))])
def test_filters(tmp_path, keys, change):
    average(tmp_path, **keys)
    np.testing.assert_allclose(read(tmp_path / "mean.h5")[0], np.array([change(i) for i in IMAGES]).mean(0), atol=1e-9)


def test_background_and_inactive_pixels(tmp_path):
    dark, stddev = np.zeros((160, 160)), np.ones((160, 160))
    stddev[3, 4] = 0
    for name, image in (("b", np.full((160, 160), 2.0)), ("dark", dark), ("stddev", stddev)):
        np.save(tmp_path / f"{name}.npy", image)
    average(tmp_path, background_path=tmp_path / "b.npy")
    np.testing.assert_allclose(read(tmp_path / "mean.h5")[0], IMAGES.mean(0) - 2.0, atol=1e-9)
    average(tmp_path, flags="inactive", dark_path=tmp_path / "dark.npy", dark_stddev=tmp_path / "stddev.npy")
    assert read(tmp_path / "mean.h5")[0][3, 4] == 0.0


def test_shots_of_another_shape_fail(tmp_path):
    events = draw_events(image=lambda i: [np.zeros((160 + 10 * (i == 1), 160))])
    assert average(tmp_path, events=events).n_failed == 1


def test_radial_averages(tmp_path):
    counts = average(tmp_path, "mod_radial_average", out_dirname=tmp_path, out_basename="r-", two_theta_low=1,
                     two_theta_high=6)
    assert counts.n_kept == 6
    path = tmp_path / "r-mod_radial_average.h5"
    angle, mean, ends = read(path, "two_theta"), read(path, "mean"), read(path, "low_high")
    assert mean.shape == (6, len(angle))
    assert np.all(np.diff(angle) > 0)
    # the background of the misses falls off from the beam
    assert np.all((ends[:, 0] > ends[:, 1])[[1, 2, 4, 5]])
    slow, fast = np.mgrid[:160, :160] + 0.5
    radius = np.degrees(np.arctan(np.hypot(slow - 80, fast - 80) * 0.1 / 60.0))
    near = np.abs(radius - angle[40]) < 0.05
    assert mean[1][40] == pytest.approx(IMAGES[1][near].mean(), rel=0.15)
    with pytest.raises(OptionError, match="both or not at all"):
        average(tmp_path, "mod_radial_average", two_theta_low=1)
