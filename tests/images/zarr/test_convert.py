"""Image stacks into zarr stores and back."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import resource

import numpy as np
import pytest
import zarr
from clients import InlineClient

from xdp.errors import DiskError, OptionError, XdpError
from xdp.images.formats.find import find_format
from xdp.images.importing.import_images import import_images
from xdp.images.reader import open_reader
from xdp.images.zarr import convert as module
from xdp.images.zarr.convert import check_tasks, convert, list_shard_tasks
from xdp.images.zarr.options import ConvertOptions


def models(experiment):
    return {name: None if (model := getattr(experiment, name)) is None else model.to_dict()
            for name in ("beam", "detector", "goniometer", "scan")}


@pytest.fixture
def series(tmp_path, maker):
    counts = maker.example_counts(7)
    mask = np.zeros(counts.shape[1:], np.uint8)
    mask[3, 4] = 1
    experiments = import_images([maker.write_nxmx(tmp_path / "a.h5", counts, mask=mask)]).experiments
    return experiments, counts.astype(np.int32)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_series_comes_back(tmp_path, series, n_threads):
    experiments, counts = series
    done = []

    @contextlib.contextmanager
    def keep(total, label):
        done.append((total, label))
        yield done.append

    convert(experiments, tmp_path / "o.zarr", ConvertOptions(frames_per_shard=3, nproc=n_threads), progress=keep)
    assert done == [(7, "frames"), 3, 3, 1]
    again, = import_images([tmp_path / "o.zarr"]).experiments
    assert models(again) == models(experiments[0])
    reader = open_reader(again)
    assert reader.n_frames == 7
    for i in range(7):
        np.testing.assert_array_equal(reader.read(i)[0], counts[i])
    assert np.argwhere(~reader.static_mask()[0]).tolist() == [[3, 4]]
    store = zarr.open_group(tmp_path / "o.zarr", mode="r")
    assert (store["counts"].chunks[0], store["counts"].shards[0]) == (1, 3)
    np.testing.assert_array_equal(store["counts"][:, 0], counts)
    assert sorted(os.listdir(tmp_path)) == ["a.h5", "o.zarr"]


def test_workers_write_the_shards(tmp_path, series):
    experiments, counts = series
    client = InlineClient()
    convert(experiments, tmp_path / "o.zarr", ConvertOptions(frames_per_shard=3), client)
    assert len(client.keys) == 1 + 3  # what tasks share, and the tasks
    np.testing.assert_array_equal(zarr.open_group(tmp_path / "o.zarr", mode="r")["counts"][:, 0], counts)


def test_stills_come_back(tmp_path, maker):
    counts = maker.example_counts(5, dtype=np.uint16)
    path = maker.write_nxmx(tmp_path / "a.h5", counts, rotation=False)
    experiments = import_images([path]).experiments
    convert(experiments, tmp_path / "o.zarr")
    again = import_images([tmp_path / "o.zarr"]).experiments
    assert [models(e) for e in again] == [models(e) for e in experiments]
    for experiment, frame in zip(again, counts, strict=True):
        image, = open_reader(experiment).read(0)
        assert image.dtype == np.uint16
        np.testing.assert_array_equal(image, frame)


def test_panels_of_unequal_size(tmp_path, maker):
    counts = maker.example_counts(2, 30, 40)
    modules = [((0, 0), (30, 19), (40.0, 30.0)), ((5, 21), (20, 18), (38.425, 30.0))]
    experiments = import_images([maker.write_nxmx(tmp_path / "a.h5", counts, modules=modules)]).experiments
    convert(experiments, tmp_path / "o.zarr")
    again, = import_images([tmp_path / "o.zarr"]).experiments
    assert models(again) == models(experiments[0])
    reader = open_reader(again)
    assert [panel.shape for panel in reader.read(1)] == [(30, 19), (20, 18)]
    np.testing.assert_array_equal(reader.read(1)[1], counts[1, 5:25, 21:39].astype(np.int32))
    assert reader.static_mask() is None or all(mask.all() for mask in reader.static_mask())


def test_interrupted_conversion_goes_on(tmp_path, series, monkeypatch):
    experiments, counts = series
    options = ConvertOptions(frames_per_shard=2)
    written = []
    real = module.write_shard

    def fail_at_the_third(name, *rest):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(name)
        real(name, *rest)

    monkeypatch.setattr(module, "write_shard", fail_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        convert(experiments, tmp_path / "o.zarr", options)
    assert not (tmp_path / "o.zarr").exists()
    first = list(written)
    monkeypatch.setattr(module, "write_shard", lambda name, *rest: (written.append(name), real(name, *rest)))
    convert(experiments, tmp_path / "o.zarr", options)
    assert len(written) == len(set(written)) == 4
    assert written[:2] == first
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "o.zarr" / "counts", mode="r")[:, 0], counts)


def test_other_parameters_start_anew(tmp_path, series, monkeypatch):
    experiments, counts = series
    monkeypatch.setattr(module, "_write_valid", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        convert(experiments, tmp_path / "o.zarr", ConvertOptions(frames_per_shard=2))
    monkeypatch.undo()
    convert(experiments, tmp_path / "o.zarr", ConvertOptions(frames_per_shard=3))
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "o.zarr" / "counts", mode="r")[:, 0], counts)


def test_older_store_is_replaced_and_nothing_else(tmp_path, series):
    experiments, _ = series
    convert(experiments, tmp_path / "o.zarr")
    convert(experiments, tmp_path / "o.zarr", ConvertOptions(frames_per_shard=2))
    assert find_format(tmp_path / "o.zarr").n_images == 7
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    for target in ("mine", "a.h5"):
        with pytest.raises(XdpError, match=f"{target}: is there and is no store"):
            convert(experiments, tmp_path / target)
    assert (tmp_path / "mine" / "thesis.tex").exists()
    with pytest.raises(XdpError, match="its folder does not exist"):
        convert(experiments, tmp_path / "no" / "o.zarr")


def test_unreadable_frame_leaves_no_store(tmp_path, series):
    experiments, _ = series
    size = os.path.getsize(tmp_path / "a.h5")
    os.truncate(tmp_path / "a.h5", size)
    with open(tmp_path / "a.h5", "r+b") as stream:
        import h5py

        with h5py.File(tmp_path / "a.h5") as handle:
            info = handle["entry/data/data"].id.get_chunk_info_by_coord((4, 0, 0))
        stream.seek(info.byte_offset)
        stream.write(b"\xff" * 12)
    with pytest.raises(XdpError, match=r"a\.h5: frame 5 is damaged"):
        convert(experiments, tmp_path / "o.zarr")
    assert not (tmp_path / "o.zarr").exists()


def test_two_tasks_never_write_into_one_shard():
    tasks = list_shard_tasks(10, 4)
    assert tasks == [(0, 0, 4), (1, 4, 8), (2, 8, 10)]
    check_tasks(tasks, 10, 4)
    for wrong in ([(0, 0, 4), (0, 0, 4), (1, 4, 8), (2, 8, 10)], tasks[:2], [(0, 0, 2), (1, 2, 8), (2, 8, 10)],
                  [(0, 0, 3), *tasks[1:]]):
        with pytest.raises(ValueError, match="shard"):
            check_tasks(wrong, 10, 4)


def test_what_does_not_fit_into_one_store(tmp_path, series, maker):
    experiments, _ = series
    with pytest.raises(OptionError, match="one sequence or stills"):
        convert([*experiments, *experiments], tmp_path / "o.zarr")
    with pytest.raises(OptionError, match="no experiments"):
        convert([], tmp_path / "o.zarr")
    with pytest.raises(OptionError, match="no detector"):
        convert([dataclasses.replace(experiments[0], detector=None)], tmp_path / "o.zarr")


def test_store_says_what_it_is(tmp_path, series):
    convert(series[0], tmp_path / "o.zarr")
    attributes = json.loads((tmp_path / "o.zarr" / "zarr.json").read_text())["attributes"]["xdp"]
    assert attributes["version"] == 1
    assert attributes["experiments"]["__id__"] == "ExperimentList"


def test_a_full_disk_names_the_file_and_keeps_what_is_finished(tmp_path, maker):
    """No file may grow beyond the first shards: the conversion goes on there afterwards."""
    counts = np.zeros((4, 64, 64), np.uint32)
    counts[3] = np.random.default_rng(0).integers(0, 1 << 30, (64, 64))  # which does not compress
    experiments = import_images([maker.write_nxmx(tmp_path / "a.h5", counts)]).experiments
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(DiskError, match=r"File too large; what is finished is kept in .*\.xdp-a\.zarr\.work"):
            convert(experiments, tmp_path / "a.zarr", ConvertOptions(frames_per_shard=1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not (tmp_path / "a.zarr").exists()
    convert(experiments, tmp_path / "a.zarr", ConvertOptions(frames_per_shard=1))
    assert np.array_equal(find_format(tmp_path / "a.zarr").raw(3)[0], counts[3])
