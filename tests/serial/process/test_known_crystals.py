"""Crystals of an earlier run."""

import dataclasses

import numpy as np
import pytest

import xdp
from xdp.errors import OptionError
from xdp.experiment import ExperimentList, ImageSet
from xdp.serial.process.known_crystals import KnownCrystals, index_with_crystals, make_crystal_identifier
from xdp.simulation.models import make_crystal
from xdp.simulation.still_spots import make_still_spots


@pytest.fixture(scope="module")
def shot():
    return make_still_spots()


def test_by_image_and_by_identifier(shot, tmp_path):
    experiment, _ = shot
    images = ImageSet("ImageSet", images=(str(tmp_path / "run.h5"),), single_file_indices=(4,))
    named = [dataclasses.replace(experiment, identifier=make_crystal_identifier("run_00007", k)) for k in range(2)]
    xdp.write_experiments(tmp_path / "idx-0000_refined.expt", ExperimentList(
        [dataclasses.replace(experiment, imageset=images), *named]))
    for names in ([str(tmp_path)], [str(tmp_path / "*.expt")], [str(tmp_path / "idx-0000_refined.expt")]):
        known = KnownCrystals(names)
        assert len(known.find(dataclasses.replace(experiment, imageset=images), "other")) == 1
        assert len(known.find(experiment, "run_00007")) == 2
        assert known.find(experiment, "run_00008") == []
    with pytest.raises(OptionError, match=r"there are no \.expt files"):
        KnownCrystals([str(tmp_path / "nothing*.expt")])


def test_spots_are_indexed_by_a_known_crystal(shot):
    experiment, spots = shot
    found, table = index_with_crystals(dataclasses.replace(experiment, crystal=None), spots, [experiment.crystal])
    assert len(found) == 1
    assert len(table) > 0.9 * len(spots)
    offsets = table["xyzcal.px"][:, :2] - table["xyzobs.px.value"][:, :2]
    assert np.sqrt((offsets ** 2).sum(axis=1).mean()) < 1.0


def test_another_crystal_fits_few_spots(shot):
    experiment, spots = shot
    # points of a tiny cell lie far apart: hardly a spot is near one
    wrong = make_crystal((4.0, 4.1, 4.2, 90, 90, 90), " P 1", orientation=9)
    _, table = index_with_crystals(dataclasses.replace(experiment, crystal=None), spots, [wrong])
    assert len(table) < 0.5 * len(spots)
