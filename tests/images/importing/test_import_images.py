"""From image files to experiments: what the options ask for, and what is wrong."""

from __future__ import annotations

import numpy as np
import pytest
from importing import make_import_options, write_text_file

from xdp.errors import FormatError, OptionError
from xdp.images.importing.import_images import import_images
from xdp.images.reader import open_reader


def test_series_is_one_experiment_whatever_the_order(tmp_path, image_files):
    paths = image_files.cbf_series(tmp_path, 5, first=8)
    (experiment,) = import_images(paths[::-1]).experiments
    assert experiment.imageset.template == str(tmp_path / "img_####.cbf")
    assert experiment.scan.image_range == (8, 12)
    assert experiment.scan.oscillation == (3.5, 0.5)
    assert experiment.scan.epochs == tuple(1.0e9 + 0.25 * i for i in range(8, 13))
    assert experiment.scan.exposure_time == (0.1,) * 5
    assert len(experiment.identifier) == 36
    reader = open_reader(experiment)
    np.testing.assert_array_equal(reader.read(2)[0], image_files.pixels(seed=10))


@pytest.mark.parametrize("word", ["folder", "pattern", "hashes", "printf", "option", "directory"])
def test_ways_to_say_the_same_series(tmp_path, image_files, word):
    image_files.cbf_series(tmp_path, 3)
    (tmp_path / "notes.txt").write_text("not an image")
    words = {"folder": str(tmp_path), "pattern": str(tmp_path / "img_*.cbf"), "hashes": str(tmp_path / "img_####.cbf"),
             "printf": str(tmp_path / "img_%04d.cbf")}
    chosen = {"option": make_import_options(input__template=(str(tmp_path / "img_####.cbf"),)),
              "directory": make_import_options(input__directory=(str(tmp_path),))}
    (experiment,) = import_images([words[word]] if word in words else [], chosen.get(word)).experiments
    assert experiment.imageset.template == str(tmp_path / "img_####.cbf")
    assert experiment.scan.image_range == (1, 3)


def test_old_compatibility_leaves_out_the_overload(tmp_path, image_files):
    paths = image_files.cbf_series(tmp_path, 1)
    (today,) = import_images(paths).experiments
    (old,) = import_images(paths, make_import_options(output__compatibility="dials-3.12")).experiments
    assert today.detector[0].trusted_range == (0.0, 1048575.0)
    assert old.detector[0].trusted_range == (0.0, 1048574.0)


def test_grid_scan_must_be_full(tmp_path, image_files):
    paths = [image_files.cbf_file(tmp_path / f"img_000{i}.cbf", number=i, width=0.0) for i in (1, 2, 3, 4)]
    grid = import_images(paths, make_import_options(input__as_grid_scan=True, input__grid_size=(2, 2))).experiments
    assert [e.imageset.images for e in grid] == [(str(path),) for path in paths]
    with pytest.raises(OptionError, match="must hold all 4 images"):
        import_images(paths, make_import_options(input__as_grid_scan=True, input__grid_size=(3, 2)))
    with pytest.raises(OptionError, match=r"needs input.grid_size"):
        import_images(paths, make_import_options(input__as_grid_scan=True))


def test_several_sequences_can_be_refused(tmp_path, image_files):
    paths = image_files.cbf_series(tmp_path, 1) + image_files.cbf_series(tmp_path, 1, name="other")
    assert len(import_images(paths).experiments) == 2
    with pytest.raises(OptionError, match="found 2 sequences, but allow_multiple_sequences=False"):
        import_images(paths, make_import_options(input__allow_multiple_sequences=False))


def test_nothing_given_is_an_error():
    with pytest.raises(FormatError, match="no images were given"):
        import_images([])


def test_text_beside_images_is_ignored_unless_asked(tmp_path, image_files):
    paths = [*image_files.cbf_series(tmp_path, 1), write_text_file(tmp_path)]
    assert len(import_images(paths).experiments) == 1
    with pytest.raises(FormatError, match=r"text.txt: not an image"):
        import_images(paths, make_import_options(input__ignore_unhandled=False))


def test_header_without_geometry_needs_it_from_the_user(tmp_path, image_files):
    path = tmp_path / "plain_1.tif"
    path.write_bytes(image_files.tiff_bytes(image_files.pixels().astype(np.uint16)))
    with pytest.raises(FormatError, match=r"plain_1.tif: its header has no geometry"):
        import_images([path])
    panel = {"pixel_size": (0.1, 0.1), "image_size": (40, 31), "trusted_range": (0, 60000), "origin": (-2, 2, -100),
             "slow_axis": (0, -1, 0)}
    given = make_import_options(geometry__beam__wavelength=0.98, geometry__detector__panel=(panel,))
    (experiment,) = import_images([path], given).experiments
    assert experiment.detector[0].origin == (-2.0, 2.0, -100.0)
    assert experiment.beam.direction == (0.0, 0.0, 1.0)
    assert experiment.imageset.images == (str(path),)
    assert open_reader(experiment).read(0)[0].shape == (31, 40)


def test_stills_become_a_sequence(tmp_path, image_files):
    paths = []
    for i in (1, 2, 3):
        paths.append(tmp_path / f"plain_{i}.tif")
        paths[-1].write_bytes(image_files.tiff_bytes(image_files.pixels(seed=i).astype(np.uint16)))
    panel = {"pixel_size": (0.1, 0.1), "image_size": (40, 31), "trusted_range": (0, 60000),
             "origin": (-2, -1.5, -100)}
    wanted = make_import_options(geometry__beam__wavelength=0.98, geometry__detector__panel=(panel,),
                     geometry__scan__oscillation=(10.0, 0.1), geometry__goniometer__axis=(0, 2, 0),
                     geometry__convert_stills_to_sequences=True)
    (experiment,) = import_images(paths, wanted).experiments
    assert experiment.scan.image_range == (1, 3)
    assert experiment.scan.oscillation == (10.0, 0.1)
    assert experiment.goniometer.rotation_axis == (0.0, 1.0, 0.0)
    np.testing.assert_array_equal(open_reader(experiment).read(1)[0], image_files.pixels(seed=2))
    with pytest.raises(OptionError, match="numbered without a gap"):
        import_images(paths[::2], wanted)


def test_sequences_become_stills(tmp_path, image_files):
    stills = import_images(image_files.cbf_series(tmp_path, 3),
                           make_import_options(geometry__convert_sequences_to_stills=True)).experiments
    assert [e.scan for e in stills] == [None] * 3
    assert stills[1].imageset.images == (str(tmp_path / "img_0002.cbf"),)


@pytest.mark.parametrize("image_range", [None, (1, 2)])
def test_a_file_without_images_is_named(monkeypatch, image_range):
    """A damaged CXI file may have the layout of one with shots, and none in it."""
    monkeypatch.setattr("xdp.images.importing.import_images.collect_images", lambda paths, options: [])
    with pytest.raises(FormatError, match=r"bad\.cxi: no images"):
        import_images(["bad.cxi"], make_import_options(geometry__scan__image_range=image_range))
