"""The files of image sets, as inputs that no output may replace, and their names in messages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from xdp.experiment import Experiment, ExperimentList, Goniometer, ImageSet, Scan
from xdp.experiment.image_files import (
    inputs_of_experiments,
    inputs_of_set,
    name_sweep,
    name_sweep_images,
    template_matches,
)


def test_a_template_stands_for_files_of_as_many_digits_or_more(tmp_path):
    for name in ("a_01.cbf", "a_02.cbf", "a_103.cbf", "a_4.cbf", "a_xx.cbf", "b_01.cbf"):
        (tmp_path / name).touch()
    found = template_matches(str(tmp_path / "a_##.cbf"))
    assert found == [str(tmp_path / name) for name in ("a_01.cbf", "a_02.cbf", "a_103.cbf")]


def test_brackets_of_a_folder_are_letters(tmp_path):
    folder = tmp_path / "run[1]*"
    folder.mkdir()
    (folder / "a_1.cbf").touch()
    assert template_matches(str(folder / "a_#.cbf")) == [str(folder / "a_1.cbf")]


def test_images_and_maps_are_named_with_what_they_are():
    source = {"images": ["a.cbf", "b.cbf", "a.cbf", 7], "mask": "mask.pickle", "gain": None, "dx": 3}
    found = [(i.path, i.role) for i in inputs_of_set(source, "the experiments")]
    assert found == [("a.cbf", "an image of the experiments"), ("b.cbf", "an image of the experiments"),
                     ("mask.pickle", "the mask of the experiments")]


def test_a_set_of_several_experiments_comes_once():
    images = ImageSet("ImageSet", images=("a.cbf",))
    found = list(inputs_of_experiments([Experiment(imageset=images), Experiment(imageset=images), Experiment()]))
    assert [i.path for i in found] == ["a.cbf"]


def make_sweep(name: str, first: int = 1) -> Experiment:
    return Experiment(name, imageset=ImageSet("ImageSequence", template=f"/data/{name}_####.cbf"),
                      goniometer=Goniometer((1.0, 0.0, 0.0)), scan=Scan((first, first + 9), (0.0, 0.1)))


def test_a_single_experiment_needs_no_name():
    assert name_sweep(ExperimentList([make_sweep("a")]), 0) is None


def test_sweeps_are_told_by_number_and_images():
    both = ExperimentList([make_sweep("a"), make_sweep("b", 21)])
    assert [name_sweep(both, i) for i in (0, 1)] == ["sweep 0 (a_####.cbf 1-10)", "sweep 1 (b_####.cbf 21-30)"]


def test_lattices_of_one_sweep_are_told_by_their_experiments():
    one = make_sweep("a")
    assert name_sweep(ExperimentList([one, replace(one, identifier="x")]), 1) == "experiment 1 (a_####.cbf 1-10)"


@pytest.mark.parametrize(("imageset", "text"), [
    (ImageSet("ImageSet", images=("/x/shots.h5",), single_file_indices=(7,)), "shots.h5 8"),
    (ImageSet("ImageSet", images=("/x/a.cbf",)), "a.cbf"), (None, "id"),
])
def test_stills_are_told_by_their_files(imageset, text):
    still = Experiment("id", imageset=imageset)
    assert name_sweep_images(still) == text
    assert name_sweep(ExperimentList([still, still]), 1) == f"experiment 1 ({text})"
