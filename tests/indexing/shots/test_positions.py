"""Where the spots of a lattice are expected on the panels that they were seen on."""

from __future__ import annotations

import numpy as np

from xdp.indexing.shots.positions import predict_on_panels
from xdp.prediction.reflections import predict_stills
from xdp.simulation.still_spots import make_still_spots


def test_positions_are_those_of_the_prediction_of_stills():
    experiment, _ = make_still_spots()
    table = predict_stills(experiment, 4.0)
    xy, delta_psi = predict_on_panels(experiment, experiment.crystal, table["miller_index"],
                                      table["panel"].astype(np.int64))
    np.testing.assert_allclose(xy, table["xyzcal.px"][:, :2], atol=1e-9)
    np.testing.assert_allclose(delta_psi, table["delpsical.rad"], atol=1e-12)
