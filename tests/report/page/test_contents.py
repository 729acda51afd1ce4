"""What a report says: stages, facts, sections."""

from __future__ import annotations

import json

import pytest
from report_data import make_clean, make_indexed, make_strong_integrated
from scaling_data import make_scaled

from xdp.report.page.contents import build_contents, find_stage

pytestmark = pytest.mark.kernels


@pytest.mark.parametrize(("make", "stage", "plot"), [
    (make_clean, "spots", "spots_per_image"), (make_indexed, "refined", "rmsds_by_frame"),
    (make_strong_integrated, "integrated", "i_over_sigma_by_frame"), (make_scaled, "scaled", "cc_half_by_resolution")])
def test_each_stage_is_told_and_has_its_plots(make, stage, plot):
    experiments, table = make()
    contents = build_contents(experiments, table, ["a/x.expt", "a/x.refl"])
    # Indexing refines, too: with uncertainties of the cell the models count as refined.
    assert contents.stage in (stage, "indexed")
    assert contents.title == "x.expt, x.refl"
    assert plot in {p.name for p in contents.plots}
    names = {p.name for p in contents.plots}
    assert all(f.plot in names or not f.plot for f in contents.findings)
    found = json.loads(json.dumps(contents.to_dict(), allow_nan=False))
    assert found["stage"] == contents.stage
    assert len(found["plots"]) == len(contents.plots)
    facts = dict(contents.facts)
    assert facts["reflections"] == str(len(table))
    assert facts["experiments"] == "1"


def test_models_or_a_table_alone_are_enough():
    experiments, table = make_indexed()
    assert find_stage(experiments, None) == "models"
    assert dict(build_contents(experiments, None).facts)["space group"] == "P 43 21 2"
    assert build_contents(None, table).plots
    empty = build_contents(experiments, table.select(slice(0, 0)))
    assert dict(empty.facts)["reflections"] == "0"
