"""CrystFEL's lists of merged reflections: written and read, equal text, faults."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.errors import FormatError
from xdp.merging.output.crystfel_hkl import HklList, read_hkl_list, write_hkl_list


def test_a_list_with_a_heading_comes_back(tmp_path):
    listed = HklList(np.array([[1, 2, 3], [-4, 0, 12]]), np.array([12.5, -3.25]), np.array([1.5, 2.0]),
                     np.array([7, 1]), "4/mmm")
    write_hkl_list(tmp_path / "a.hkl", listed)
    back = read_hkl_list(tmp_path / "a.hkl")
    assert back.symmetry == "4/mmm"
    for name in ("hkl", "intensity", "sigma", "n_measured"):
        np.testing.assert_allclose(getattr(back, name), getattr(listed, name))
    text = (tmp_path / "a.hkl").read_text()
    write_hkl_list(tmp_path / "b.hkl", back)
    assert (tmp_path / "b.hkl").read_text() == text


def test_a_real_list_is_written_as_it_was(tmp_path, shared_data):
    path = shared_data / "serial" / "hkl" / "PYP_2ms.hkl"
    listed = read_hkl_list(path)
    assert len(listed) == 9905
    write_hkl_list(tmp_path / "a.hkl", listed)
    assert (tmp_path / "a.hkl").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(("text", "message"), [
    ("CrystFEL reflection list version 2.0\n h k l I phase\n 1 2 3 4.0 - 1.0 2\n", "cut off"), ("1 2 3\n", "no list"),
    ("1 2 3 x 5\n", "line 1"), ("", "no list")])
def test_faults_are_named(tmp_path, text, message):
    (tmp_path / "a.hkl").write_text(text)
    with pytest.raises(FormatError, match=message):
        read_hkl_list(tmp_path / "a.hkl")
