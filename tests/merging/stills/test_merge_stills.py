"""Stills merged from end to end: truth, errors, bad lattices, Monte-Carlo, wishes that cannot be met."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from still_data import P4, P43212, draw_stills, make_known

import xdp
from xdp.errors import XdpError
from xdp.experiment.experiment import ExperimentList
from xdp.merging.average import average
from xdp.merging.stills.merge_stills import are_unscaled_stills, check_stills_options, merge_stills
from xdp.merging.stills.options import StillsOptions
from xdp.simulation.structures.structure import draw_intensities


def _compare_with_truth(run):
    means = average(run.seen)
    crystal = run.experiments[0].known.crystal
    true = draw_intensities(crystal, run.seen.unique.hkl, wilson_b=20.0, seed=1)
    level = np.sum(means.intensity * true / means.sigma**2) / np.sum(true**2 / means.sigma**2)
    pull = (means.intensity / level - true) / (means.sigma / level)
    return np.corrcoef(means.intensity, true)[0, 1], np.diff(np.percentile(pull, [25, 75]))[0] / 1.349


@pytest.fixture(scope="module")
def run():
    drawn = draw_stills(60)
    return merge_stills(drawn.experiments, make_known(drawn), StillsOptions(postrefine=False))


def test_merged_intensities_are_the_true_ones_within_their_errors(run):
    cc, width = _compare_with_truth(run)
    assert cc > 0.985
    # few hundred reflections: the width is known to 5 %
    assert 0.8 < width < 1.25
    assert not run.set_aside


def test_scales_are_the_true_ones(run):
    drawn = draw_stills(60)
    assert np.corrcoef(run.scales.log_scale, drawn.log_scale)[0, 1] > 0.97


def test_partialities_do_better_than_plain_means(run):
    drawn = draw_stills(60)
    plain = merge_stills(drawn.experiments, drawn.reflections, StillsOptions())
    assert plain.method == "monte_carlo"
    assert _compare_with_truth(plain)[0] < _compare_with_truth(run)[0] - 0.05
    assert len(plain.set_aside) < 6


def test_post_refinement_does_better_still(run):
    drawn = draw_stills(60)
    refined = merge_stills(drawn.experiments, make_known(drawn), StillsOptions(cycles=1))
    assert _compare_with_truth(refined)[0] > 0.985


def test_bad_lattices_are_found_and_named():
    drawn = draw_stills(100, P4)
    table, experiments = make_known(drawn), list(drawn.experiments)
    ids, hkl = table["id"], np.array(table["miller_index"])
    rng = np.random.default_rng(1)
    wrong, turned, odd = range(5), range(5, 10), range(10, 12)
    for k in wrong:  # indices of nothing
        rows = np.flatnonzero(ids == k)
        hkl[rows] = hkl[rng.permutation(len(hkl))[: len(rows)]]
    for k in turned:
        rows = np.flatnonzero(ids == k)
        hkl[rows] = hkl[rows][:, [1, 0, 2]] * [1, 1, -1]
    for k in odd:
        crystal = experiments[k].known.crystal
        experiments[k] = replace(experiments[k], crystal=replace(
            crystal, real_space_c=tuple(1.08 * v for v in crystal.real_space_c)))
    run = merge_stills(ExperimentList(experiments), table.with_columns(miller_index=hkl),
                       StillsOptions(postrefine=False))
    assert {*wrong, *odd} <= set(run.set_aside)
    assert len(run.set_aside) <= 8
    assert np.flatnonzero(run.indexing.choice[12:]).tolist() == []
    assert run.indexing.choice[5:10].all()
    assert "cell" in run.set_aside[10]
    clean = merge_stills(drawn.experiments, make_known(drawn), StillsOptions(postrefine=False))
    assert abs(_compare_with_truth(run)[0] - _compare_with_truth(clean)[0]) < 0.003


def test_wishes_that_cannot_be_met_are_refused():
    drawn = draw_stills(60)
    with pytest.raises(XdpError, match="no partialities"):
        merge_stills(drawn.experiments, drawn.reflections, StillsOptions(method="partiality"))
    with pytest.raises(XdpError, match="postrefine=True"):
        merge_stills(drawn.experiments, drawn.reflections, StillsOptions(postrefine=True))
    with pytest.raises(XdpError, match="min_partiality"):
        check_stills_options(StillsOptions(), 0.3)
    with pytest.raises(XdpError, match=r"stills\.scale=False"):
        check_stills_options(StillsOptions(scale=False, reference="a.mtz"), 0.4)


def test_stills_and_rotation_data_are_not_mixed():
    from xdp.simulation import make_integrated

    still, rotation = draw_stills(60), make_integrated()[0]
    assert are_unscaled_stills(still.experiments, still.reflections)
    with pytest.raises(XdpError, match="merge them apart"):
        are_unscaled_stills(ExperimentList([still.experiments[0], rotation[0]]), still.reflections)


def test_the_verb_merges_stills_and_groups(tmp_path):
    drawn = draw_stills(60, P43212)
    split = tmp_path / "split.txt"
    split.write_text("\n".join(f"shot-{k} {'on' if k % 2 else 'off'}" for k in range(60)))
    found = xdp.merge(drawn.experiments, make_known(drawn), stills={"postrefine": False, "split": str(split)},
                      output={"hkl": str(tmp_path / "m.hkl"), "mtz": str(tmp_path / "m.mtz")})
    assert sorted(found.groups) == ["off", "on"]
    n = sum(part.shells[-1].n_observations for part in found.groups.values())
    assert n == found.shells[-1].n_observations
    from xdp.merging.merge import write_merged

    options = xdp.MergeOptions(output={"hkl": str(tmp_path / "m.hkl"), "mtz": str(tmp_path / "m.mtz")})
    write_merged(options, found)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert {"m.hkl", "m.hkl1", "m.hkl2", "m_on.hkl", "m.mtz", "m_off.mtz"} <= set(names)
