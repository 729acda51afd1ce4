"""The limits of every rejection."""

from __future__ import annotations

import pytest
from background_data import find_used, make_boxes, parse_words

from xdp.integration.background import fit_background

pytestmark = pytest.mark.kernels


EFFECTS = {
    "nsigma.lower=1": "nsigma", "nsigma.upper=1": "nsigma", "truncated.lower=0.3": "truncated",
    "truncated.upper=0.3": "truncated", "plane.n_sigma=1": "plane", "tukey.lower=0.1": "tukey",
    "tukey.upper=0.1": "tukey",
}


@pytest.mark.parametrize("word", EFFECTS)
def test_limits_of_rejection(word):
    """A tighter limit rejects more; the sides differ; None rejects nothing there."""
    algorithm = EFFECTS[word]
    words = ["algorithm=simple", f"simple.outlier.algorithm={algorithm}"]
    without = word.split("=")[0] + "=None"
    n_used, mean = {}, {}
    for name in ("", word, without):
        boxes = make_boxes(20, level=30)
        found = fit_background(boxes, parse_words(*words, *([f"simple.outlier.{name}"] if name else [])))
        n_used[name], mean[name] = find_used(boxes).sum(), found.columns["background.mean"].mean()
    assert n_used[word] < n_used[""] <= n_used[without]
    if "upper" in word:
        assert mean[word] < mean[""]
    if "lower" in word:
        assert mean[word] > mean[""]


def test_plane_fraction_leaves_the_highest_pixels_out_of_the_plane():
    boxes = [make_boxes(20, level=30, outliers=0.1) for _ in range(2)]
    for b, fraction in zip(boxes, (1.0, 0.7), strict=True):
        fit_background(b, parse_words("algorithm=simple", "outlier.algorithm=plane", f"plane.fraction={fraction}"))
    outlying = boxes[0].data > 200
    whole, lowest = map(find_used, boxes)
    assert lowest[outlying].sum() < whole[outlying].sum() or not whole[outlying].any()
    assert whole.sum() != lowest.sum()
