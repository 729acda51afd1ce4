"""Tests of powder patterns."""

import h5py
import numpy as np

from xdp.serial.hits.powder import PowderSums, write_powder


def test_sum_and_maximum_equal_numpy(tmp_path):
    images = np.random.default_rng(1).poisson(9.0, (7, 2, 5, 6)).astype(np.uint16)
    valid = [np.ones((5, 6), bool), np.arange(30).reshape(5, 6) % 4 > 0]
    whole, first, second = PowderSums(), PowderSums(), PowderSums()
    for number, image in enumerate(images):
        whole.add(list(image), valid)
        (first if number < 3 else second).add(list(image), valid)
    first.join(second)
    first.join(PowderSums())
    masked = images * np.array(valid)
    for powder in (whole, first):
        assert powder.n == 7
        np.testing.assert_array_equal(powder.total, masked.sum(0, dtype=float))
        np.testing.assert_array_equal(powder.highest, masked.max(0))
    write_powder(tmp_path / "p.h5", (whole, PowderSums()))
    with h5py.File(tmp_path / "p.h5") as file:
        assert file["hits"].attrs["n_shots"] == 7
        assert file["hits/sum"].shape == (2, 5, 6)
        np.testing.assert_array_equal(file["hits/maximum"][()], masked.max(0))
        assert file["misses"].attrs["n_shots"] == 0
        assert not len(file["misses"])


def test_panels_of_different_shapes_are_arrays_of_their_own(tmp_path):
    powder = PowderSums()
    powder.add([np.ones((2, 3)), np.ones((4, 5))])
    powder.add([np.ones((2, 3)), np.ones((4, 5))])
    write_powder(tmp_path / "p.h5", (powder, PowderSums()))
    with h5py.File(tmp_path / "p.h5") as file:
        assert file["hits/sum_001"].shape == (4, 5)
        assert file["hits/sum_001"][0, 0] == 2.0


def test_shots_of_another_shape_are_left_out():
    powder, other = PowderSums(), PowderSums()
    powder.add([np.ones((2, 3))])
    other.add([np.ones((4, 5))])
    powder.join(other)
    assert powder.n == 1
    assert powder.total[0].shape == (2, 3)


def test_empty_joins_full():
    powder, other = PowderSums(), PowderSums()
    other.add([np.full((2, 3), 2.5, np.float32)])
    powder.join(other)
    assert powder.n == 1
    assert powder.total[0][0, 0] == 2.5
