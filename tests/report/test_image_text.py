from __future__ import annotations

import numpy as np
import pytest

from xdp.experiment import ExperimentList, ImageSet
from xdp.experiment.experiment import Experiment
from xdp.report.image_text import describe_images, summarise_values


def test_five_numbers():
    assert summarise_values(np.array([5, 1, 2, 4, 3])) == (1.0, 2.0, 3.0, 4.0, 5.0)


@pytest.mark.shared
def test_an_image_of_rot_dev(shared_data):
    image = str(shared_data / "rot_dev/cbf/rot_dev_0060.cbf.gz")
    lines = list(describe_images(ExperimentList([Experiment(imageset=ImageSet("ImageSet", images=(image,)))])))
    # as dials.show image_statistics.show_raw=True prints it
    assert lines[1] == "rot_dev_0060.cbf.gz: Min: -2.0 Q1: 1.0 Med: 3.0 Q3: 4.0 Max: 149602.0"
