"""Table 1: its rows, and its forms."""

from __future__ import annotations

import csv
import re

import pytest
from scaling_data import make_scaled

import xdp
from xdp.errors import OptionError
from xdp.merging.table_one import TableOne, check_table_name


@pytest.fixture(scope="module")
def merged():
    return xdp.merge(*make_scaled(), n_bins=5)


def test_values_are_those_of_the_statistics(merged):
    rows = {label: (value, outer) for label, value, outer in merged.table_one.rows}
    all_, outer = merged.shells[-1], merged.shells[-2]
    assert rows["Unique reflections"] == (str(all_.n_unique), str(outer.n_unique))
    assert rows["R-meas"] == (f"{all_.r_meas:.3f}", f"{outer.r_meas:.3f}")
    assert rows["Resolution range (Å)"] == tuple(f"{s.d_max:.2f}-{s.d_min:.2f}" for s in (all_, outer))
    assert rows["Space group"] == ("P 43 21 2", "")
    assert rows["Completeness (%)"][0] == f"{all_.completeness:.1f}"


def test_anomalous_rows_only_where_mates_are_apart(merged):
    labels = [label for label, _, _ in xdp.merge(*make_scaled(), anomalous=False).table_one.rows]
    assert "Anomalous multiplicity" not in labels
    assert "Anomalous multiplicity" in [label for label, _, _ in merged.table_one.rows]


def test_forms_say_the_same(merged, tmp_path):
    table = merged.table_one
    for ending in ("txt", "csv", "tex"):
        table.write(tmp_path / f"t.{ending}")
    heading, *rows = csv.reader((tmp_path / "t.csv").open(encoding="utf-8"))
    assert heading == ["", "all", "outer shell"]
    assert tuple(map(tuple, rows)) == table.rows
    text = (tmp_path / "t.txt").read_text(encoding="utf-8").splitlines()
    assert [re.split(r"  +", line) for line in text] == [
        [label, f"{value} ({outer})" if outer else value] for label, value, outer in table.rows]
    assert (tmp_path / "t.tex").read_text(encoding="utf-8").count("\\\\\n") == len(rows)


def test_latex_signs_are_escaped():
    tex = TableOne((("Completeness (%)", "99.1", "95_0"), ("Wilson B (Å²)", "12", ""))).latex()
    assert "Completeness (\\%) & 99.1 (95\\_0) \\\\" in tex
    assert "Wilson B (\\AA{}$^2$) & 12 \\\\" in tex


def test_other_endings_are_refused_before_anything_is_done():
    with pytest.raises(OptionError, match=r"t\.doc: the name must end in \.txt, \.csv or \.tex"):
        check_table_name("t.doc")
    with pytest.raises(OptionError, match="must end in"):
        xdp.merge(*make_scaled(), output={"table_one": "t.doc"})
