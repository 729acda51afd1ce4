from __future__ import annotations

import numpy as np
from partiality_data import ETA, SIZE, simulate_domain_shot

from xdp.integration.partiality.model import PartialityModel
from xdp.integration.stills.predict_partial import predict_partial
from xdp.prediction.options import PredictionOptions


def test_all_that_domains_record_is_predicted_in_its_place():
    shot = simulate_domain_shot(2)
    model = PartialityModel(SIZE, np.deg2rad(ETA))
    table = predict_partial(shot.experiment, model, PredictionOptions(d_min=2.2))
    index = {tuple(h): i for i, h in enumerate(table["miller_index"].tolist())}
    seen = shot.truth.select(shot.truth["partiality"] > 0.02)
    rows = [index.get(tuple(h)) for h in seen["miller_index"].tolist()]
    assert None not in rows
    # domains that are drawn have means of their own: a twentieth of a pixel
    assert np.abs(table["xyzcal.px"][rows, :2] - seen["xyzcal.px"][:, :2]).max() < 0.05
    np.testing.assert_allclose(np.sign(table["delpsical.rad"][rows]), np.sign(seen["delpsical.rad"]))
    fewer = predict_partial(shot.experiment, model, PredictionOptions(d_min=2.2), n_sigma=1.0)
    assert 0 < len(fewer) < 0.5 * len(table)
