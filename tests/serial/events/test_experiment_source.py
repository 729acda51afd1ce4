"""Shots of .expt files."""

import dataclasses
import pickle

import numpy as np
from shot_data import draw_shots, write_shots

import xdp
from xdp.experiment import ExperimentList, ImageSet
from xdp.serial.events import open_events


def test_images_of_imported_stills_are_shots_with_their_models(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images, model = draw_shots(((), (1,)))
    write_shots(tmp_path, images, model)
    imported = xdp.import_images("run.npy", reference_geometry="geometry.expt").experiments
    xdp.write_experiments("imported.expt", imported)
    events = pickle.loads(pickle.dumps(open_events("imported.expt")))
    assert len(events) == 2
    for number, shot in enumerate(events):
        assert shot.failure is None
        np.testing.assert_array_equal(shot.image[0], images[number])
        assert shot.id.endswith(f"run.npy //{number}")
        assert shot.experiment.detector == imported[0].detector
        assert shot.experiment.imageset.single_file_indices == (number,)
        assert shot.experiment.crystal is None
        assert round(shot.distance, 3) == 70.0


def test_several_crystals_of_an_image_are_one_shot(tmp_path):
    images, model = draw_shots(((1,),))
    write_shots(tmp_path, images, model)
    imageset = ImageSet("ImageSet", images=(str(tmp_path / "run.npy"),), single_file_indices=(0,))
    crystals = [dataclasses.replace(model, identifier=str(k), imageset=imageset) for k in range(2)]
    xdp.write_experiments(tmp_path / "indexed.expt", ExperimentList(crystals))
    assert len(open_events(str(tmp_path / "indexed.expt"))) == 1
    assert open_events(str(tmp_path / "indexed.expt"), distance=75.0)[0].distance == 75.0
