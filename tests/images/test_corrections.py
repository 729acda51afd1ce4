"""Gain and pedestal of panels and maps."""

from __future__ import annotations

import numpy as np
import pytest
from mask_data import make_panel

from xdp.errors import FormatError
from xdp.experiment import Detector, Experiment, ImageSet
from xdp.images.corrections import correct_counts, read_corrections
from xdp.images.masks.pickles import write_map_pickle


def make_experiment(*panels, **maps) -> Experiment:
    return Experiment(detector=Detector(panels), imageset=ImageSet("ImageSet", images=("x",), **maps))


@pytest.mark.parametrize(("gains", "expected"), [
    ((1.0, 1.0), [None, None]), ((1.0, 2.0), [1.0, 2.0]), ((0.0, 2.0), [None, None]), ((1.0 + 1e-8, 1.0), [None, None]),
])
def test_gains_of_panels_count_where_all_are_known(gains, expected):
    experiment = make_experiment(*(make_panel(gain=gain) for gain in gains))
    assert read_corrections(experiment) == (expected, [None, None])


def test_maps_come_before_the_panels_numbers(tmp_path):
    write_map_pickle(tmp_path / "gain.pickle", [np.full((20, 30), 3.0)])
    panel = make_panel(gain=2.0, pedestal=5.0)
    gains, pedestals = read_corrections(make_experiment(panel, gain=str(tmp_path / "gain.pickle")))
    np.testing.assert_array_equal(gains[0], np.full((20, 30), 3.0))
    assert pedestals == [5.0]
    with pytest.raises(FormatError, match="panel"):
        read_corrections(make_experiment(panel, panel, gain=str(tmp_path / "gain.pickle")))


def test_pedestal_is_taken_off_before_the_gain():
    image = np.array([[10, 20]], np.int32)
    np.testing.assert_array_equal(correct_counts(image, 2.0, 4.0), [[3.0, 8.0]])
    assert correct_counts(image, None, None) is image
