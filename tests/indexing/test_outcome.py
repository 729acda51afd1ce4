"""Names of experiments, and predictions of indexed spots."""

from __future__ import annotations

import numpy as np
from indexing_data import make_state

from xdp.experiment.experiment import Experiment
from xdp.experiment.imageset import ImageSet
from xdp.indexing.options import Indexing
from xdp.indexing.outcome import add_predictions, make_identifier
from xdp.indexing.state import assign_spots, make_experiments
from xdp.simulation.models import make_crystal, make_scan


def test_names_are_those_of_earlier_versions():
    """Other names would part models from reflections of earlier runs; how models show themselves does not matter."""
    crystal = make_crystal(orientation=1)
    one = Experiment(imageset=ImageSet("ImageSequence", template="a_####.cbf"), scan=make_scan(3, 0.5), crystal=crystal)
    assert make_identifier(one, 0) == "fef662e5-d0c7-5397-a6ee-21694e42f133"
    assert make_identifier(Experiment(crystal=crystal), 2) == "82a75caa-7583-5c29-b226-5e4f7b4b9cb2"
    images = ImageSet("ImageSequence", "/data/a_####.cbf")
    other = Experiment(imageset=images, scan=make_scan(10, 0.5), crystal=crystal)
    assert make_identifier(other, 0) == "d8e29ce6-8348-5db8-bb4f-d26369db2ab3"
    assert make_identifier(other, 1) != make_identifier(other, 0)


def test_indexed_spots_are_predicted_where_they_were_observed():
    state, _ = make_state()
    experiments, table = make_experiments(assign_spots(state, Indexing(), None))
    predicted = add_predictions(experiments, table)
    indexed = predicted["id"] >= 0
    assert indexed.mean() > 0.9
    off = (predicted["xyzcal.px"] - predicted["xyzobs.px.value"])[indexed]
    # the simulated errors are 0.2 px and 0.1 frames; next to the spindle an angle is uncertain
    np.testing.assert_allclose(np.median(np.abs(off), axis=0), 0.675 * np.array([0.2, 0.2, 0.1]), rtol=0.3)
    assert not predicted["xyzcal.px"][~indexed].any()
    assert "delpsical.rad" not in predicted
