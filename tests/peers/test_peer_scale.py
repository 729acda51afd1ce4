"""Scaling and merging beside DIALS: each program goes on from the other's files, and sigmas are honest."""

from __future__ import annotations

import os
from pathlib import Path

import gemmi
import numpy as np
import pytest
from scaling_data import make_table

import xdp
from xdp.cli.main import main
from xdp.logs import stop_log
from xdp.merging.unique import find_unique

pytestmark = pytest.mark.peer


def ours(*words: str) -> None:
    """Run a command of ours."""
    assert main([str(word) for word in words]) == 0
    stop_log()


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """A simulated sweep with jitter, volume and instrument error, its truth, and the folder of its files."""
    folder = tmp_path_factory.mktemp("scale_peer")
    experiments, table, truth = make_table(n_frames=90, d_min=3.0, counts=600.0, jitter=0.02, volume=0.2,
                                           instrument=0.02)
    xdp.write_experiments(folder / "integrated.expt", experiments)
    xdp.write_reflections(folder / "integrated.refl", table)
    ours("scale", folder / "integrated.expt", folder / "integrated.refl",
         f"output.experiments={folder / 'scaled.expt'}",
         f"output.reflections={folder / 'scaled.refl'}", f"output.log={folder / 'scale.log'}")
    return folder, table, truth


def read(path: Path) -> gemmi.Mtz:
    return gemmi.read_mtz_file(os.fspath(path))


def join(first: gemmi.Mtz, second: gemmi.Mtz, label: str) -> tuple[np.ndarray, np.ndarray]:
    """A column of two files, for the reflections that both have."""
    columns = []
    for mtz in (first, second):
        indices = map(tuple, mtz.make_miller_array().tolist())
        columns.append(dict(zip(indices, mtz.column_with_label(label).array, strict=True)))
    both = sorted(columns[0].keys() & columns[1].keys())
    assert len(both) > 0.95 * max(map(len, columns))
    return tuple(np.array([column[hkl] for hkl in both]) for column in columns)


def test_dials_merges_what_we_scaled(sweep, dials):
    folder, _, _ = sweep
    dials.command("dials.merge", "scaled.expt", "scaled.refl", "output.html=None", cwd=folder)
    ours("merge", folder / "scaled.expt", folder / "scaled.refl", f"output.mtz={folder / 'ours.mtz'}",
         f"output.log={folder / 'merge.log'}")
    theirs, mine = join(read(folder / "merged.mtz"), read(folder / "ours.mtz"), "IMEAN")
    # the same weights; MTZ holds numbers of 32 bits
    np.testing.assert_allclose(theirs, mine, rtol=1e-4, atol=1e-3)
    theirs, mine = join(read(folder / "merged.mtz"), read(folder / "ours.mtz"), "SIGIMEAN")
    # ours have the errors of the scales besides
    assert np.all(mine > theirs * 0.999)
    assert np.median(mine / theirs) < 1.1


def test_amplitudes_are_near_those_of_dials(sweep, dials):
    folder, _, _ = sweep
    dials.command("dials.merge", "scaled.expt", "scaled.refl", "output.html=None", cwd=folder)
    ours("merge", folder / "scaled.expt", folder / "scaled.refl", f"output.mtz={folder / 'ours.mtz'}",
         f"output.log={folder / 'merge.log'}")
    theirs, mine = join(read(folder / "merged.mtz"), read(folder / "ours.mtz"), "F")
    # DIALS scales amplitudes to a Wilson scale; priors differ by the shells
    factor = np.median(mine / theirs)
    strong = mine > np.median(mine)
    np.testing.assert_allclose(mine[strong], theirs[strong] * factor, rtol=0.01)
    np.testing.assert_allclose(mine, theirs * factor, rtol=0.1, atol=0.2 * np.median(mine))


def test_we_merge_what_dials_scaled(sweep, dials):
    folder, _, _ = sweep
    dials.command("dials.scale", "integrated.expt", "integrated.refl", "output.experiments=d.expt",
                  "output.reflections=d.refl", "output.html=None", cwd=folder)
    dials.command("dials.merge", "d.expt", "d.refl", "output.html=None", "output.mtz=d.mtz", cwd=folder)
    ours("merge", folder / "d.expt", folder / "d.refl", f"output.mtz={folder / 'ours_d.mtz'}",
         f"output.log={folder / 'merge.log'}")
    for label in ("IMEAN", "SIGIMEAN"):
        theirs, mine = join(read(folder / "d.mtz"), read(folder / "ours_d.mtz"), label)
        np.testing.assert_allclose(theirs, mine, rtol=1e-4, atol=1e-3)


def test_dials_goes_on_from_our_scaled_files(sweep, dials):
    folder, _, _ = sweep
    dials.command("dials.scale", "scaled.expt", "scaled.refl", "output.experiments=again.expt",
                  "output.reflections=again.refl", "output.html=None", cwd=folder)
    assert "inverse_scale_factor" in xdp.read_reflections(folder / "again.refl")


def test_our_sigmas_are_nearer_to_the_truth(sweep, dials):
    folder, table, truth = sweep
    dials.command("dials.scale", "integrated.expt", "integrated.refl", "output.experiments=d.expt",
                  "output.reflections=d.refl", "output.html=None", cwd=folder)
    widths = []
    for name in ("scaled", "d"):
        merged = xdp.merge(xdp.read_experiments(folder / f"{name}.expt"), xdp.read_reflections(folder / f"{name}.refl"))
        mine = merged.columns["I(+)"], merged.columns["SIGI(+)"]
        unique = find_unique(merged.space_group, table["miller_index"])
        true = np.full(len(unique), np.nan)
        true[unique.group[~unique.is_minus]] = truth.intensity[~unique.is_minus]
        at = {tuple(h): J for h, J in zip(unique.hkl.tolist(), true, strict=True)}
        J = np.array([at[tuple(h)] for h in merged.hkl.tolist()])
        known = np.isfinite(mine[0]) & np.isfinite(J)
        value, sigma, J, d = mine[0][known], mine[1][known], J[known], merged.d[known]
        for shell in np.array_split(np.argsort(d), 5):
            factor = np.sum(value[shell] * J[shell]) / np.sum(J[shell] ** 2)
            J[shell] *= factor
        widths.append(float(np.subtract(*np.quantile((value - J) / sigma, [0.75, 0.25])) / 1.349))
    assert abs(widths[0] - 1.0) < 0.1
    assert abs(widths[0] - 1.0) < abs(widths[1] - 1.0)
