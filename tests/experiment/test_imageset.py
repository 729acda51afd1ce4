from __future__ import annotations

import pytest

from xdp.errors import FormatError
from xdp.experiment import ImageSet

LOOKUPS = {"mask": None, "gain": "/a/gain.pickle", "pedestal": None, "dx": None, "dy": None}
SEQUENCE = {"__id__": "ImageSequence", "template": "a_###.cbf", **LOOKUPS, "params": {"multi_panel": False}}
STILLS = {"__id__": "ImageSet", "images": ["a.h5", "a.h5"], "single_file_indices": [3, 5], **LOOKUPS, "params": {}}
GRID = {"__id__": "ImageGrid", "images": ["a.cbf"], "grid_size": [2, 3], **LOOKUPS, "params": {}}


@pytest.mark.parametrize("source", [SEQUENCE, STILLS, GRID, SEQUENCE | {"odd": [1]}])
def test_round_trip(source):
    assert ImageSet.from_dict(source).to_dict() == source


def test_old_names_and_empty_lookups():
    read = ImageSet.from_dict({"__id__": "ImageSweep", "template": "a_###.cbf", "mask": "", "gain": ""})
    assert (read.kind, read.mask, read.gain) == ("ImageSequence", None, None)


@pytest.mark.parametrize(("source", "message"), [
    ({"template": "a"}, "'__id__' must be one of"),
    ({"__id__": "Film"}, "'Film'"),
    ({"__id__": "ImageSequence"}, "'template' is missing"),
    ({"__id__": "ImageSet", "images": "a.cbf"}, "list of file names"),
    ({"__id__": "ImageSet", "images": [1]}, "list of file names"),
    ({"__id__": "ImageGrid", "images": []}, "'grid_size' is missing"),
    (SEQUENCE | {"mask": 3}, "'mask' must be a string"),
])
def test_bad_image_sets(source, message):
    with pytest.raises(FormatError, match=message):
        ImageSet.from_dict(source)
