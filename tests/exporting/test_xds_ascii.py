"""The form of XDS' XDS_ASCII.HKL."""

from __future__ import annotations

import gemmi
import numpy as np
import pytest

from xdp.exporting.xds_ascii import write_xds_ascii


def test_xds_records_are_sorted_by_unique_indices(make_experiments, make_integrated, tmp_path):
    table = make_integrated()
    n, paths = write_xds_ascii(tmp_path / "a.HKL", make_experiments(), table)
    lines = paths[0].read_text().splitlines()
    assert (lines[0], lines[-1]) == ("!FORMAT=XDS_ASCII    MERGE=FALSE    FRIEDEL'S_LAW=TRUE", "!END_OF_DATA")
    assert "!SPACE_GROUP_NUMBER= 96" in lines
    rows = np.array([[float(v) for v in line.split()] for line in lines if line[0] != "!"])
    assert rows.shape == (40, 12) == (n, 12)
    group = make_experiments()[0].crystal.space_group
    asu = gemmi.ReciprocalAsu(group)
    unique = [tuple(asu.to_asu([int(v) for v in row[:3]], group.operations())[0]) for row in rows]
    assert unique == sorted(unique)
    row = rows[0]
    i = np.flatnonzero((table["miller_index"] == row[:3]).all(axis=1))[0]
    factor = table["lp"][i] / table["qe"][i]
    assert row[3] == pytest.approx(table["intensity.sum.value"][i] * factor, rel=1e-6)
    assert row[5:8] == pytest.approx(table["xyzcal.px"][i], abs=1e-6)
    assert row[8] == pytest.approx(factor, abs=1e-6)


def test_several_experiments_get_a_file_each(make_experiments, make_integrated, tmp_path):
    n, paths = write_xds_ascii(tmp_path / "a.HKL", make_experiments(2), make_integrated(n_experiments=2))
    assert [path.name for path in paths] == ["a_0.HKL", "a_1.HKL"]
    assert n == 80
