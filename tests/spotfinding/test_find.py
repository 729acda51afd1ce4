"""Spot finding from images to table: the same bytes whatever the chunks, workers and interruptions."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sweeps import add_spot, background, crossing_spots, options, stills, sweep

from xdp.errors import OptionError, XdpError
from xdp.experiment import ExperimentList, ImageSet, Scan, write_experiments
from xdp.reflections.flags import Flag, MaskCode
from xdp.reflections.refl import read_reflections
from xdp.spotfinding.find import find_spots, find_spots_to_file
from xdp.spotfinding.run import chunk as task
from xdp.work.folder import name_work_folder


def test_spots_across_chunk_borders_are_the_same_in_any_chunks(tmp_path):
    experiments = sweep(tmp_path, crossing_spots())
    whole = find_spots(experiments, options("chunksize=100")).reflections
    depth = whole["bbox"][:, 5] - whole["bbox"][:, 4]
    assert len(whole) > 50
    assert (depth > 3).any()
    for chunk in (1, 2, 7, 20):
        assert find_spots(experiments, options(f"chunksize={chunk}")).reflections == whole
    assert find_spots(experiments, options("nproc=2", "chunksize=3")).reflections == whole


def test_files_are_byte_equal_in_any_chunks_and_for_threads(tmp_path):
    experiments = sweep(tmp_path, crossing_spots())
    written = []
    for words in (("chunksize=1",), ("chunksize=7",), ("chunksize=20",), ("nproc=2", "chunksize=2")):
        out = tmp_path / "strong.refl"
        find_spots_to_file(experiments, options(*words, f"output.reflections={out}"))
        written.append(out.read_bytes())
        assert not name_work_folder(out).exists()
    assert written.count(written[0]) == len(written)


def test_worker_processes_give_the_same_bytes(tmp_path):
    distributed = pytest.importorskip("distributed")
    experiments = sweep(tmp_path, crossing_spots())
    alone, spread = tmp_path / "alone.refl", tmp_path / "spread.refl"
    find_spots_to_file(experiments, options(f"output.reflections={alone}"))
    with (distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, processes=True) as made,
          distributed.Client(made) as client):
        find_spots_to_file(experiments, options(f"output.reflections={spread}", "chunksize=3"), client=client)
        assert find_spots(experiments, options("chunksize=5"), client=client).reflections == read_reflections(alone)
    assert alone.read_bytes() == spread.read_bytes()


def test_table_has_the_columns_order_and_numbers_of_a_known_spot(tmp_path):
    counts = background(6)
    add_spot(counts, slice(2, 4), 30, 40, 400)
    add_spot(counts, slice(0, 1), 50, 10, 400)
    add_spot(counts, slice(2, 3), 10, 10, 400)
    table = find_spots(sweep(tmp_path, counts)).reflections
    assert set(table) == {"bbox", "flags", "id", "intensity.sum.value", "intensity.sum.variance", "n_signal", "panel",
                          "shoebox", "xyzobs.px.value", "xyzobs.px.variance"}
    assert table["bbox"].tolist() == [[9, 12, 49, 52, 0, 1], [9, 12, 9, 12, 2, 3], [39, 42, 29, 32, 2, 4]]
    assert table.identifiers == {0: "sweep-0"}
    assert table.flags(Flag.STRONG).all()
    data, mask, _ = table["shoebox"].box(2)
    np.testing.assert_array_equal(data, counts[2:4, 0, 29:32, 39:42])
    assert (mask == MaskCode.VALID | MaskCode.FOREGROUND).all()
    assert table["intensity.sum.value"][2] == counts[2:4, 0, 29:32, 39:42].sum()
    assert table["n_signal"][2] == 18


def test_order_is_experiment_frame_panel_slow_fast(tmp_path):
    table = find_spots(sweep(tmp_path, crossing_spots()), options("chunksize=4")).reflections
    first = [first_pixel(table, i) for i in range(len(table))]
    assert first == sorted(first)


def first_pixel(table, i):
    """Experiment, frame, panel, slow and fast of a spot's first strong pixel."""
    _, mask, _ = table["shoebox"].box(i)
    z, y, x = np.argwhere(mask)[0]
    x0, _, y0, _, z0, _ = table["bbox"][i]
    return (table["id"][i], z0 + z, table["panel"][i], y0 + y, x0 + x)


def test_stills_are_found_one_by_one(tmp_path):
    counts = background(5)
    for frame in (1, 2, 4):
        add_spot(counts, frame, 20, 20)
    table = find_spots(stills(tmp_path, counts), options("chunksize=2")).reflections
    assert table["id"].tolist() == [1, 2, 4]
    assert table["bbox"][:, 4:].tolist() == [[1, 2], [2, 3], [4, 5]]
    assert table["xyzobs.px.value"][:, 2].tolist() == [1.5, 2.5, 4.5]
    assert table["shoebox"].bbox.tolist() == table["bbox"].tolist()


def test_experiments_that_share_a_sweep_get_the_spots_of_their_frames(tmp_path):
    import dataclasses

    counts = background(10)
    for frame in (2, 7):
        add_spot(counts, frame, 20, 20)
    whole, = sweep(tmp_path, counts)
    imageset = dataclasses.replace(whole.imageset, single_file_indices=None)
    parts = [dataclasses.replace(whole, identifier=f"part-{i}", imageset=imageset,
                                 scan=dataclasses.replace(whole.scan, image_range=r))
             for i, r in enumerate([(1, 5), (6, 10)])]
    table = find_spots(ExperimentList(parts), options("chunksize=3")).reflections
    assert table["id"].tolist() == [0, 1]
    assert table["bbox"][:, 4].tolist() == [2, 7]


def test_no_spots_give_an_empty_table_with_the_same_columns(tmp_path):
    blank = np.zeros((3, 1, 64, 72), np.uint16)
    out = tmp_path / "strong.refl"
    found = find_spots_to_file(sweep(tmp_path, blank), options(f"output.reflections={out}"))
    table = read_reflections(out)
    assert found.n_spots == len(table) == 0
    assert "shoebox" in table
    assert table["bbox"].shape == (0, 6)


def blank_stills(folder, n=4):
    """Stills of one sequence without a count, each an experiment on the same image set, as they are imported."""
    import dataclasses

    whole, = sweep(folder, np.zeros((n, 1, 60, 70), np.uint16))
    imageset = dataclasses.replace(whole.imageset, single_file_indices=None)
    return ExperimentList(dataclasses.replace(whole, identifier=f"still-{i}", imageset=imageset, goniometer=None,
                                              scan=Scan((i, i), (0.0, 0.0))) for i in range(1, n + 1))


@pytest.mark.parametrize("make", [blank_stills, lambda folder: stills(folder, np.zeros((4, 1, 60, 70), np.uint16)),
                                  lambda folder: sweep(folder, np.zeros((4, 1, 60, 70), np.uint16))])
@pytest.mark.parametrize("words", [[], ["spot_density.filter=True"], ["background_gradient.filter=True"],
                                   ["per_image_statistics=True", "compute_mean_background=True"]])
def test_images_without_any_spot_give_an_empty_table_however_they_are_grouped(tmp_path, make, words):
    experiments = make(tmp_path)
    path = tmp_path / "strong.refl"
    assert find_spots_to_file(experiments, options(*words, f"output.reflections={path}")).n_spots == 0
    table = read_reflections(path)
    assert len(table) == 0
    assert table["xyzobs.px.value"].shape == (0, 3)
    spots = find_spots(experiments, options(*words))
    assert set(spots.reflections) == set(table)


def test_missing_images_and_no_experiments_are_user_errors(tmp_path):
    import dataclasses

    with pytest.raises(XdpError, match="no experiments"):
        find_spots(ExperimentList())
    one, = sweep(tmp_path, background(2))
    gone = dataclasses.replace(one, imageset=ImageSet("ImageSequence", template=str(tmp_path / "gone.npy")))
    with pytest.raises(XdpError, match=r"gone\.npy"):
        find_spots(ExperimentList([gone]))
    with pytest.raises(XdpError, match="no images"):
        find_spots(ExperimentList([dataclasses.replace(one, imageset=None)]))
    with pytest.raises(OptionError, match="max_spot_size"):
        find_spots(ExperimentList([one]), options("min_spot_size=5", "max_spot_size=4"))


def test_finished_chunks_are_not_done_again(tmp_path, monkeypatch):
    experiments = sweep(tmp_path, crossing_spots())
    out = tmp_path / "strong.refl"
    chosen = options(f"output.reflections={out}", "chunksize=5")
    done = []
    original = task.find_in_chunk

    def counted(finder, rules, first, last):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(first)
        return original(finder, rules, first, last)

    monkeypatch.setattr("xdp.spotfinding.run.tasks.find_in_chunk", counted)
    with pytest.raises(KeyboardInterrupt):
        find_spots_to_file(experiments, chosen)
    assert done == [0, 5, 10]
    assert not out.exists()
    monkeypatch.setattr("xdp.spotfinding.run.tasks.find_in_chunk",
                        lambda f, r, a, b: done.append(a) or original(f, r, a, b))
    find_spots_to_file(experiments, chosen)
    assert done == [0, 5, 10, 15, 20]
    find_spots_to_file(experiments, options(f"output.reflections={tmp_path / 'fresh.refl'}"))
    assert out.read_bytes() == (tmp_path / "fresh.refl").read_bytes()


@pytest.mark.parametrize("change", ["image", "parameter"])
def test_chunks_of_other_images_or_parameters_are_done_again(tmp_path, monkeypatch, change):
    counts = crossing_spots(10, 1)
    experiments = sweep(tmp_path, counts)
    out = tmp_path / "strong.refl"
    done = []
    original = task.find_in_chunk
    monkeypatch.setattr("xdp.spotfinding.run.tasks.find_in_chunk",
                        lambda f, r, a, b: done.append(a) or original(f, r, a, b))
    monkeypatch.setattr("xdp.spotfinding.find.write_views", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
    words = [f"output.reflections={out}", "chunksize=5"]
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            find_spots_to_file(experiments, options(*words))
    assert done == [0, 5]
    if change == "image":
        os.utime(tmp_path / "sweep.npy", ns=(1, 1))
    else:
        words.append("sigma_strong=4")
    with pytest.raises(KeyboardInterrupt):
        find_spots_to_file(experiments, options(*words))
    assert done == [0, 5, 0, 5]


def test_a_damaged_chunk_result_is_made_again(tmp_path, monkeypatch):
    experiments = sweep(tmp_path, crossing_spots(10, 1))
    out = tmp_path / "strong.refl"
    chosen = options(f"output.reflections={out}", "chunksize=5")
    with monkeypatch.context() as patched:
        patched.setattr("xdp.spotfinding.find.write_views", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            find_spots_to_file(experiments, chosen)
    chunk = min(name_work_folder(out).glob("chunk-*.npz"))
    chunk.write_bytes(chunk.read_bytes()[:1000])
    find_spots_to_file(experiments, chosen)
    assert read_reflections(out) == find_spots(experiments).reflections


SLOW_RUN = """
import sys, time
from xdp.spotfinding.run import tasks as running
from xdp.spotfinding.run import chunk as task
original = task.find_in_chunk
def slow(finder, rules, first, last):
    result = original(finder, rules, first, last)
    time.sleep(0.2)
    print(first, flush=True)
    return result
running.find_in_chunk = slow
from xdp.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def test_killed_run_goes_on_where_it_was(tmp_path):
    experiments = sweep(tmp_path, crossing_spots(40, 1))
    write_experiments(tmp_path / "imported.expt", experiments)
    command = [sys.executable, "-c", SLOW_RUN, "find_spots", "imported.expt", "chunksize=4"]
    killed = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
    folder = name_work_folder(tmp_path / "strong.refl")
    deadline = time.monotonic() + 120
    while len(list(folder.glob("chunk-*.npz"))) < 4:
        assert killed.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    n_done = len(list(folder.glob("chunk-*.npz")))
    assert not (tmp_path / "strong.refl").exists()
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    done_again = [line for line in again.stdout.splitlines() if line.isdigit()]
    assert len(done_again) == 10 - n_done
    assert read_reflections(tmp_path / "strong.refl") == find_spots(experiments).reflections
    assert not folder.exists()
    assert Path(tmp_path / "xdp.find_spots.log").exists()
