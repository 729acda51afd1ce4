"""Averages over shots: against NumPy, the same bytes for any number of workers, bad shots counted."""

from __future__ import annotations

import hashlib
from pathlib import Path

import h5py
import numpy as np
import pytest

from xdp.cli.main import main
from xdp.errors import XdpError
from xdp.serial.calibration import AverageOptions, average_events
from xdp.serial.calibration.outputs import write_averages
from xdp.serial.events import open_events


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """10,000 shots with a large pedestal, and their pixels."""
    path = tmp_path_factory.mktemp("run") / "run.npy"
    pixels = (1e6 + np.random.default_rng(8).normal(0.0, 3.0, (10_000, 4, 5))).astype(np.float32)
    np.save(path, pixels)
    return path, pixels.astype(np.float64)


@pytest.fixture(scope="module")
def averages(run):
    return average_events(open_events(run[0]))


def test_averages_of_10000_shots_equal_numpy(run, averages):
    pixels = run[1]
    assert np.abs(averages.mean[0] - pixels.mean(axis=0)).max() < 1e-6
    assert np.abs(averages.stddev[0] - pixels.std(axis=0)).max() < 1e-6
    assert np.array_equal(averages.maximum[0], pixels.max(axis=0))
    assert np.array_equal(averages.minimum[0], pixels.min(axis=0))
    assert averages.n_shots == 10_000


def test_the_divisor_may_be_that_of_mod_average(run):
    options = AverageOptions(divisor="n-1", numevents=100)
    stddev = average_events(open_events(run[0]), options).stddev[0]
    assert np.allclose(stddev, run[1][:100].std(axis=0, ddof=1), rtol=1e-9)
    one = average_events(open_events(run[0]), AverageOptions(divisor="n-1", numevents=1))
    assert np.all(one.stddev[0] == 0.0)


def hash_files(files):
    return {part: hashlib.sha256(Path(path).read_bytes()).hexdigest() for part, path in files.items()}


def test_the_same_bytes_for_any_number_of_threads(run, averages, tmp_path):
    found = []
    for n in (1, 2, 5):
        options = AverageOptions(outputdir=str(tmp_path / str(n)), minimum=True)
        result = average_events(open_events(run[0]), n_threads=n)
        found.append(hash_files(write_averages(result, options, [str(run[0])])))
    assert found[0] == found[1] == found[2]
    assert set(found[0]) == {"mean", "stddev", "maximum", "minimum"}


def test_shots_at_the_beginning_and_end_are_left_out(run):
    result = average_events(open_events(run[0]), AverageOptions(skipevents=70, numevents=200))
    assert result.n_shots == 130
    assert np.allclose(result.mean[0], run[1][70:200].mean(axis=0), rtol=1e-12)


def test_shots_that_cannot_be_read_are_counted(tmp_path):
    for i in range(4):
        np.save(tmp_path / f"{i}.npy", np.full((3, 3) if i != 2 else (2, 2), i, np.uint16))
    (tmp_path / "5.npy").write_bytes(b"\x93NUMPY\x01\x00damaged")
    result = average_events(open_events([tmp_path / f"{i}.npy" for i in (0, 1, 2, 3, 5)]))
    assert result.n_shots == 3
    assert result.mean[0][0, 0] == pytest.approx(4.0 / 3.0)
    assert sorted(reason for _, reason, _ in result.failures) == ["damaged", "wrong shape"]


def test_no_shots_are_an_error(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00damaged")
    with pytest.raises(XdpError, match="no shot could be averaged: 1 damaged"):
        average_events(open_events(tmp_path / "a.npy"))


def test_the_command_takes_the_options_of_mpi_average(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["average", str(run[0]), "-x", "CXI49812", "-r", "69", "-n", "100", "-s", "10", "--min", "-o", "out", "-R",
             "-C", "calib", "-f", "-d", "575"]
    assert main(words) == 0
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [f"cxi49812_{part}-r0069.h5" for part in ("avg", "max", "min", "stddev")]
    with h5py.File(tmp_path / "out/cxi49812_avg-r0069.h5") as handle:
        assert np.allclose(handle["data"], run[1][10:100].mean(axis=0))
        assert np.allclose(handle["stddev"], run[1][10:100].std(axis=0))
        assert handle.attrs["divisor"] == "n"
        assert handle.attrs["n_shots"] == 90
    said = capsys.readouterr()
    assert "--calib_dir: accepted, and not used" in said.out + said.err


def test_results_never_replace_the_shots(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with h5py.File("x_avg.h5", "w") as handle:
        handle["cxi_version"], handle["entry_1/data_1/data"] = 140, np.zeros((2, 3, 4))
    before = Path("x_avg.h5").read_bytes()
    assert main(["average", "x_avg.h5", "averagebase=x_avg"]) == 1
    assert "x_avg.h5" in capsys.readouterr().err
    assert Path("x_avg.h5").read_bytes() == before
