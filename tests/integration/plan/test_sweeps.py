"""Which experiments are integrated together."""

from __future__ import annotations

import dataclasses

import pytest

from xdp.errors import XdpError
from xdp.integration.plan.sweeps import check_models, find_sweeps


def test_sweeps_are_those_of_images_and_scan(series):
    one = series.experiments[0]
    other = dataclasses.replace(one, imageset=dataclasses.replace(one.imageset))
    sweeps = find_sweeps([one, other, dataclasses.replace(one, identifier="b")])
    assert [s.ids for s in sweeps] == [(0, 2), (1,)]
    assert [(s.first, s.last, s.n_frames) for s in sweeps] == [(0, 12, 12)] * 2
    for name in ("imageset", "detector", "beam", "crystal"):
        with pytest.raises(XdpError, match="experiment 1 has no"):
            check_models([one, dataclasses.replace(one, **{name: None})])
