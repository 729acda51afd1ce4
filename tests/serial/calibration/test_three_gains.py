"""Pedestals and gains of three stages: their files, and what does not fit."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from xdp.errors import FormatError
from xdp.serial.calibration.three_gains import correct_three_gains, read_stages


def test_files(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as handle:
        handle["one"], handle["two"] = np.zeros((3, 4, 5)), np.arange(120.0).reshape(3, 2, 4, 5)
        handle["wrong"] = np.zeros((2, 4, 5))
    assert [panel.shape for panel in read_stages(tmp_path / "a.h5", "one")] == [(3, 4, 5)]
    assert read_stages(tmp_path / "a.h5", "two")[1][2, 0, 0] == 100.0
    for name in ("wrong", "absent"):
        with pytest.raises(FormatError, match="three gains"):
            read_stages(tmp_path / "a.h5", name)


@pytest.mark.parametrize(("raw", "message"), [
    ([np.zeros((4, 5), np.float32)], "whole numbers"), ([np.full((4, 5), 70000)], "16 bits"),
    ([np.zeros((3, 5), np.uint16)], "wrong shape"), ([np.zeros((4, 5), np.uint16)] * 2, "wrong shape")])
def test_what_does_not_fit(raw, message):
    stages = [np.ones((3, 4, 5))]
    with pytest.raises(FormatError, match=message):
        correct_three_gains(raw, stages, stages)
