"""Columns of the table of processed shots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xdp.serial.hits.table import TEXT, Columns

SHOT_COLUMNS: dict[str, str] = {
    "index": "int64", "id": TEXT, "tag": TEXT, "time": "int64", "timestamp": TEXT, "photon_energy": "float64",
    "distance": "float64", "pulse_energy": "float64", "verdict": TEXT, "reason": TEXT, "message": TEXT, "stage": TEXT,
    "n_strong_pixels": "int64", "n_found": "int64", "n_too_small": "int64", "n_too_large": "int64",
    "n_filtered": "int64", "n_peaks": "int64", "d_min_spots": "float64", "max_cell": "float64", "n_lattices": "int64",
    "n_indexed": "int64", "rmsd": "float64", "false_alarm": "float64", "cell_a": "float64", "cell_b": "float64",
    "cell_c": "float64", "cell_alpha": "float64", "cell_beta": "float64", "cell_gamma": "float64",
    "n_integrated": "int64", "n_strong": "int64", "resolution": "float64",
}
"""Columns and their types. The first ones are those of the table of hits. Cells are those of a shot's first lattice, Å
and degrees; rmsd is in pixels; numbers are 0 and other values NaN for what was not done; ``stage`` is the step at which
a shot ended."""


def make_columns(rows: Sequence[dict[str, Any]]) -> Columns:
    """Make columns of rows.

    Parameters
    ----------
    rows : sequence of dict
        What a row lacks is 0 in columns of whole numbers, empty in text, and NaN elsewhere.

    Returns
    -------
    dict of str to (n,) array

    Examples
    --------
    >>> columns = make_columns([{"index": 3, "id": "a.cbf", "rmsd": 0.1}])
    >>> columns["index"].tolist(), columns["rmsd"].tolist(), columns["n_peaks"].tolist(), columns["tag"].tolist()
    ([3], [0.1], [0], [''])
    """
    extra = sorted({name for row in rows for name in row} - set(SHOT_COLUMNS))
    columns: Columns = {}
    for name in [*SHOT_COLUMNS, *extra]:
        kind = SHOT_COLUMNS.get(name, "float64")
        empty: Any = "" if kind == TEXT else 0 if kind == "int64" else np.nan
        values = [empty if (value := row.get(name)) is None else value for row in rows]
        columns[name] = np.array(values, object if kind == TEXT else kind)
    return columns
