"""xdp.scale: columns, flags, models, errors of means, and bad input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scaling_data import make_table

import xdp
from xdp.errors import XdpError
from xdp.experiment.experiment import ExperimentList
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable
from xdp.scaling.scale import MERGED_ERROR

FACTORS = {"n_frames": 90, "d_min": 2.8, "counts": 400.0, "jitter": 0.02, "volume": 0.1, "instrument": 0.02}


@pytest.fixture(scope="module")
def scaled():
    experiments, table, truth = make_table(**FACTORS)
    return xdp.scale(experiments, table, {"cut_data.d_min": 3.0}), table, truth


def test_rows_stay_where_they_are_and_flags_say_what_became_of_them(scaled):
    found, table, _ = scaled
    result = found.reflections
    assert np.array_equal(result["miller_index"], table["miller_index"])
    fine = table["d"] < 3.0
    assert np.array_equal(result.flags(Flag.USER_EXCLUDED_IN_SCALING), fine)
    assert np.array_equal(result.flags(Flag.SCALED), ~fine & ~result.flags(Flag.OUTLIER_IN_SCALING))
    assert np.all(result["intensity.scale.variance"][result.flags(Flag.SCALED)] > 0.0)
    # corrected for lp, not for the scale
    assert np.allclose(result["intensity.scale.value"][~fine], 0.5 * table["intensity.sum.value"][~fine])


def merge(found, truth):
    """Means of mates, their variances with those of scales, true intensities, and d."""
    result, seen = found.reflections, found.seen
    g, v = result["inverse_scale_factor"][seen.row], result["intensity.scale.variance"][seen.row]
    w = np.where(found.fit.use, g * g / v, 0.0)
    first = seen.start_apart[:-1]
    total = np.add.reduceat(w, first)
    mean = np.add.reduceat(w * result["intensity.scale.value"][seen.row] / g, first) / np.maximum(total, 1e-300)
    variance = 1.0 / np.maximum(total, 1e-300) + result[MERGED_ERROR][seen.row[first]] * mean**2
    kept = total > 0.0
    return mean[kept], variance[kept], truth.intensity[seen.row[first]][kept], seen.d[first][kept]


def test_merged_intensities_have_honest_sigmas(scaled):
    found, _, truth = scaled
    mean, variance, true, d = merge(found, truth)
    # scale and B of the whole set are free
    for shell in np.array_split(np.argsort(d), 5):
        true[shell] *= np.sum(mean[shell] * true[shell]) / np.sum(true[shell] ** 2)
    pull = (mean - true) / np.sqrt(variance)
    width = np.subtract(*np.quantile(pull, [0.75, 0.25])) / 1.349
    # some 3,000 reflections: 2 % of scatter
    assert width == pytest.approx(1.0, abs=0.08)


def test_scales_have_errors_of_the_size_that_frames_allow(scaled):
    found, _, _ = scaled
    relative = np.sqrt(found.reflections["inverse_scale_factor_variance"]) / found.reflections["inverse_scale_factor"]
    assert 0.0005 < np.median(relative[found.reflections.flags(Flag.SCALED)]) < 0.02


def test_models_are_written_as_dials_has_them(scaled):
    found, _, _ = scaled
    model, errors = found.experiments[0].scaling_model, found.fit.error_model
    assert model["__id__"] == "physical"
    assert model["scale"]["n_parameters"] == len(model["scale"]["parameters"]) == 9
    assert model["configuration_parameters"]["error_model_parameters"] == [float(errors.a[0]), float(errors.b[0])]
    assert found.report.facts["outliers"] == int(np.count_nonzero(~found.fit.use))


def test_the_order_of_rows_does_not_matter(scaled):
    found, table, _ = scaled
    order = np.random.default_rng(1).permutation(len(table))
    again = xdp.scale(make_table(**FACTORS)[0], table.select(order), {"cut_data.d_min": 3.0})
    for name in ("inverse_scale_factor", "intensity.scale.variance", "flags"):
        assert np.array_equal(again.reflections[name], found.reflections[name][order])


def test_absorption_is_found_with_the_degree_that_it_needs():
    experiments, table, truth = make_table(n_frames=180, width=2.0, d_min=3.5, counts=2000.0, attenuation=1.0)
    found = xdp.scale(experiments, table)
    assert found.fit.model.lmax > 4
    true = np.log(truth.scale[found.seen.row])
    error = np.log(found.fit.scale) - true
    # of some 15 % of absorption 2 % are left
    assert true.std() > 0.1
    assert error.std() < 0.15 * true.std()


def test_stills_and_tables_without_intensities_are_refused():
    experiments, table, _ = make_table(**FACTORS)
    still = ExperimentList([replace(experiments[0], scan=None, goniometer=None)])
    with pytest.raises(XdpError, match="is a still"):
        xdp.scale(still, table)
    bare = ReflectionTable({k: v for k, v in table.items() if not k.startswith("intensity")})
    with pytest.raises(XdpError, match="no intensities"):
        xdp.scale(experiments, bare)
