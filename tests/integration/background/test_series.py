"""Statistics of each pixel's background over a series."""

from __future__ import annotations

import numpy as np
import pytest
from background_data import parse_model_words

from xdp.errors import XdpError
from xdp.images.masked_frames import MaskedFrames
from xdp.images.masks.pickles import write_mask_pickle
from xdp.integration.background._kernels_series import add_frame
from xdp.integration.background.series import PixelStatistics, gather_background_statistics

pytestmark = pytest.mark.kernels


def test_statistics_of_pixels():
    rng = np.random.default_rng(2)
    frames = rng.poisson(3.0, (12, 5, 6))
    frames[0, 2, 2] = 99
    covered = rng.random((12, 5, 6)) < 0.4
    covered[:, 0, 0] = True
    valid = np.ones((5, 6), bool)
    valid[4, 4] = False
    sums = np.zeros((5, 5, 6))
    for frame, hidden in zip(frames, covered, strict=True):
        add_frame(frame, valid, 0.0, 50.0, hidden, sums)
    seen = np.ma.array(frames, mask=covered | ~valid | (frames > 50)).astype(float)
    found = PixelStatistics(*sums)
    np.testing.assert_array_equal(found.number, seen.count(axis=0))
    for mine, theirs in ((found.mean(), seen.mean(axis=0)), (found.variance(), seen.var(axis=0)),
                         (found.lowest, seen.min(axis=0)), (found.highest, seen.max(axis=0)),
                         (found.dispersion(), seen.var(axis=0) / seen.mean(axis=0))):
        np.testing.assert_allclose(mine, theirs.filled(0.0), atol=1e-12)
    few = seen.count(axis=0) < 8
    assert few.any()
    assert not found.mean(8)[few].any()
    assert np.array_equal(found.has_enough(8), ~few)


@pytest.fixture(scope="module")
def statistics(experiments) -> PixelStatistics:
    return gather_background_statistics(experiments, parse_model_words())[0]


def test_reflections_are_left_out_of_the_statistics(series, statistics):
    frames = np.load(series.folder / "frames.npy")
    frames = frames.reshape(len(frames), *statistics.number.shape).astype(float)
    assert statistics.number.max() == len(frames)
    assert 0.5 < (statistics.number == len(frames)).mean() < 1.0
    # Spots of 3000 photons on a background of a few counts: none is left, the plain maximum has them all.
    assert statistics.highest.max() < 0.5 * frames.max()
    whole = statistics.number == len(frames)
    np.testing.assert_allclose(statistics.mean()[whole], frames.mean(axis=0)[whole])


@pytest.mark.parametrize("words", [["exclude_images=0,3"], ["prediction.d_min=6"], ["integration.lookup.mask=mask"]])
def test_what_goes_into_the_statistics(words, experiments, statistics, tmp_path):
    mask = np.ones(statistics.number.shape, bool)
    mask[20:40, 30:60] = False
    write_mask_pickle(tmp_path / "mask.pickle", [mask])
    words = [w.replace("=mask", f"={tmp_path / 'mask.pickle'}") for w in words]
    other = gather_background_statistics(experiments, parse_model_words(*words))[0]
    if "exclude" in words[0]:
        assert other.number.max() == statistics.number.max() - 2
    elif "mask" in words[0]:
        assert not other.number[~mask].any()
        np.testing.assert_array_equal(other.number[mask], statistics.number[mask])
    else:
        assert other.number.sum() > statistics.number.sum()


def test_the_goniometer_may_cast_a_shadow(experiments, monkeypatch):
    asked = []
    monkeypatch.setattr(MaskedFrames, "find_shadow", lambda self, z: asked.append(self.use_shadow))
    for word in ("True", "False"):
        gather_background_statistics(experiments, parse_model_words(f"use_dynamic_mask={word}"))
    assert asked == [True] * 12 + [False] * 12


def test_an_image_set_without_background_is_an_error(experiments, tmp_path):
    write_mask_pickle(tmp_path / "none.pickle", [np.zeros(experiments[0].detector.panel_shapes[0], bool)])
    with pytest.raises(XdpError, match="no pixel"):
        gather_background_statistics(experiments, parse_model_words(f"lookup.mask={tmp_path / 'none.pickle'}"))
