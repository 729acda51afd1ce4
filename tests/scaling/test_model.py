"""Which parts the scales of a sweep have, and what the design says of an observation."""

from __future__ import annotations

import numpy as np
from scaling_data import make_table

from xdp.scaling._kernels_normal import log_scales
from xdp.scaling.model import build_design, plan_model
from xdp.scaling.observations import gather_observations
from xdp.scaling.options import ScaleOptions


def count_parts(model):
    return {kind: sum(part.n for part in model.parts if part.kind == kind) for kind in model.kinds}


def test_long_sweeps_have_surfaces_and_short_ones_few_parameters():
    long, _, _ = make_table(n_frames=90, d_min=4.0)
    assert count_parts(plan_model(long, ScaleOptions())) == {
        "absorption1": 3, "absorption2": 5, "absorption3": 7, "absorption4": 9, "scale": 21, "decay": 12, "frames": 90}
    short, _, _ = make_table(n_frames=10, width=0.5, d_min=3.5)
    assert count_parts(plan_model(short, ScaleOptions())) == {"scale": 4, "decay": 1, "frames": 10}
    assert count_parts(plan_model(short, ScaleOptions(model="KB"))) == {"scale": 1, "decay": 1}
    assert count_parts(plan_model(short, ScaleOptions(
        physical={"decay_correction": False, "absorption_correction": True, "lmax": 1},
        frames={"correction": False}))) == {"absorption1": 3, "scale": 4}


def test_many_frames_share_effects():
    experiments, _, _ = make_table(n_frames=4000, width=0.001, d_min=5.0)
    assert count_parts(plan_model(experiments, ScaleOptions()))["frames"] == 1334  # three frames each


def test_a_scale_is_the_sum_of_its_parts():
    experiments, table, _ = make_table(n_frames=40, n_sweeps=2, d_min=4.0)
    options = ScaleOptions(physical={"absorption_correction": True, "lmax": 2})
    seen, _ = gather_observations(experiments, table, options)
    model = plan_model(experiments, options)
    design = build_design(model, experiments, table, seen)
    p, out = np.zeros(model.n_parameters), np.empty(len(seen))
    # B of the second sweep alone: exp(B / (2 d^2)), nothing in the first
    p[model.get_part("decay", 1).columns] = 10.0
    log_scales(design, p, out)
    np.testing.assert_allclose(out, np.where(seen.sweep == 1, 10.0 / (2.0 * seen.d**2), 0.0), rtol=1e-5)
    # a frame of the first sweep
    p[:] = 0.0
    p[model.get_part("frames", 0).first + 7] = 0.5
    log_scales(design, p, out)
    z = table["xyzcal.px"][seen.row, 2]
    assert np.array_equal(out != 0.0, (seen.sweep == 0) & (np.floor(z) == 7))


def test_gauges_do_not_change_what_is_compared():
    experiments, table, _ = make_table(n_frames=40, n_sweeps=2, d_min=4.0)
    seen, _ = gather_observations(experiments, table, ScaleOptions())
    model = plan_model(experiments, ScaleOptions())
    design = build_design(model, experiments, table, seen)
    for gauge in model.make_gauges():
        out = np.empty(len(seen))
        log_scales(design, gauge, out)
        # the same for all observations of a reflection
        assert max(np.ptp(out[a:b]) for a, b in zip(seen.start[:-1], seen.start[1:], strict=True)) < 1e-6
