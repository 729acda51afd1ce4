"""Plots of integrated intensities: numbers are those of the table."""

from __future__ import annotations

import numpy as np
import pytest
from report_data import make_strong_integrated

from xdp.plot import intensities
from xdp.plot.catalogue import BUILDERS
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable

pytestmark = pytest.mark.kernels


@pytest.fixture(scope="module")
def data():
    """An integrated set with all the columns that plots look at, some of them made up."""
    experiments, table = make_strong_integrated()
    rng, n = np.random.default_rng(3), len(table)
    flags = table["flags"] | np.uint64(Flag.INTEGRATED)
    flags[::7] |= np.uint64(Flag.REFERENCE_SPOT)
    flags[::50] |= np.uint64(Flag.OVERLAPPED_FG)
    return experiments, table.with_columns(**{
        "flags": flags, "intensity.prf.value": table["intensity.sum.value"], "profile.correlation": rng.uniform(size=n),
        "intensity.prf.variance": table["intensity.sum.variance"], "background.mean": rng.uniform(1, 2, n),
        "partiality": np.ones(n), "qe": np.full(n, 0.8)})


@pytest.mark.parametrize("name", [name for name, home in BUILDERS.items() if home == "intensities"])
def test_each_plot_is_made_and_none_of_an_empty_table(data, name):
    experiments, table = data
    plot = getattr(intensities, name)(table, experiments)
    assert plot.name == name
    plot.to_dict()
    assert getattr(intensities, name)(table.select(slice(0, 0)), experiments) is None
    assert getattr(intensities, name)(ReflectionTable({"id": [0]}), None) is None


def test_means_by_frame_are_those_of_a_loop(data):
    experiments, table = data
    frame = np.floor(table["xyzcal.px"][:, 2]) == 11
    good = frame & (table["intensity.sum.variance"] > 0)
    ratio = table["intensity.sum.value"][good] / np.sqrt(table["intensity.sum.variance"][good])
    assert intensities.i_over_sigma_by_frame(table, experiments).series[0].y[11] == pytest.approx(ratio.mean())
    assert intensities.background_by_frame(table, experiments).series[0].y[11] == pytest.approx(
        table["background.mean"][frame].mean())
    part = table.any_flags(Flag.OVERLAPPED_FG)[frame].mean()
    assert intensities.overlaps_by_frame(table, experiments).series[0].y[11] == pytest.approx(100 * part)
    counted = intensities.reference_spots_by_frame(table, experiments).series[0].y
    assert counted[11] == (table.flags(Flag.REFERENCE_SPOT) & frame).sum()


def test_shells_and_maps_hold_the_reflections(data):
    experiments, table = data
    good = table["intensity.sum.variance"] > 0
    shells = intensities.i_over_sigma_by_resolution(table, experiments).series[0]
    assert len(shells.x) == intensities.N_SHELLS
    squared = table["d"] ** -2.0
    first = good & (squared < squared.max() / intensities.N_SHELLS)
    ratio = table["intensity.sum.value"][first] / np.sqrt(table["intensity.sum.variance"][first])
    assert shells.y[0] == pytest.approx(ratio.mean())
    assert np.nanmax(intensities.quantum_efficiency_on_detector(table, experiments).grid.values) == pytest.approx(0.8)
    n = table.flags(Flag.REFERENCE_SPOT).sum()
    assert np.nansum(intensities.reference_spots_on_detector(table, experiments).grid.values) == n
    assert intensities.partiality_histogram(table, experiments).series[0].y.sum() == len(table)
