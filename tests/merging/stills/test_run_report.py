"""The table of lattices, and the numbers of a run."""

from __future__ import annotations

from still_data import draw_stills, make_known

from xdp.merging.stills.merge_stills import merge_stills
from xdp.merging.stills.options import StillsOptions
from xdp.merging.stills.run_report import make_lattice_table, summarise_stills


def test_each_lattice_has_a_row():
    drawn = draw_stills(60)
    run = merge_stills(drawn.experiments, make_known(drawn), StillsOptions(postrefine=False))
    table = make_lattice_table(run)
    assert [row[0] for row in table.rows] == [e.identifier for e in drawn.experiments]
    facts = summarise_stills(run)
    assert facts["n_lattices"] == 60
    assert facts["method"] == "partiality"
