"""Parameters of convert."""

from __future__ import annotations

import pytest

from xdp.errors import OptionError
from xdp.images.zarr.options import ConvertOptions
from xdp.options import AUTO, parse


def test_defaults_and_words():
    options, words = parse(ConvertOptions, ["a.cbf", "compression.name=lz4", "frames_per_shard=7"])
    assert (options.compression.name, options.compression.level, options.frames_per_shard) == ("lz4", 3, 7)
    assert words == ["a.cbf"]
    assert ConvertOptions().frames_per_shard is AUTO


@pytest.mark.parametrize("word", ["compression.level=10", "compression.name=gzip", "frames_per_shard=0", "nproc=0"])
def test_values_without_sense_are_refused(word):
    with pytest.raises(OptionError):
        parse(ConvertOptions, [word])
