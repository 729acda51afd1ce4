"""Images as lazy arrays."""

from __future__ import annotations

import dataclasses
import pickle

import dask
import numpy as np
import pytest

from xdp.errors import XdpError
from xdp.experiment import Detector, Experiment, ImageSet, Panel
from xdp.images.importing.import_images import import_images
from xdp.images.stack import open_stack, valid_pixels


class Guard:
    """A scheduler that counts how often it is asked, after xarray's own test helper."""

    def __init__(self, limit):
        self.limit = limit
        self.n_calls = 0

    def __call__(self, graph, keys, **options):
        self.n_calls += 1
        assert self.n_calls <= self.limit, "computed while building"
        return dask.get(graph, keys, **options)


def computes_at_most(limit):
    return dask.config.set(scheduler=Guard(limit))


@pytest.fixture
def series(tmp_path, maker):
    counts = maker.example_counts(9)
    mask = np.zeros(counts.shape[1:], np.uint8)
    mask[3, 4] = 1
    experiment, = import_images([maker.write_nxmx(tmp_path / "a.h5", counts, mask=mask)]).experiments
    return experiment, counts.astype(np.int32)


@pytest.mark.parametrize("frames_per_chunk", [1, 4, 20, "auto"])
def test_lazy_frames(series, frames_per_chunk):
    experiment, counts = series
    with computes_at_most(0):
        stack = open_stack(experiment, frames_per_chunk)
        part = stack.isel(frame=slice(2, 4)).where(stack.isel(frame=slice(2, 4)) >= 0).max()
    assert stack.dims == ("frame", "panel", "slow", "fast")
    assert (stack.name, stack.shape, stack.dtype) == ("counts", (9, 1, 37, 41), np.int32)
    expected = {1: (1,) * 9, 4: (4, 4, 1)}.get(frames_per_chunk, (9,))
    assert stack.chunks == (expected, (1,), (37,), (41,))
    with computes_at_most(1):
        assert float(part.compute()) == counts[2:4].max()
    np.testing.assert_array_equal(stack.values[:, 0], counts)


def test_spatial_chunks(series):
    experiment, counts = series
    with computes_at_most(0):
        stack = open_stack(experiment, 5, spatial=(20, 30))
    assert stack.chunks == ((5, 4), (1,), (20, 17), (30, 11))
    np.testing.assert_array_equal(stack.values[:, 0], counts)


def test_coordinates(series):
    stack = open_stack(series[0])
    assert stack.frame.values.tolist() == list(range(9))
    assert stack.image.values.tolist() == list(range(1, 10))
    np.testing.assert_allclose(stack.phi, 10.25 + 0.5 * np.arange(9), rtol=1e-15)


def test_part_of_a_scan(series):
    experiment, counts = series
    scan = dataclasses.replace(experiment.scan, image_range=(4, 6), oscillation=(11.5, 0.5),
                               exposure_time=(0.1,) * 3, epochs=(0.0,) * 3)
    imageset = dataclasses.replace(experiment.imageset, single_file_indices=(3, 4, 5))
    stack = open_stack(dataclasses.replace(experiment, scan=scan, imageset=imageset))
    assert stack.image.values.tolist() == [4, 5, 6]
    assert stack.frame.values.tolist() == [3, 4, 5]
    np.testing.assert_array_equal(stack.values[:, 0], counts[3:6])


def test_graph_pickles(series):
    experiment, counts = series
    stack = pickle.loads(pickle.dumps(open_stack(experiment, 2)))
    np.testing.assert_array_equal(stack.isel(frame=8).values[0], counts[8])


def test_still_has_no_angles(tmp_path, maker):
    experiments = import_images([maker.write_nxmx(tmp_path / "a.h5", rotation=False)]).experiments
    stack = open_stack(experiments[3])
    assert stack.shape == (1, 1, 37, 41)
    assert set(stack.coords) == {"frame"}


def test_valid_pixels(series):
    valid = valid_pixels(series[0])
    assert valid.dims == ("panel", "slow", "fast")
    assert np.argwhere(~valid.values).tolist() == [[0, 3, 4]]


def test_smaller_panels_are_padded_with_invalid_pixels(tmp_path, maker):
    counts = maker.example_counts(2, 30, 40)
    modules = [((0, 0), (30, 19), (40.0, 30.0)), ((5, 21), (20, 18), (38.425, 30.0))]
    experiment, = import_images([maker.write_nxmx(tmp_path / "a.h5", counts, modules=modules)]).experiments
    stack, valid = open_stack(experiment), valid_pixels(experiment)
    assert stack.shape == (2, 2, 30, 19)
    assert stack.attrs["panel_shapes"] == ((30, 19), (20, 18))
    np.testing.assert_array_equal(stack.values[:, 1, :20, :18], counts[:, 5:25, 21:39].astype(np.int32))
    padding = ~valid.values
    assert padding.sum() == 30 * 19 - 20 * 18
    assert (stack.values[:, padding] == -1).all()


@pytest.mark.parametrize("wrong", [0, -1, 2.5, "many"])
def test_wrong_chunks(series, wrong):
    with pytest.raises(XdpError, match="frames_per_chunk must be at least 1"):
        open_stack(series[0], wrong)


def test_no_images_or_no_detector():
    panel = Panel((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (2, 2), (1.0, 1.0))
    with pytest.raises(XdpError, match="no images"):
        open_stack(Experiment(detector=Detector((panel,))))
    with pytest.raises(XdpError, match="no detector"):
        open_stack(Experiment(imageset=ImageSet("ImageSet", images=("x.cbf",))))
