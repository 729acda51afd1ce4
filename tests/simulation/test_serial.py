"""Tests of the simulated serial run."""

import json

import h5py
import numpy as np
import pytest

from xdp.serial.events import open_events
from xdp.simulation.options import SerialRunOptions
from xdp.simulation.serial import ASIC, KINDS, make_cspad, simulate_serial_run, write_serial_run

OPTIONS = SerialRunOptions(n_shots=6, n_darks=3)


@pytest.fixture(scope="module")
def run():
    return simulate_serial_run(OPTIONS)


@pytest.fixture(scope="module")
def folder(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("serial")
    write_serial_run(run, out)
    return out


def test_panels_lie_about_the_beam_and_do_not_overlap():
    detector = make_cspad()
    corners = [np.array([panel.d_matrix @ [x, y, 1.0] for x in (0.0, panel.image_size_mm[0])
                         for y in (0.0, panel.image_size_mm[1])])[:, :2] for panel in detector]
    boxes = [(c.min(0), c.max(0)) for c in corners]
    for i in range(16):
        for j in range(i):
            overlap = np.minimum(boxes[i][1], boxes[j][1]) - np.maximum(boxes[i][0], boxes[j][0])
            # turned by a third of a degree the boxes of neighbours touch by a few pixels at most
            assert overlap.min() < 0.3
    assert np.all(np.abs(np.concatenate(corners)).max(1) > 1.0)  # the beam passes between them


def test_each_kind_has_its_crystals(run):
    assert run.kinds[:4] == list(KINDS)
    crystals = {"hit": 1, "double": 2}
    assert len(run.simulation.experiments) == sum(crystals.get(kind, 0) for kind in run.kinds)
    assert not np.concatenate(run.draw_photons(3)).any()
    bright = [np.stack(run.draw_photons(k)).max() for k in range(3)]
    assert min(bright[:2]) > 5 * bright[2] > 0


def test_files_are_read_back_to_the_photons(run, folder):
    events = open_events(folder / "run.h5", geometry=str(folder / "cspad.geom"))
    assert len(events) == 6
    shot = events[1]
    assert shot.failure is None
    assert shot.timestamp == "2016-07-08T22:05Z24.008"
    detector = shot.experiment.detector
    assert shot.experiment.beam.wavelength == pytest.approx(1.3)
    for i, panel in enumerate(run.detector):
        np.testing.assert_allclose(detector.d_matrix(i), panel.d_matrix, atol=1e-6)
    with h5py.File(folder / "dark.h5") as file:
        dark = file["entry_1/data_1/data"][()].astype(float).mean(0).reshape(16, *ASIC)
    off = np.stack(shot.image) - dark - OPTIONS.gain * np.stack(run.draw_photons(1))
    # noise of 3 counts, a dark of three shots, offsets of 4 counts
    assert np.abs(off).mean() < 8.0
    assert (dark == 0).sum() == OPTIONS.cold_pixels
    assert json.loads((folder / "truth.json").read_text())["shots"] == run.kinds


def test_the_same_seed_gives_the_same_shots(run):
    again = simulate_serial_run(OPTIONS)
    assert all(np.array_equal(a, b) for a, b in zip(again.draw_photons(0), run.draw_photons(0), strict=True))
