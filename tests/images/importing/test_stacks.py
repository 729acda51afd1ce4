"""Files of many images: sweeps, several sweeps, stills."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from importing import make_import_options
from nexus_maker import edit_entry, example_counts, write_eiger, write_nxmx

from xdp.errors import FormatError
from xdp.images.importing.import_images import import_images
from xdp.images.importing.stacks import split_runs
from xdp.images.reader import open_reader


def read_images(experiment):
    reader = open_reader(experiment)
    return np.stack([reader.read(i)[0] for i in range(len(reader))])


def test_screening_images_are_sweeps_of_their_own(tmp_path, caplog):
    path = write_nxmx(tmp_path / "a.h5", example_counts(3), omega=[0.0, 45.0, 90.0])
    edit_entry(path, lambda e: e["sample/transformations/omega_end"].__setitem__(..., [0.15, 45.15, 90.15]))
    experiments = import_images([path]).experiments
    assert [e.scan.image_range for e in experiments] == [(1, 1), (2, 2), (3, 3)]
    np.testing.assert_allclose([e.scan.oscillation for e in experiments], [(0, 0.15), (45, 0.15), (90, 0.15)])
    assert [e.imageset.single_file_indices for e in experiments] == [(0,), (1,), (2,)]
    np.testing.assert_array_equal(read_images(experiments[2]), example_counts(3).view(np.int32)[2:])
    assert "they are 3 sweeps" in caplog.text
    assert len({e.identifier for e in experiments}) == 3


def test_range_of_several_sweeps(tmp_path):
    path = write_nxmx(tmp_path / "a.h5", omega=[0.0, 0.5, 1.0, 90.0, 90.5])
    edit_entry(path, lambda e: e["sample/transformations"].__delitem__("omega_end"))
    experiments = import_images([path], make_import_options(geometry__scan__image_range=(2, 4))).experiments
    assert [e.scan.image_range for e in experiments] == [(2, 3), (4, 4)]
    assert [e.scan.oscillation for e in experiments] == [(0.5, 0.5), (90.0, 0.5)]
    np.testing.assert_array_equal(read_images(experiments[0]), example_counts().view(np.int32)[1:3])


def test_runs_allow_for_scatter_and_find_missing_images():
    rng = np.random.default_rng(1)
    starts = 0.1 * np.arange(50) + rng.normal(0.0, 0.01, 50)
    assert len(split_runs(starts, np.full(50, 0.1))) == 1
    assert [run[:2] for run in split_runs(np.delete(starts, 20), np.full(49, 0.1))] == [(0, 20), (20, 49)]
    turned = (350.0 + 0.5 * np.arange(40)) % 360.0
    assert len(split_runs(turned, np.full(40, 0.5))) == 1


@pytest.mark.parametrize("kind", ["nxmx", "eiger"])
def test_image_range_rescues_an_interrupted_series(tmp_path, kind):
    write = {"nxmx": lambda path: write_nxmx(path, layout="links"), "eiger": write_eiger}[kind]
    path = write(tmp_path / "m.h5")
    (tmp_path / "m_data_000002.h5").unlink()
    with pytest.raises(FormatError, match=r"its scan has 5 images, its data files have 3 \(.*m_data_000002.h5 is "
                                          r"missing.*image_range=1,3 takes those that are there"):
        import_images([path])
    (experiment,) = import_images([path], make_import_options(geometry__scan__image_range=(2, 3))).experiments
    assert experiment.imageset.single_file_indices == (1, 2)
    np.testing.assert_array_equal(read_images(experiment), example_counts().view(np.int32)[1:3])


def test_links_may_end_with_the_data(tmp_path):
    path = write_nxmx(tmp_path / "a.h5", omega=0.5 * np.arange(40))
    with pytest.raises(FormatError, match=r"its scan has 40 images, its data files have 5; .*image_range=1,5"):
        import_images([path])
    (experiment,) = import_images([path], make_import_options(geometry__scan__image_range=(1, 5))).experiments
    assert experiment.scan.n_frames == len(open_reader(experiment)) == 5


def test_images_without_an_angle_are_told_and_can_be_read(tmp_path, caplog):
    path = write_nxmx(tmp_path / "a.h5", omega=[0.0, 0.5, 1.0])
    (experiment,) = import_images([path]).experiments
    assert experiment.scan.n_frames == 3
    assert "it holds 5 images, but its header has angles for 3" in caplog.text
    (experiment,) = import_images([path], make_import_options(geometry__scan__image_range=(1, 5))).experiments
    assert experiment.imageset.single_file_indices == (0, 1, 2, 3, 4)
    assert read_images(experiment).shape[0] == 5


def test_notes_of_headers_are_told_once(tmp_path, caplog):
    for name in ("a.h5", "b.h5"):
        path = write_nxmx(tmp_path / name)
        edit_entry(path, lambda e: e["instrument/detector/frame_time"].attrs.__delitem__("units"))
    import_images([tmp_path])
    (record,) = caplog.records
    assert "a.h5 (and 1 others): exposure times are not known" in record.getMessage()
    assert len(import_images([tmp_path / "a.h5"]).experiments) == 1


def test_single_image_without_a_frame_axis(tmp_path):
    path = write_nxmx(tmp_path / "a.h5", example_counts(1), omega=[10.0])

    def flatten(entry):
        image = entry["data/data"][0]
        del entry["data/data"]
        entry["data/data"] = image

    (experiment,) = import_images([edit_entry(path, flatten)]).experiments
    np.testing.assert_array_equal(read_images(experiment), example_counts(1).view(np.int32))


def test_two_master_files_of_the_same_data_are_one_series(tmp_path, caplog):
    path = write_nxmx(tmp_path / "m.h5", layout="links")
    shutil.copy(path, tmp_path / "m.nxs")
    (experiment,) = import_images([tmp_path / "m.h5", tmp_path / "m.nxs"]).experiments
    assert experiment.imageset.template == str(path)
    assert "m.nxs holds the same images as" in caplog.text


def test_stills_of_a_missing_data_file_are_told(tmp_path, caplog):
    path = write_nxmx(tmp_path / "m.h5", layout="links", omega=[30.0])
    (tmp_path / "m_data_000002.h5").unlink()
    assert len(import_images([path]).experiments) == 3
    assert "of its stills 3 are read, others are not there" in caplog.text
