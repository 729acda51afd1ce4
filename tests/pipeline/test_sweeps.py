"""Facts by sweep and their table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from refinement_data import sweep

from xdp.experiment import ExperimentList, ImageSet
from xdp.pipeline import sweeps
from xdp.pipeline.summary import format_run_summary
from xdp.reflections import Flag, ReflectionTable


@pytest.fixture
def three():
    """Three sweeps with images of their own."""
    return ExperimentList([replace(sweep(seed=i), imageset=ImageSet("ImageSequence", template=f"/d/{name}_##.cbf"))
                           for i, name in enumerate("abc")])


def test_one_sweep_and_stills_have_no_table(three):
    assert sweeps.has_sweeps(three)
    assert not sweeps.has_sweeps(ExperimentList(three[:1]))
    assert not sweeps.has_sweeps(ExperimentList(replace(e, scan=None, goniometer=None) for e in three))
    assert sweeps.list_sweep_rows({"import": {}}) == []


def test_spots_and_lattices_are_counted_by_images(three):
    table = ReflectionTable({"imageset_id": np.array([0, 0, 1, 1, 1, 2], np.int32),
                             "id": np.array([0, -1, 1, 2, -1, -1], np.int32)})
    assert [f["spots"] for f in sweeps.count_spots(three, table).values()] == [2, 3, 1]
    # the second sweep has two lattices, the third is left out
    found = sweeps.count_indexed(three, ExperimentList([three[0], three[1], three[1]]), table)
    assert [f["indexed"] for f in found.values()] == [1, 2, 0]
    assert [f["lattices"] for f in found.values()] == [1, 2, 0]


def test_intensities_of_all_lattices_of_a_sweep_count(three):
    table = ReflectionTable({
        "id": np.array([0, 1, 2, 2], np.int32), "flags": np.full(4, int(Flag.INTEGRATED_SUM), np.uint64),
        "d": np.array([2.0, 3.0, 1.5, 4.0]), "intensity.sum.value": np.array([10.0, 20.0, 30.0, 50.0]),
        "intensity.sum.variance": np.full(4, 100.0)})
    found = list(sweeps.describe_intensities(ExperimentList([three[0], three[1], three[1]]), table).values())
    assert [f["integrated"] for f in found] == [1, 3]
    assert found[1]["i_over_sigma"] == pytest.approx((2.0 + 3.0 + 5.0) / 3)
    assert found[1]["d_min"] == 1.5


def test_each_sweep_is_a_row_and_what_is_left_out_has_dashes():
    sweep_facts = {"spots": {"a": {"spots": 100}, "b": {"spots": 9}}, "index": {"a": {"indexed": 90, "lattices": 1},
                                                                              "b": {"indexed": 0, "lattices": 0}},
                   "refine": {"a": {"cell": "79.3", "rmsd": [0.1, 0.2, 0.3]}},
                   "integrate": {"a": {"integrated": 500, "i_over_sigma": 12.345, "d_min": 1.7}}}
    facts = {
        "import": {"frames": 20, "sweeps": 2, "stills": 0, "sweeps_by_images": {
            "a": {"images": "a_##.cbf 1-10"}, "b": {"images": "b_##.cbf 1-10"}}},
        "find_spots": {"spots": 109, "sweeps_by_images": sweep_facts["spots"]},
        "index": {"spots": 109, "indexed": 90, "lattices": 1, "sweeps_by_images": sweep_facts["index"]},
        "refine": {"cell": "79.3", "space_group": "P1", "rmsds": [[0.1, 0.2, 0.3]],
                   "sweeps_by_images": sweep_facts["refine"]},
        "integrate": {"integrated": 0, "sweeps_by_images": sweep_facts["integrate"]},
        "export": {"written": 0, "files": []}}
    rows = sweeps.list_sweep_rows(facts)
    assert rows[0][:3] == ("sweep", "images", "spots")
    assert rows[1] == ("0", "a_##.cbf 1-10", "100", "90.0 %", "1", "79.3", "0.100, 0.200, 0.300", "500", "12.35",
                       "1.70")
    assert rows[2] == ("1", "b_##.cbf 1-10", "9", "0.0 %", "0", "-", "-", "-", "-", "-")
    lines = format_run_summary(facts).splitlines()
    assert lines[-1].split()[:2] == ["1", "b_##.cbf"]
    assert not any(line.startswith("  RMSD") for line in lines)  # they stand in the table
