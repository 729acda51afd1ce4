"""Resolution limits of simulated tables against the crossing of the true correlation."""

from __future__ import annotations

import json

import gemmi
import numpy as np
import pytest
from scaling_data import make_scaled, make_table

import xdp
from xdp.cli.main import main
from xdp.errors import XdpError
from xdp.logs import stop_log
from xdp.merging.statistics import correlate
from xdp.merging.unique import find_unique


@pytest.fixture(scope="module")
def weak():
    """A table that fades out within its range, and its truth."""
    experiments, table, truth = make_table(n_frames=90, d_min=2.0, counts=60.0, wilson_b=60.0)
    scaled = xdp.scale(experiments, table)
    return scaled.experiments, scaled.reflections, truth


def test_limit_is_where_the_correlation_of_many_halves_crosses(weak):
    """Halves are chosen anew 40 times: their mean correlation has a twentieth of the error of one."""
    experiments, table, _ = weak
    found = xdp.estimate_resolution(experiments, table)
    unique = find_unique(experiments[0].crystal.space_group, table["miller_index"])
    good = table["intensity.scale.variance"] > 0
    I = np.where(good, table["intensity.scale.value"] / table["inverse_scale_factor"], np.nan)  # noqa: E741
    d = np.full(len(unique), np.nan)
    d[unique.group] = table["d"]
    rng = np.random.default_rng(1)
    edges = np.linspace(np.nanmin(d), 3.6, 15)
    shell = np.digitize(d, edges)
    cc = np.zeros((40, len(edges) - 1))
    for k in range(40):
        half = rng.integers(2, size=len(I))
        means = []
        for which in (0, 1):
            rows = good & (half == which)
            n = np.bincount(unique.group[rows], minlength=len(unique))
            with np.errstate(invalid="ignore", divide="ignore"):
                means.append(np.bincount(unique.group[rows], I[rows], len(unique)) / n)
        cc[k] = [correlate(means[0][shell == s], means[1][shell == s]) for s in range(1, len(edges))]
    mean, middle = cc.mean(axis=0), 0.5 * (edges[1:] + edges[:-1])
    crossing = np.interp(0.3, mean, middle)
    # equal weights here, weights of the error model there; the mean's own error is 0.03 of CC, 0.05 Å
    assert found.d_min == pytest.approx(crossing, abs=0.12)
    assert not found.curves["cc_half"].is_beyond


def test_strong_data_end_before_they_fade():
    found = xdp.estimate_resolution(*make_scaled())
    assert found.curves["cc_half"].is_beyond
    assert "the data end before" in found.report.text()
    assert set(found.along) <= {"a*", "b*", "c*"}


def test_other_measures(weak):
    experiments, table, _ = weak
    found = xdp.estimate_resolution(experiments, table, misigma=2.0, isigma=1.0, i_mean_over_sigma_mean=2.0, rmerge=0.8,
                                    completeness=0.1, nbins=20)
    assert set(found.curves) == {"cc_half", "misigma", "isigma", "i_mean_over_sigma_mean", "rmerge", "completeness"}
    assert found.d_min == max(c.limit for c in found.curves.values())
    finer = xdp.estimate_resolution(experiments, table, misigma=1.0, cc_half=None, nbins=20)
    assert finer.curves["misigma"].limit < found.curves["misigma"].limit
    by_variances = xdp.estimate_resolution(experiments, table, cc_half_method="sigma_tau")
    assert by_variances.d_min == pytest.approx(xdp.estimate_resolution(experiments, table).d_min, abs=0.15)


def test_a_reference_tells_the_correlation_with_the_truth(weak, tmp_path):
    experiments, table, truth = weak
    unique = find_unique(experiments[0].crystal.space_group, table["miller_index"])
    J = np.zeros(len(unique))
    J[unique.group] = truth.intensity
    mtz = gemmi.Mtz(with_base=True)
    mtz.spacegroup, mtz.cell = experiments[0].crystal.space_group, gemmi.UnitCell(*experiments[0].crystal.unit_cell)
    mtz.add_dataset("truth")
    mtz.add_column("IMEAN", "J")
    mtz.set_data(np.column_stack([unique.hkl, J]).astype(np.float32))
    mtz.write_to_file(str(tmp_path / "truth.mtz"))
    found = xdp.estimate_resolution(experiments, table, reference=tmp_path / "truth.mtz", cc_ref=0.48, nbins=20)
    # CC* of a CC1/2 of 0.3 is 0.68, which is the correlation with the truth: 0.48 is beyond
    assert found.curves["cc_ref"].limit <= found.curves["cc_half"].limit + 0.1
    (tmp_path / "bad.mtz").write_text("no file of this kind")
    with pytest.raises(XdpError, match="cannot be read"):
        xdp.estimate_resolution(experiments, table, reference=tmp_path / "bad.mtz")


def test_command_prints_and_writes(weak, tmp_path, monkeypatch, capsys):
    experiments, table, _ = weak
    monkeypatch.chdir(tmp_path)
    xdp.write_experiments("scaled.expt", experiments)
    xdp.write_reflections("scaled.refl", table)
    assert main(["estimate_resolution", "scaled.expt", "scaled.refl", "output.json=limits.json", "nbins=20"]) == 0
    stop_log()
    facts = json.loads((tmp_path / "limits.json").read_text())["facts"]
    assert f"Resolution limit: d_min={facts['d_min']:.2f}" in capsys.readouterr().out


def test_tables_that_are_not_scaled_are_refused():
    experiments, table, _ = make_table(n_frames=20, d_min=4.0)
    with pytest.raises(XdpError, match="not scaled"):
        xdp.estimate_resolution(experiments, table)


def test_too_few_reflections_give_no_limit():
    experiments, table = make_scaled()
    found = xdp.estimate_resolution(experiments, table.select(np.arange(30)))
    assert np.isnan(found.d_min)
    assert found.report.facts["d_min"] is None
