"""Strong spots in reciprocal space, and the choice of images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from indexing_data import make_state, make_sweep, simulate_spots

from xdp.errors import XdpError
from xdp.experiment.experiment import ExperimentList
from xdp.experiment.imageset import ImageSet
from xdp.indexing.spots import find_sweep_of_spots, join_sweeps, load_spots, select_images
from xdp.reflections.flags import Flag
from xdp.simulation.models import make_scan


def test_spots_lie_at_their_lattice_points():
    state, spots = make_state()
    want = spots.miller_index @ state.crystals[0].A.T
    # 0.2 px of 0.172 mm at 180 mm, and 0.1 images of 0.5 degrees at up to 0.4 1/Å
    np.testing.assert_allclose(np.std(state.spots.points - want, axis=0), 3e-4, atol=2e-4)
    np.testing.assert_allclose(state.spots.d, 1.0 / np.linalg.norm(state.spots.points, axis=1))
    assert np.all(state.spots.table["id"] == -1)
    assert 0.0 <= state.spots.phi.min() <= state.spots.phi.max() <= np.radians(20.1)


def test_spots_that_are_not_strong_are_left_out():
    sweeps = ExperimentList([make_sweep()])
    table = simulate_spots(sweeps[0], n=50)[0].table
    flags = table["flags"] | np.uint64(Flag.STRONG)
    flags[:10] &= ~np.uint64(Flag.STRONG)
    assert len(load_spots(sweeps, table.with_columns(flags=flags))) == len(table) - 10
    nothing_said = table.with_columns(flags=np.zeros(len(table), np.uint64))
    assert len(load_spots(sweeps, nothing_said)) == len(table)


def test_images_are_numbered_as_in_their_names():
    sweep = make_sweep(10.0)
    late = replace(sweep, scan=replace(make_scan(20, 0.5), image_range=(101, 120)))
    table = simulate_spots(sweep, n=100)[0].table
    frame = table["xyzobs.px.value"][:, 2]
    first = late.scan.array_range[0]
    moved = table.with_columns(**{"xyzobs.px.value": table["xyzobs.px.value"] + [0.0, 0.0, first]})
    chosen = select_images(ExperimentList([late]), moved, (101, 105))
    assert len(chosen) == np.sum(frame < 5)
    with pytest.raises(XdpError, match="last image must not be before the first"):
        select_images(ExperimentList([late]), moved, (5, 1))
    with pytest.raises(XdpError, match="they are on images 101 to"):
        select_images(ExperimentList([late]), moved, (1, 20))


def make_stills(n: int) -> ExperimentList:
    """Stills on neighbouring frames of one image set."""
    images = ImageSet("ImageSequence", template="still_####.cbf")
    still = replace(make_sweep(), goniometer=None, imageset=images)
    return ExperimentList([replace(still, scan=replace(make_scan(1, 0.0), image_range=(k + 1, k + 1)))
                           for k in range(n)])


def test_stills_that_share_an_image_set_are_told_apart_by_their_ids():
    table = simulate_spots(make_sweep(), n=6)[0].table.select(np.arange(6))
    spots = table.with_columns(id=np.array([0, 1, 2, 0, 1, 2], np.int32), imageset_id=np.zeros(6, np.int32))
    assert find_sweep_of_spots(make_stills(3), spots).tolist() == [0, 1, 2, 0, 1, 2]
    # each with images of its own: `imageset_id` says which
    apart = ExperimentList([replace(e, imageset=ImageSet("ImageSequence", template=f"{k}_####.cbf"))
                            for k, e in enumerate(make_stills(3))])
    assert find_sweep_of_spots(apart, spots).tolist() == [0] * 6


def test_crystals_of_one_sweep_are_indexed_as_one_sweep_anew(caplog: pytest.LogCaptureFixture):
    state, _ = make_state(60)
    sweep = replace(state.sweeps[0], imageset=ImageSet("ImageSequence", template="a_####.cbf"))
    two = ExperimentList([replace(sweep, crystal=state.crystals[0]), replace(
        sweep, crystal=replace(state.crystals[0]))])
    table = state.spots.table.with_columns(id=np.where(np.arange(len(state.spots)) % 2, 1, -1).astype(np.int32),
                                           imageset_id=np.zeros(len(state.spots), np.int32))
    with caplog.at_level("INFO", logger="xdp"):
        sweeps, spots = join_sweeps(two, table)
    assert len(sweeps) == 1
    assert sweeps[0].crystal is None
    assert not spots["imageset_id"].any()
    assert "2 crystals of the input are not used: the spots are indexed anew" in caplog.text
