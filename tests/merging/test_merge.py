"""xdp.merge and its MTZ file: columns, true intensities, absent reflections, bad input."""

from __future__ import annotations

from dataclasses import replace

import gemmi
import numpy as np
import pytest
from scaling_data import make_scaled, make_table

import xdp
from xdp.errors import XdpError
from xdp.experiment.experiment import ExperimentList
from xdp.merging.merge import write_merged
from xdp.merging.unique import find_unique


@pytest.fixture(scope="module")
def merged():
    return xdp.merge(*make_scaled())


def test_merged_intensities_are_the_true_ones(merged):
    experiments, table, truth = make_table(n_frames=90, d_min=3.0, counts=400.0, jitter=0.02)
    unique = find_unique(experiments[0].crystal.space_group, table["miller_index"])
    true = dict(zip(map(tuple, unique.hkl[unique.group].tolist()), truth.intensity, strict=True))
    J = np.array([true[tuple(h)] for h in merged.hkl.tolist()])
    assert np.corrcoef(J, merged.columns["IMEAN"])[0, 1] > 0.99


def test_the_file_holds_what_was_merged(merged, tmp_path):
    path = tmp_path / "merged.mtz"
    options = xdp.MergeOptions(mtz={"crystal_name": "lyso"}, output={"mtz": str(path)})
    assert write_merged(options, merged) == (str(path),)
    mtz = gemmi.read_mtz_file(str(path))
    assert [c.label for c in mtz.columns] == ["H", "K", "L", *merged.columns]
    assert "".join(c.type for c in mtz.columns) == "HHHIJQIKMKMIIFQGLGLDQ"
    assert mtz.spacegroup.hm == "P 43 21 2"
    assert mtz.datasets[1].crystal_name == "lyso"
    assert mtz.datasets[1].wavelength == pytest.approx(merged.wavelength)
    np.testing.assert_allclose(mtz.column_with_label("IMEAN").array, merged.columns["IMEAN"], rtol=1e-6)
    np.testing.assert_allclose(mtz.column_with_label("F(-)").array, merged.columns["F(-)"], rtol=1e-6, equal_nan=True)
    # all lie in the asymmetric unit, each once
    unit = gemmi.ReciprocalAsu(mtz.spacegroup)
    assert all(unit.is_in(h) for h in mtz.make_miller_array().tolist())
    assert len(np.unique(merged.hkl, axis=0)) == len(merged.hkl)


def test_mates_are_apart_and_centric_reflections_have_one_intensity(merged):
    columns = merged.columns
    centric = merged.space_group.operations().centric_flag_array(np.ascontiguousarray(merged.hkl, np.int32))
    assert np.array_equal(columns["I(+)"][centric], columns["I(-)"][centric], equal_nan=True)
    assert np.all(np.isnan(columns["DANO"][centric]))
    both = np.isfinite(columns["DANO"])
    np.testing.assert_allclose(columns["DANO"][both], (columns["F(+)"] - columns["F(-)"])[both])
    assert np.all(columns["N"][~centric] == (columns["N(+)"] + columns["N(-)"])[~centric])


def test_extinguished_reflections_are_left_out(merged):
    operations = merged.space_group.operations()
    assert not operations.systematic_absences(np.ascontiguousarray(merged.hkl, np.int32)).any()
    assert len(merged.hkl) == merged.shells[-1].n_unique


def test_columns_can_be_left_out():
    experiments, table = make_scaled()
    found = xdp.merge(experiments, table, anomalous=False, truncate=False, free_flags={"fraction": 0.0}, d_min=4.0)
    assert list(found.columns) == ["IMEAN", "SIGIMEAN", "N"]
    assert found.d.min() >= 4.0


@pytest.mark.parametrize(("flat", "has_amplitudes"), [(True, True), (False, False)])
def test_few_reflections_have_a_flat_prior_or_no_amplitudes(flat, has_amplitudes, caplog):
    experiments, table = make_scaled()
    found = xdp.merge(experiments, table, d_min=9.0, french_wilson={"fallback_to_flat_prior": flat})
    assert len(found.hkl) < 200
    assert ("F" in found.columns) == has_amplitudes
    assert "too few for a prior" in caplog.text


def test_several_wavelengths_are_refused():
    experiments, table = make_scaled()
    other = replace(experiments[0], beam=replace(experiments[0].beam, wavelength=1.5), identifier="other")
    with pytest.raises(XdpError, match="2 wavelengths"):
        xdp.merge(ExperimentList([experiments[0], other]), table)
