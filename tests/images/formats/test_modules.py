"""Gaps between modules."""

from __future__ import annotations

import pytest

from xdp.images.formats.modules import EIGER, EIGER2, PILATUS, find_gaps


@pytest.mark.parametrize(("family", "size", "counts"), [
    (PILATUS, (2463, 2527), (5, 12)), (EIGER, (4150, 4371), (4, 8)), (EIGER2, (1028, 512), (1, 1)),
    (PILATUS, (2463, 2528), None), (PILATUS, (100, 195), None),
])
def test_only_whole_modules_count(family, size, counts):
    assert family.count(size) == counts


def test_pilatus_6m_has_15_gaps_and_eiger_16m_10():
    assert len(find_gaps((2463, 2527), (PILATUS,))) == 15
    assert find_gaps((981, 407), (PILATUS,)) == ((487, 0, 494, 407), (0, 195, 981, 212))
    assert len(find_gaps((4148, 4362), (EIGER2,))) == 10
    assert find_gaps((212 + 195, 981), (PILATUS,)) == ((0, 487, 407, 494), (195, 0, 212, 981))
    assert find_gaps((1000, 1000)) == ()
