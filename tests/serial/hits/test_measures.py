"""Tests of the measures on single shots."""

import dataclasses
import pickle

import numpy as np
import pytest
from hit_data import SHAPE, draw_shot, make_models

from xdp.experiment import Beam, Detector, Panel
from xdp.serial.events import Shot
from xdp.serial.events.shot import ShotError
from xdp.serial.hits.distl_options import DistlOptions
from xdp.serial.hits.measures import (
    DistlMeasure,
    HitCount,
    SpotMeasure,
    estimate_shot_resolution,
    find_limits,
    make_own_misses,
    make_peakfinder8,
    require_models,
)
from xdp.serial.hits.options import DistlHitOptions, OwnMissesOptions, Peakfinder8Options, SpotHitOptions
from xdp.serial.hits.own_misses import learn_thresholds


def make_shot(image, **changes):
    return Shot(0, "run.h5 //0", [image], experiment=make_models(), photon_energy=9537.0, distance=60.0, **changes)


HIT, MISS = make_shot(draw_shot(1, 40)), make_shot(draw_shot(2))


def test_measures_tell_a_hit_from_a_miss():
    distl = DistlHitOptions(threshold=40.0, distl_min_peaks=8)
    spots = SpotHitOptions(minimum_number_of_reflections=8, min_spot_size=4)
    for measure in (make_own_misses(OwnMissesOptions()), make_peakfinder8(Peakfinder8Options(threshold=25.0)),
                    DistlMeasure(distl), SpotMeasure(spots)):
        measure = pickle.loads(pickle.dumps(measure))
        hit, miss = measure.measure(HIT), measure.measure(MISS)
        assert hit.is_hit
        assert not miss.is_hit
        assert hit.n_peaks > 20 > miss.n_peaks
        assert len(hit.panel) == len(hit.slow) == len(hit.fast) == hit.n_peaks


@pytest.mark.parametrize(("name", "value"), [
    ("threshold", 70.0), ("min_snr", 60.0), ("min_pix_count", 10), ("max_pix_count", 8),
    ("min_res", 50), ("max_res", 40)])
def test_each_parameter_of_peakfinder8(name, value):
    options = Peakfinder8Options(threshold=25.0)
    n = make_peakfinder8(options).measure(HIT).n_peaks
    changed = make_peakfinder8(options.model_copy(update={name: value})).measure(HIT).n_peaks
    assert changed < n
    assert not make_peakfinder8(options.model_copy(update={"min_peaks": n + 1})).measure(HIT).is_hit


def test_the_radius_of_the_local_background_counts():
    near, far = (make_peakfinder8(Peakfinder8Options(threshold=25.0, local_bg_radius=r)).list_peaks(HIT)
                 for r in (3, 6))
    assert not np.allclose(near.snr[:5], far.snr[:5])


def test_defaults_are_crystfels():
    options = Peakfinder8Options()
    assert (options.min_snr, options.min_pix_count, options.max_pix_count, options.local_bg_radius, options.min_res,
            options.max_res) == (5.0, 2, 200, 3, 0, 1200)


def test_thresholds_of_the_run_are_used_when_known():
    measure = make_own_misses(OwnMissesOptions())
    assert measure.needs_sample
    measure.run = learn_thresholds([measure.look(make_shot(draw_shot(k)))[0] for k in range(6)], sigma=5.0)
    assert not measure.needs_sample
    assert measure.measure(HIT).is_hit
    assert measure.measure(MISS).n_peaks == 0
    dark = make_shot(np.random.default_rng(1).poisson(0.02, SHAPE).astype(np.int32))
    assert not measure.measure(dark).is_hit
    assert not make_peakfinder8(Peakfinder8Options(threshold=9.0)).needs_sample
    assert measure.measure(HIT).background == pytest.approx(HIT.image[0].mean(), abs=2.0)
    assert len(measure.list_peaks(HIT).snr) == measure.measure(HIT).n_peaks


@pytest.mark.parametrize(("name", "value"), [("sigma", 40.0), ("min_pix_count", 10), ("max_pix_count", 8)])
def test_each_parameter_of_own_misses(name, value):
    n = make_own_misses(OwnMissesOptions()).measure(HIT).n_peaks
    assert make_own_misses(OwnMissesOptions(**{name: value})).measure(HIT).n_peaks < n
    assert not make_own_misses(OwnMissesOptions(min_peaks=n + 1)).measure(HIT).is_hit


def test_distl_counts_by_threshold_and_flags():
    def count(**changes):
        return DistlMeasure(DistlHitOptions(**changes)).measure(HIT)

    n = count().n_peaks
    assert n >= count(threshold=45.0).n_peaks > count(threshold=80.0).n_peaks
    image = HIT.image[0] + 40  # p90 is then about 46: spots up to 115 are too low
    bright = DistlMeasure(DistlHitOptions(distl_flags="restrictive")).measure(make_shot(image)).n_peaks
    assert 0 < bright < DistlMeasure(DistlHitOptions()).measure(make_shot(image)).n_peaks
    assert count(distl_min_peaks=n).is_hit
    assert not count(distl_min_peaks=n + 1).is_hit
    assert count(settings=DistlOptions(minimum_spot_area=15, peripheral_margin=1)).n_peaks < n


def test_of_a_cspad_the_eight_nearest_asics_are_searched():
    panels = tuple(Panel((1.0, 0, 0), (0, -1.0, 0), (19.6 * i - 39.2, 18.7 * j, -60.0), (194, 185), (0.1, 0.1))
                   for i in range(4) for j in range(4))
    image = draw_shot(1, 40, shape=(185, 194))
    shot = Shot(0, "a", [image] * 16, experiment=dataclasses.replace(make_models(), detector=Detector(panels)),
                distance=60.0)
    assert len(DistlMeasure(DistlHitOptions()).plan(shot)[1]) == 8
    assert len(DistlMeasure(DistlHitOptions(n_tiles=3)).plan(shot)[1]) == 3
    assert len(DistlMeasure(DistlHitOptions(n_tiles=None)).plan(shot)[1]) == 16
    assert len(np.unique(DistlMeasure(DistlHitOptions()).measure(shot).panel)) == 8


@pytest.mark.parametrize(("name", "value"), [("min_spot_size", 10), ("max_spot_size", 5), ("max_separation", 0.01),
                                             ("maximum_number_of_reflections", 5),
                                             ("minimum_number_of_reflections", 500)])
def test_each_parameter_of_spots(name, value):
    plain = SpotMeasure(SpotHitOptions()).measure(HIT)
    changed = SpotMeasure(SpotHitOptions(**{name: value})).measure(HIT)
    assert plain.is_hit
    assert (not changed.is_hit or changed.n_peaks != plain.n_peaks)
    strict = SpotHitOptions().dispersion.model_copy(update={"sigma_strong": 30.0})
    assert SpotMeasure(SpotHitOptions(dispersion=strict)).measure(HIT).n_peaks < plain.n_peaks


def test_both_dispersion_thresholds():
    faint = make_shot(draw_shot(3, 40, mean=30.0))
    n = [SpotMeasure(SpotHitOptions(threshold=name)).measure(faint).n_peaks
         for name in ("dispersion", "dispersion_extended")]
    assert min(n) > 10


def test_both_bounds_of_spots():
    n = SpotMeasure(SpotHitOptions()).measure(HIT).n_peaks
    for least, most, is_hit in ((n, n, True), (n + 1, None, False), (0, n - 1, False)):
        options = SpotHitOptions(minimum_number_of_reflections=least, maximum_number_of_reflections=most)
        assert SpotMeasure(options).measure(HIT).is_hit is is_hit


def test_masked_pixels_make_no_peaks():
    nothing = [np.zeros(SHAPE, bool)]
    masked = dataclasses.replace(HIT, valid=nothing)
    for measure in (make_own_misses(OwnMissesOptions()), DistlMeasure(DistlHitOptions()),
                    SpotMeasure(SpotHitOptions())):
        assert measure.measure(masked).n_peaks == 0


def test_without_geometry_the_reason_is_said():
    with pytest.raises(ShotError, match=r"events\.geometry"):
        require_models(Shot(0, "run.npy //0", [HIT.image[0]]))


def test_resolution_is_that_of_most_peaks():
    models, beam = make_models(), Beam.along_z(1.3)
    # nine peaks at 20 pixels from the beam and one far out: 80 % are within the first
    fast = np.array([80.0 + 20 - 0.5] * 9 + [159.0])
    found = HitCount(10, True, np.zeros(10, int), np.full(10, 79.5), fast)
    d = 1.3 / (2 * np.sin(0.5 * np.arctan(2.0 / 60.0)))
    assert estimate_shot_resolution(models.detector, beam, found) == pytest.approx(d)
    none = HitCount(0, False, *[np.zeros(0)] * 3)
    assert np.isnan(estimate_shot_resolution(models.detector, beam, none))


def test_an_empty_trusted_range_is_none():
    panel = make_models(trusted=(0.0, 0.0)).detector[0]
    assert find_limits(panel, np.dtype("int32")) == (-np.inf, np.inf)
    assert find_limits(make_models().detector[0], np.dtype("uint16")) == (0.0, 60000.0)
