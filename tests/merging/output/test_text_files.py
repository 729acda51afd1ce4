"""SCALEPACK and SHELX files, read back by slow readers made from the formats' descriptions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scaling_data import make_scaled

import xdp
from xdp.errors import XdpError
from xdp.merging.output.text_files import write_scalepack, write_shelx_merged


@pytest.fixture(scope="module")
def merged():
    return xdp.merge(*make_scaled())


def read_scalepack(path):
    """Cell, group, and for each index its pairs of intensity and sigma."""
    lines = path.read_text().splitlines()
    assert lines[:2] == ["    1", " -985"]
    cell = [float(lines[2][10 * k:10 * k + 10]) for k in range(6)]
    found = {}
    for line in lines[3:]:
        index = tuple(int(line[4 * k:4 * k + 4]) for k in range(3))
        found[index] = [float(line[k:k + 8]) for k in range(12, len(line), 8)]
    return cell, lines[2][60:].strip(), found


def read_shelx(path):
    """Index to intensity and sigma; a row of zeros ends the data."""
    found = {}
    for line in path.read_text().splitlines():
        index = tuple(int(line[4 * k:4 * k + 4]) for k in range(3))
        if index == (0, 0, 0):
            return found
        assert index not in found
        found[index] = float(line[12:20]), float(line[20:28])
    raise AssertionError("no row of zeros")


def test_scalepack_holds_both_mates(merged, tmp_path):
    write_scalepack(tmp_path / "m.sca", merged)
    cell, group, found = read_scalepack(tmp_path / "m.sca")
    assert cell == pytest.approx(merged.cell, abs=1e-3)
    assert group == "p43212"
    assert len(found) == len(merged.hkl)
    for k, index in enumerate(map(tuple, merged.hkl.tolist())):
        plus, minus = merged.columns["I(+)"][k], merged.columns["I(-)"][k]
        if np.isfinite(plus):
            assert found[index][0] == pytest.approx(plus, abs=0.051)
        else:
            assert found[index][:2] == [0.0, -1.0]
        if len(found[index]) == 4 and np.isfinite(minus):
            assert found[index][2] == pytest.approx(minus, abs=0.051)


def test_scalepack_of_means(tmp_path):
    merged = xdp.merge(*make_scaled(), anomalous=False)
    write_scalepack(tmp_path / "m.sca", merged)
    assert {len(v) for v in read_scalepack(tmp_path / "m.sca")[2].values()} == {2}


def test_large_intensities_are_scaled_down(merged, tmp_path):
    intensities = {n: v * 1e4 for n, v in merged.columns.items() if n.startswith(("I", "SIGI"))}
    large = replace(merged, columns={**merged.columns, **intensities})
    write_scalepack(tmp_path / "m.sca", large)
    found = read_scalepack(tmp_path / "m.sca")[2]
    top = max(max(v) for v in found.values())
    assert 90_000 < top <= 99_999


def test_shelx_has_each_mate_once(merged, tmp_path):
    write_shelx_merged(tmp_path / "m.hkl", merged)
    found = read_shelx(tmp_path / "m.hkl")
    factor = None
    n = 0
    for k, index in enumerate(map(tuple, merged.hkl.tolist())):
        plus, minus = merged.columns["I(+)"][k], merged.columns["I(-)"][k]
        if np.isfinite(plus):
            n += 1
            factor = factor or found[index][0] / plus
            assert found[index][0] == pytest.approx(plus * factor, abs=0.02, rel=0.01)
        if np.isfinite(minus) and plus != minus:
            n += 1
            assert tuple(-i for i in index) in found
    assert n == len(found)


def test_indices_that_do_not_fit_are_refused(merged, tmp_path):
    far = replace(merged, hkl=merged.hkl + np.array([1000, 0, 0]))
    for write in (write_scalepack, write_shelx_merged):
        with pytest.raises(XdpError, match="beyond 999"):
            write(tmp_path / "m", far)
    assert list(tmp_path.iterdir()) == []
