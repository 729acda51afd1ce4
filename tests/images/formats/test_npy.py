"""NPY stacks: whatever NumPy writes is read; nothing else is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xdp.errors import FormatError
from xdp.images.formats.find import find_format
from xdp.images.formats.npy import NPY


@pytest.mark.parametrize(("dtype", "native"), [("u1", "u2"), ("<u2", "u2"), (">u2", "u2"), ("i2", "i4"), ("<i4", "i4"),
                                               ("<u4", "i4"), ("<i8", "i4"), ("<f4", "f4"), (">f8", "f4"), ("?", "u2")])
@pytest.mark.parametrize("shape", [(7, 9), (3, 7, 9), (3, 2, 7, 9)])
def test_reads_what_numpy_wrote(tmp_path, dtype, native, shape):
    counts = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)
    np.save(tmp_path / "a.npy", counts)
    opened = find_format(tmp_path / "a.npy")
    assert isinstance(opened, NPY)
    frames = counts.reshape(-1, *([1] if len(shape) < 4 else []), *shape[-(3 if len(shape) == 4 else 2):])
    assert opened.n_images == len(frames)
    for i, frame in enumerate(frames):
        panels = opened.raw(i)
        assert len(panels) == len(frame)
        for panel, wanted in zip(panels, frame, strict=True):
            assert panel.dtype == np.dtype(native)
            np.testing.assert_array_equal(panel, wanted)
    assert opened.stack_models().detector is None


def test_long_header_of_version_two(tmp_path):
    counts = np.arange(24, dtype="u2").reshape(2, 3, 4)
    with open(tmp_path / "a.npy", "wb") as stream:
        np.lib.format.write_array(stream, counts, version=(2, 0))
    np.testing.assert_array_equal(NPY(tmp_path / "a.npy").raw(1)[0], counts[1])


def test_truncated(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((4, 20, 20), "u2"))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(FormatError, match=r"a\.npy: is truncated"):
        NPY(path)


@pytest.mark.parametrize("array", [np.zeros(3), np.zeros((0, 3, 4)), np.asfortranarray(np.zeros((2, 3, 4))),
                                   np.zeros((2, 2), "c8"), np.zeros((2, 2), [("a", "i4")]), np.array([["a"]])])
def test_other_arrays_are_refused(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(FormatError, match="must be a C-ordered array of numbers"):
        NPY(tmp_path / "a.npy")


def test_pickled_objects_are_never_loaded(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[print]]), allow_pickle=True)
    with pytest.raises(FormatError):
        NPY(tmp_path / "a.npy")


@given(st.data())
@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_files(tmp_path, data):
    path = tmp_path / "a.npy"
    np.save(path, np.arange(60, dtype="u2").reshape(3, 4, 5))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(6, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[:data.draw(st.integers(6, len(content)))])
    try:
        opened = NPY(path)
        opened.raw(opened.n_images - 1)
    except FormatError as error:
        assert "a.npy" in str(error)  # noqa: PT017  other bytes may be right too
