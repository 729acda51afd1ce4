"""What indexing hands on: names of experiments."""

from __future__ import annotations

import dataclasses

from xdp.experiment import Experiment, ImageSet
from xdp.indexing.outcome import identifier_of
from xdp.simulation import make_crystal, make_scan


def test_names_of_experiments_stay_from_version_to_version():
    """A name is a digest of images, scan and axes; another one would part models from reflections of earlier runs."""
    images = ImageSet("ImageSequence", "/data/a_####.cbf")
    experiment = Experiment(imageset=images, scan=make_scan(10, 0.5), crystal=make_crystal(orientation=1))
    assert identifier_of(experiment, 0) == "d8e29ce6-8348-5db8-bb4f-d26369db2ab3"
    assert identifier_of(experiment, 1) != identifier_of(experiment, 0)
    other = dataclasses.replace(experiment, imageset=ImageSet("ImageSequence", "/data/b_####.cbf"))
    assert identifier_of(other, 0) != identifier_of(experiment, 0)
