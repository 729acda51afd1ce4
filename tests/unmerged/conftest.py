"""A simulated sweep, and the files of it that other programs would write."""

from __future__ import annotations

import pytest
from scaling_data import make_table

import xdp


@pytest.fixture(scope="session")
def measured():
    """Experiments and table of a sweep of 20 degrees."""
    experiments, table, _ = make_table(n_frames=20, d_min=4.0)
    return experiments, table


@pytest.fixture(scope="session")
def files(measured, tmp_path_factory):
    """Folder with ``sweep.mtz`` and ``XDS_ASCII.HKL``."""
    folder = tmp_path_factory.mktemp("unmerged")
    xdp.export(*measured, {"mtz.hklout": str(folder / "sweep.mtz")})
    xdp.export(*measured, {"format": "xds_ascii", "xds_ascii.hklout": str(folder / "XDS_ASCII.HKL")})
    return folder
