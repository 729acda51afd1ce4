"""Columns of the table of processed shots."""

import numpy as np

from xdp.serial.hits.table import TEXT
from xdp.serial.process.results.columns import SHOT_COLUMNS, make_columns


def test_every_column_has_its_type_and_what_is_missing_is_empty():
    columns = make_columns([{"index": 1, "tag": "a", "rmsd": 0.2, "scalar.laser": 3.0}, {"index": 2}])
    assert list(columns) == [*SHOT_COLUMNS, "scalar.laser"]
    for name, kind in SHOT_COLUMNS.items():
        assert columns[name].dtype == (object if kind == TEXT else kind)
    assert columns["tag"].tolist() == ["a", ""]
    assert np.isnan(columns["rmsd"][1])
    assert np.isnan(columns["scalar.laser"][1])
    assert columns["n_peaks"].tolist() == [0, 0]


def test_no_rows_have_all_columns():
    assert {name: len(values) for name, values in make_columns([]).items()} == dict.fromkeys(SHOT_COLUMNS, 0)
