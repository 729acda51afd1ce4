"""The verdict names each planted fault, and none of a clean set."""

from __future__ import annotations

import numpy as np
import pytest
from report_data import (
    make_clean,
    make_indexed,
    make_strong_integrated,
    plant_beam_shift,
    plant_blank,
    plant_drift,
    plant_hot_pixel,
    plant_ice,
    plant_second_lattice,
)

from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable
from xdp.report.page.findings import N_LINES, compare_ice_rings, find_blank_runs, find_faults

pytestmark = pytest.mark.kernels


def list_faults(table, experiments) -> dict[str, str]:
    """Texts of the faults by their check."""
    return {f.check: f.text for f in find_faults(table, experiments) if f.severity > 0}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_clean_spots_have_no_fault(seed):
    experiments, table = make_clean(seed)
    assert list_faults(table, experiments) == {}


def test_clean_indexed_and_integrated_sets_have_no_fault():
    for experiments, table in (make_indexed(), make_strong_integrated()):
        found = find_faults(table, experiments)
        assert [f.text for f in found if f.severity > 0] == []
        assert found


def test_ice_is_named_with_its_ring():
    experiments, table = make_clean()
    found = list_faults(plant_ice(experiments, table), experiments)
    assert set(found) == {"ice"}
    assert "3.67 Å" in found["ice"]


def test_blank_images_are_named():
    experiments, table = make_clean()
    found = list_faults(plant_blank(table), experiments)
    assert set(found) == {"blank"}
    assert "images 21 to 34" in found["blank"]


def test_a_hot_pixel_is_named_with_its_place():
    experiments, table = make_clean()
    found = list_faults(plant_hot_pixel(table), experiments)
    assert set(found) == {"hot"}
    assert "100, 80" in found["hot"]


def test_a_wrong_beam_centre_is_measured():
    experiments, table = make_clean()
    found = list_faults(table, plant_beam_shift(experiments))
    assert set(found) == {"beam"}
    # The planted shift is 1.5, -1.0 mm; the way back has the other sign.
    size = experiments[0].detector[0].pixel_size[0]
    words = found["beam"].split("shifted by ")[1].split(" px")[0].split(", ")
    np.testing.assert_allclose([float(w) for w in words], [-1.5 / size, 1.0 / size], atol=1.0)


def test_a_second_lattice_is_named():
    experiments, table = make_indexed()
    found = list_faults(plant_second_lattice(experiments, table), experiments)
    assert set(found) == {"lattices"}
    assert "Second lattice" in found["lattices"]


def test_a_drifting_cell_is_named():
    experiments, table = make_indexed()
    found = list_faults(table, plant_drift(experiments))
    assert set(found) == {"drift"}
    assert "a changes by 0.60 %" in found["drift"]


def test_spots_that_drift_under_a_steady_model_are_named():
    experiments, table = make_indexed()
    position = table["xyzobs.px.value"].copy()
    centre = np.median(position[:, :2], axis=0)
    t = position[:, 2:] / 60.0 - 0.5
    position[:, :2] -= 0.012 * t * (position[:, :2] - centre)
    found = list_faults(table.with_columns(**{"xyzobs.px.value": position}), experiments)
    assert set(found) == {"drift"}


def test_overloads_are_counted():
    experiments, table = make_strong_integrated()
    flags = table["flags"].copy()
    flags[::10] |= np.uint64(Flag.OVERLOADED)
    found = list_faults(table.with_columns(flags=flags), experiments)
    assert "10.0 %" in found["overloads"]


def test_the_verdict_has_at_most_five_lines_the_worst_first():
    experiments, table = make_clean()
    table = plant_hot_pixel(plant_blank(plant_ice(experiments, table)))
    found = find_faults(table, experiments)
    assert len(found) <= N_LINES
    assert [f.severity for f in found] == sorted((f.severity for f in found), reverse=True)
    assert {"ice", "blank", "hot"} <= {f.check for f in found if f.severity > 0}


def test_a_ring_is_compared_with_both_its_sides():
    # Uniform in 1/d³, so that a band's number is proportional to its volume; twice as many at 3.441 Å.
    rng = np.random.default_rng(1)
    d = rng.uniform(0, 0.125, 200_000) ** (-1 / 3)
    ratios = {round(ring, 3): ratio for ring, ratio, _ in compare_ice_rings(d)}
    np.testing.assert_allclose(list(ratios.values()), 1.0, atol=0.15)  # Poisson's noise of some 500 spots in each band
    near = np.abs(d**-2 - 3.441**-2) < 0.002
    ratios = {round(ring, 3): ratio for ring, ratio, _ in compare_ice_rings(np.concatenate([d, d[near]]))}
    assert ratios[3.441] == pytest.approx(2.0, abs=0.3)


def test_blank_runs_need_to_be_long_enough_for_the_number_of_spots():
    assert find_blank_runs(np.array([100, 90, 0, 0, 110])) == [(2, 4)]
    assert find_blank_runs(np.array([4, 5, 0, 0, 4])) == []
    assert find_blank_runs(np.zeros(5)) == []


def test_odd_tables_are_borne():
    experiments, table = make_clean()
    empty = table.select(slice(0, 0))
    nan = table.with_columns(**{"xyzobs.px.value": np.full((len(table), 3), np.nan)})
    for odd in (empty, nan, ReflectionTable({}), None):
        for models in (experiments, None):
            if odd is None:
                assert find_faults(None, models) == []
            else:
                find_faults(odd, models)
