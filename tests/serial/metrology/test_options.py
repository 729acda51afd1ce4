"""Parameters that are honoured, and those that are refused with the reason."""

from __future__ import annotations

import csv

import pytest

from xdp.errors import OptionError
from xdp.options.named import make_options
from xdp.serial.metrology.options import RefineMetrologyOptions


def make(**named):
    return make_options(RefineMetrologyOptions, None, named)


@pytest.mark.parametrize("engine", ["SimpleLBFGS", "LBFGScurvs", "GaussNewton", "SparseLevMar"])
def test_all_engines_are_taken_for_one(engine):
    lines = make(**{"refinement.refinery.engine": engine}).check()
    assert any(engine in line for line in lines)
    assert make().check() == []


def test_levels():
    assert make(refine_to_hierarchy_level=3).find_levels() == (0, 1, 2, 3)
    assert make(start_at_hierarchy_level=1).find_levels() == (1, 2)
    assert make(**{"refinement.parameterisation.detector.hierarchy_level": 2}).find_levels() == (2,)
    with pytest.raises(OptionError, match="is above"):
        make(start_at_hierarchy_level=3).check()


@pytest.mark.parametrize(("named", "said"), [
    ({"flat_refinement_with_distance": True}, "needs flat_refinement"),
    ({"refinement.parameterisation.beam.fix": "wavelength"}, "must be all"),
    ({"refinement.parameterisation.crystal.fix": "orientation"}, "always refined"),
    ({"refinement.reflections.scan_margin": 1.0}, "reflections.scan_margin is not used"),
    ({"refinement.parameterisation.detector.fix": "all"}, "detector.fix is not used"),
])
def test_what_is_not_done_is_refused(named, said):
    with pytest.raises(OptionError, match=said):
        make(**named).check()


def test_defaults_are_those_of_the_program_before():
    """Names and defaults of shared/serial/cbf_metrology_parameters.tsv, its own parameters alone."""
    from pathlib import Path

    path = Path(__file__).parents[3].parent / "shared" / "serial" / "cbf_metrology_parameters.tsv"
    if not path.exists():
        pytest.skip("no shared data")
    options = RefineMetrologyOptions()
    with open(path, encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream, delimiter="\t") if row["kind"] == "cspad.cbf_metrology"]
    assert len(rows) > 15
    for row in rows:
        value = options
        for word in row["parameter"].split("."):
            value = getattr(value, word)
        assert str(value) == row["default"], row["parameter"]
