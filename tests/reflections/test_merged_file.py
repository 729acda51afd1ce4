"""Merged reflections of other programs' files."""

from __future__ import annotations

import gemmi
import numpy as np
import pytest

from xdp.errors import FormatError
from xdp.reflections.merged_file import choose_intensities_of_file, read_merged_file


def write(path, columns):
    mtz = gemmi.Mtz(with_base=True)
    mtz.spacegroup, mtz.cell = gemmi.SpaceGroup("P 4"), gemmi.UnitCell(50, 50, 60, 90, 90, 90)
    mtz.add_dataset("x")
    for label, kind, _ in columns:
        mtz.add_column(label, kind)
    hkl = np.array([[1, 0, 0], [2, 1, 3]])
    mtz.set_data(np.column_stack([hkl, *(values for _, _, values in columns)]).astype(np.float32))
    mtz.write_to_file(str(path))
    return path


def test_intensities_come_before_amplitudes(tmp_path):
    amplitudes = [("F", "F", [3.0, 4.0]), ("SIGF", "Q", [0.5, 0.25])]
    intensities = [("IMEAN", "J", [7.0, 8.0]), ("SIGIMEAN", "Q", [1.0, 2.0])]
    both = write(tmp_path / "a.mtz", amplitudes + intensities)
    value, sigma = choose_intensities_of_file(read_merged_file(both), both)
    assert (value.tolist(), sigma.tolist()) == ([7.0, 8.0], [1.0, 2.0])
    alone = write(tmp_path / "b.mtz", amplitudes)
    value, sigma = choose_intensities_of_file(read_merged_file(alone), alone)
    assert (value.tolist(), sigma.tolist()) == ([9.0, 16.0], [3.0, 2.0])


def test_intensities_without_sigmas_are_taken_alone(tmp_path):
    path = write(tmp_path / "a.mtz", [("F", "F", [3.0, 4.0])])
    value, sigma = choose_intensities_of_file(read_merged_file(path), path)
    assert value.tolist() == [9.0, 16.0]
    assert np.isnan(sigma).all()


def test_mmcif_is_read(tmp_path):
    mtz = read_merged_file(write(tmp_path / "a.mtz", [("IMEAN", "J", [7.0, 8.0]), ("SIGIMEAN", "Q", [1.0, 2.0])]))
    (tmp_path / "a.cif").write_text(gemmi.MtzToCif().write_cif_to_string(mtz))
    back = read_merged_file(tmp_path / "a.cif")
    assert choose_intensities_of_file(back, "a.cif")[0].tolist() == [7.0, 8.0]


def test_other_files_are_refused(tmp_path):
    for name in ("a.mtz", "a.cif"):
        (tmp_path / name).write_text("neither")
        with pytest.raises(FormatError, match=f"{name}: cannot be read, it is neither an MTZ nor an mmCIF file"):
            read_merged_file(tmp_path / name)
    path = write(tmp_path / "b.mtz", [("FreeR_flag", "I", [0.0, 1.0])])
    with pytest.raises(FormatError, match="no column of intensities or amplitudes"):
        choose_intensities_of_file(read_merged_file(path), path)
