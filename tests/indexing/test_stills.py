"""Scans that are indexed as stills, and stills that are searched as scans."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from indexing_data import CELL, make_sweep

import xdp
from xdp.experiment import ImageSet
from xdp.experiment.experiment import ExperimentList
from xdp.indexing.crystals import find_crystals
from xdp.indexing.index import index_sweeps
from xdp.indexing.options import Indexing
from xdp.indexing.spots import load_spots
from xdp.indexing.state import IndexingState
from xdp.indexing.stills import has_stills, treat_as_stills
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable
from xdp.simulation.spot_lists import draw_crystal, simulate_spot_list

KNOWN = {"unit_cell": CELL, "space_group": "P222"}


def as_stills(**others) -> Indexing:
    """Options with stills.indexer=stills."""
    return Indexing(stills={"indexer": "stills"}, known_symmetry=KNOWN, mm_search_scope=0.0, **others)


@pytest.fixture(scope="module")
def series():
    """Three images of a scan, each of them of another crystal, as of a jet that was recorded as a scan."""
    scan = replace(make_sweep(5.0), imageset=ImageSet("ImageSequence", template="/data/jet_####.cbf"))
    crystals = [draw_crystal("oP", CELL, seed) for seed in (1, 2, 3)]
    still = replace(scan, scan=None, goniometer=None)
    tables = []
    for number, crystal in enumerate(crystals):
        table = simulate_spot_list([replace(still, crystal=crystal)], np.random.default_rng(number), n_spots=120,
                                   d_min=2.2, spurious=0.0).table
        position = table["xyzobs.px.value"]
        position[:, 2] = 3 * number + 0.5
        box = table["bbox"]
        box[:, 4:] = [3 * number - 1, 3 * number + 2]
        tables.append(table.with_columns(**{"xyzobs.px.value": position, "bbox": box}))
    return ExperimentList([scan]), ReflectionTable.concatenate(tables), crystals


def test_images_become_stills_with_image_sets_of_their_own(series):
    sweeps, table, _ = series
    stills, moved = treat_as_stills(sweeps, table)
    assert [e.imageset.images for e in stills] == [(f"/data/jet_000{k}.cbf",) for k in (1, 4, 7)]
    assert all(e.is_still and e.scan is None and e.goniometer is None for e in stills)
    assert np.bincount(moved["id"]).tolist() == [120, 120, 120]
    np.testing.assert_array_equal(moved["id"], moved["imageset_id"])
    np.testing.assert_array_equal(moved["xyzobs.px.value"][:, 2], 0.5)
    np.testing.assert_array_equal(moved["bbox"][:, 4:], [[0, 1]] * 360)
    np.testing.assert_array_equal(moved["bbox"][:, :4], table["bbox"][:, :4])


def test_shoeboxes_are_cut_down_to_their_image(series):
    """Against a loop: each box keeps the plane of its spot's frame; one that lies elsewhere, or is empty, none."""
    sweeps, table, _ = series
    rng = np.random.default_rng(0)
    some = table.select(np.arange(0, 360, 40))
    bbox = np.array([[5, 5 + rng.integers(1, 4), 7, 7 + rng.integers(1, 4), 0, 0] for _ in range(len(some))], np.int32)
    frame = np.floor(some["xyzobs.px.value"][:, 2]).astype(int)
    bbox[:, 4], bbox[:, 5] = np.maximum(frame - 1, 0), frame + 2
    bbox[0, 4:], bbox[4, 4:] = [1, 3], bbox[4, 4:]
    volumes = np.prod(np.diff(bbox.reshape(-1, 3, 2), axis=2)[:, :, 0], axis=1)
    volumes[4] = 0
    n = int(volumes.sum())
    boxes = Shoeboxes(np.zeros(len(some)), bbox, np.concatenate([[0], np.cumsum(volumes)]), rng.normal(size=n),
                      rng.integers(0, 8, n), rng.normal(size=n))
    _, moved = treat_as_stills(sweeps, some.with_columns(shoebox=boxes))
    found = moved["shoebox"]
    assert found.bbox[:, 4:].tolist() == [[0, 1]] * len(some)
    for k in range(len(some)):
        if k in (0, 4):
            assert found.offsets[k] == found.offsets[k + 1]
            continue
        for mine, whole in zip(found.box(k), boxes.box(k), strict=True):
            np.testing.assert_array_equal(mine[0], whole[frame[k] - bbox[k, 4]])


def test_a_stack_keeps_the_place_of_its_images(series):
    sweeps, table, _ = series
    stack = replace(sweeps[0], imageset=ImageSet("ImageSequence", template="/data/jet.h5"))
    stills, _ = treat_as_stills(ExperimentList([stack]), table)
    assert [e.imageset.single_file_indices for e in stills] == [(0,), (3,), (6,)]


def test_each_image_is_indexed_alone(series, caplog):
    sweeps, table, crystals = series
    with caplog.at_level("INFO", logger="xdp"):
        found = index_sweeps(sweeps, table, as_stills(joint_indexing=False))
    assert "the rotation of 1 sweep is not used; there are 3 stills with spots" in caplog.text
    assert len(found.experiments) == 3
    for experiment, crystal in zip(found.experiments, crystals, strict=True):
        assert experiment.is_still
        # up to the rotations of 222
        cosines = np.abs(np.diag(experiment.crystal.real_space_matrix @ crystal.real_space_matrix.T)) / np.prod(
            [np.linalg.norm(c.real_space_matrix, axis=1) for c in (experiment.crystal, crystal)], axis=0)
        assert np.all(cosines > np.cos(np.radians(0.3)))
    assert np.count_nonzero(found.reflections["id"] >= 0) > 300


def test_stills_searched_as_scans_have_the_likeliest_orientation_only(shared_data):
    """Of a known cell on a still several orientations are refined; as in a scan only the first is."""
    image = shared_data / "image_examples" / "simtbx_FormatSMVJHSim_001.img.gz"
    found = xdp.find_spots(xdp.import_images(str(image)).experiments)
    sweeps = ExperimentList([found.experiments[0]])
    state = IndexingState(sweeps, load_spots(sweeps, found.reflections), [])
    counts = {}
    for name in ("Auto", "sequences"):
        known = {"unit_cell": (78.84, 78.84, 38.29, 90, 90, 90), "space_group": "P43212"}
        options = Indexing(stills={"indexer": name}, known_symmetry=known, mm_search_scope=0.0)
        counts[name] = len(find_crystals(state, 110.0, options)[1])
        assert has_stills(sweeps, options) == (name == "Auto")
    assert counts["sequences"] == 1
    assert counts["Auto"] > 1


def test_scans_are_no_stills(series):
    assert not has_stills(series[0], Indexing())
