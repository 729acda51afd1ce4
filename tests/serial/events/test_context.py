"""What is laid over the shots of a run: geometry, energy, distance."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from xdp.serial.events import open_events
from xdp.serial.events.context import name_shot

GEOMETRY = """photon_energy = /LCLS/energy
clen = /LCLS/encoder
coffset = 0.58
res = 10000
data = /entry_1/data_1/data
dim0 = %
dim1 = ss
dim2 = fs
a/min_fs = 0
a/max_fs = 3
a/min_ss = 0
a/max_ss = 2
a/corner_x = -2
a/corner_y = -1
b/min_fs = 4
b/max_fs = 7
b/min_ss = 0
b/max_ss = 2
b/corner_x = 5
b/corner_y = -1
"""


@pytest.fixture
def run(tmp_path):
    with h5py.File(tmp_path / "run.cxi", "w") as handle:
        handle["cxi_version"] = 140
        handle["entry_1/data_1/data"] = np.arange(4 * 3 * 8, dtype=np.uint16).reshape(4, 3, 8)
        handle["LCLS/energy"] = np.array([9500.0, 9600.0, 0.0, 9500.0])
        handle["LCLS/encoder"] = np.array([-480.0, -470.0, -480.0, -480.0])
        handle["LCLS/photon_energy_eV"] = np.full(4, 1234.0)  # what the geometry does not name does not count
    (tmp_path / "x.geom").write_text(GEOMETRY)
    return tmp_path


def test_a_geometry_cuts_shots_and_says_where_their_values_are(run):
    events = open_events(run / "run.cxi", geometry=run / "x.geom")
    assert [panel.shape for panel in events[0].image] == [(3, 4), (3, 4)]
    assert [shot.photon_energy for shot in events] == [9500.0, 9600.0, None, 9500.0]
    assert [shot.distance for shot in events] == pytest.approx([100.0, 110.0, 100.0, 100.0])
    assert events[0].experiment.detector is events[3].experiment.detector
    assert events[0].experiment.imageset.params["geometry_file"] == str(run / "x.geom")


def test_what_the_user_gives_comes_first(run):
    shot = open_events(run / "run.cxi", geometry=run / "x.geom", energy=8000.0, distance=93.0)[2]
    assert (shot.photon_energy, shot.distance) == (8000.0, 93.0)
    assert shot.experiment.detector[0].distance == pytest.approx(93.0)
    assert shot.experiment.beam.wavelength == pytest.approx(12398.42 / 8000.0, rel=1e-6)


def test_the_frames_of_a_geometry_go_through_the_reader_of_the_pipeline(run):
    from xdp.images.reader import open_reader

    shot = open_events(run / "run.cxi", geometry=run / "x.geom")[1]
    for panel, again in zip(shot.image, open_reader(shot.experiment).read(0), strict=True):
        assert np.array_equal(panel, again)


def test_names():
    assert name_shot("a", 0) == "a //0"
