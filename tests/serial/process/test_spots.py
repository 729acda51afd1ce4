"""Spots of shots in memory, beside those of find_spots."""

import numpy as np
import pytest
from hit_data import draw_shot, make_models

from xdp.errors import XdpError
from xdp.options.named import make_options
from xdp.serial.process.options import ShotSpotFinderOptions
from xdp.serial.process.pixels import ProcessedImage
from xdp.serial.process.spots import ShotSpotFinder, find_resolutions


def find(image, corrected=None, **named):
    finder = ShotSpotFinder(make_options(ShotSpotFinderOptions, None, named))
    raw = [image]
    return finder.find(ProcessedImage(make_models(), raw, raw if corrected is None else [corrected], None))


def test_spots_and_counts():
    spots, counts = find(draw_shot(3, n_spots=30))
    assert 20 <= len(spots) <= 30
    assert counts.found == len(spots) + counts.too_small + counts.too_large + counts.far
    assert counts.strong_pixels > 4 * len(spots)
    assert set(spots["bbox"][:, 4].tolist()) == {0}
    assert spots["imageset_id"].dtype == np.int32
    assert len(find(draw_shot(4))[0]) == 0


def test_a_gain_that_is_divided_out_changes_nothing():
    image = draw_shot(3, n_spots=30)
    plain, _ = find(image)
    corrected, _ = find(5 * image + 20, corrected=image.astype(np.float64))
    np.testing.assert_array_equal(corrected["xyzobs.px.value"], plain["xyzobs.px.value"])


@pytest.mark.parametrize("named", [{"filter.background_gradient.filter": True}, {"filter.spot_density.filter": True},
                                   {"filter.max_separation": 0.1}, {"filter.min_spot_size": 9},
                                   {"filter.max_spot_size": 6}, {"region_of_interest": (0, 80, 0, 80)}])
def test_filters(named):
    plain, _ = find(draw_shot(3, n_spots=30))
    spots, _ = find(draw_shot(3, n_spots=30), **named)
    assert len(spots) <= len(plain)


def test_a_shot_that_is_all_strong_is_refused():
    with pytest.raises(XdpError, match="max_strong_pixel_fraction"):
        find(draw_shot(3, n_spots=30), **{"filter.max_strong_pixel_fraction": 1e-4})


def test_resolutions():
    spots, _ = find(draw_shot(3, n_spots=30))
    model = make_models()
    d = find_resolutions(model, spots)
    radius = np.hypot(*(spots["xyzobs.px.value"][:, :2].T - 80.0)) * 0.1
    expected = 1.3 / (2.0 * np.sin(0.5 * np.arctan(radius / 60.0)))
    np.testing.assert_allclose(d, expected, rtol=1e-6)
