"""Unmerged intensities in mmCIF, and points of the reciprocal lattice in JSON."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma

import gemmi
import numpy as np
import pytest

from xdp.errors import XdpError
from xdp.exporting.options import JsonOptions
from xdp.exporting.other_formats import write_mmcif, write_rlp_json
from xdp.reflections import ReflectionTable


@pytest.mark.parametrize(("compress", "read"), [(None, bytes), ("gz", gzip.decompress), ("bz2", bz2.decompress),
                                                ("xz", lzma.decompress)])
def test_mmcif_holds_unmerged_intensities(make_experiments, make_integrated, tmp_path, compress, read):
    path = tmp_path / "a.cif"
    assert write_mmcif(path, make_experiments(), make_integrated(), compress=compress) == 40
    block = gemmi.cif.read_string(read(path.read_bytes()).decode()).sole_block()
    assert len(block.find_loop("_diffrn_refln.index_h")) == 40
    assert b"/tmp" not in read(path.read_bytes())


@pytest.mark.parametrize("compress", ["gz", "bz2", "xz"])
def test_compressed_files_carry_no_time(make_experiments, make_integrated, tmp_path, compress, monkeypatch):
    """Two runs give the same bytes: the head of a gzip file has a field for the time of writing."""
    made = []
    for now in (1e9, 1.5e9):
        monkeypatch.setattr("time.time", lambda now=now: now)
        write_mmcif(tmp_path / "a.cif", make_experiments(), make_integrated(), compress=compress)
        made.append((tmp_path / "a.cif").read_bytes())
    assert made[0] == made[1]


def test_points_of_the_lattice_are_those_of_the_crystal(make_experiments, tmp_path):
    from xdp.prediction.reflections import predict_rotation

    experiments = make_experiments()
    truth = predict_rotation(experiments[0], 4.0)
    truth = truth.with_columns(**{"xyzobs.px.value": truth["xyzcal.px"], "id": np.zeros(len(truth), np.int32)})
    options = JsonOptions(filename=str(tmp_path / "rlp.json"), n_digits=4)
    assert write_rlp_json(experiments, truth, options) == len(truth) > 50
    content = json.loads((tmp_path / "rlp.json").read_text())
    points = np.reshape(content["rlp"], (-1, 3))
    np.testing.assert_allclose(points, truth["miller_index"] @ experiments[0].crystal.A.T, atol=1e-4)
    assert "\n" not in (tmp_path / "rlp.json").read_text()
    write_rlp_json(experiments, truth, JsonOptions(filename=str(tmp_path / "b.json"), compact=False))
    assert (tmp_path / "b.json").read_text().count("\n") > len(truth)


def test_json_needs_centroids(make_experiments, make_integrated):
    table = make_integrated()
    del table["xyzobs.px.value"]
    with pytest.raises(XdpError, match="centroids"):
        write_rlp_json(make_experiments(), table)
    with pytest.raises(XdpError, match="experiment 1"):
        write_rlp_json(make_experiments(), make_integrated(n_experiments=2))


def test_unindexed_spots_take_the_geometry_of_their_images(make_experiments, make_integrated, tmp_path):
    """Stills of which some have no lattice: their spots are left out, the others' unindexed spots are not."""
    table = make_integrated(n_experiments=2)
    ids, sets = table["id"].copy(), np.repeat([3, 37], 40).astype(np.int32)
    ids[[5, 45]] = -1
    table = table.with_columns(id=ids, imageset_id=sets)
    extra = table.select([0]).with_columns(id=[-1], imageset_id=[12])  # no experiment is of image 12
    both = ReflectionTable.concatenate([table, extra])
    path = tmp_path / "rlp.json"
    assert write_rlp_json(make_experiments(2), both, JsonOptions(filename=str(path))) == 80
    content = json.loads(path.read_text())
    assert content["imageset_id"] == sets.tolist()
    whole = make_integrated(n_experiments=2).with_columns(imageset_id=sets)
    write_rlp_json(make_experiments(2), whole, JsonOptions(filename=str(tmp_path / "b.json")))
    assert content["rlp"] == json.loads((tmp_path / "b.json").read_text())["rlp"]
