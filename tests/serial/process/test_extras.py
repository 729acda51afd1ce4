"""What is done with shots besides."""

import numpy as np
import pytest
from hit_data import make_models

from xdp.errors import XdpError
from xdp.images.masks.options import MaskOptions
from xdp.images.masks.pickles import write_mask_pickle
from xdp.serial.events.shot import Shot
from xdp.serial.process.extras import ShotExtras, reindex_spots
from xdp.simulation.still_spots import make_still_spots


@pytest.fixture
def shot():
    image = np.full((160, 160), 7, np.int32)
    return Shot(3, "run.h5 //3", [image], experiment=make_models(), time=1_468_015_524 * 10**9)


def test_names(shot):
    assert ShotExtras().name_shot(shot, "run_00003") == "run_00003"
    assert ShotExtras(by_time=True).name_shot(shot, "run_00003") == "20160708220524000"
    assert ShotExtras().is_wanted(shot)
    assert ShotExtras(timestamps=frozenset({shot.timestamp})).is_wanted(shot)
    assert not ShotExtras(timestamps=frozenset({"2016-07-08T22:05Z24.133"})).is_wanted(shot)


def test_images_are_written_where_they_are_wanted(shot, tmp_path):
    extras = ShotExtras(dumps=frozenset({"hit"}), folder=str(tmp_path))
    for kind in ("shot", "hit", "idx"):
        extras.dump(kind, shot, "a")
    assert [path.name for path in tmp_path.iterdir()] == ["hit-a.cbf"]


def test_masks(shot, tmp_path):
    assert ShotExtras().mask_shot(shot) is shot
    masked = ShotExtras(border_mask=MaskOptions(border=5)).mask_shot(shot)
    assert masked.valid[0].sum() == 150 * 150
    bad = np.ones((160, 160), bool)
    bad[80] = False
    write_mask_pickle(tmp_path / "m.pickle", [bad])
    assert ShotExtras(mask=str(tmp_path / "m.pickle")).mask_shot(shot).valid[0].sum() == 159 * 160


def test_rings(shot):
    shot.image[0][80:] = 9
    found = ShotExtras(rings=(3.0, 60.0)).measure_rings(shot)
    assert 7.0 < found["two_theta_low"] < 9.0
    assert np.isnan(found["two_theta_high"])
    assert ShotExtras().measure_rings(shot) == {}


def test_spots_are_indexed_again():
    experiment, spots = make_still_spots()
    table = reindex_spots([experiment], spots)
    assert len(table) > 0.9 * len(spots)
    assert set(table["id"].tolist()) == {0}
    with pytest.raises(XdpError, match="no lattice"):
        reindex_spots([], spots)
