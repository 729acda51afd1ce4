"""Beam centres of narrow wedges, lattice by lattice: found with several lattices and many spurious spots."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from xdp.experiment.detector import SIMPLE
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.indexing.index import index_sweeps
from xdp.indexing.options import Fft3d, Indexing
from xdp.indexing.search.cells import CellLimits
from xdp.indexing.search.fft3d import find_candidates_fft3d
from xdp.indexing.search.free_origin import find_lattice_shifts, select_densest_wedge
from xdp.indexing.spots import load_spots
from xdp.reflections.table import ReflectionTable
from xdp.simulation.models import make_beam, make_detector, make_goniometer, make_scan
from xdp.simulation.spot_lists import draw_crystal, shift_experiment, simulate_spot_list

CELL = (40.0, 40.0, 31.0, 90.0, 90.0, 120.0)


def wedge(width: float) -> Experiment:
    """A sweep of 0.5 degree images on a small detector without parallax."""
    detector = make_detector((981, 831), distance=180.0, gaps=False)
    panel = replace(detector[0], px_mm_strategy=SIMPLE)
    return Experiment(beam=make_beam(), detector=replace(detector, panels=(panel,)), goniometer=make_goniometer(),
                      scan=make_scan(int(2 * width), 0.5))


def shifted(shift: tuple[float, float], seeds: tuple[int, ...], spurious: float, width: float = 7.0
            ) -> tuple[ExperimentList, ReflectionTable]:
    """A wedge whose header has the detector `shift` mm away, and its spots."""
    experiment = wedge(width)
    crystals = [replace(experiment, crystal=draw_crystal("hP", CELL, s)) for s in seeds]
    spots = simulate_spot_list(crystals, np.random.default_rng(3), n_spots=500 * len(seeds), d_min=2.5,
                               spurious=spurious)
    return ExperimentList([shift_experiment(experiment, shift)]), spots.table


@pytest.mark.parametrize(("seeds", "spurious"), [((1,), 0.1), ((1, 2, 3), 0.4)])
def test_shift_of_a_narrow_wedge_is_the_likeliest(seeds: tuple[int, ...], spurious: float):
    sweeps, table = shifted((1.7, -1.4), seeds, spurious)
    spots = load_spots(sweeps, table)
    candidates = find_candidates_fft3d(spots.points, 60.0, Fft3d(rmsd_cutoff=10.0))
    found = find_lattice_shifts(sweeps, spots, candidates, CellLimits(max_cell=60.0))
    # the cell is that of the wrong centre and takes up some of it; a lattice spacing is 4.4 mm
    np.testing.assert_allclose(found[0].mm, (-1.7, 1.4), atol=0.3)
    assert found[0].score == max(s.score for s in found)


def test_index_finds_a_narrow_wedge_with_a_wrong_beam_centre(caplog: pytest.LogCaptureFixture):
    sweeps, table = shifted((1.7, -1.4), (1,), 0.1)
    with caplog.at_level("WARNING", logger="xdp"):
        result = index_sweeps(sweeps, table, Indexing())
    assert "better: a beam centre that is off by" in caplog.text
    assert sorted(np.round(result.experiments[0].crystal.unit_cell[:3], 0)) == [31.0, 40.0, 40.0]
    assert np.mean(result.reflections["id"] == 0) > 0.85
    origin = np.array(result.experiments[0].detector[0].origin)
    np.testing.assert_allclose(origin[:2], np.array(wedge(7.0).detector[0].origin)[:2], atol=0.2)


def test_densest_wedge_is_ten_degrees_of_a_wide_sweep():
    sweeps, table = shifted((0.0, 0.0), (1,), 0.1, width=60.0)
    spots = load_spots(sweeps, table)
    rows = select_densest_wedge(spots)
    assert 0.1 < len(rows) / len(spots) < 0.4
    assert np.ptp(np.degrees(spots.phi[rows])) <= 10.0
    narrow = load_spots(*shifted((0.0, 0.0), (1,), 0.1))
    assert len(select_densest_wedge(narrow)) == len(narrow)
