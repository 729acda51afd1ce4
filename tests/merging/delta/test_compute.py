"""A data set, or images, that do not agree with the rest are found and left out."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scaling_data import make_table

import xdp
from xdp.cli.main import main
from xdp.errors import XdpError


@pytest.fixture(scope="module")
def spoiled():
    """Six wedges; the images 5 to 8 of wedge 2 have other indices' intensities."""
    experiments, table, _ = make_table(n_frames=20, n_sweeps=6, d_min=4.0)
    rng = np.random.default_rng(1)
    frame = np.floor(table["xyzcal.px"][:, 2])
    rows = np.flatnonzero((table["id"] == 2) & (frame >= 4) & (frame < 8))
    value = table["intensity.sum.value"].copy()
    value[rows] = rng.permutation(value[rows])
    scaled = xdp.scale(experiments, table.with_columns(**{"intensity.sum.value": value}),
                       scaling_options={"outlier_zmax": 1e6})
    return scaled.experiments, scaled.reflections


def test_bad_images_are_found(spoiled):
    found = xdp.compute_delta_cchalf(*spoiled, mode="image_group", group_size=4)
    assert [found.parts.describe(k) for k in found.removed] == ["dataset 2 images 5 to 8"]
    assert len(found.reflections) == len(spoiled[1]) - int(np.count_nonzero(found.parts.number == found.removed[0]))
    assert found.report.tables[0].rows[0][0] == "dataset 2 images 5 to 8"


def test_a_bad_data_set_is_found(spoiled):
    # of six parts none is four standard deviations from the mean
    assert xdp.compute_delta_cchalf(*spoiled).removed == ()
    found = xdp.compute_delta_cchalf(*spoiled, stdcutoff=1.9)
    assert found.removed == (2,)
    assert len(found.experiments) == 5
    assert found.reflections["id"].max() == 4


def test_the_command_writes_what_is_left(spoiled, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    xdp.write_experiments("scaled.expt", spoiled[0])
    xdp.write_reflections("scaled.refl", spoiled[1])
    assert main(["compute_delta_cchalf", "scaled.expt", "scaled.refl", "stdcutoff=1.9", "output.json=d.json"]) == 0
    assert len(xdp.read_experiments("filtered.expt")) == 5
    assert (tmp_path / "delta_cchalf.dat").read_text().startswith("dataset 2 -0.")
    assert json.loads((tmp_path / "d.json").read_text())["facts"]["removed"] == ["dataset 2"]
    assert main(["merge", "filtered.expt", "filtered.refl"]) == 0


def test_one_data_set_alone_is_refused():
    experiments, table, _ = make_table(n_frames=20, d_min=4.0)
    scaled = xdp.scale(experiments, table)
    with pytest.raises(XdpError, match="one data set only"):
        xdp.compute_delta_cchalf(scaled.experiments, scaled.reflections)
    with pytest.raises(XdpError, match="not scaled"):
        xdp.compute_delta_cchalf(experiments, table)
