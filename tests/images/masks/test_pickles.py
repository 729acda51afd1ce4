"""Masks and maps in files: what is written comes back, and nothing in a file is executed."""

from __future__ import annotations

import os
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from xdp.errors import FormatError, XdpError
from xdp.images.masks.pickles import (
    read_flex_pickle,
    read_maps,
    write_background_pickle,
    write_map_pickle,
    write_mask_pickle,
)

pytestmark = pytest.mark.kernels


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(masks=st.lists(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40)), min_size=1, max_size=3))
def test_masks_round_trip(tmp_path, masks):
    write_mask_pickle(tmp_path / "m.pickle", masks)
    back = read_flex_pickle(tmp_path / "m.pickle")
    assert isinstance(back, tuple)
    for ours, theirs in zip(masks, back, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=hnp.arrays(float, (3, 4), elements=st.floats(allow_nan=False, allow_infinity=False)))
def test_maps_round_trip_to_the_last_bit(tmp_path, values):
    write_map_pickle(tmp_path / "g.pickle", [values])
    np.testing.assert_array_equal(read_maps(tmp_path / "g.pickle")[0], values)


def test_a_large_mask_takes_the_longer_opcode(tmp_path):
    mask = np.random.default_rng(0).random((300, 400)) < 0.5
    write_mask_pickle(tmp_path / "m.pickle", [mask, ~mask])
    np.testing.assert_array_equal(read_maps(tmp_path / "m.pickle")[1], ~mask)


def test_only_masks_and_finite_maps_are_written(tmp_path):
    with pytest.raises(ValueError, match="true and false"):
        write_mask_pickle(tmp_path / "m", [np.zeros((2, 2))])
    with pytest.raises(ValueError, match="two-dimensional"):
        write_mask_pickle(tmp_path / "m", [np.zeros(2, bool)])
    with pytest.raises(ValueError, match="finite"):
        write_map_pickle(tmp_path / "m", [np.full((2, 2), np.nan)])
    assert list(tmp_path.iterdir()) == []


def test_numpy_files(tmp_path):
    mask = np.arange(24).reshape(2, 3, 4) % 5 > 0
    np.save(tmp_path / "one.npy", mask[0])
    np.save(tmp_path / "two.npy", mask)
    np.savez(tmp_path / "two.npz", a=mask[0], b=mask[1])
    assert [len(read_maps(tmp_path / name)) for name in ("one.npy", "two.npy", "two.npz")] == [1, 2, 2]
    np.testing.assert_array_equal(read_maps(tmp_path / "two.npz")[1], mask[1])


def test_backgrounds_round_trip_and_must_be_finite(tmp_path):
    images = [np.arange(6.0).reshape(2, 3), np.full((4, 1), 0.1)]
    write_background_pickle(tmp_path / "background.pickle", images)
    for ours, theirs in zip(images, read_maps(tmp_path / "background.pickle"), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(ValueError, match="a background must be finite"):
        write_background_pickle(tmp_path / "m", [np.full((2, 2), np.inf)])


def test_a_numpy_file_of_objects_is_refused(tmp_path, canary):
    np.save(tmp_path / "evil.npy", np.array([[canary.bomb]], object), allow_pickle=True)
    with pytest.raises(FormatError, match="NumPy"):
        read_flex_pickle(tmp_path / "evil.npy")
    canary.check()


def test_a_numpy_file_that_announces_too_much_is_refused(tmp_path):
    np.save(tmp_path / "m.npy", np.zeros((5, 5), bool))
    raw = (tmp_path / "m.npy").read_bytes()
    for shape in (b"(9999,99), ", b"(5, 5     "):
        (tmp_path / "m.npy").write_bytes(raw.replace(b"(5, 5), ", shape)[: len(raw)])
        with pytest.raises(FormatError):
            read_flex_pickle(tmp_path / "m.npy")
    with zipfile.ZipFile(tmp_path / "m.npz", "w") as packed:
        packed.writestr("a.npy", b"no array")
    with pytest.raises(FormatError):
        read_flex_pickle(tmp_path / "m.npz")


def test_what_is_no_map_is_described(tmp_path):
    (tmp_path / "m.pickle").write_bytes(b"(K\x01K\x02t.")
    with pytest.raises(FormatError, match="one two-dimensional array a panel expected, got int, int"):
        read_maps(tmp_path / "m.pickle")


def test_a_missing_file_is_a_user_error(tmp_path):
    with pytest.raises(XdpError, match="cannot be read"):
        read_flex_pickle(tmp_path / "none.pickle")


class Bomb:
    """Pickles as a call of os.system."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


class Canary:
    """A bomb and the place where its smoke would be seen."""

    def __init__(self, path):
        self.path = path
        self.bomb = Bomb(path)

    def check(self):
        assert not self.path.exists()


@pytest.fixture
def canary(tmp_path):
    return Canary(tmp_path / "executed")


@pytest.mark.parametrize("protocol", range(6))
def test_a_call_of_the_shell_is_only_a_name(tmp_path, canary, protocol):
    (tmp_path / "evil.pickle").write_bytes(pickle.dumps((np.bool_, canary.bomb), protocol))
    with pytest.raises(FormatError, match=r"evil\.pickle: it asks for .*; only flex arrays"):
        read_flex_pickle(tmp_path / "evil.pickle")
    canary.check()
