"""What Auto means: decided by the pixels, and what is told where an algorithm does not suit them."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
from integrating_data import GAIN, read_out, replace_images
from integration_data import make_series, options
from stills_data import make_shots

from xdp.errors import XdpError
from xdp.images.masked_frames import PanelFrame
from xdp.integration.background.auto import choose_algorithm, describe_difference, measure_counts
from xdp.integration.integrate import integrate
from xdp.integration.plan.sweeps import find_sweeps
from xdp.integration.shoeboxes.frames import FrameSource
from xdp.reflections.flags import Flag

pytestmark = pytest.mark.kernels
ANY = np.zeros((0, 0), bool)


def look(image, valid=ANY, low=-1e6, high=1e6):
    """Statistics of one image of one panel."""
    return measure_counts([[PanelFrame(image, valid, low, high)]])


@pytest.mark.parametrize("level", [0.003, 0.03, 0.3, 3.0, 300.0])
def test_photons_are_known_at_any_level(level):
    y, x = np.mgrid[0:400, 0:300]
    photons = np.random.default_rng(0).poisson(level * (1.0 + x / 300.0 + y / 800.0))
    found = look(photons)
    assert found.dispersion == pytest.approx(1.0, abs=0.1)
    assert describe_difference(found) == ""


def test_spots_and_hot_pixels_do_not_make_photons_something_else():
    rng = np.random.default_rng(1)
    photons = rng.poisson(2.0, (400, 300))
    for row, column in rng.integers(0, 295, (200, 2)):  # a spot in 600 pixels
        photons[row:row + 4, column:column + 4] += rng.poisson(60.0, (4, 4))
    photons[rng.random(photons.shape) < 1e-3] = 50_000
    assert describe_difference(look(photons)) == ""


@pytest.mark.parametrize(("change", "words"), [
    (read_out, "below zero"), (lambda p: 2 * p, "1.9 times"), (lambda p: p * 1.01, "not whole"),
    (lambda p: p.astype(float) - 2.0, "below zero")])
def test_other_counts_are_known_as_such(change, words):
    photons = np.random.default_rng(2).poisson(1.5, (400, 300))
    assert words in describe_difference(look(change(photons)))


def test_pixels_that_are_masked_or_out_of_range_are_not_looked_at():
    photons = np.random.default_rng(2).poisson(5.0, (400, 300)).astype(float)
    photons[:, 100:103], photons[50, 50] = -1.0, np.nan
    valid = np.ones(photons.shape, bool)
    valid[:, 200:210] = False
    photons[:, 200:210] = np.nan
    found = look(photons, valid, low=0.0)
    assert describe_difference(found) == ""
    assert found.n_pixels == 400 * (300 - 3 - 10) - 1
    assert "below zero" in describe_difference(look(photons, valid))


def test_hardly_any_pixels_say_nothing():
    assert np.isnan(look(np.zeros((40, 40))).dispersion)
    assert describe_difference(look(np.zeros((3, 40)))) == ""
    assert describe_difference(measure_counts([])) == ""


@pytest.fixture(scope="module")
def rotation(tmp_path_factory):
    """A rotation series of an integrating detector: experiments, spots, and the same series of photons."""
    series = make_series(tmp_path_factory.mktemp("integrating"), 6)
    plain = integrate(series.experiments, series.reference, options())
    assert plain.experiments[0].known.detector[0].gain == 1.0
    return replace_images(series.folder / "frames.npy", series.experiments), series.reference, plain.reflections


def test_images_are_looked_at_once_and_other_choices_hold(rotation, series):
    experiments, _, _ = rotation
    source = FrameSource(find_sweeps(experiments)[0], excluded=(3,))
    assert choose_algorithm(experiments, [source]) == "simple"
    assert source.read(2) is not source.read(2)  # kept until it is asked for, then read again
    chosen = options("background.algorithm=glm").integration.background
    assert choose_algorithm(experiments, [source], chosen) == "glm"
    source = FrameSource(find_sweeps(series.experiments)[0])
    assert choose_algorithm(series.experiments, [source]) == "glm"
    assert choose_algorithm(experiments, [replace_source(source, excluded=range(6))]) == "glm"


def replace_source(source, **changes):
    """Another source of the same sweep."""
    return FrameSource(source.sweep, **changes)


def test_a_rotation_series_of_such_counts_is_integrated(rotation, caplog):
    experiments, reference, plain = rotation
    with caplog.at_level(logging.INFO):
        found = integrate(experiments, reference, options()).reflections
    assert "no counts of photons" in caplog.text
    assert "below zero" in caplog.text
    assert len(found) > 0.97 * len(plain)
    both, mine, theirs = np.intersect1d(found["partial_id"], plain["partial_id"], return_indices=True)
    strong = plain["intensity.sum.value"][theirs] > 300.0
    assert strong.sum() > 50
    ratio = found["intensity.sum.value"][mine] / plain["intensity.sum.value"][theirs]
    # 300 photons on a background of 1.5: read noise adds less than 10 counts to each sum.
    assert np.median(ratio[strong]) == pytest.approx(GAIN, rel=0.01)
    assert len(both) > 300


def test_a_rotation_series_that_fails_ends_with_the_reason(rotation):
    experiments, reference, _ = rotation
    with pytest.raises(XdpError, match=r"\d+ of \d+ reflections could be integrated.*below zero.*algorithm=simple"):
        integrate(experiments, reference, options("background.algorithm=glm"))
    everything = integrate(experiments, reference, options("background.algorithm=glm", "profile.fitting=False",
                                                           "output_unintegrated_reflections=True")).reflections
    assert everything.flags(Flag.FAILED_DURING_BACKGROUND_MODELLING).mean() > 0.95


@pytest.fixture(scope="module")
def stills(tmp_path_factory):
    """Stills of an integrating detector, and how many reflections photons gave."""
    shots = make_shots(tmp_path_factory.mktemp("shots"))
    n_plain = len(integrate(shots.experiments, shots.reference, options()).reflections)
    return replace(shots, experiments=replace_images(shots.folder / "shots.npy", shots.experiments)), n_plain


@pytest.mark.parametrize("words", [(), ("profile.algorithm=ellipsoid",)])
def test_stills_of_such_counts_are_integrated(words, stills, caplog):
    shots, n_plain = stills
    with caplog.at_level(logging.INFO):
        found = integrate(shots.experiments, shots.reference, options(*words)).reflections
    assert "no counts of photons" in caplog.text
    assert len(np.unique(found["id"])) == len(shots.experiments)
    if not words:
        assert len(found) > 0.9 * n_plain


def test_stills_that_fail_end_with_the_reason(stills):
    shots, _ = stills
    with pytest.raises(XdpError, match=r"reflections could be integrated.*below zero.*algorithm=simple"):
        integrate(shots.experiments, shots.reference, options("background.algorithm=glm"))
    with pytest.raises(XdpError, match=r"background\.algorithm=simple takes counts|algorithm=simple takes such"):
        integrate(shots.experiments, shots.reference,
                  options("background.algorithm=glm", "profile.algorithm=ellipsoid"))
