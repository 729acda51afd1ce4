"""The command integrate: its files; without spots it sums; and what it asks for."""

from __future__ import annotations

import pytest
from integration_data import make_series

from xdp.cli.integrate import read_inputs
from xdp.cli.main import main
from xdp.errors import XdpError
from xdp.logs import stop_log
from xdp.reflections import Flag, read_reflections


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    return make_series(tmp_path_factory.mktemp("series"), n_frames=8)


def test_files_log_and_changed_parameters(series, folder, capsys):
    assert main(["integrate", *series.files, "prediction.d_min=2.5", "output.phil=used.phil"]) == 0
    n = len(read_reflections("integrated.refl"))
    assert n > 50
    assert f"Saved {n} reflections to integrated.refl and the experiments to integrated.expt" in capsys.readouterr().out
    assert "d_min = 2.5" in (folder / "used.phil").read_text()
    assert (folder / "xdp.integrate.log").stat().st_size > 0


def test_experiments_alone_have_no_reference(series):
    experiments, reference = read_inputs(series.files[:1])
    assert len(experiments) == 1
    assert reference is None
    assert len(read_inputs(series.files)[1]) > 50
    with pytest.raises(XdpError, match=r"needs refined\.expt and refined\.refl"):
        read_inputs([])
    stop_log()


def test_without_spots_intensities_are_summed(series, folder):
    assert main(["integrate", *series.files, "output.reflections=a.refl"]) == 0
    assert main(["integrate", "integrated.expt", "create_profile_model=False", "output.experiments=b.expt"]) == 0
    table = read_reflections("integrated.refl")
    assert table.any_flags(Flag.INTEGRATED_SUM).sum() > 50
    assert not table.any_flags(Flag.INTEGRATED_PRF).any()
