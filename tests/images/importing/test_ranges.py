"""Sweeps split into several."""

from __future__ import annotations

import numpy as np
import pytest
from importing import make_import_options
from nexus_maker import example_counts, write_nxmx

from xdp.errors import OptionError
from xdp.images.importing.import_images import import_images
from xdp.images.reader import open_reader


@pytest.mark.parametrize(("split", "ranges"), [
    ((2,), [(1, 2), (3, 4), (5, 5)]), ((10,), [(1, 5)]), ((2, 5, 3), [(2, 4), (5, 5)])])
def test_sweeps_are_split(tmp_path, image_files, split, ranges):
    files = image_files.cbf_series(tmp_path, 5)
    stack = write_nxmx(tmp_path / "a.h5")
    for words, first_angle in ((files, 0.0), ([stack], 10.0)):
        experiments = import_images(words, make_import_options(input__split=split)).experiments
        assert [e.scan.image_range for e in experiments] == ranges
        starts = [first_angle + 0.5 * (first - 1) for first, _ in ranges]
        np.testing.assert_allclose([e.scan.oscillation[0] for e in experiments], starts)
        assert len({e.identifier for e in experiments}) == len(ranges)
    last = ranges[-1][1]
    np.testing.assert_array_equal(open_reader(experiments[-1]).read(ranges[-1][1] - ranges[-1][0])[0],
                                  example_counts().view(np.int32)[last - 1])


def test_splits_without_sense(tmp_path, image_files):
    files = image_files.cbf_series(tmp_path, 3)
    with pytest.raises(OptionError, match=r"split must be SIZE or FIRST,LAST,SIZE, got 1,2"):
        import_images(files, make_import_options(input__split=(1, 2)))
    with pytest.raises(OptionError, match=r"img_0001.cbf is of a sweep of images 1 to 3"):
        import_images(files, make_import_options(input__split=(5, 9, 2)))
