"""Scales relative to known merged intensities: what comes out is on their scale, and wrong references are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scaling_data import make_table

from xdp.errors import XdpError
from xdp.exporting.mtz import median_cell
from xdp.scaling.model import build_design, plan_model
from xdp.scaling.observations import gather_observations
from xdp.scaling.options import ScaleOptions
from xdp.scaling.reference import append_reference, remove_reference
from xdp.scaling.solve import fit_scales
from xdp.symmetry.reference import MergedReference

FACTORS = {"n_frames": 60, "d_min": 3.0, "counts": 400.0, "jitter": 0.02, "decay": 4.0, "instrument": 0.02}
SCALE, B = 0.01, 10.0  # of the reference


@pytest.fixture(scope="module")
def problem():
    """Observations, and a reference: the true intensities of I(+) with 3 % of error, on a scale and B of its own."""
    experiments, table, truth = make_table(**FACTORS)
    seen, _ = gather_observations(experiments, table, ScaleOptions())
    first = seen.start[:-1]
    d = seen.d[first]
    true = SCALE * np.exp(-B / (2.0 * d**2)) * truth.intensity[seen.row[first]]
    sigma = 0.03 * true + 1e-3 * true.mean()
    noisy = true + sigma * np.random.default_rng(2).normal(size=len(true))
    crystal = experiments[0].known.crystal
    reference = MergedReference(seen.unique.hkl.astype(np.int64), noisy, sigma, median_cell(experiments),
                                crystal.space_group)
    return experiments, table, truth, seen, reference


def fit(problem):
    experiments, table, _, seen, reference = problem
    joined, factor = append_reference(seen, reference, experiments)
    options = ScaleOptions()
    model = plan_model(experiments, options)
    design = build_design(model, experiments, table, joined)
    return joined, remove_reference(joined, fit_scales(joined, model, design, options), design, factor)


def test_scales_are_those_that_lead_to_the_reference(problem):
    _, _, truth, seen, _ = problem
    joined, (kept, found, design) = fit(problem)
    assert len(joined) > len(kept) == len(seen) == len(design.place) == len(found.scale)
    # the order of the data is what it was
    assert np.array_equal(kept.row, seen.row)
    assert np.array_equal(kept.start_apart, seen.start_apart)
    true = np.log(truth.scale[seen.row] / SCALE) + B / (2.0 * seen.d**2)
    error = np.log(found.scale) - true
    # absolute, with no factor and no B taken out: thousands of reflections of 5 %
    assert abs(error.mean()) < 0.01
    fine, coarse = error[seen.d < 3.3].mean(), error[seen.d > 5.0].mean()
    assert abs(fine - coarse) < 0.02
    assert error.std() < 0.03


def test_references_of_something_else_are_refused(problem):
    experiments, _, _, seen, reference = problem
    other = (1.1 * reference.cell[0], *reference.cell[1:])
    with pytest.raises(XdpError, match="of another crystal"):
        append_reference(seen, replace(reference, cell=other), experiments)
    import gemmi

    with pytest.raises(XdpError, match="another point group"):
        append_reference(seen, replace(reference, group=gemmi.SpaceGroup("P 1")), experiments)
    mixed = np.random.default_rng(1).permutation(reference.intensity)
    with pytest.raises(XdpError, match="correlation"):
        append_reference(seen, replace(reference, intensity=mixed), experiments)
    few = replace(reference, hkl=reference.hkl[:9], intensity=reference.intensity[:9], sigma=reference.sigma[:9])
    with pytest.raises(XdpError, match="9 reflections in common"):
        append_reference(seen, few, experiments)
