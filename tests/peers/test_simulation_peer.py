"""DIALS processes what we simulate, and finds the truth."""

from __future__ import annotations

import numpy as np
import pytest
from dials_client import QUICK_INDEX

from xdp.experiment import read_experiments
from xdp.reflections import read_reflections
from xdp.simulation import make_beam, make_crystal, make_detector, make_goniometer, make_scan, simulate_rotation
from xdp.simulation.compare import compute_misorientation, match_truth
from xdp.simulation.write import write_minicbf_series

pytestmark = pytest.mark.peer


@pytest.fixture(scope="module")
def simulation():
    models = (make_crystal(orientation=3), make_beam(), make_detector(), make_goniometer(), make_scan(20))
    return simulate_rotation(*models, seed=1)


@pytest.fixture(scope="module")
def folder(dials, simulation, tmp_path_factory):
    """DIALS' results on twenty frames."""
    folder = tmp_path_factory.mktemp("simulated")
    paths = write_minicbf_series(simulation, folder)
    dials.command("dials.import", *paths, cwd=folder)
    dials.command("dials.find_spots", "imported.expt", "nproc=1", cwd=folder)
    dials.command("dials.index", "imported.expt", "strong.refl", "space_group=P43212", QUICK_INDEX, cwd=folder)
    return folder


def test_dials_sees_our_geometry(folder, simulation):
    theirs, ours = read_experiments(folder / "imported.expt")[0], simulation.experiments[0]
    # Headers are printed to 1e-3 px.
    np.testing.assert_allclose(theirs.detector.d_matrix(0), ours.detector.d_matrix(0), atol=2e-4)
    assert theirs.scan.image_range == ours.scan.image_range
    assert theirs.scan.oscillation == pytest.approx(ours.scan.oscillation)
    assert theirs.detector[0].mask == ours.detector[0].mask


def test_dials_finds_the_spots_where_they_are(folder, simulation):
    spots = read_reflections(folder / "strong.refl")
    rows = match_truth(simulation.truth, spots)
    assert (rows >= 0).mean() > 0.99
    good = rows[rows >= 0]
    bright = simulation.truth["photons"][good] > 500
    whole = simulation.truth["partiality"][good] > 0.99
    off = (spots["xyzobs.px.value"][rows >= 0] - simulation.truth["xyzcal.px"][good])[bright & whole]
    # Parallax's px -> mm -> px and the threshold's cut of tails leave a few hundredths of a pixel.
    np.testing.assert_allclose(np.median(off, axis=0), 0.0, atol=0.03)
    assert np.std(off[:, :2]) < 0.15


def test_dials_indexes_them_all_with_the_true_cell(folder, simulation):
    found, truth = read_experiments(folder / "indexed.expt")[0].crystal, simulation.experiments[0].crystal
    assert found.unit_cell == pytest.approx(truth.unit_cell, rel=1e-3)
    assert compute_misorientation(found, truth) < 0.05
    indexed = read_reflections(folder / "indexed.refl")
    assert (indexed["id"] == 0).mean() > 0.98
