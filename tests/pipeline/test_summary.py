"""The summary's lines."""

from __future__ import annotations

import pytest

from xdp.pipeline.summary import describe_stage, format_run_summary, list_summary_rows


@pytest.fixture
def facts():
    """Of a run on one sweep."""
    return {
        "import": {"frames": 60, "sweeps": 1, "stills": 0}, "find_spots": {"spots": 200},
        "index": {"spots": 200, "indexed": 150, "lattices": 1},
        "refine": {"cell": "79.3(1), ...", "space_group": "P43212", "rmsds": [[0.1, 0.2, 0.3]]},
        "integrate": {"sigma_b": 0.05, "sigma_m": 0.07, "integrated": 900, "summed": 890, "fitted": 850, "d_min": 1.7,
                      "outer": [1.8, 1.7], "i_over_sigma_sum": [11.0, 0.7], "i_over_sigma_prf": [14.0, 1.3]},
        "export": {"written": 880, "files": ["integrated.mtz"]}}


def test_a_sweep_is_summed_up(facts):
    rows = dict(list_summary_rows(facts))
    assert rows["indexed"] == "150 (75.0 %)"
    assert rows["RMSD x, y (px), z (frames)"] == "0.100, 0.200, 0.300"
    assert rows["sigma_b, sigma_m (°)"] == "0.0500, 0.0700"
    assert rows["I/sigma fitted"] == "14.00 overall, 1.30 in 1.80-1.70 Å"
    assert rows["exported"] == "880 to integrated.mtz"
    assert "lattices" not in rows
    lines = format_run_summary(facts).splitlines()
    assert len({line.index(value) for line, value in zip(lines, rows.values(), strict=True)
                if line.count(value) == 1}) == 1


def test_a_lattice_is_not_called_a_space_group(facts):
    facts["refine_bravais_settings"] = {"lattice": "tP", "operator": "b,c,a"}
    assert dict(list_summary_rows(facts))["space group"] == "P43212 (lowest of the lattice tP)"


def test_many_stills_are_summed_up_by_medians(facts):
    facts["import"] = {"frames": 9, "sweeps": 0, "stills": 9}
    facts["index"]["lattices"] = 9
    facts["refine"]["rmsds"] = [[0.1 * i, 0.2, 0.0] for i in range(9)]
    facts["integrate"] |= {"sigma_m": 0.0, "fitted": 0}
    rows = dict(list_summary_rows(facts))
    assert rows["RMSD x, y (px), z (frames), median of 9"] == "0.400, 0.200, 0.000"
    assert rows["sigma_b (°)"] == "0.0500"
    assert rows["lattices"] == "9"
    assert "I/sigma fitted" not in rows
    assert describe_stage("import", facts["import"]) == "9 frames: 0 sweeps, 9 stills"


def test_nothing_integrated_is_told(facts):
    facts["integrate"] = {"sigma_b": None, "sigma_m": None, "integrated": 0}
    assert dict(list_summary_rows(facts))["integrated"] == "0"
