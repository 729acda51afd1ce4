"""Mosaicity and domain size from the angles of spots off the Ewald sphere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from xdp.integration.stills.mosaicity import add_mosaicity, estimate_mosaicity
from xdp.simulation.models import make_crystal


def test_mosaicity_is_that_of_the_range_that_spots_fill():
    rng = np.random.default_rng(0)
    d = 1.0 / np.cbrt(rng.uniform(0.001, 0.125, 400))
    half, size = np.deg2rad(0.3), 1500.0
    delta_psi = rng.random(400) * (d / size + half / 2.0)
    delta_psi[:6] *= 4.0  # wrongly indexed
    found, own_size = estimate_mosaicity(delta_psi, d)
    # the two parts are hard to tell apart, their sum is known to about 1 / 400
    np.testing.assert_allclose(np.mean(d / own_size + found / 2.0), np.mean(d / size + half / 2.0), rtol=0.1)


def test_mosaicity_is_kept_or_left_unknown(shots):
    crystal = make_crystal()
    spots = shots.reference
    assert add_mosaicity(crystal, None) is crystal
    assert add_mosaicity(crystal, spots.select(slice(0, 5))) is crystal
    known = replace(crystal, extra={"ML_half_mosaicity_deg": 0.1, "ML_domain_size_ang": 1000.0})
    assert add_mosaicity(known, spots) is known
    assert set(add_mosaicity(crystal, spots).extra) == {"ML_half_mosaicity_deg", "ML_domain_size_ang"}
