from __future__ import annotations

import numpy as np
import pytest

from xdp.experiment import ExperimentList, ImageSet, Scan
from xdp.experiment.experiment import Experiment
from xdp.report.image_text import describe_images, summarise_values


def test_five_numbers():
    assert summarise_values(np.array([5, 1, 2, 4, 3])) == (1.0, 2.0, 3.0, 4.0, 5.0)


def test_frames_of_one_file_have_their_numbers(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(24, dtype=np.uint16).reshape(2, 3, 4))
    images = ImageSet("ImageSequence", template=str(tmp_path / "a.npy"))
    lines = list(describe_images(ExperimentList([Experiment(imageset=images, scan=Scan((1, 2), (0.0, 1.0)))])))
    assert lines[1:] == ["a.npy #1: Min: 0.0 Q1: 2.8 Med: 5.5 Q3: 8.2 Max: 11.0",
                         "a.npy #2: Min: 12.0 Q1: 14.8 Med: 17.5 Q3: 20.2 Max: 23.0"]


@pytest.mark.shared
def test_an_image_of_rot_dev(shared_data):
    image = str(shared_data / "rot_dev/cbf/rot_dev_0060.cbf.gz")
    lines = list(describe_images(ExperimentList([Experiment(imageset=ImageSet("ImageSet", images=(image,)))])))
    # as dials.show image_statistics.show_raw=True prints it
    assert lines[1] == "rot_dev_0060.cbf.gz: Min: -2.0 Q1: 1.0 Med: 3.0 Q3: 4.0 Max: 149602.0"
