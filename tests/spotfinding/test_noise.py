"""Backgrounds that are not counted photons: one line names the gain to use; nothing is said of photons."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import numpy as np
import pytest
from sweeps import add_spot, options, sweep

from xdp.errors import XdpError
from xdp.experiment import write_experiments
from xdp.spotfinding.find import find_spots
from xdp.spotfinding.noise import BackgroundNoise, judge_noise, measure_background

SHAPE = (200, 220)


def draw_counts(mean=6.0, gain=1.0, readout=0.0, n_frames=4, dtype=np.int16):
    """Frames with three spots: photons times gain, and readout noise, in whole counts."""
    rng = np.random.default_rng(2)
    photons = rng.poisson(mean, (n_frames, 1, *SHAPE)).astype(np.uint16)
    for k, (slow, fast) in enumerate(((30, 40), (100, 60), (150, 190))):
        add_spot(photons, k, slow, fast)
    return np.rint(gain * photons + rng.normal(0, readout, photons.shape)).astype(dtype)


def find(folder, counts, caplog, *words, low=-1000.0):
    """The spots, and what was said of the background."""
    with caplog.at_level(logging.INFO, logger="xdp"):
        table = find_spots(sweep(folder, counts, trusted_range=(low, 60000.0)), options(*words)).reflections
    return table, [(r.levelname, r.getMessage()) for r in caplog.records if "background" in r.getMessage()]


@pytest.mark.parametrize("mean", [0.02, 0.5, 6.0, 400.0])
def test_nothing_is_said_of_counted_photons(tmp_path, caplog, mean):
    _, said = find(tmp_path, draw_counts(mean), caplog, low=0.0)
    assert said == []


def test_gain_and_readout_noise_are_named_and_the_gain_cures(tmp_path, caplog):
    """Mean 12, variance 2 x 12 + 4 x 4 + 1/12: 3.3 times the mean; below zero are a few per cent of the pixels."""
    counts = draw_counts(mean=6.0, gain=2.0, readout=4.0)
    assert 0.001 < (counts < 0).mean() < 0.1
    noise_spots, said = find(tmp_path, counts, caplog, "min_spot_size=1")
    assert len(noise_spots) > 50
    (level, text), = said
    assert level == "WARNING"
    assert text.startswith("Image set 0: the variance of the background is 3.")
    assert "where the threshold expects 1" in text
    gain = float(text.rsplit("spotfinder.threshold.dispersion.gain=", 1)[1])
    assert gain == pytest.approx((2 * 12 + 16 + 1 / 12) / 12, abs=0.1)
    caplog.clear()
    table, said = find(tmp_path, counts, caplog, "min_spot_size=1", f"gain={gain}")
    assert said == []
    assert 3 <= len(table) <= 5


def test_too_high_a_gain_is_said_without_alarm(tmp_path, caplog):
    _, said = find(tmp_path, draw_counts(), caplog, "gain=5", low=0.0)
    (level, text), = said
    assert level == "INFO"
    assert "misses weak spots" in text
    assert float(text.rsplit("dispersion.gain=", 1)[1]) == pytest.approx(1, abs=0.05)


def test_what_is_said_does_not_depend_on_chunks(tmp_path, caplog):
    counts = draw_counts(gain=2.0, readout=4.0, n_frames=5)
    said = []
    for words in (("chunksize=1",), ("chunksize=2",), ("chunksize=5", "nproc=2")):
        caplog.clear()
        said.append(find(tmp_path, counts, caplog, *words)[1])
    assert said[0] == said[1] == said[2] != []


def test_radial_profiles_need_no_gain(tmp_path, caplog):
    _, said = find(tmp_path, draw_counts(gain=2.0, readout=4.0), caplog, "algorithm=radial_profile")
    assert said == []


def test_background_below_zero_names_the_pedestal(tmp_path, caplog):
    table, said = find(tmp_path, draw_counts(mean=1.0) - 4, caplog)
    (level, text), = said
    assert level == "WARNING"
    assert "below zero (-3 counts a pixel)" in text
    assert "geometry.detector.panel.pedestal=-3" in text
    assert len(table) == 0


def test_too_many_strong_pixels_name_the_gain(tmp_path):
    counts = draw_counts(mean=2.0, gain=20.0)
    with pytest.raises(XdpError, match=r"strong pixels were found.*variance of the background is 2\d times its mean"):
        find_spots(sweep(tmp_path, counts), options("max_strong_pixel_fraction=0.001"))


def test_markers_gaps_and_spots_do_not_count():
    rng = np.random.default_rng(0)
    image = rng.poisson(5, (160, 300)).astype(float)
    usable = np.ones(image.shape, bool)
    image[:, 100:110], usable[:, 100:110] = np.nan, False
    image[20:22, 30:32] += 3000
    noise = measure_background([image], [usable])
    assert noise.mean == pytest.approx(5, rel=0.05)
    # the median of 64 chi-square values lies 1 % low, and scatters by 17 % / sqrt(700 blocks) * 1.25
    assert noise.dispersion == pytest.approx(1, abs=0.04)


def test_too_little_to_tell():
    small = measure_background([np.ones((40, 40))], [np.ones((40, 40), bool)])
    assert math.isnan(small.mean)
    assert math.isnan(small.dispersion)
    empty = measure_background([np.zeros((400, 400))], [np.ones((400, 400), bool)])
    assert empty.mean == 0
    assert math.isnan(empty.dispersion)
    assert judge_noise([small, empty], None) is None
    assert judge_noise([], None) is None


def test_most_frames_decide():
    frames = [BackgroundNoise(5.0, 1.0), BackgroundNoise(5.0, 9.0), BackgroundNoise(5.0, 1.1)]
    assert judge_noise(frames, None) is None


def test_the_command_says_it(tmp_path, monkeypatch, capsys):
    from xdp.cli.main import main

    monkeypatch.chdir(tmp_path)
    experiments = sweep(tmp_path, draw_counts(gain=2.0, readout=4.0), trusted_range=(-1000.0, 60000.0))
    write_experiments("imported.expt", experiments)
    assert main(["find_spots", "imported.expt"]) == 0
    assert "dispersion.gain=3." in capsys.readouterr().out
    assert "dispersion.gain=3." in Path("xdp.find_spots.log").read_text()


def test_the_case_of_a_real_file(shared_data, tmp_path, monkeypatch, capsys):
    from xdp.cli.main import main

    image = shared_data.parent / "cases" / "images" / "files" / "negative16.nxs"
    if not image.exists():
        pytest.skip(f"needs {image}")
    monkeypatch.chdir(tmp_path)
    assert main(["find_spots", str(image)]) == 0
    assert "below zero (-2 counts a pixel)" in capsys.readouterr().out
