"""Which algorithm fits a background, what all of them have in common, and what Auto means."""

from __future__ import annotations

from types import SimpleNamespace

import background_twins as twins
import numpy as np
import pytest
from background_data import find_used, make_boxes, parse_words

from xdp.errors import OptionError
from xdp.experiment import Experiment, ImageSet
from xdp.integration.background import fit_background, resolve_algorithm
from xdp.integration.background.options import BackgroundOptions

pytestmark = pytest.mark.kernels


@pytest.mark.parametrize("algorithm", ["glm", "simple", "median"])
def test_a_box_without_pixels_has_failed(algorithm):
    boxes = make_boxes(2).without_pixels()
    assert fit_background(boxes, parse_words(f"algorithm={algorithm}")).failed.all()


def test_null_leaves_no_background():
    boxes = make_boxes(4)
    boxes.background[:] = 7.0
    found = fit_background(boxes, parse_words("algorithm=null"))
    assert not boxes.background.any()
    assert not found.failed.any()
    assert found.columns == {}
    assert not find_used(boxes).any()


@pytest.mark.parametrize("words", ["algorithm=glm glm.min_pixels", "algorithm=simple simple.min_pixels",
                                   "algorithm=simple outlier.algorithm=normal normal.min_pixels"])
def test_min_pixels(words):
    for more in (0, 1):
        boxes = make_boxes(1)
        boxes.data[:] = 1e4 + np.arange(boxes.n_pixels) % 7  # None of them looks unlike a normal distribution.
        wanted = int(twins.usable(boxes.mask).sum()) + more
        found = fit_background(boxes, parse_words(*f"{words}={wanted}".split()))
        assert found.failed.tolist() == [more == 1]


def test_boxes_do_not_know_of_each_other():
    """The same box alone, or among others in another order, gets the same bytes."""
    for algorithm in ("glm", "simple", "median"):
        boxes, order = make_boxes(12), np.random.default_rng(0).permutation(12)
        shuffled = boxes.select(order)
        whole = fit_background(boxes, parse_words(f"algorithm={algorithm}"))
        other = fit_background(shuffled, parse_words(f"algorithm={algorithm}"))
        assert boxes.select(order) == shuffled
        np.testing.assert_array_equal(whole.columns["background.mean"][order], other.columns["background.mean"])


@pytest.mark.parametrize(("gain", "kind", "expected"), [(1.0, "SENSOR_PAD", "glm"), (1.0, "SENSOR_CCD", "simple"),
                                                        (0.9, "SENSOR_PAD", "simple")])
def test_auto(gain, kind, expected):
    good = SimpleNamespace(gain=1.0, pedestal=0.0, type="SENSOR_PAD")
    experiments = [Experiment(detector=[good, good]),
                   Experiment(detector=[good, SimpleNamespace(gain=gain, pedestal=0.0, type=kind)])]
    assert resolve_algorithm(experiments) == expected
    assert resolve_algorithm(experiments, parse_words("algorithm=median")) == "median"


@pytest.mark.parametrize("name", ["gain", "pedestal"])
def test_auto_is_simple_where_counts_are_corrected(name):
    panel = SimpleNamespace(gain=1.0, pedestal=0.0, type="SENSOR_PAD")
    images = ImageSet("ImageSet", images=("a.npy",), single_file_indices=(0,), **{name: "map.npy"})
    assert resolve_algorithm([Experiment(detector=[panel], imageset=images)]) == "simple"
    panel.pedestal = 10.0
    assert resolve_algorithm([Experiment(detector=[panel])]) == "simple"


def test_auto_must_be_resolved():
    with pytest.raises(OptionError, match="resolve_algorithm"):
        fit_background(make_boxes(1), BackgroundOptions())
    assert not fit_background(make_boxes(1), BackgroundOptions(), algorithm="glm").failed.any()
