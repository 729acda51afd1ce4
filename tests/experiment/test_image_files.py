"""The files of image sets, as inputs that no output may replace."""

from __future__ import annotations

from xdp.experiment import Experiment, ImageSet
from xdp.experiment.image_files import inputs_of_experiments, inputs_of_set, template_matches


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
