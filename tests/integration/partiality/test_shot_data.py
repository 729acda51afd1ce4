from __future__ import annotations

import numpy as np
from partiality_data import make_spots, simulate_domain_shot

from xdp.integration.partiality.shot_data import (
    choose_usable_rows,
    compute_corrections,
    gather_intensities,
    gather_positions,
)
from xdp.reflections.flags import Flag


def test_intensities_are_corrected_and_positions_are_rays():
    shot = simulate_domain_shot(1)
    spots = make_spots(shot)
    n = len(spots)
    spots["flags"] = np.full(n, int(Flag.INTEGRATED_SUM), np.uint64)
    spots["flags"][0] |= np.uint64(Flag.FOREGROUND_INCLUDES_BAD_PIXELS)
    spots = spots.with_columns(lp=np.full(n, 1.5), qe=np.full(n, 0.75))
    np.testing.assert_array_equal(compute_corrections(spots), 2.0)
    usable = choose_usable_rows(shot.experiment, spots)
    assert not usable[0]
    absent = shot.experiment.crystal.space_group.operations().systematic_absences(
        np.ascontiguousarray(spots["miller_index"], np.int32))
    assert not np.any(usable & np.asarray(absent, bool))
    found = gather_intensities(shot.experiment, spots)
    np.testing.assert_allclose(found.value, 2.0 * spots["intensity.sum.value"])
    np.testing.assert_allclose(found.variance, 4.0 * spots["intensity.sum.variance"])
    positions = gather_positions(shot.experiment, spots)
    assert len(positions.hkl) > 20
    strong = spots["intensity.sum.value"] > 5.0 * np.sqrt(spots["intensity.sum.variance"])
    rays = spots["s1"][strong] / np.linalg.norm(spots["s1"][strong], axis=1, keepdims=True)
    # the parallax of the sensor makes some micrometres at 70 mm
    np.testing.assert_allclose(positions.rays, rays, atol=1e-4)
