"""The command index: its files, its table of indexed spots, and what it leaves behind where it fails."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.cli.main import main
from xdp.experiment import read_experiments
from xdp.reflections import read_reflections, write_reflections


def test_files_and_the_table_of_indexed_spots(spots):
    assert main(["index", "imported.expt", "strong.refl", "unit_cell=42,55,71,90,90,90", "space_group=P222"]) == 0
    crystal = read_experiments("indexed.expt")[0].crystal
    assert crystal.unit_cell[:3] == pytest.approx((42.0, 55.0, 71.0), rel=2e-3)
    table = read_reflections("indexed.refl")
    n_indexed = int(np.sum(table["id"] >= 0))
    assert n_indexed > 0.95 * len(table)
    log = (spots / "xdp.index.log").read_text()
    assert "Imageset   # indexed   # unindexed   % indexed" in log
    row = log.split("% indexed\n")[-1].splitlines()[0].split()
    assert row[:3] == ["0", str(n_indexed), str(len(table) - n_indexed)]
    assert "known_symmetry" in log  # the changed parameters


def test_cores_are_used_or_said_not_to_be(spots):
    known = ["unit_cell=42,55,71,90,90,90", "space_group=P222"]
    assert main(["index", "imported.expt", "strong.refl", *known, "indexing.nproc=2", "refinement.mp.nproc=2"]) == 0
    log = (spots / "xdp.index.log").read_text()
    assert "refinement.mp.nproc=2 is not used: one thread is faster" in log
    assert "indexing.nproc=2 is not used" not in log
    first = (spots / "indexed.refl").read_bytes()
    assert main(["index", "imported.expt", "strong.refl", *known, "nproc=4", "method=fft1d"]) == 0
    assert "indexing.nproc=4 is not used: indexing.method=fft1d" in (spots / "xdp.index.log").read_text()
    assert main(["index", "imported.expt", "strong.refl", *known]) == 0
    assert (spots / "indexed.refl").read_bytes() == first


def test_too_few_spots_end_in_one_line_and_no_file(spots, capsys):
    write_reflections("few.refl", read_reflections("strong.refl").select(np.arange(3)))
    assert main(["index", "imported.expt", "few.refl"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert not list(spots.glob("indexed.*"))
