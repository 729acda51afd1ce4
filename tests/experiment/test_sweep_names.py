"""What sweeps and stills are called in messages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from xdp.experiment import Experiment, ExperimentList, Goniometer, ImageSet, Scan
from xdp.experiment.sweep_names import name_images, name_sweep


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
    assert name_images(still) == text
    assert name_sweep(ExperimentList([still, still]), 1) == f"experiment 1 ({text})"
