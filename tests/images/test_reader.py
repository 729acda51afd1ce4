"""The reader of frames: threads, pickling, wrong sizes."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from xdp.errors import FormatError, XdpError
from xdp.experiment import Experiment, ImageSet, Scan
from xdp.images.importing.import_images import import_images
from xdp.images.reader import Reader, check_stacks, list_frame_files, open_reader


def test_frames_of_a_series(tmp_path, image_files):
    (experiment,) = import_images(image_files.cbf_series(tmp_path, 4, first=3)).experiments
    reader = open_reader(experiment)
    assert (reader.n_frames, len(reader), reader.dtype) == (4, 4, np.int32)
    assert reader.panel_shapes == [(31, 40)]
    np.testing.assert_array_equal(reader.read(0)[0], image_files.pixels(seed=3))
    with pytest.raises(IndexError, match="frame must be in 0 to 3, got 4"):
        reader.read(4)


def test_threads_and_pickles_read_the_same(tmp_path, image_files):
    (experiment,) = import_images(image_files.cbf_series(tmp_path, 6)).experiments
    reader = pickle.loads(pickle.dumps(open_reader(experiment)))
    with ThreadPoolExecutor(4) as pool:
        frames = list(pool.map(lambda i: reader.read(i % 6)[0], range(48)))
    for i, frame in enumerate(frames):
        np.testing.assert_array_equal(frame, image_files.pixels(seed=i % 6 + 1))


def test_missing_frame_is_named(tmp_path, image_files):
    paths = image_files.cbf_series(tmp_path, 3)
    (experiment,) = import_images(paths).experiments
    paths[1].unlink()
    with pytest.raises(FormatError, match=r"img_0002.cbf: cannot be read: No such file"):
        open_reader(experiment).read(1)


def test_experiment_without_images():
    with pytest.raises(XdpError, match="has no images to read"):
        open_reader(Experiment())


def test_readers_of_one_stack_share_it_and_others_do_not(tmp_path):
    stack = np.arange(24, dtype=np.int32).reshape(2, 3, 4)
    for name in ("a.npy", "b.npy"):
        np.save(tmp_path / name, stack)
    first, second, other = (Reader((str(tmp_path / name),), (i,), {}) for name, i in
                            (("a.npy", 0), ("a.npy", 1), ("b.npy", 1)))
    second.share_file(first)
    other.share_file(first)
    assert second.open_file(0) is first.open_file(0)
    assert other.open_file(0) is not first.open_file(0)
    np.testing.assert_array_equal(second.read(0)[0], stack[1])
    np.testing.assert_array_equal(other.read(0)[0], stack[1])
    assert second.static_mask() == first.static_mask()


def test_selected_frames_keep_their_own_files():
    reader = Reader(("a.cbf", "b.cbf", "c.cbf"), (0, 0, 0), {"multi_panel": True}, ((2, 3),)).select(1, 3)
    assert (reader.files, len(reader), reader.params) == (("b.cbf", "c.cbf"), 2, {"multi_panel": True})
    assert reader.panel_shapes == [(2, 3)]


def test_sequence_needs_a_scan_to_list_its_files():
    with pytest.raises(XdpError, match="needs a scan"):
        list_frame_files(ImageSet("ImageSequence", template="a_##.cbf"), None)


def test_a_scan_of_more_images_than_its_file_has(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(24, dtype=np.int32).reshape(2, 3, 4))
    images = ImageSet("ImageSequence", template=str(tmp_path / "a.npy"))
    long, whole = (Experiment(imageset=images, scan=Scan((1, n), (0.0, 1.0))) for n in (4_000_000, 2))
    check_stacks([whole, Experiment(), Experiment(imageset=ImageSet("ImageSequence", template="none.npy"))])
    for attempt in (lambda: check_stacks([whole, long]), lambda: open_reader(long).read(0)):
        with pytest.raises(FormatError, match=r"a\.npy: it has 2 images, and the experiment wants image 4000000"):
            attempt()
    # one file a frame
    with pytest.raises(FormatError, match="wants image 3"):
        Reader((images.template,) * 2, (0, 2), {}).read(1)
