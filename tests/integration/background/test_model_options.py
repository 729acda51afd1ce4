"""Bounds of the parameters of ``xdp model_background``."""

from __future__ import annotations

import pytest
from background_data import parse_model_words

from xdp.errors import OptionError


@pytest.mark.parametrize("word", ["modeller.min_images=0", "modeller.kernel_size=-1", "modeller.niter=0",
                                  "modeller.niter=10001", "modeller.image_type=max", "modeller.filter_type=mode"])
def test_values_out_of_bounds_are_refused(word):
    with pytest.raises(OptionError, match=word.split("=")[0].split(".")[-1]):
        parse_model_words(word)


def test_images_are_a_list_of_numbers_and_pictures_may_be_left_out():
    options = parse_model_words("exclude_images=0,3,7", "output.mean_image_prefix=None")
    assert options.exclude_images == (0, 3, 7)
    assert options.output.mean_image_prefix is None
    assert options.output.variance_image_prefix == "variance"
