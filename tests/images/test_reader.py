"""The reader of frames: threads, pickling, wrong sizes."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from xdp.errors import FormatError, XdpError
from xdp.experiment import Experiment
from xdp.images.importing.import_images import import_images
from xdp.images.reader import open_reader


def test_frames_of_a_series(tmp_path, image_files):
    (experiment,) = import_images(image_files.cbf_series(tmp_path, 4, first=3))
    reader = open_reader(experiment)
    assert (reader.n_frames, len(reader), reader.dtype) == (4, 4, np.int32)
    assert reader.panel_shapes == [(31, 40)]
    np.testing.assert_array_equal(reader.read(0)[0], image_files.pixels(seed=3))
    with pytest.raises(IndexError, match="frame must be in 0 to 3, got 4"):
        reader.read(4)


def test_threads_and_pickles_read_the_same(tmp_path, image_files):
    (experiment,) = import_images(image_files.cbf_series(tmp_path, 6))
    reader = pickle.loads(pickle.dumps(open_reader(experiment)))
    with ThreadPoolExecutor(4) as pool:
        frames = list(pool.map(lambda i: reader.read(i % 6)[0], range(48)))
    for i, frame in enumerate(frames):
        np.testing.assert_array_equal(frame, image_files.pixels(seed=i % 6 + 1))


def test_missing_frame_is_named(tmp_path, image_files):
    paths = image_files.cbf_series(tmp_path, 3)
    (experiment,) = import_images(paths)
    paths[1].unlink()
    with pytest.raises(FormatError, match=r"img_0002.cbf: cannot be read: No such file"):
        open_reader(experiment).read(1)


def test_experiment_without_images():
    with pytest.raises(XdpError, match="has no images to read"):
        open_reader(Experiment())
