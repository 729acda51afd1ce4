"""The two commands as a user types them."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from xdp.cli.main import main
from xdp.simulation.laue import LaueScan, simulate_laue, write_laue_scan


def test_spots_from_the_command_line(scan_file, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["laue_spots", "-m", "maxgroup", "-S", "blocks", "-c4", str(scan_file), "table=s.csv"]) == 0
    out = capsys.readouterr().out
    assert "scan__spots.h5" in out
    assert "on/off ratios" in out
    with h5py.File("scan__spots.h5") as file:
        assert {"stats", "masks_raw", "masks_filtered", "masks_synced", "masks", "spots", "info", "ratios"} <= set(file)
        info = file["info"].attrs
        assert [info["method"], info["sync"], info["cutoff"], info["n_removed"]] == ["maxgroup", "blocks", 4.0, 0]
    assert (tmp_path / "s.csv").exists()


def test_import_then_spots(tmp_path, monkeypatch, capsys):
    import imagecodecs

    scan = simulate_laue(LaueScan(shape=(48, 48), n_angles=10, n_repeats=1, n_spots=1))
    monkeypatch.chdir(tmp_path)
    rows = ["file,angle,laser"]
    for i, image in enumerate(scan.images):
        (tmp_path / f"i{i}.jp2").write_bytes(imagecodecs.jpeg2k_encode(image, reversible=True, level=0))
        rows.append(f"i{i}.jp2,{scan.angle[i]},{int(scan.laser[i])}")
    (tmp_path / "run.csv").write_text("\n".join(rows))
    assert main(["laue_import", "run.csv"]) == 0
    assert "20 frames of 48 x 48 pixels" in capsys.readouterr().out
    assert main(["laue_spots", "run__mccd.h5"]) == 0
    with h5py.File("run__spots.h5") as file:
        assert np.array_equal(file["stats/max"][()], scan.images.max(axis=0))


@pytest.mark.parametrize(("words", "message"), [
    (["-x", "f.h5"], "unknown option -x"),
    ([], "one input"),
    (["a.h5", "b.h5"], "one input"),
    (["none.h5"], "none.h5: not a readable HDF5 file"),
    (["-n", "150", "f.h5"], "n"),
])
def test_errors_are_one_line(words, message, capsys):
    assert main(["laue_spots", *words]) == 1
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_warnings_go_to_stderr(tmp_path, capsys):
    write_laue_scan(tmp_path / "a.h5", simulate_laue(LaueScan(shape=(40, 40), n_angles=10, n_repeats=1, n_spots=1)))
    assert main(["laue_spots", "-m", "kruskal", "-o", str(tmp_path / "b.h5"), str(tmp_path / "a.h5")]) == 0
    assert "warning: method=kruskal with 10 angles of 2 frames" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["-h", "-hh", "--version", "--show-config"])
def test_help_and_parameters(word, capsys):
    assert main(["laue_spots", word]) == 0
    out = capsys.readouterr().out
    assert {"-h": "-S SYNC", "-hh": "exclude_constant", "--version": "xdp", "--show-config": "cutoff = 3"}[word] in out


def test_worker_processes_write_the_same_bytes(scan_file, tmp_path):
    for name, method in (("a.h5", "none"), ("b.h5", "multiprocessing")):
        assert main(["laue_spots", "-S", "pairs", "-o", str(tmp_path / name), str(scan_file), f"mp.method={method}",
                     "mp.nproc=2", "rows=16"]) == 0
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
