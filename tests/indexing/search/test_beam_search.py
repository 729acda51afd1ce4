"""The beam centre from the spots' periodicity, and offsets of the indices, on small simulated lists."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from xdp.errors import XdpError
from xdp.experiment.detector import SIMPLE
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.experiment.io import read_experiments, write_experiments
from xdp.indexing.geometry import shift_sweeps
from xdp.indexing.options import BeamSearch
from xdp.indexing.search.beam_search import differentiate_by_shift, optimise_beam_position
from xdp.indexing.spots import load_spots, map_spots
from xdp.reflections.refl import write_reflections
from xdp.simulation.models import make_beam, make_detector, make_goniometer, make_scan
from xdp.simulation.spot_lists import SpotList, draw_crystal, simulate_spot_list


@pytest.fixture(scope="module")
def made() -> tuple[Experiment, SpotList]:
    """A sweep of 20 degrees and the spots of one crystal on it."""
    detector = make_detector((981, 831), distance=180.0, gaps=False)
    detector = replace(detector, panels=(replace(detector[0], px_mm_strategy=SIMPLE),))
    crystal = draw_crystal("oP", (42.0, 55.0, 71.0, 90.0, 90.0, 90.0), 4)
    experiment = Experiment(beam=make_beam(), detector=detector, goniometer=make_goniometer(),
                            scan=make_scan(40, 0.5), crystal=crystal)
    spots = simulate_spot_list([experiment], np.random.default_rng(1), n_spots=500, d_min=2.5, spurious=0.2)
    return replace(experiment, crystal=None), spots


@pytest.mark.parametrize("shift", [(0.0, 0.0), (1.3, -0.8), (-2.4, -2.0)])
def test_beam_centre_is_found(made, shift: tuple[float, float]):
    experiment, spots = made
    wrong = shift_sweeps(ExperimentList([experiment]), shift)
    _, found = optimise_beam_position(wrong, spots.table)
    # 500 spots of 0.034 mm error: hundredths of a mm
    np.testing.assert_allclose(found.mm, -np.array(shift), atol=0.03)


def test_scope_bounds_the_search(made):
    experiment, spots = made
    wrong = shift_sweeps(ExperimentList([experiment]), (3.0, 0.0))
    _, found = optimise_beam_position(wrong, spots.table, BeamSearch(mm_search_scope=1.0))
    assert np.abs(found.mm).max() <= 1.2
    assert found.score < optimise_beam_position(wrong, spots.table)[1].score


def test_parts_of_the_spots(made):
    experiment, spots = made
    wrong = shift_sweeps(ExperimentList([experiment]), (1.0, 0.5))
    for options in (BeamSearch(image_range=(1, 20)), BeamSearch(max_reflections=200), BeamSearch(d_min=3.5),
                    BeamSearch(max_cell=90.0, n_macro_cycles=2, wide_search_binning=1.0)):
        np.testing.assert_allclose(optimise_beam_position(wrong, spots.table, options)[1].mm, (-1.0, -0.5), atol=0.06)
    with pytest.raises(XdpError, match="too few"):
        optimise_beam_position(wrong, spots.table, BeamSearch(d_min=60.0))


def test_slopes_are_the_change_of_the_points(made):
    experiment, spots = made
    sweeps = ExperimentList([experiment])
    loaded = load_spots(sweeps, spots.table)
    slope, shift = differentiate_by_shift(sweeps, loaded), np.array([0.2, -0.1])
    moved = map_spots(shift_sweeps(sweeps, tuple(shift)), loaded.table).points
    # second order: (0.2 / 180)^2 / wavelength
    np.testing.assert_allclose(loaded.points + slope @ shift, moved, atol=5e-6)


def test_command_writes_the_moved_detector(made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from xdp.cli.main import main

    experiment, spots = made
    monkeypatch.chdir(tmp_path)
    write_experiments("imported.expt", shift_sweeps(ExperimentList([experiment]), (1.0, -1.0)))
    write_reflections("strong.refl", spots.table)
    assert main(["search_beam_position", "imported.expt", "strong.refl"]) == 0
    found = read_experiments("optimised.expt")[0].detector[0].origin
    np.testing.assert_allclose(found, experiment.detector[0].origin, atol=0.03)


def test_failure_writes_nothing(made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from xdp.cli.main import main

    experiment, spots = made
    monkeypatch.chdir(tmp_path)
    write_experiments("imported.expt", ExperimentList([experiment]))
    write_reflections("strong.refl", spots.table.select(np.arange(3)))
    assert main(["index", "imported.expt", "strong.refl"]) == 1
    assert main(["search_beam_position", "imported.expt", "strong.refl"]) == 1
    assert not list(tmp_path.glob("indexed.*"))
    assert not list(tmp_path.glob("optimised.*"))
