"""The whole of indexing on simulated spot lists: several lattices, wrong geometry, bad input."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from indexing_data import make_sweep, simulate_spots

from xdp.errors import OptionError, XdpError
from xdp.experiment.crystal import Crystal
from xdp.experiment.detector import Detector, Panel
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.indexing.geometry import invert_rotation
from xdp.indexing.index import Indexed, index_sweeps
from xdp.indexing.lattice.symmetry import make_primitive_axes
from xdp.indexing.options import (
    CheckMisindexing,
    Fft3d,
    Indexing,
    KnownSymmetry,
    MultipleLatticeSearch,
    ReciprocalSpaceGrid,
)
from xdp.refinement.options import Refinement
from xdp.refinement.parameters.rotations import make_rotation
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable
from xdp.simulation.models import make_beam, make_crystal, make_goniometer, make_scan
from xdp.simulation.spot_lists import SpotList, draw_crystal, shift_experiment, simulate_spot_list


def fraction_right(spots: SpotList, crystals: list, result: Indexed) -> list[float]:
    """For each true crystal the fraction of its spots whose index is exact, modulo the choice of axes."""
    table, found = result.reflections, []
    assert len(table) == len(spots.table)  # the order of the table is kept
    for number, crystal in enumerate(crystals):
        mine = spots.crystal == number
        true = np.linalg.inv(make_primitive_axes(crystal.real_space_matrix, crystal.space_group.centring_type()))
        best = 0.0
        for k, e in enumerate(result.experiments):
            change = np.round(e.crystal.real_space_matrix @ true)
            primitive = make_primitive_axes(np.eye(3), crystal.space_group.centring_type())
            expected = np.round(spots.miller_index @ primitive.T @ change.T)
            right = (table["id"] == k) & np.all(table["miller_index"] == expected, axis=1)
            best = max(best, float(np.mean(right[mine])))
        found.append(best)
    return found


#: An eighth of the points of the default's grid: enough for cells of 71 Å, and an eighth of the time.
COARSE_GRID = Fft3d(reciprocal_space_grid=ReciprocalSpaceGrid(n_points=128))


def lattices(n: int) -> Indexing:
    return Indexing(multiple_lattice_search=MultipleLatticeSearch(max_lattices=n))


def test_one_crystal_with_spurious_spots():
    experiment = make_sweep()
    spots, crystals = simulate_spots(experiment, spurious=0.4)
    result = index_sweeps(ExperimentList([experiment]), spots.table)
    # two centroid errors beyond three sigma are in the nature of 800 spots
    assert fraction_right(spots, crystals, result)[0] > 0.99
    table = result.reflections
    assert np.all(table["id"][table["id"] < 0] == -1)
    assert not table["miller_index"][table["id"] < 0].any()
    assert np.array_equal(table.flags(Flag.INDEXED), table["id"] >= 0)


def test_table_has_the_columns_of_dials():
    experiment = make_sweep()
    spots, _ = simulate_spots(experiment)
    table = index_sweeps(ExperimentList([experiment]), spots.table).reflections
    wanted = {"entering", "flags", "id", "imageset_id", "miller_index", "panel", "rlp", "s1", "xyzcal.mm", "xyzcal.px",
              "xyzobs.mm.value", "xyzobs.mm.variance", "xyzobs.px.value", "xyzobs.px.variance"}
    assert wanted <= set(table)
    indexed = table["id"] >= 0
    off = (table["xyzcal.px"] - table["xyzobs.px.value"])[indexed]
    # the simulated errors are 0.2 px and 0.1 frames
    np.testing.assert_allclose(off.std(axis=0), [0.2, 0.2, 0.1], rtol=0.15)
    assert 0.3 < table["entering"][indexed].mean() < 0.7
    assert table.flags(Flag.USED_IN_REFINEMENT).sum() > 0.8 * indexed.sum()


def test_two_lattices_are_found_and_told_apart():
    experiment = make_sweep()
    spots, crystals = simulate_spots(experiment, (1, 2))
    result = index_sweeps(ExperimentList([experiment]), spots.table, lattices(3))
    assert len(result.experiments) == 2
    assert min(fraction_right(spots, crystals, result)) > 0.97


def test_one_lattice_only_where_no_more_are_asked_for():
    experiment = make_sweep()
    spots, _ = simulate_spots(experiment, (1, 2))
    assert len(index_sweeps(ExperimentList([experiment]), spots.table).experiments) == 1


@pytest.mark.parametrize("shift", [(0.9, -0.6), (-1.8, 2.2)])
def test_wrong_beam_centre_is_found(shift: tuple[float, float]):
    experiment = make_sweep()
    spots, crystals = simulate_spots(experiment)
    wrong = shift_experiment(experiment, shift)
    result = index_sweeps(ExperimentList([wrong]), spots.table)
    assert fraction_right(spots, crystals, result)[0] > 0.99
    origin = np.array(result.experiments[0].detector[0].origin)[:2]
    # along the spindle the shift is correlated with the detector's tilt: half a pixel
    np.testing.assert_allclose(origin, np.array(experiment.detector[0].origin)[:2], atol=0.086)


@pytest.mark.parametrize(("cell", "lattice", "n"), [((40.0, 50.0, 120.0, 90.0, 90.0, 90.0), "oP", 200),
                                                    ((40.0, 40.0, 120.0, 90.0, 90.0, 90.0), "tP", 150)])
def test_few_spots_of_many_degrees_about_a_wrong_beam_centre(cell: tuple, lattice: str, n: int):
    """Neighbours are far apart, so that the longest axis is taken for 81 and 56 Å: it and the centre need mending."""
    experiment = make_sweep(width=100.0)
    spots, crystals = simulate_spots(experiment, n=n, cell=cell, lattice=lattice)
    wrong = shift_experiment(experiment, (0.9, -0.6))
    assert fraction_right(spots, crystals, index_sweeps(ExperimentList([wrong]), spots.table))[0] > 0.98


def test_wrong_sense_of_rotation_is_found(caplog: pytest.LogCaptureFixture):
    experiment = make_sweep()
    spots, crystals = simulate_spots(experiment)
    wrong = invert_rotation(ExperimentList([experiment]))
    with caplog.at_level("WARNING", logger="xdp"):
        result = index_sweeps(wrong, spots.table, Indexing(fft3d=COARSE_GRID))
    assert "opposite sense of rotation" in caplog.text
    assert fraction_right(spots, crystals, result)[0] > 0.99
    assert result.experiments[0].goniometer.rotation_axis[0] == pytest.approx(1.0)


def test_indices_off_by_a_lattice_spacing_are_mended(caplog: pytest.LogCaptureFixture):
    experiment = make_sweep(width=40.0)
    spots, crystals = simulate_spots(experiment, cell=(120.0, 120.0, 120.0, 90.0, 90.0, 90.0))
    spacing = 0.9795 * 180.0 / 120.0  # mm between spots of the longest axis
    wrong = shift_experiment(experiment, (0.0, spacing))
    # without a beam search the misfit can only be mended by the comparison of offsets
    options = Indexing(mm_search_scope=0.0, max_cell=200.0)
    with caplog.at_level("WARNING", logger="xdp"):
        right = fraction_right(spots, crystals, index_sweeps(ExperimentList([wrong]), spots.table,
                                                             Indexing(max_cell=200.0)))
    assert right[0] > 0.99
    blind = options.model_copy(update={"check_misindexing": CheckMisindexing(grid_search_scope=0)})
    assert fraction_right(spots, crystals, index_sweeps(ExperimentList([wrong]), spots.table, blind))[0] < 0.5


def test_identifiers_depend_on_nothing_but_the_input():
    experiment = make_sweep()
    spots, _ = simulate_spots(experiment)
    first, second = (index_sweeps(ExperimentList([experiment]), spots.table) for _ in range(2))
    assert first.experiments[0].identifier == second.experiments[0].identifier != ""
    assert first.reflections.identifiers == {0: first.experiments[0].identifier}


def test_sweeps_on_their_own_are_different_crystals():
    first = make_sweep()
    second = replace(first, scan=make_scan(60, 0.5, 90.0))
    (a, _), (b, _) = simulate_spots(first), simulate_spots(second)
    from xdp.reflections.table import ReflectionTable

    shifted = b.table.with_columns(id=b.table["id"] + np.int32(1), imageset_id=b.table["imageset_id"] + np.int32(1))
    table = ReflectionTable.concatenate([a.table, shifted])
    both = ExperimentList([first, second])
    joint, alone = index_sweeps(both, table), index_sweeps(both, table, Indexing(joint_indexing=False))
    assert joint.experiments[0].crystal is joint.experiments[1].crystal
    assert alone.experiments[0].crystal is not alone.experiments[1].crystal
    for result in (joint, alone):
        assert np.array_equal(np.unique(result.reflections["id"]), [0, 1])
        assert np.mean(result.reflections["id"] == result.reflections["imageset_id"]) > 0.99


def test_only_spots_of_some_images():
    experiment = make_sweep()
    spots, _ = simulate_spots(experiment)
    table = index_sweeps(ExperimentList([experiment]), spots.table, Indexing(image_range=(1, 30))).reflections
    frames = spots.table["xyzobs.px.value"][:, 2]
    assert len(table) == np.sum(frames < 30)
    with pytest.raises(XdpError, match="no spots there; they are on images 1 to 6"):
        index_sweeps(ExperimentList([experiment]), spots.table, Indexing(image_range=(100, 130)))


def test_known_cell_comes_in_its_setting():
    experiment = make_sweep()
    spots, _ = simulate_spots(experiment)
    known = KnownSymmetry(space_group="P212121", unit_cell=(71.0, 42.0, 55.0, 90, 90, 90))
    result = index_sweeps(ExperimentList([experiment]), spots.table, Indexing(known_symmetry=known))
    np.testing.assert_allclose(result.experiments[0].crystal.unit_cell, known.unit_cell, rtol=1e-3)


class TestBadInput:
    """Each bad input stops with a message that says what is wrong."""

    def fails(self, match: str, table, experiment: Experiment | None = None, options: Indexing | None = None) -> None:
        with pytest.raises(XdpError, match=match):
            index_sweeps(ExperimentList([experiment or make_sweep()]), table, options)

    def test_no_spots(self):
        spots, _ = simulate_spots(make_sweep(), n=10)
        self.fails("no strong spots", spots.table.select(np.zeros(0, dtype=np.int64)))

    def test_scan_varying_models_are_asked_for(self):
        spots, _ = simulate_spots(make_sweep(), n=10)
        varying = Refinement.model_validate({"parameterisation": {"scan_varying": True}})
        with pytest.raises(OptionError, match="scan_varying=True is for xdp refine"):
            index_sweeps(ExperimentList([make_sweep()]), spots.table, refinement=varying)

    def test_three_spots(self):
        spots, _ = simulate_spots(make_sweep(), n=3)
        self.fails("3 spots", spots.table)
        self.fails("3 spots are too few", spots.table, options=Indexing(max_cell=100.0))

    def test_all_on_one_line(self):
        spots, _ = simulate_spots(make_sweep(), n=60)
        xyz = spots.table["xyzobs.px.value"].copy()
        xyz[:, 0], xyz[:, 2] = 490.0, 30.5
        xyz[:, 1] = np.linspace(20.0, 800.0, len(xyz))
        self.fails("no lattice fits.*candidate vectors.*Try", spots.table.with_columns(**{"xyzobs.px.value": xyz}),
                   options=Indexing(fft3d=COARSE_GRID))

    def test_all_on_ice_rings(self):
        spots, _ = simulate_spots(make_sweep(), n=300)
        rng, n = np.random.default_rng(0), len(spots.table)
        d = rng.choice([3.895, 3.669, 3.441, 2.671], n)
        radius = 180.0 * np.tan(2.0 * np.arcsin(0.9795 / 2.0 / d)) / 0.172
        angle = rng.uniform(0, 2 * np.pi, n)
        x, y = 490.5 + 3.3 + radius * np.cos(angle), 415.5 - 2.6 + radius * np.sin(angle)
        xyz = np.column_stack([x, y, rng.uniform(0, 60, n)])
        self.fails("no lattice fits", spots.table.with_columns(**{"xyzobs.px.value": xyz}),
                   options=Indexing(fft3d=COARSE_GRID))

    def test_noise(self):
        """Chance reaches a log likelihood ratio of 48 in one of twenty trials with so few spots."""
        experiment = make_sweep(60.0)
        spots, _ = simulate_spots(experiment, n=60)
        places = np.random.default_rng(60).uniform(size=(len(spots.table), 3)) * [981.0, 831.0, 120.0]
        table = spots.table.with_columns(**{"xyzobs.px.value": places})
        options = Indexing(fft3d=Fft3d(reciprocal_space_grid=ReciprocalSpaceGrid(n_points=96)))
        with pytest.raises(XdpError, match=r"no lattice fits: .* cells tried"):
            index_sweeps(ExperimentList([experiment]), table, options)

    def test_wrong_known_cell(self):
        spots, _ = simulate_spots(make_sweep())
        known = KnownSymmetry(unit_cell=(30.0, 30.0, 30.0, 90, 90, 90))
        self.fails("does not agree with the known symmetry", spots.table,
                   options=Indexing(known_symmetry=known, max_cell=120.0))

    def test_scan_without_goniometer(self):
        spots, _ = simulate_spots(make_sweep())
        self.fails("without a goniometer", spots.table, replace(make_sweep(), goniometer=None))

    def test_no_beam(self):
        spots, _ = simulate_spots(make_sweep())
        self.fails("has no beam", spots.table, replace(make_sweep(), beam=None))

    def test_spots_of_another_scan(self):
        spots, _ = simulate_spots(make_sweep())
        self.fails("do not belong together", spots.table, replace(make_sweep(), scan=make_scan(20, 0.5)))

    def test_spots_of_another_detector(self):
        spots, _ = simulate_spots(make_sweep())
        panel = np.full(len(spots.table), 7, dtype=np.uint64)
        self.fails("panel 7, but the detector has 1", spots.table.with_columns(panel=panel))

    def test_spots_of_a_sweep_that_is_not_there(self):
        spots, _ = simulate_spots(make_sweep())
        self.fails("refer to experiment 2", spots.table.with_columns(
            imageset_id=np.full(len(spots.table), 2, dtype=np.int32)))


def electron_spots(seed: int) -> tuple[Experiment, ReflectionTable]:
    """A sweep of electrons with one crystal, uniform noise, and a loose heap of spots like a tiny lattice."""
    panel = Panel((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (-12.9, 15.0, -443.0), (512, 512), (0.055, 0.055), (0.0, 4094.0))
    sweep = Experiment(beam=make_beam(0.02508), detector=Detector((panel,)), scan=make_scan(405, 0.2522),
                       goniometer=replace(make_goniometer(), rotation_axis=(0.7933, 0.6088, 0.0)))
    crystals = [make_crystal((10.9, 7.4, 11.3, 90, 108.1, 90), " P 2y", orientation=seed),
                make_crystal((2.2, 2.3, 8.9, 87, 95, 70), " P 1", orientation=seed + 50)]
    good, heap = (replace(sweep, crystal=c) for c in crystals)
    a = simulate_spot_list([good], np.random.default_rng(seed), n_spots=860, d_min=0.85, spurious=0.23, sigma_px=0.6,
                           sigma_frame=0.4).table
    b = simulate_spot_list([heap], np.random.default_rng(seed + 9), n_spots=60, d_min=0.85, sigma_px=3.0,
                           sigma_frame=3.0).table
    return sweep, ReflectionTable({k: np.concatenate([a[k], b[k]]) for k in a})


@pytest.mark.parametrize("seed", [1, 2])
def test_a_loose_heap_of_spots_does_not_spoil_the_first_crystal(seed: int):
    sweep, table = electron_spots(seed)
    one, more = (index_sweeps(ExperimentList([sweep]), table, lattices(n)) for n in (1, 3))
    np.testing.assert_allclose(np.sort(one.experiments[0].crystal.unit_cell[:3]), [7.4, 10.9, 11.3], rtol=2e-3)
    np.testing.assert_array_equal(more.experiments[0].crystal.A, one.experiments[0].crystal.A)
    np.testing.assert_array_equal(more.reflections["miller_index"], one.reflections["miller_index"])


def test_a_lattice_that_is_nearly_parallel_is_named(caplog: pytest.LogCaptureFixture):
    """1.2 degrees from the first one, where five are wanted; with a smaller limit it is found."""
    experiment = make_sweep(width=60.0)
    first = draw_crystal("oP", (90.0, 110.0, 130.0, 90.0, 90.0, 90.0), 3)
    turn = make_rotation(np.array([0.0, 0.6, 0.8]), np.radians(1.2))
    axes = first.real_space_matrix @ turn.T
    second = Crystal(*(tuple(float(v) for v in row) for row in axes), first.space_group_hall_symbol)
    spots = simulate_spot_list([replace(experiment, crystal=c) for c in (first, second)], np.random.default_rng(1),
                               n_spots=3000, d_min=2.0)
    with caplog.at_level("WARNING", logger="xdp"):
        found = index_sweeps(ExperimentList([experiment]), spots.table, lattices(2))
    assert len(found.experiments) == 1
    assert re.search(r"only 1\.[12]\d degrees from crystal 1\. To keep it, give "
                     r"multiple_lattice_search\.minimum_angular_separation", caplog.text)
    close = Indexing(multiple_lattice_search=MultipleLatticeSearch(max_lattices=2, minimum_angular_separation=0.5))
    assert len(index_sweeps(ExperimentList([experiment]), spots.table, close).experiments) == 2


def test_a_known_cell_is_found_on_a_still_of_few_spots():
    cell = (78.84, 78.84, 38.29, 90.0, 90.0, 90.0)
    still = replace(make_sweep(), goniometer=None, scan=None)
    crystal = draw_crystal("tP", cell, 11)
    spots = simulate_spot_list([replace(still, crystal=crystal)], np.random.default_rng(2), n_spots=70, d_min=2.5,
                               spurious=0.3)
    known = Indexing(known_symmetry=KnownSymmetry(space_group="P43212", unit_cell=cell))
    found = index_sweeps(ExperimentList([still]), spots.table, known)
    assert fraction_right(spots, [crystal], found)[0] > 0.9


def test_fft1d_finds_a_cell_with_one_very_long_axis():
    """An axial ratio of 26: a cell that indexes a tenth of the spots is no result."""
    sweep = make_sweep(width=90.0)
    crystal = draw_crystal("hP", (5.87, 5.87, 153.8, 90.0, 90.0, 120.0), 11)
    spots = simulate_spot_list([replace(sweep, crystal=crystal)], np.random.default_rng(1), n_spots=900, d_min=1.0,
                               spurious=0.1)
    found = index_sweeps(ExperimentList([sweep]), spots.table, Indexing(method="fft1d"))
    np.testing.assert_allclose(found.experiments[0].crystal.unit_cell[:3], [5.87, 5.87, 153.8], rtol=2e-3)
    assert np.mean(found.reflections["id"] == 0) > 0.85
