"""The benchmark against the truth: its sets can be drawn, its figures say what is off and nothing else."""

from __future__ import annotations

import dataclasses
import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from xdp.experiment import read_experiments
from xdp.reflections import ReflectionTable


@pytest.fixture(scope="module")
def parts():
    """The modules of `benchmarks` that draw sets and compare tables."""
    folder = str(Path(__file__).parents[1] / "benchmarks")
    sys.path.insert(0, folder)
    yield importlib.import_module("truth_sets"), importlib.import_module("truth_statistics")
    sys.path.remove(folder)


@pytest.fixture
def rows():
    """Honest intensities of 12,000 reflections of d = 2 to 10 Å, with a common scale of 0.9."""
    rng = np.random.default_rng(1)
    true, sigma = rng.exponential(200.0, 12000), rng.uniform(5.0, 40.0, 12000)
    return {"true": true, "sigma": sigma, "i": 0.9 * true + sigma * rng.normal(size=12000),
            "d": rng.uniform(2.0, 10.0, 12000)}


def test_honest_intensities_have_no_faults(parts, rows):
    figures = parts[1].compare_rows(rows)
    assert figures["scale"] == pytest.approx(0.9, abs=0.005)
    assert parts[1].list_failures(figures) == []
    assert all(abs(p["width"] - 1.0) < 4 * p["error"] for p in figures["pulls"])


def test_a_bias_by_resolution_and_small_sigmas_are_seen(parts, rows):
    fine = rows["d"] < 3.3
    rows["i"] = np.where(fine, 0.9 * rows["i"], rows["i"])
    assert any(fault.startswith("I/true 0.9") for fault in parts[1].list_failures(parts[1].compare_rows(rows)))
    rows["sigma"] = rows["sigma"] / 1.2
    assert any(fault.startswith("width 1.") for fault in parts[1].list_failures(parts[1].compare_rows(rows)))


def test_the_excess_of_strong_reflections_is_found(parts):
    rng = np.random.default_rng(2)
    true = rng.uniform(1e3, 1e4, 20000)
    sigma = np.full(20000, 20.0)
    i = true * (1.0 + 0.02 * rng.normal(size=20000)) + sigma * rng.normal(size=20000)
    # the width from quartiles of 20,000 residuals has an error of 1 %
    assert parts[1].excess_of(i, true, sigma) == pytest.approx(0.02, rel=0.04)


def test_the_fourteen_sets_differ(parts):
    sets = parts[0].SETS
    assert len(sets) == 14
    assert len({one.space_group for one in sets.values()}) >= 10
    widths = [one.scan[1] for one in sets.values()]
    assert (min(widths), max(widths)) == (0.02, 2.0)
    assert [name for name, one in sets.items() if "slip" in one.physics] == ["slip"]
    assert {one.physics["background"] for one in sets.values()} >= {0.1, 400.0}
    assert sum(one.dials for one in sets.values()) == 6


@pytest.mark.parametrize("name", ["tetragonal", "panels"])
def test_a_set_is_drawn_and_its_rows_are_found(parts, name, tmp_path):
    sets, statistics = parts
    one = dataclasses.replace(sets.SETS[name], scan=(2, 0.2, 0.0))
    simulation = sets.draw_set(one, tmp_path, d_min=4.0)
    experiment = read_experiments(tmp_path / "imported.expt")[0]
    assert experiment.crystal is None
    assert len(experiment.known.detector) == one.grid**2
    truth = statistics.load_truth(tmp_path)
    table = simulation.truth
    moved = ReflectionTable({"xyzcal.px": table["xyzcal.px"] + [0.2, -0.2, 0.1], "panel": table["panel"]})
    found = statistics.match_rows(moved, truth)
    # predictions of crowded places may be nearer to a neighbour
    assert (found == np.arange(len(table))).mean() > 0.98
