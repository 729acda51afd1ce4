"""Unmerged files in the commands: symmetry, scale and merge begin with them."""

from __future__ import annotations

import numpy as np
import pytest
from unmerged_data import as_integrate_hkl

import xdp
from xdp.cli.main import main
from xdp.errors import OptionError
from xdp.unmerged.read import read_unmerged


@pytest.mark.parametrize("name", ["sweep.mtz", "XDS_ASCII.HKL"])
def test_scales_are_those_of_our_own_table(files, measured, name):
    own = xdp.scale(*measured, physical={"absorption_correction": False})
    other = xdp.scale(*read_unmerged(files / name), physical={"absorption_correction": False})
    a, b = (xdp.merge(found.experiments, found.reflections) for found in (own, other))
    np.testing.assert_array_equal(a.hkl, b.hkl)
    # XDS' factor has lp and efficiency in one, which changes what is taken for counting a little
    assert np.corrcoef(a.columns["IMEAN"], b.columns["IMEAN"])[0, 1] > 0.9999


def test_a_fraction_of_polarisation_is_for_integrate_hkl_only(files, tmp_path):
    with pytest.raises(OptionError, match="corrected for polarisation already"):
        read_unmerged(files / "sweep.mtz", 0.99)
    as_integrate_hkl(files / "XDS_ASCII.HKL", tmp_path / "INTEGRATE.HKL")
    assert len(read_unmerged(tmp_path / "INTEGRATE.HKL", 0.99)[1])


def test_the_commands_take_them(files, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["scale", str(files / "sweep.mtz")]) == 0
    assert main(["merge", "scaled.expt", "scaled.refl"]) == 0
    assert main(["merge", str(files / "XDS_ASCII.HKL"), "output.mtz=xds.mtz"]) == 0
    assert main(["estimate_resolution", str(files / "XDS_ASCII.HKL")]) == 0
    assert main(["symmetry", str(files / "sweep.mtz")]) == 0
    capsys.readouterr()
    assert main(["merge", str(files / "sweep.mtz")]) == 1
    assert "not scaled" in capsys.readouterr().err
    assert main(["scale", str(files / "sweep.mtz"), str(files / "sweep.mtz")]) == 1
    assert "given twice" in capsys.readouterr().err
    assert main(["scale", "scaled.expt", "scaled.refl", "polarization_fraction=0.9"]) == 1
    assert "not among the files" in capsys.readouterr().err
