"""The whole run: layout of the output, independence of chunking and workers, truth, bad input."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys

import h5py
import numpy as np
import pytest
from scipy import ndimage

from xdp.errors import DiskError, OptionError, XdpError
from xdp.files import scratch_file
from xdp.laue import run
from xdp.laue.find import choose_output_path, find_laue_spots
from xdp.laue.options import LaueSpotsOptions
from xdp.simulation.laue import LaueScan, draw_spot_image, simulate_laue, write_laue_scan
from xdp.work.options import MpOptions


def options(tmp_path, name="out.h5", **changes) -> LaueSpotsOptions:
    return LaueSpotsOptions(output=str(tmp_path / name), **changes)


def contents(path) -> dict[str, np.ndarray]:
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
        found.update({f"info.{key}": np.asarray(value) for key, value in file["info"].attrs.items() if key != "input"})
    return found


@pytest.mark.parametrize("sync", ["none", "pairs", "blocks"])
def test_layout_and_every_mask_from_numpy(scan, scan_file, tmp_path, sync):
    """The reference's groups, names and shapes; masks, labels and intensities recomputed with NumPy and SciPy."""
    found = contents(find_laue_spots(scan_file, options(tmp_path, sync=sync)).output)
    n = len(scan.images)
    kept = np.sort(scan.images, axis=0)[:n - n // 4]
    assert found["info.n_removed"] == n // 4
    assert np.allclose(found["stats/avg"], kept.mean(axis=0), rtol=1e-13)
    assert np.allclose(found["stats/std"], kept.std(axis=0), rtol=1e-9)
    assert np.array_equal(found["stats/max"], scan.images.max(axis=0))
    assert np.array_equal(found["stats/arg"], scan.images.argmax(axis=0))
    raw = scan.images >= found["stats/avg"] + 3.0 * found["stats/std"]
    assert np.array_equal(found["masks_raw"], raw)
    structure = ndimage.generate_binary_structure(2, 2)
    filtered = np.stack([ndimage.binary_dilation(ndimage.binary_erosion(m, structure), structure, 2) for m in raw])
    assert np.array_equal(found["masks_filtered"], filtered)
    size = {"none": 1, "pairs": 2, "blocks": 6}[sync]
    synced = filtered.reshape(-1, size, *raw.shape[1:]).any(axis=1)
    assert ("masks_synced" in found) == (sync != "none")
    if sync != "none":
        assert np.array_equal(found["masks_synced"], synced)
    assert np.array_equal(found["masks/frame2mask"], np.arange(n) // size)
    row = 0
    for frame in range(n):
        labels, count = ndimage.label(synced[frame // size], structure)
        assert np.array_equal(found["masks/labels"][frame // size], labels)
        assert found["masks/counts"][frame // size] == count
        assert found["spots/frame2spotsBE"][frame].tolist() == [row, row + count]
        for label in range(1, count + 1):
            inside = labels == label
            difference = (scan.images[frame] - found["stats/avg"])[inside].sum()
            assert found["spots/I"][row] == pytest.approx(difference, rel=1e-9, abs=1e-6)
            assert [found[f"spots/{k}"][row] for k in ("frame", "label", "mask")] == [frame, label, frame // size]
            begin, end = found["spots/pixel_list_BE"][row]
            assert np.array_equal(found["spots/pixel_list"][begin:end], np.flatnonzero(inside))
            x, y = found["spots/XY"][row]
            assert scan.images[frame][x, y] == scan.images[frame][inside].max()
            box = found["spots/box"][row]
            assert inside[box[0]:box[1], box[2]:box[3]].sum() == inside.sum()
            row += 1
    assert row == len(found["spots/I"]) > 50


def same(a: dict, b: dict) -> None:
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].dtype == b[name].dtype, name
        assert a[name].tobytes() == b[name].tobytes(), name


@pytest.mark.parametrize("method", ["n_removed", "kruskal", "maxgroup"])
def test_chunks_tiles_and_threads_do_not_matter(scan, scan_file, tmp_path, method):
    shared = {"method": method, "sync": "pairs"}
    reference = find_laue_spots(scan_file, options(tmp_path, "a.h5", mp=MpOptions(nproc=1), **shared)).output
    whole = tmp_path / "whole__mccd.h5"
    write_laue_scan(whole, scan, chunks=(1, 70, 90))
    runs = [(scan_file, {"rows": 16}), (scan_file, {"rows": 48, "mp": MpOptions(nproc=3)}), (whole, {"rows": 9}),
            (scan_file, {"rows": 7, "mp": MpOptions(nproc=2)}), (whole, {"scratch": str(tmp_path)})]
    for i, (path, changes) in enumerate(runs):
        output = find_laue_spots(path, options(tmp_path, f"{i}.h5", **shared, **changes)).output
        same(contents(output), contents(reference))
        if path is scan_file:
            assert output.read_bytes() == reference.read_bytes()
    assert not list(tmp_path.glob("*.scratch")) + list(tmp_path.glob(".*"))


def test_tiles_are_inflated_twice_where_the_disk_is_full(scan_file, tmp_path, monkeypatch):
    usage, made = shutil.disk_usage(tmp_path), []
    monkeypatch.setattr(run, "scratch_file", lambda *where: made.append(where) or scratch_file(*where))
    roomy = find_laue_spots(scan_file, options(tmp_path, "a.h5")).output
    assert len(made) == 1
    monkeypatch.setattr(run.shutil, "disk_usage", lambda folder: usage._replace(free=1000))
    tight = find_laue_spots(scan_file, options(tmp_path, "b.h5")).output
    assert len(made) == 1
    assert roomy.read_bytes() == tight.read_bytes()


_KILLED = """
import contextlib, os, signal, sys
from xdp.laue.find import find_laue_spots
from xdp.laue.options import LaueSpotsOptions

@contextlib.contextmanager
def progress(total, label):
    def advance(count):
        if label == "spots" and len(sys.argv) > 3:
            print(*os.listdir(os.path.dirname(sys.argv[2])), flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
    yield advance

find_laue_spots(sys.argv[1], LaueSpotsOptions(output=sys.argv[2]), progress=progress)
"""


def test_the_next_run_removes_what_a_killed_one_has_left(scan, tmp_path):
    whole, folder = tmp_path / "whole__mccd.h5", tmp_path / "out"
    write_laue_scan(whole, scan, chunks=(1, 70, 90))
    folder.mkdir()
    words = [sys.executable, "-c", _KILLED, str(whole), str(folder / "a.h5")]
    killed = subprocess.run([*words, "kill"], check=False, stdout=subprocess.PIPE, text=True)
    assert killed.returncode == -signal.SIGKILL
    left = killed.stdout.split()
    assert {name.rpartition(".")[2] for name in left} == {"part", "scratch"}
    assert sorted(os.listdir(folder)) == sorted(left)
    subprocess.run(words, check=True)
    assert os.listdir(folder) == ["a.h5"]


def test_a_full_disk_names_the_scratch_file(scan, tmp_path):
    whole = tmp_path / "whole__mccd.h5"
    write_laue_scan(whole, scan, chunks=(1, 70, 90))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(DiskError, match=r"whole__mccd\.h5\..*scratch: cannot be written: File too large"):
            find_laue_spots(whole, options(tmp_path, "a.h5"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(tmp_path) == ["whole__mccd.h5"]


def test_cluster_gives_the_same(scan, scan_file, tmp_path):
    """Two workers, by tiles as stored and by peer-to-peer rechunk of whole frames."""
    distributed = pytest.importorskip("distributed")
    whole = tmp_path / "whole__mccd.h5"
    write_laue_scan(whole, scan, chunks=(1, 70, 90))
    reference = contents(find_laue_spots(scan_file, options(tmp_path, "a.h5")).output)
    settings = {"n_workers": 2, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
    with (distributed.LocalCluster(**settings) as cluster,
          distributed.Client(cluster) as client):
        tiled = find_laue_spots(scan_file, options(tmp_path, "b.h5", rows=32), client=client).output
        rechunked = find_laue_spots(whole, options(tmp_path, "c.h5", rows=25), client=client).output
    same(contents(tiled), reference)
    same(contents(rechunked), reference)


@pytest.mark.parametrize("compression", ["none", "lzf", "zstd", "lz4", "bitshuffle"])
def test_compression_as_asked(scan_file, tmp_path, compression):
    gzip = find_laue_spots(scan_file, options(tmp_path, "a.h5")).output
    other = find_laue_spots(scan_file, options(tmp_path, "b.h5", compression=compression)).output
    same(contents(other), contents(gzip))
    with h5py.File(gzip) as a, h5py.File(other) as b:
        assert a["masks_raw"].compression == "gzip"
        assert b["masks_raw"].compression == {"none": None, "lzf": "lzf"}.get(compression, b["masks_raw"].compression)
        assert b["masks_raw"].id.get_create_plist().get_nfilters() == (0 if compression == "none" else 1)


def test_zero_per_cent_means_25(scan_file, tmp_path):
    same(contents(find_laue_spots(scan_file, options(tmp_path, "a.h5", n=0)).output),
         contents(find_laue_spots(scan_file, options(tmp_path, "b.h5")).output))


def test_options_change_the_result(scan_file, tmp_path):
    plain = contents(find_laue_spots(scan_file, options(tmp_path, "a.h5")).output)
    for i, (change, name) in enumerate([
            ({"n": 40}, "stats/avg"), ({"cutoff": 6.0}, "masks_raw"), ({"erosions": 0}, "masks_filtered"),
            ({"dilations": 0}, "masks_filtered"), ({"structure": (2, 1)}, "masks_filtered"),
            ({"gain": 9.0}, "spots/sigma_I"), ({"pedestal": -500.0}, "stats/avg_corrected")]):
        changed = contents(find_laue_spots(scan_file, options(tmp_path, f"{i}.h5", **change)).output)
        assert not np.array_equal(changed[name], plain[name]), change
    low = contents(find_laue_spots(scan_file, options(tmp_path, "l.h5", method="kruskal", alpha=1e-6)).output)
    high = contents(find_laue_spots(scan_file, options(tmp_path, "h.h5", method="kruskal", alpha=0.2)).output)
    assert low["stats/n_rejected"].sum() < high["stats/n_rejected"].sum()


@pytest.mark.parametrize("method", ["n_removed", "kruskal", "maxgroup"])
def test_intensities_and_ratios_are_true(tmp_path, method):
    """36 angles of 10 frames: spots found, intensities unbiased within 1 %, ratios within their errors."""
    scan = simulate_laue(LaueScan(shape=(96, 96), n_spots=6, seed=11))
    write_laue_scan(tmp_path / "a__mccd.h5", scan)
    found = find_laue_spots(tmp_path / "a__mccd.h5", options(tmp_path, method=method, sync="blocks"))
    assert found.warnings == ()
    with h5py.File(found.output) as file:
        pixels = file["spots/pixel_list"][()]
    spots = found.spots
    true = np.array([draw_spot_image(scan.spots, int(scan.angle[f]), bool(scan.laser[f]), (96, 96), scan.width).ravel()[
        pixels[b:e]].sum() for f, (b, e) in zip(spots["frame"], spots["pixel_list_BE"], strict=True)])
    strong = true > 20 * spots["sigma_I"]
    assert strong.sum() > 1000
    bias = np.mean((spots["I_corrected"] / true)[strong] - 1)
    assert abs(bias) < 0.01
    if method == "n_removed":  # what the correction is for
        assert np.mean((spots["I"] / true)[strong] - 1) > 0.02
    pull = ((spots["I_corrected"] - true) / spots["sigma_I"])[strong]
    assert np.std(pull) == pytest.approx(1, abs=0.12)
    mask_of = {(m, la): i for i, (m, la) in enumerate(zip(spots["mask"], spots["label"], strict=True))}
    ratios = found.ratios
    keep = np.array([strong[mask_of[key]] for key in zip(ratios["mask"], ratios["label"], strict=True)])
    spot = nearest_response(scan, spots, ratios, mask_of)
    pull = ((ratios["ratio"] - 1 - spot) / ratios["sigma_ratio"])[keep]
    assert abs(np.mean(pull)) < 0.15
    assert np.std(pull) == pytest.approx(1, abs=0.15)


def nearest_response(scan, spots, ratios, mask_of) -> np.ndarray:
    """Response of the drawn spot that lies nearest to each row of the ratio table."""
    response = []
    for key, frame in zip(zip(ratios["mask"], ratios["label"], strict=True), ratios["frame_off"], strict=True):
        x, y = spots["XY"][mask_of[key]]
        here = np.flatnonzero(scan.spots["angle_index"] == int(scan.angle[frame]))
        near = here[np.argmin(np.hypot(scan.spots["x"][here] - x, scan.spots["y"][here] - y))]
        response.append(scan.spots["response"][near])
    return np.array(response)


def test_kruskal_warns_where_it_is_blind(tmp_path):
    scan = simulate_laue(LaueScan(shape=(40, 40), n_angles=10, n_repeats=1, n_spots=1))
    write_laue_scan(tmp_path / "a__mccd.h5", scan)
    found = find_laue_spots(tmp_path / "a__mccd.h5", options(tmp_path, method="kruskal"))
    assert "use method=maxgroup" in found.warnings[0]
    assert find_laue_spots(tmp_path / "a__mccd.h5", options(tmp_path, "b.h5", method="maxgroup")).warnings == ()


def test_constant_pixels_are_warned_of(scan, tmp_path):
    from dataclasses import replace

    images = scan.images.copy()
    images[:, :10] = 0
    write_laue_scan(tmp_path / "a__mccd.h5", replace(scan, images=images))
    found = find_laue_spots(tmp_path / "a__mccd.h5", options(tmp_path))
    assert "900 pixels have a background that does not vary" in found.warnings[0]
    clean = find_laue_spots(tmp_path / "a__mccd.h5", options(tmp_path, "b.h5", exclude_constant=True))
    assert clean.warnings == ()
    assert clean.spots["XY"][:, 0].min() >= 8  # dilated by two at most


def test_name_of_the_output():
    assert str(choose_output_path("x/run1__mccd.h5", LaueSpotsOptions())) == "run1__spots.h5"
    assert str(choose_output_path("run1.h5", LaueSpotsOptions())) == "run1__spots.h5"


def no_laser(path):
    with h5py.File(path, "a") as file:
        del file["lauecollect/laser"]


def no_angle(path):
    with h5py.File(path, "a") as file:
        del file["lauecollect/angle"]


@pytest.mark.parametrize(("spoil", "changes", "message"), [
    (no_laser, {"method": "kruskal"}, "needs 'laser' data"),
    (no_laser, {"sync": "pairs"}, "needs 'laser' data"),
    (no_laser, {"sync": "blocks"}, "needs 'laser' data"),
    (None, {"angles": 13}, "12 different angles, at least 13"),
    (no_angle, {}, "no dataset lauecollect/angle"),
    (None, {"structure": (3, 1)}, "rank"),
    (None, {"table": "spots.doc"}, "must end in .csv or .parquet"),
    (None, {"png": ("colour",)}, "no such plane"),
])
def test_bad_input_is_one_error_and_nothing_is_written(scan, tmp_path, spoil, changes, message):
    path = tmp_path / "a__mccd.h5"
    write_laue_scan(path, scan)
    if spoil:
        spoil(path)
    with pytest.raises(XdpError, match=message):
        find_laue_spots(path, options(tmp_path, **changes))
    assert [p.name for p in tmp_path.iterdir()] == ["a__mccd.h5"]


def test_the_laser_may_be_on_in_all_frames(scan, tmp_path):
    """Kruskal-Wallis and blocks compare angles; only pairs and ratios need frames without laser."""
    path = tmp_path / "a__mccd.h5"
    write_laue_scan(path, scan)
    with h5py.File(path, "a") as file:
        file["lauecollect/laser"][:] = 1
    found = find_laue_spots(path, options(tmp_path, method="kruskal", sync="blocks"))
    assert len(found.counts) == 12
    assert len(found.spots["I"]) > 50
    assert found.ratios is None
    with h5py.File(found.output) as file:
        assert "ratios" not in file
        assert file["masks_synced"].shape[0] == 12
    with pytest.raises(XdpError, match="it was on in all of these"):
        find_laue_spots(path, options(tmp_path, "b.h5", sync="pairs"))


def test_existing_output_is_kept(scan_file, tmp_path):
    (tmp_path / "out.h5").write_text("precious")
    with pytest.raises(XdpError, match=r"out\.h5 exists already"):
        find_laue_spots(scan_file, options(tmp_path))
    assert (tmp_path / "out.h5").read_text() == "precious"
    find_laue_spots(scan_file, options(tmp_path, overwrite=True))
    assert h5py.is_hdf5(tmp_path / "out.h5")


def test_a_failure_half_way_leaves_nothing(scan, tmp_path):
    path = tmp_path / "a__mccd.h5"
    write_laue_scan(path, scan, chunks=(1, 70, 90))
    with h5py.File(path, "r+") as file:
        file["images"].id.write_direct_chunk((20, 0, 0), b"damaged")
    with pytest.raises(XdpError, match=r"chunk \(20, 0, 0\) is damaged"):
        find_laue_spots(path, options(tmp_path, rows=10))
    assert [p.name for p in tmp_path.iterdir()] == ["a__mccd.h5"]


@pytest.mark.parametrize("changes", [{"n": 100}, {"n": -1}, {"alpha": 0}, {"alpha": 1}, {"erosions": -1}, {"angles": 0},
                                     {"method": "median"}, {"sync": "all"}, {"compression": "rar"}, {"gain": 0}])
def test_options_out_of_range(changes):
    with pytest.raises((ValueError, OptionError)):
        LaueSpotsOptions(**changes)


def test_table_of_spots(scan_file, tmp_path):
    found = find_laue_spots(scan_file, options(tmp_path, table=str(tmp_path / "spots.csv"), sync="pairs"))
    table = np.genfromtxt(tmp_path / "spots.csv", delimiter=",", names=True)
    assert np.allclose(table["I_corrected"], found.spots["I_corrected"], rtol=1e-9)
    assert np.array_equal(np.stack([table["X"], table["Y"]], 1), found.spots["XY"])
    assert set(table["laser"]) == {0, 1}


def test_parquet_needs_pyarrow(scan_file, tmp_path):
    parquet = str(tmp_path / "spots.parquet")
    try:
        import pyarrow.parquet as reader
    except ImportError:
        with pytest.raises(XdpError, match="pyarrow"):
            find_laue_spots(scan_file, options(tmp_path, table=parquet))
        return
    found = find_laue_spots(scan_file, options(tmp_path, table=parquet))
    assert reader.read_table(parquet)["I"].to_numpy() == pytest.approx(found.spots["I"])
