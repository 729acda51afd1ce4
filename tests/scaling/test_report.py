"""The report of a fit names each sweep and each part."""

from __future__ import annotations

from scaling_data import make_table

import xdp


def test_each_sweep_has_a_row_and_each_part_a_spread():
    experiments, table, _ = make_table(n_frames=30, n_sweeps=2, d_min=3.5, counts=400.0, jitter=0.02)
    report = xdp.scale(experiments, table).report
    sweeps, parts = report.tables
    assert [row[0] for row in sweeps.rows] == ["1", "2"]
    assert sum(int(row[1]) for row in sweeps.rows) == report.facts["observations"]
    assert [row[0] for row in parts.rows] == ["smooth scale (second differences)", "B factor (second differences, Å²)",
                                              "frames (relative)"]
    assert "highest" in report.text()
