"""Bad input of all kinds in whole runs: each shot is recorded by its reason, and the others go on."""

from __future__ import annotations

import errno
import os
import sys

import h5py
import numpy as np
import pytest
from fake_psana import make_first, make_second
from hit_data import draw_run, is_hit, make_models, write_run

import xdp
from xdp.cli.main import main
from xdp.errors import DiskError
from xdp.serial.events.psana import open_stream
from xdp.serial.hits.table import read_shot_table

N = 24
TRUTH = np.array([is_hit(k) for k in range(N)])


def write_cxi(path, images, energies=None):
    """A run as CXI, a chunk a shot."""
    with h5py.File(path, "w") as handle:
        handle["cxi_version"] = 140
        handle.create_dataset("entry_1/data_1/data", data=images, chunks=(1, *images.shape[1:]), compression="gzip")
        handle["LCLS/photon_energy_eV"] = np.full(len(images), 9537.0) if energies is None else energies
    return path


def write_geometry(folder, shape=(160, 160)):
    experiments = xdp.experiment.ExperimentList([make_models(shape=shape)])
    xdp.write_experiments(folder / "geometry.expt", experiments)
    return str(folder / "geometry.expt")


def find(shots, geometry, **named):
    return xdp.find_hits(shots, {"events.geometry": geometry} if geometry else None, powder=None, **named)


def check(found, bad):
    """The bad shots failed for their reasons; all others have the right verdict."""
    assert dict(zip(np.flatnonzero(found.table["verdict"] == "failed").tolist(),
                    found.table["reason"][found.table["verdict"] == "failed"], strict=True)) == bad
    others = [k for k in range(N) if k not in bad]
    assert np.array_equal((found.table["verdict"] == "hit")[others], TRUTH[others])
    assert sum(found.reasons.values()) == len(bad)
    said = found.report.text()
    assert all(reason in said for reason in bad.values())
    assert all(found.table["message"][k] for k in bad)


@pytest.mark.parametrize("algorithm", ["own_misses", "peakfinder8", "spots"])
def test_values_that_make_no_sense(tmp_path, algorithm):
    images = draw_run(N).astype(np.float32)
    images[2] = 0
    images[3] = 70000.0 + np.arange(160)
    images[5, 3, 4] = np.nan
    images[7, 3, 4] = np.inf
    energies = np.full(N, 9537.0)
    energies[9], energies[10], energies[11] = 0.0, np.nan, -1.0
    found = find(write_cxi(tmp_path / "run.cxi", images, energies), write_geometry(tmp_path), algorithm=algorithm,
                 **{"spots.min_spot_size": 4} if algorithm == "spots" else {})
    check(found, {2: "blank", 3: "saturated", 5: "not finite", 7: "not finite", 9: "no energy", 10: "no energy",
                  11: "no energy"})


def test_frames_that_are_damaged_missing_or_of_another_shape(tmp_path):
    images = draw_run(N)
    write_geometry(tmp_path)
    names = []
    for number, image in enumerate(images):
        np.save(tmp_path / f"shot{number:02d}.npy", image if number != 4 else image[:100])
        names.append(f"shot{number:02d}.npy")
    (tmp_path / "shot06.npy").write_bytes((tmp_path / "shot06.npy").read_bytes()[:9000])
    (tmp_path / "shot08.npy").write_bytes(b"no array")
    (tmp_path / "shot10.npy").unlink()
    (tmp_path / "run.lst").write_text("\n".join(str(tmp_path / name) for name in names))
    found = find(tmp_path / "run.lst", str(tmp_path / "geometry.expt"), **{"events.energy": 9537.0})
    reasons = dict(zip(*np.unique(found.table["reason"], return_counts=True), strict=True))
    assert found.table["reason"][[4, 10]].tolist() == ["wrong shape", "missing file"]
    assert set(found.table["reason"][[6, 8]]) <= {"truncated", "damaged"}
    assert reasons[""] == N - 4
    others = [k for k in range(N) if k not in (4, 6, 8, 10)]
    assert np.array_equal((found.table["verdict"] == "hit")[others], TRUTH[others])


def test_a_damaged_chunk_takes_its_shot_alone(tmp_path):
    path = write_cxi(tmp_path / "run.cxi", draw_run(N))
    with h5py.File(path) as handle:
        place = handle["entry_1/data_1/data"].id.get_chunk_info(6)
    with open(path, "r+b") as stream:
        stream.seek(place.byte_offset + 20)
        stream.write(os.urandom(place.size - 40))
    found = find(path, write_geometry(tmp_path))
    assert found.table["verdict"][6] == "failed"
    assert found.n_failed == 1
    check(found, {6: found.table["reason"][6]})


def test_no_distance_and_the_geometry_of_another_detector(tmp_path):
    path = write_cxi(tmp_path / "run.cxi", draw_run(4))
    assert find(path, None).reasons == {"no distance": 4}
    assert find(path, write_geometry(tmp_path, (200, 160))).reasons == {"wrong shape": 4}


@pytest.mark.parametrize("make", [make_first, make_second])
def test_psana_that_raises_in_the_middle(make, monkeypatch, tmp_path):
    images = [image[None] for image in draw_run(N).astype(np.uint16)]
    monkeypatch.setitem(sys.modules, "psana", make(images, broken={4, 13}))
    events = open_stream(experiment="cxi49812", run=69, address="CxiDs1.0:Cspad.0",
                         **{"events.geometry": write_geometry(tmp_path)})
    found = xdp.find_hits(events, powder=None)
    check(found, {4: "psana", 13: "psana"})
    assert "psana fell over in the middle" in found.table["message"][13]


def test_a_full_disk_ends_the_run_with_a_line_and_the_next_goes_on(tmp_path, monkeypatch, capsys):
    from xdp.serial.hits import find as module
    from xdp.serial.hits import table

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "PART", 10)
    stack, geometry = write_run(tmp_path, draw_run(N))
    words = ["find_hits", str(stack), f"events.geometry={geometry}", "events.energy=9537", "chunksize=5"]
    write, n_written = table._write_part, []

    def fill(folder, columns):
        n_written.append(folder)
        if len(n_written) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(folder, columns)

    monkeypatch.setattr(table, "_write_part", fill)
    assert main(words) == 1
    said = capsys.readouterr()
    assert "what is finished is kept in" in said.err + said.out
    assert "Traceback" not in said.err
    assert main(words) == 0
    assert "has done 10 of 24 shots" in capsys.readouterr().out
    assert np.array_equal(read_shot_table("hits.zarr")["verdict"] == "hit", TRUTH)
    assert not list(tmp_path.glob(".xdp*"))


def test_a_full_disk_in_a_shot_is_its_reason(monkeypatch, tmp_path):
    """A compressed image is unpacked to a scratch file, say: the shot is not damaged, the disk is full."""
    from xdp.serial.events.image_sources import StackedImages

    path = write_cxi(tmp_path / "run.cxi", draw_run(N))
    read = StackedImages.read

    def fill(self, index):
        if index == 9:
            raise DiskError("scratch: the disk is full")
        return read(self, index)

    monkeypatch.setattr(StackedImages, "read", fill)
    check(find(path, write_geometry(tmp_path)), {9: "disk full"})
