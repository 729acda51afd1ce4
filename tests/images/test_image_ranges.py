"""Ranges of images as users write them."""

from __future__ import annotations

import pytest

from xdp.errors import OptionError
from xdp.images.image_ranges import parse_image_ranges


@pytest.mark.parametrize(("words", "expected"), [
    (["0:150:200"], [(0, 150, 200)]), (["3:9"], [(None, 3, 9)]), (["0:1:2,1:3:3", "2:4:5"], [(0, 1, 2), (1, 3, 3),
                                                                                             (2, 4, 5)]),
    (["0:1:2 1:3:3"], [(0, 1, 2), (1, 3, 3)]), (["0:-1:0"], [(0, -1, 0)]), ([], [])])
def test_ranges_are_read(words, expected):
    assert parse_image_ranges(words) == expected


@pytest.mark.parametrize("word", ["5", "a:1:2", "0:1:2:3", "", "1:2,", "0:1.5:2", "0:1:99999999999"])
def test_other_words_are_refused_with_the_form(word):
    with pytest.raises(OptionError, match="expected experiment:first:last"):
        parse_image_ranges([word])


def test_reversed_ranges_are_refused():
    with pytest.raises(OptionError, match="0:5:4: the last image comes before the first"):
        parse_image_ranges(["0:5:4"])
