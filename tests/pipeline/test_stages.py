"""What the keys of stages are made of."""

from __future__ import annotations

import dataclasses

import pytest

from xdp.experiment import ExperimentList, ImageSet
from xdp.experiment.imageset import SEQUENCE
from xdp.options import parse
from xdp.pipeline.options import ProcessOptions
from xdp.pipeline.stages import STAGES, list_content
from xdp.simulation import make_beam, make_crystal, make_detector, make_goniometer, make_scan, simulate_rotation


@pytest.mark.parametrize("name", ["mask", "gain", "pedestal"])
def test_a_changed_file_of_the_image_set_changes_the_images(name, tmp_path):
    file = tmp_path / "lookup.pickle"
    file.write_bytes(b"one")
    models = make_crystal(orientation=1), make_beam(), make_detector((20, 20)), make_goniometer(), make_scan(1, 0.5)
    images = ImageSet(SEQUENCE, template=str(tmp_path / "frames.npy"), **{name: str(file)})
    experiment = dataclasses.replace(simulate_rotation(*models, seed=1).experiments[0], imageset=images)
    before = list_content(ExperimentList([experiment]))
    assert list_content(ExperimentList([experiment])) == before
    file.write_bytes(b"another")
    assert list_content(ExperimentList([experiment])) != before


@pytest.mark.parametrize(("stage", "path"), [
    ("find_spots", "find_spots.spotfinder.lookup.mask"), ("integrate", "integrate.integration.lookup.mask"),
    ("integrate", "integrate.integration.background.gmodel.model")])
def test_a_changed_file_that_a_stage_reads_changes_its_parameters(stage, path, tmp_path):
    file = tmp_path / "lookup.pickle"
    file.write_bytes(b"one")
    options = parse(ProcessOptions, [f"{path}={file}"])[0]
    parameters = next(s for s in STAGES if s.name == stage).parameters
    before = parameters(options)
    assert parameters(options) == before
    file.write_bytes(b"another")
    assert parameters(options) != before
