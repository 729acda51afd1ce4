"""MTZ files, read back with gemmi."""

from __future__ import annotations

import os
from dataclasses import replace

import gemmi
import numpy as np
import pytest

from xdp.errors import XdpError
from xdp.experiment import ExperimentList
from xdp.exporting.mtz import median_cell, spacings, write_mtz
from xdp.exporting.options import MtzOptions


def written(folder, *args, **options):
    """The file as gemmi reads it."""
    path = folder / "a.mtz"
    write_mtz(path, *args, **options)
    return gemmi.read_mtz_file(os.fspath(path))


def columns(mtz):
    """Values by label."""
    return dict(zip(mtz.column_labels(), np.array(mtz.array).T, strict=True))


def test_columns_are_those_of_scaling_programs(make_experiments, make_integrated, tmp_path):
    mtz = written(tmp_path, make_experiments(), make_integrated())
    assert mtz.column_labels() == [
        "H", "K", "L", "M/ISYM", "BATCH", "IPR", "SIGIPR", "I", "SIGI", "BG", "SIGBG", "FRACTIONCALC", "XDET", "YDET",
        "ROT", "LP", "QE"]
    assert "".join(c.type for c in mtz.columns) == "HHHYBJQJQRRRRRRRR"
    assert mtz.spacegroup.short_name() == "P43212"


def test_original_indices_come_back(make_experiments, make_integrated, tmp_path):
    table = make_integrated()
    mtz = written(tmp_path, make_experiments(), table)
    asu = gemmi.ReciprocalAsu(mtz.spacegroup)
    assert all(asu.is_in([int(v) for v in row]) for row in np.array(mtz.array)[:, :3])
    assert len(np.unique(columns(mtz)["M/ISYM"])) > 4
    mtz.switch_to_original_hkl()
    np.testing.assert_array_equal(np.array(mtz.array)[:, :3], table["miller_index"])


def test_values_are_corrected_and_in_their_columns(make_experiments, make_integrated, tmp_path):
    table = make_integrated()
    found = columns(written(tmp_path, make_experiments(), table))
    factor = table["lp"] / table["qe"]
    expected = {"I": table["intensity.sum.value"] * factor, "IPR": table["intensity.prf.value"] * factor,
                "SIGIPR": np.sqrt(table["intensity.prf.variance"]) * factor, "BG": table["background.sum.value"],
                "XDET": table["xyzobs.px.value"][:, 0], "ROT": table["xyzcal.px"][:, 2] * 0.5, "LP": table["lp"],
                "BATCH": np.floor(table["xyzobs.px.value"][:, 2]) + 1, "FRACTIONCALC": np.ones(len(table))}
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-6)  # the file holds 32-bit numbers


@pytest.mark.parametrize("kind", ["sum", "profile"])
def test_one_kind_is_called_i(make_experiments, make_integrated, tmp_path, kind):
    mtz = written(tmp_path, make_experiments(), make_integrated(), (kind,))
    assert "IPR" not in mtz.column_labels()
    name = {"sum": "sum", "profile": "prf"}[kind]
    table = make_integrated()
    np.testing.assert_allclose(columns(mtz)["I"], table[f"intensity.{name}.value"] * table["lp"] / table["qe"],
                               rtol=1e-6)


def test_scaled_intensities_are_divided_by_their_scale(make_experiments, make_integrated, tmp_path):
    table = make_integrated()
    table["intensity.scale.value"], table["intensity.scale.variance"] = np.full(40, 30.0), np.full(40, 9.0)
    table["inverse_scale_factor"], table["inverse_scale_factor_variance"] = np.full(40, 2.0), np.full(40, 0.04)
    found = columns(written(tmp_path, make_experiments(), table))
    for name, value in (("I", 15.0), ("SIGI", 1.5), ("SCALEUSED", 2.0), ("SIGSCALEUSED", 0.2)):
        np.testing.assert_allclose(found[name], value, rtol=1e-6)


def test_batches_tell_cell_angle_and_wavelength(make_experiments, make_integrated, tmp_path):
    experiments = make_experiments(2)
    mtz = written(tmp_path, experiments, make_integrated(n_experiments=2))
    assert [b.number for b in mtz.batches] == [*range(1, 11), *range(101, 111)]
    batch = mtz.batches[12]
    assert batch.wavelength == pytest.approx(0.9795)
    assert batch.cell.c == pytest.approx(37.81, rel=1e-6)
    assert (batch.floats[36], batch.floats[37]) == (1.0, 1.5)
    assert batch.dataset_id == 1
    assert set(columns(mtz)["BATCH"][40:]) <= set(range(101, 111))


def test_names_cell_and_static_model_are_the_users(make_experiments, make_integrated, tmp_path):
    experiment = make_experiments()[0]
    points = tuple(tuple((experiment.crystal.A * (1 + 0.01 * i)).ravel()) for i in range(11))
    varying = ExperimentList([replace(experiment, crystal=replace(experiment.crystal, A_at_scan_points=points))])
    cell = (80.0, 80.0, 38.0, 90.0, 90.0, 90.0)
    options = MtzOptions(crystal_name="lyso", project_name="p1", dataset_name="native", best_unit_cell=cell,
                         force_static_model=True)
    mtz = written(tmp_path, varying, make_integrated(), options=options)
    dataset = mtz.datasets[0]
    assert (dataset.crystal_name, dataset.project_name, dataset.dataset_name) == ("lyso", "p1", "native")
    assert mtz.cell.a == pytest.approx(80.0)
    assert mtz.batches[0].cell.a == mtz.batches[9].cell.a
    free = written(tmp_path, varying, make_integrated())
    assert free.batches[0].cell.a > free.batches[9].cell.a * 1.05


def test_two_wavelengths_are_two_datasets(make_experiments, make_integrated, tmp_path):
    first, second = make_experiments(2)
    experiments = ExperimentList([first, replace(second, beam=replace(second.beam, wavelength=1.2))])
    mtz = written(tmp_path, experiments, make_integrated(n_experiments=2))
    assert [d.wavelength for d in mtz.datasets] == pytest.approx([0.9795, 1.2])
    assert {b.dataset_id for b in mtz.batches[:10]} == {1}
    assert {b.dataset_id for b in mtz.batches[10:]} == {2}


def test_the_same_input_gives_the_same_bytes(make_experiments, make_integrated, tmp_path):
    for name in ("a", "b"):
        write_mtz(tmp_path / name, make_experiments(), make_integrated())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_what_does_not_fit_together_is_said(make_experiments, make_integrated, tmp_path):
    table = make_integrated()
    path = tmp_path / "a.mtz"
    with pytest.raises(XdpError, match="no crystal"):
        write_mtz(path, ExperimentList([replace(make_experiments()[0], crystal=None)]), table)
    with pytest.raises(XdpError, match="no experiments"):
        write_mtz(path, ExperimentList(), table)
    with pytest.raises(XdpError, match="do not belong together"):
        write_mtz(path, make_experiments(), make_integrated(n_experiments=2))
    mixed = ExperimentList([make_experiments()[0], make_experiments(hall=" P 4")[0]])
    with pytest.raises(XdpError, match="several space groups"):
        write_mtz(path, mixed, table)
    assert not list(tmp_path.iterdir())


def test_spacings_and_median_cells(make_experiments):
    cell = (10.0, 20.0, 30.0, 90.0, 90.0, 90.0)
    np.testing.assert_allclose(spacings(cell, np.array([[1, 0, 0], [0, 2, 0], [0, 0, 0]])), [10.0, 10.0, np.inf])
    crystals = [make_experiments(unit_cell=(a, a, 38.0, 90, 90, 90))[0] for a in (78.0, 79.0, 85.0)]
    assert median_cell(crystals)[0] == pytest.approx(79.0)
