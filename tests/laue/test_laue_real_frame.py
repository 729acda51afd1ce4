"""Spots of a real white-beam frame on its real background."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from xdp.laue.find import find_laue_spots
from xdp.laue.import_scan import read_image
from xdp.laue.options import LaueSpotsOptions
from xdp.simulation.laue import LaueSimulation, write_laue_scan


@pytest.mark.shared
@pytest.mark.parametrize("method", ["n_removed", "maxgroup"])
def test_ge_wafer_turned_by_hand(shared_data, tmp_path, method):
    """One frame is no scan: its spots are moved over its background from angle to angle, with its noise drawn anew."""
    path = shared_data / "laue_ge_bm32" / "ge.jp2"
    if not path.exists():
        pytest.skip("needs laue_ge_bm32")
    image = read_image(str(path))[700:1212, 700:1212].astype(np.float64)
    background = ndimage.median_filter(image, 31)
    noise = 1.4826 * np.median(np.abs(image - background))
    spots = np.where(image - background > 6 * noise, image - background, 0)
    rng = np.random.default_rng(0)
    angles = np.repeat(np.arange(12), 2)
    moved = [np.roll(spots, (41 * angle, 67 * angle), (0, 1)) for angle in range(12)]
    frames = [background + moved[angle] + noise * rng.standard_normal(image.shape) for angle in angles]
    scan = LaueSimulation(np.rint(frames).clip(0, 65535).astype(np.uint16), angles * 1.0, np.tile([False, True], 12),
                          np.ones(24, int), background, {}, 1.0)
    write_laue_scan(tmp_path / "ge__mccd.h5", scan)
    options = LaueSpotsOptions(output=str(tmp_path / "o.h5"), method=method)
    found = find_laue_spots(tmp_path / "ge__mccd.h5", options).spots
    labels, count = ndimage.label(spots > 0, np.ones((3, 3)))
    size = ndimage.sum(spots > 0, labels, np.arange(1, count + 1))
    wanted = [place for i, place in enumerate(ndimage.maximum_position(spots, labels, np.arange(1, count + 1)))
              if size[i] >= 16]
    assert len(wanted) >= 3
    for frame in (0, 5, 22):
        places = found["XY"][found["frame"] == frame]
        shift = np.array([41, 67]) * angles[frame]
        expected = (np.array(wanted) + shift) % 512
        near = [np.min(np.hypot(*(places - place).T)) for place in expected]
        assert np.mean(np.array(near) < 3) > 0.9
        true = moved[angles[frame]][tuple(places.T)]
        assert np.mean(true > 0) > 0.9
