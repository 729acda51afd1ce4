"""The output file, written mask by mask, and the tables beside it."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from xdp.laue import output
from xdp.laue.compression import encode
from xdp.laue.design import Design
from xdp.laue.output import SpotsFile, make_spot_columns, write_csv
from xdp.laue.spots import COLUMNS
from xdp.laue.tasks import MaskResult

DESIGN = Design(np.array([0.0, 0.0, 2.0]), np.array([False, True, False]))


def make_spots(frames, **columns):
    """A table with a row for each of `frames`; other columns are 0."""
    table = {name: np.zeros((len(frames), *shape), kind) for name, (kind, shape) in COLUMNS.items()}
    table["frame"][:] = frames
    for name, values in columns.items():
        table[name][:] = values
    return table


def make_result(frames, pixels, compression):
    """What one mask with one spot on all of `frames` gives."""
    image = encode(np.ones((4, 5), np.uint8), compression)
    part = {"label": np.array([1]), "pixel_list_BE": np.array([[0, len(pixels)]])}
    labels, n = encode(np.ones((4, 5), np.int32), compression), len(frames)
    return MaskResult([image] * n, [image] * n, None, labels, np.array(pixels, np.int32), [part] * n)


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_pixel_lists_of_masks_follow_one_another(tmp_path, monkeypatch, compression):
    monkeypatch.setattr(output, "_PIXEL_CHUNK", 4)  # chunks are written when they are full, the rest in the end
    lists = [[1, 2, 3], [7], [4, 5, 6, 8, 9]]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        writer = SpotsFile(file, (3, 4, 5), 3, False, compression)
        parts = [writer.add_mask(k, np.array([k]), make_result([k], pixels, compression))
                 for k, pixels in enumerate(lists)]
        writer.finish([np.array([k]) for k in range(3)], DESIGN, {"gain": 2.0})
        begin_end = [part[0]["pixel_list_BE"].tolist() for part in parts]
        assert begin_end == [[[0, 3]], [[3, 4]], [[4, 9]]]
        assert file["spots/pixel_list"][()].tolist() == [1, 2, 3, 7, 4, 5, 6, 8, 9]
        assert file["masks/counts"][()].tolist() == [1, 1, 1]
        assert file["masks/frame2mask"][()].tolist() == [0, 1, 2]
        assert file["masks_raw"][()].min() == 1
        assert file["lauecollect/laser"][()].tolist() == [0, 1, 0]
        assert file["info"].attrs["gain"] == 2.0
        assert "masks_synced" not in file


def test_short_arrays_are_not_compressed(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        writer = SpotsFile(file, (1, 4, 5), 1, False, "gzip")
        for n in (64, 65):
            writer.write_table("table", {f"of_{n}": np.arange(n)})
            assert file[f"table/of_{n}"][()].tolist() == list(range(n))
        assert file["table/of_64"].compression is None
        assert file["table/of_65"].compression == "gzip"


def test_rows_of_a_table_have_angle_and_laser_of_their_frame(tmp_path):
    spots = make_spots([0, 1, 2], XY=[[1, 2], [3, 4], [5, 6]], I=[1.5, 1e9, 1 / 3])
    columns = make_spot_columns(spots, DESIGN)
    assert columns["angle"].tolist() == [0, 0, 2]
    assert columns["laser"].tolist() == [0, 1, 0]
    assert columns["Y"].tolist() == [2, 4, 6]
    write_csv(str(tmp_path / "a.csv"), spots, DESIGN)
    head, *rows = (tmp_path / "a.csv").read_text().splitlines()
    assert head.split(",") == list(columns)
    at = head.split(",").index("I")
    assert [row.split(",")[at] for row in rows] == ["1.5", "1000000000", "0.3333333333"]
    assert "laser" not in make_spot_columns(spots, Design(DESIGN.angle))
