"""Chains of transformations, by hand and against the package nxmx."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from xdp.errors import FormatError
from xdp.images.formats.hdf5.nexus_axes import follow_chain, multiply_chain, read_offset, read_values


@pytest.fixture
def chain_file(tmp_path, maker):
    with h5py.File(tmp_path / "a.h5", "w") as handle:
        group = handle.create_group("t")
        maker.axis(group, "a", [90.0], "rotation", (0, 0, 1), "b", offset=(1.0, 0.0, 0.0), offset_units="mm")
        maker.axis(group, "b", [0.5], "translation", (0, 1, 0), "/t/c", "cm")
        maker.axis(group, "c", [30.0, 31.0], "rotation", (1, 0, 0), ".", offset=(0.0, 0.0, 2.0), offset_units="um")
        maker.axis(group, "plain", [0.0], "translation", (1, 0, 0), ".", units="furlong")
        yield handle


def test_chain_by_hand(chain_file):
    chain = [axis for axis, _ in follow_chain(chain_file["t"], "a")]
    assert [axis.name for axis in chain] == ["a", "b", "c"]
    assert [axis.varies for axis in chain] == [False, False, True]
    # x is turned to y and moved by (1, 5, 0) mm, then turned 30 degrees about x and moved by 2 um along z.
    point = multiply_chain(chain) @ (1.0, 0.0, 0.0, 1.0)
    cos, sin = np.cos(np.radians(30.0)), 0.5
    np.testing.assert_allclose(point, (1.0, 6.0 * cos, 6.0 * sin + 0.002, 1.0), atol=1e-14)


def test_chain_against_nxmx(chain_file):
    nxmx = pytest.importorskip("nxmx")
    first = nxmx.NXtransformationsAxis(chain_file["t/a"])
    theirs = nxmx.get_cumulative_transformation(nxmx.get_dependency_chain(first))
    ours = multiply_chain([axis for axis, _ in follow_chain(chain_file["t"], "a")])
    np.testing.assert_allclose(ours, theirs[0], atol=1e-14)


def test_zeros_need_no_unit(chain_file):
    assert read_values(chain_file["t/plain"], "length").tolist() == [0.0]


def test_offset_without_units_has_those_of_the_axis(chain_file, maker):
    axis = maker.axis(chain_file["t"], "d", [1.0], "translation", (1, 0, 0), ".", units="m", offset=(0.0, 0.0, 0.2))
    assert read_offset(axis).tolist() == [0.0, 0.0, 200.0]


def test_text_instead_of_numbers(chain_file):
    chain_file["t/words"] = "ten"
    with pytest.raises(FormatError, match="/t/words: must hold numbers"):
        read_values(chain_file["t/words"], "angle")
