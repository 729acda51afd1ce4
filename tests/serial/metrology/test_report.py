"""The report of a refinement of panels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from metrology_data import make_shots

from xdp.serial.metrology.halves import Disagreement
from xdp.serial.metrology.refine_metrology import refine_metrology
from xdp.serial.metrology.report import make_metrology_report

pytestmark = pytest.mark.kernels


def test_tables_of_levels_panels_and_radii():
    _, experiments, table = make_shots(25, {1: 0.05})
    found = refine_metrology(experiments, table, refine_to_hierarchy_level=1)
    report = found.report
    tables = {t.name: t for t in report.tables}
    assert len(tables["levels"].rows) == 2
    assert len(tables["panels"].rows) == 16
    assert len(tables["radius"].rows) == 10
    used = sum(int(row[2]) for row in tables["panels"].rows)
    assert used == sum(int(row[2]) for row in tables["radius"].rows) == int(found.levels[-1].fit.sums.loss[4])
    half = Disagreement("odd and even shots", np.array([0, 4]), np.full((2, 3), 0.02), np.full((2, 3), 0.01), 4.0)
    warned = make_metrology_report(found.experiments, found.reflections, found.levels, [half])
    assert "do not trust the formal errors" in warned.text()
    right = make_metrology_report(found.experiments, found.reflections, found.levels, [replace(half, chi_square=1.0)])
    assert "do not trust" not in right.text()
