"""The Python of docs/serial.md runs as it is pasted."""

from __future__ import annotations

import h5py
import numpy as np
from doc_pages import ROOT, list_blocks

GEOMETRY = """photon_energy = /LCLS/photon_energy_eV
clen = 0.1
res = 10000
data = /entry_1/data_1/data
dim0 = %
dim1 = ss
dim2 = fs
a/min_fs = 0
a/max_fs = 7
a/min_ss = 0
a/max_ss = 5
a/corner_x = -4
a/corner_y = -3
"""


def test_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cspad.geom").write_text(GEOMETRY)
    with h5py.File(tmp_path / "run0012.cxi", "w") as handle:
        handle["cxi_version"] = 140
        handle["entry_1/data_1/data"] = np.ones((3, 6, 8), np.uint16)
        handle["LCLS/photon_energy_eV"] = np.full(3, 9500.0)
    names = {"__name__": "example"}
    for _, text in list_blocks(ROOT / "docs/serial.md", "python"):
        exec(compile(text, "serial.md", "exec"), names)
    assert capsys.readouterr().out.count("run0012.cxi //") == 3
