"""Data that are not what they should be: each is refused or warned of, in a line."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
from scaling_data import make_table

import xdp
from xdp.errors import XdpError
from xdp.experiment import ExperimentList
from xdp.scaling.checks import warn_of_cells

VALUE = "intensity.sum.value"


@pytest.fixture(scope="module")
def one():
    experiments, table, _ = make_table(n_frames=20, d_min=4.0)
    return experiments, table


@pytest.fixture(scope="module")
def two():
    experiments, table, _ = make_table(n_frames=20, n_sweeps=2, d_min=4.0)
    return experiments, table


def scale_and_merge(experiments, table, **named):
    scaled = xdp.scale(experiments, table, **named)
    return scaled, xdp.merge(scaled.experiments, scaled.reflections)


def with_crystal(experiments, **named):
    """The last experiment with another crystal."""
    last = experiments[-1]
    return ExperimentList([*experiments[:-1], replace(last, crystal=replace(last.crystal, **named))])


def unlike(table):
    """Reflections of which no two are equivalent."""
    _, first = np.unique(np.sort(np.abs(table["miller_index"]), axis=1), axis=0, return_index=True)
    return table.select(first)


@pytest.mark.parametrize(("spoil", "message"), [
    (lambda e, t: (e, t.select([0])), "no two reflections are equivalent"),
    (lambda e, t: (e, unlike(t)), "no two reflections are equivalent"),
    (lambda e, t: (e, t.select([])), "no rows"),
    (lambda e, t: (e, t.with_columns(**{VALUE: np.full(len(t), np.nan)})), "can be scaled"),
    (lambda e, t: (e, t.with_columns(id=np.full(len(t), 3))), "the files do not belong together"),
    (lambda e, t: (ExperimentList([replace(e[0], crystal=None)]), t), "has no crystal"),
    (lambda e, t: (ExperimentList([replace(e[0], scan=None, goniometer=None)]), t), "is a still"),
])
def test_what_cannot_be_scaled_is_refused(one, spoil, message):
    with pytest.raises(XdpError, match=message) as caught:
        scale_and_merge(*spoil(*one))
    assert "\n" not in str(caught.value)


def test_mixtures_are_refused(two):
    experiments, table = two
    with pytest.raises(XdpError, match="several space groups"):
        scale_and_merge(with_crystal(experiments, space_group_hall_symbol=" P 4"), table)
    still = ExperimentList([experiments[0], replace(experiments[1], scan=None, goniometer=None)])
    with pytest.raises(XdpError, match="experiment 1 is a still"):
        scale_and_merge(still, table)
    waves = ExperimentList([experiments[0], replace(experiments[1], beam=replace(experiments[1].beam, wavelength=1.1))])
    with pytest.raises(XdpError, match="2 wavelengths"):
        scale_and_merge(waves, table)


@pytest.mark.parametrize("name", ["lp", "qe", "partiality", "s1"])
def test_columns_that_files_may_lack_are_not_needed(one, name):
    experiments, table = one
    table = table.copy()
    del table[name]
    scaled, merged = scale_and_merge(experiments, table)
    assert np.isfinite(merged.columns["IMEAN"]).all()
    assert 0.9 < scaled.fit.error_model.a[0] < 1.1


def test_rows_without_numbers_and_a_dark_frame_do_no_harm(one):
    experiments, table = one
    value = table[VALUE].copy()
    value[::7] = np.nan
    scaled, _ = scale_and_merge(experiments, table.with_columns(**{VALUE: value}))
    assert scaled.fit.use.sum() > 0.8 * len(table)
    dark = np.floor(table["xyzcal.px"][:, 2]) == 5
    _, merged = scale_and_merge(experiments, table.with_columns(**{VALUE: np.where(dark, 0.0, table[VALUE])}))
    assert np.isfinite(merged.columns["F"]).all()


def test_cells_that_do_not_belong_together_are_named(two, caplog):
    experiments, _ = two
    longer = tuple(1.3 * np.array(experiments[1].crystal.real_space_a))
    caplog.set_level(logging.WARNING)
    assert warn_of_cells(experiments) == ()
    three = ExperimentList([experiments[0], *with_crystal(experiments, real_space_a=longer)])
    assert warn_of_cells(three) == (2,)
    assert "not the 79.3, 79.3, 37.8" in caplog.text


def test_a_wrong_space_group_and_no_diffraction_are_said(one, caplog):
    experiments, table = one
    caplog.set_level(logging.WARNING)
    scale_and_merge(with_crystal(experiments, space_group_hall_symbol=" I 4 2 3"), table)
    assert "is likely to be wrong (see xdp symmetry)" in caplog.text
    caplog.clear()
    scale_and_merge(experiments, table.with_columns(**{VALUE: -np.abs(table[VALUE]) - 1.0}))
    assert "there is no diffraction in these data" in caplog.text


def test_files_of_older_programs_lack_the_errors_of_scales(one):
    scaled = xdp.scale(*one)
    table = scaled.reflections.copy()
    for name in ("inverse_scale_factor_variance", "scale.relative_variance"):
        del table[name]
    assert len(xdp.merge(scaled.experiments, table).hkl)
    with pytest.raises(XdpError, match="left to merge"):
        xdp.merge(scaled.experiments, table.with_columns(inverse_scale_factor=np.zeros(len(table))))
