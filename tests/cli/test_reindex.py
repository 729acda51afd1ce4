"""The command reindex: models, indices or both in another setting."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from xdp.cli.main import main
from xdp.experiment import ExperimentList, read_experiments, write_experiments
from xdp.reflections import read_reflections


def test_models_and_indices_change_together(indexed):
    assert main(["reindex", "indexed.expt", "indexed.refl", "change_of_basis_op=b,c,a", "space_group=P222"]) == 0
    old, new = (read_experiments(f"{stem}.expt")[0].crystal for stem in ("indexed", "reindexed"))
    a, b, c = old.unit_cell[:3]
    assert new.unit_cell[:3] == pytest.approx((b, c, a))
    assert new.space_group.short_name() == "P222"
    h, moved = (read_reflections(f"{stem}.refl")["miller_index"] for stem in ("indexed", "reindexed"))
    assert np.array_equal(moved, h[:, [1, 2, 0]])


def test_reflections_alone(indexed):
    assert main(["reindex", "indexed.refl", "change_of_basis_op=b,c,a"]) == 0
    assert (indexed / "reindexed.refl").exists()
    assert not (indexed / "reindexed.expt").exists()


@pytest.mark.parametrize(("words", "message"), [
    ([], "needs an .expt, a .refl or both"),
    (["notes.txt"], "reads .expt and .refl files"),
    (["indexed.refl", "change_of_basis_op=a,a,c"], "a,a,c"),
])
def test_wrong_words_are_told_and_nothing_is_written(indexed, capsys, words, message):
    assert main(["reindex", *words]) == 1
    assert message in capsys.readouterr().err
    assert not list(indexed.glob("reindexed.*"))


def test_models_of_several_files_are_written_as_one(indexed):
    (experiment,) = read_experiments("indexed.expt")
    other = dataclasses.replace(experiment, identifier="the-other")
    write_experiments("other.expt", ExperimentList([other]))
    assert main(["reindex", "indexed.expt", "other.expt", "change_of_basis_op=b,c,a"]) == 0
    a, b, c = experiment.crystal.unit_cell[:3]
    written = read_experiments("reindexed.expt")
    assert [e.identifier for e in written] == [experiment.identifier, "the-other"]
    for moved in written:
        assert moved.crystal.unit_cell[:3] == pytest.approx((b, c, a))
