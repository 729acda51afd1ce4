"""Units and chains of transformations, by hand and against the package nxmx."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from xdp.errors import FormatError
from xdp.images.formats.hdf5.nexus_axes import find_unit_factor, follow_chain, multiply_chain, read_offset, read_values


@pytest.mark.parametrize(("unit", "kind", "factor"), [
    ("m", "length", 1000.0), ("mm", "length", 1.0), ("Millimeters", "length", 1.0), ("um", "length", 1e-3),
    ("microns", "length", 1e-3), ("deg", "angle", 1.0), ("degrees", "angle", 1.0), ("rad", "angle", 180.0 / np.pi),
    ("s", "time", 1.0), ("ms", "time", 1e-3), ("seconds", "time", 1.0), ("Angstroms", "wavelength", 1.0),
    ("nm", "wavelength", 10.0), ("m", "wavelength", 1e10), ("pm", "wavelength", 0.01), ("keV", "energy", 1000.0),
])  # fmt: skip
def test_units(unit, kind, factor):
    assert find_unit_factor(unit, kind, "here") == pytest.approx(factor, rel=1e-14)


@pytest.mark.parametrize(("unit", "kind"), [("deg", "length"), ("mm", "angle"), (None, "length"), ("", "time")])
def test_wrong_units_are_refused(unit, kind):
    with pytest.raises(FormatError, match="here: its units are"):
        find_unit_factor(unit, kind, "here")


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
