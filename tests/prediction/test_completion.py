"""Positions in pixels from those in millimetres."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from refinement_data import observed, sweep

import xdp
from xdp.experiment import ExperimentList, ImageSet
from xdp.experiment.detector import move_panels
from xdp.indexing.search.beam_search import optimise_beam_position
from xdp.prediction.centroids import centroids_to_mm
from xdp.prediction.completion import add_px_positions
from xdp.reflections import Flag, ReflectionTable
from xdp.simulation import make_spots


def test_positions_come_back_from_millimetres():
    experiments = ExperimentList([sweep()])
    rng = np.random.default_rng(0)
    n = 50
    low, high = experiments[0].scan.array_range
    px = np.column_stack([rng.uniform(10, 300, (n, 2)), rng.uniform(low, high, n)])
    variance = rng.uniform(0.01, 0.1, (n, 3))
    panel = np.zeros(n, np.int64)
    mm, mm_variance = centroids_to_mm(experiments[0], panel, px, variance)
    table = ReflectionTable({"id": np.zeros(n, np.int32), "panel": panel.astype(np.uint64), "xyzobs.mm.value": mm,
                             "xyzobs.mm.variance": mm_variance})
    full = add_px_positions(experiments, table)
    np.testing.assert_allclose(full["xyzobs.px.value"], px, atol=2e-3)  # the parallax correction's own accuracy
    np.testing.assert_allclose(full["xyzobs.px.variance"], variance, rtol=1e-9)


def test_tables_with_pixels_or_without_positions_stay():
    experiments = ExperimentList([sweep()])
    for columns in ({"id": [0]}, {"id": [0], "xyzobs.px.value": np.ones((1, 3)), "xyzobs.mm.value": np.ones((1, 3))}):
        table = ReflectionTable(columns)
        assert add_px_positions(experiments, table) is table


def in_millimetres(experiments, table):
    """The columns of a table, with positions in mm and radians instead of pixels."""
    value, variance = np.zeros((len(table), 3)), np.zeros((len(table), 3))
    owner = np.where(table["id"] >= 0, table["id"], table.get("imageset_id", table["id"]))
    for number, experiment in enumerate(experiments):
        rows = np.flatnonzero(owner == number)
        value[rows], variance[rows] = centroids_to_mm(
            experiment, table["panel"][rows].astype(np.int64), table["xyzobs.px.value"][rows],
            table["xyzobs.px.variance"][rows])
    columns = {name: table[name] for name in table if not name.startswith("xyzobs.px")}
    return ReflectionTable({**columns, "xyzobs.mm.value": value, "xyzobs.mm.variance": variance})


def test_spots_without_a_crystal_have_the_geometry_of_their_images():
    one = sweep()
    further = one.detector.d_matrix(0) - np.diag([0.0, 0.0, 50.0])
    far = replace(one, detector=move_panels(one.detector, [further]),
                  imageset=ImageSet("ImageSequence", template="b_##.cbf"))
    experiments = ExperimentList([replace(one, imageset=ImageSet("ImageSequence", template="a_##.cbf")), far])
    rng = np.random.default_rng(1)
    table = ReflectionTable({
        "id": np.array([-1, -1, 0, 1], np.int32), "imageset_id": np.array([0, 1, 0, 1], np.int32),
        "panel": np.zeros(4, np.uint64), "xyzobs.px.value": rng.uniform(10, 30, (4, 3)),
        "xyzobs.px.variance": np.ones((4, 3)), "flags": np.zeros(4, np.uint64)})
    full = add_px_positions(experiments, in_millimetres(experiments, table))
    np.testing.assert_allclose(full["xyzobs.px.value"], table["xyzobs.px.value"], atol=2e-3)


def test_python_callers_may_give_millimetres_alone_and_no_flags():
    """As read_reflections completes tables of files, the functions complete those of scripts."""
    truth = ExperimentList([sweep()])
    table = observed(truth, n=150, d_min=3.5)
    whole = xdp.refine(truth, table, scan_varying=False)
    mm = in_millimetres(truth, table)
    found = xdp.refine(truth, ReflectionTable({name: mm[name] for name in mm if name != "flags"}), scan_varying=False)
    # the way to pixels and back is as good as the parallax correction: 0.002 px
    np.testing.assert_allclose(found.experiments[0].crystal.A, whole.experiments[0].crystal.A, atol=2e-7)
    assert found.reflections.flags(Flag.INDEXED).all()
    settings = xdp.refine_settings(truth, mm)
    assert settings.best.setting.lattice == "tP"

    experiments, spots = make_spots()
    indexed = xdp.index(experiments, in_millimetres(experiments, spots))
    assert np.count_nonzero(indexed.reflections["id"] >= 0) > 0.95 * len(spots)
    moved, shift = optimise_beam_position(experiments, in_millimetres(experiments, spots))
    assert len(moved) == 1
    assert np.hypot(*shift.mm) < 0.2  # the beam centre is right
