"""Geometry files of any kind."""

from __future__ import annotations

import pytest

from xdp.images.geometry_files.read import find_geometry_kind, read_geometry_file


@pytest.mark.parametrize(("name", "kind", "n_panels"), [
    ("geom/cspad-cxiformat.geom", "crystfel", 64), ("lcls_geometry/def-jungfrau4M.data", "lcls", 64),
    ("lcls_geometry/def-epix10kaquad.data", "lcls", 16)])
def test_kinds(shared_data, name, kind, n_panels):
    path = shared_data / "serial" / name
    assert find_geometry_kind(path) == kind
    geometry = read_geometry_file(path)
    assert len(geometry.panels) == n_panels
    assert geometry.panels[0].dims == ("%", "ss", "fs")


def test_experiments(tmp_path):
    (tmp_path / "a.expt").write_text('{"__id__": "ExperimentList"}')
    assert find_geometry_kind(tmp_path / "a.expt") == "expt"
