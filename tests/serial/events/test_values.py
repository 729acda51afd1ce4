"""Numbers of shots in HDF5 files."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from xdp.errors import FormatError
from xdp.serial.events.options import EventValues
from xdp.serial.events.times import format_time
from xdp.serial.events.values import get_value, read_shot_values


def make_file(path, **values):
    with h5py.File(path, "w") as handle:
        for name, value in values.items():
            handle[name.replace("__", "/")] = value
    return str(path)


@pytest.mark.parametrize(("name", "value", "energy"), [
    ("LCLS__photon_energy_eV", 9500.0, 9500.0), ("LCLS__photon_wavelength_A", 1.0, 12398.42),
    ("entry_1__instrument_1__source_1__energy", 1.602176634e-15, 10000.0)])
def test_energies(tmp_path, name, value, energy):
    values = read_shot_values(make_file(tmp_path / "a.h5", **{name: np.full((3, 1), value)}), EventValues())
    assert values.energies == pytest.approx(np.full(3, energy))


@pytest.mark.parametrize("value", [np.array([b"2016-07-08T22:05Z24.133"]), np.array([1468015524.133])])
def test_times_of_the_users_data_set(tmp_path, value):
    values = read_shot_values(make_file(tmp_path / "a.h5", my__time=value), EventValues(time="my/time"))
    assert format_time(values.get_time(5)) == "2016-07-08T22:05Z24.133"


def test_times_that_make_no_sense_are_not_known(tmp_path):
    path = make_file(tmp_path / "a.h5", my__time=np.array([np.nan, -5.0, 1468015524.0]))
    values = read_shot_values(path, EventValues(time="my/time"))
    assert [values.get_time(i) is None for i in range(4)] == [True, True, False, True]


def test_values_of_one_shot():
    assert get_value(None, 0) is None
    assert get_value(np.array([3.0]), 7) == 3.0
    assert get_value(np.array([3.0, 4.0]), 1) == 4.0
    assert get_value(np.array([3.0, 4.0]), 2) is None


@pytest.mark.parametrize("where", [{"energy": "absent"}, {"time": "absent"}, {"scalar": ("a=absent",)}])
def test_a_data_set_that_was_named_must_be_there(tmp_path, where):
    with pytest.raises(FormatError, match="absent"):
        read_shot_values(make_file(tmp_path / "a.h5", x=1.0), EventValues(**where))
