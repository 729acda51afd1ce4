"""Cells that the first hits of a run have in common."""

import logging

import numpy as np
import pytest
from shot_data import CELL, draw_shots, write_shots

from xdp.indexing.options import KnownSymmetry
from xdp.serial.consensus.find import Consensus, CrystalForm
from xdp.serial.process.forms import describe_forms, fits_group, list_known_forms
from xdp.serial.process.process import stills_process

FORM = CrystalForm((79.3, 79.3, 37.8, 90.0, 90.0, 90.0), (0.02, 0.02, 0.01, 0, 0, 0), "tP", "P4", ("0", "1"), 90, 100)


def test_a_run_without_a_known_cell(tmp_path, caplog):
    stack, geometry = write_shots(tmp_path, *draw_shots(((1,), (), (4,), (2,))))
    named = {"events.geometry": geometry.partition("=")[2], "partiality.enable": False}
    with caplog.at_level(logging.INFO):
        found = stills_process(stack, named)
    assert "Cells that the first 3 hits have in common" in caplog.text
    assert (found.table["verdict"] == "integrated").tolist() == [True, False, True, True]
    for experiment in found.experiments:
        np.testing.assert_allclose(experiment.crystal.unit_cell, CELL, rtol=0.01)


def test_a_space_group_that_the_cell_obeys_is_kept():
    known = KnownSymmetry(space_group="P43212")
    form, = list_known_forms(Consensus((FORM,), 2, ()), known)
    assert (form.unit_cell, str(form.space_group)) == (FORM.unit_cell, "P43212")
    form, = list_known_forms(Consensus((FORM,), 2, ()), KnownSymmetry(space_group="P23"))
    assert str(form.space_group) == "P4"
    two = list_known_forms(Consensus((FORM, FORM), 2, ()), known)
    assert [str(form.space_group) for form in two] == ["P4", "P4"]


@pytest.mark.parametrize(("group", "fits"), [("P1", True), ("P4", True), ("P222", True), ("P23", False), ("P3", False)])
def test_groups_of_a_tetragonal_cell(group, fits):
    assert fits_group(FORM.unit_cell, group) == fits


def test_what_the_log_says():
    text = describe_forms(Consensus((FORM,), 2, ()))
    assert "tP 79.30 79.30 37.80 90.00 90.00 90.00 (axes to 0.02 Å), 2 hits" in text
    assert "no cell in common" in describe_forms(Consensus((), 5, ()))
