"""Grouping of images to experiments, and bad input."""

import numpy as np
import pytest

from xdp.errors import FormatError, OptionError
from xdp.experiment import write_experiments
from xdp.images.importing.import_images import import_images
from xdp.images.importing.options import ImportOptions
from xdp.images.reader import open_reader


def options(**changes):
    """Import options with nested values by their paths, ``input__template=...``."""
    tree: dict = {}
    for name, value in changes.items():
        node = tree
        *scopes, last = name.split("__")
        for scope in scopes:
            node = node.setdefault(scope, {})
        node[last] = value
    return ImportOptions.model_validate(tree)


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
    chosen = {"option": options(input__template=(str(tmp_path / "img_####.cbf"),)),
              "directory": options(input__directory=(str(tmp_path),))}
    (experiment,) = import_images([words[word]] if word in words else [], chosen.get(word)).experiments
    assert experiment.imageset.template == str(tmp_path / "img_####.cbf")
    assert experiment.scan.image_range == (1, 3)


def test_gaps_and_jumps_end_a_sequence_and_models_are_shared(tmp_path, image_files):
    paths = image_files.cbf_series(tmp_path, 2) + image_files.cbf_series(tmp_path, 2, first=6)
    experiments = import_images(paths).experiments
    assert [e.scan.image_range for e in experiments] == [(1, 2), (6, 7)]
    assert experiments[0].beam is experiments[1].beam
    assert experiments[0].detector is experiments[1].detector
    jump = image_files.cbf_file(tmp_path / "img_0003.cbf", number=3, width=0.7)
    assert [e.scan.image_range for e in import_images([*paths[:2], jump]).experiments] == [(1, 2), (3, 3)]


def test_another_wavelength_is_another_beam(tmp_path, image_files):
    paths = [image_files.cbf_file(tmp_path / f"img_000{i}.cbf", number=i, wavelength=1.0 + (i > 1)) for i in (1, 2)]
    first, second = import_images(paths).experiments
    assert (first.beam.wavelength, second.beam.wavelength) == (1.0, 2.0)
    assert first.detector is second.detector


def test_stills_of_a_template_share_an_image_set(tmp_path, image_files):
    paths = [image_files.cbf_file(tmp_path / f"img_000{i}.cbf", number=i, width=0.0) for i in (1, 2, 3)]
    experiments = import_images(paths).experiments
    assert [e.scan.image_range for e in experiments] == [(1, 1), (2, 2), (3, 3)]
    assert experiments[0].imageset is experiments[2].imageset
    np.testing.assert_array_equal(open_reader(experiments[2]).read(0)[0], image_files.pixels(seed=3))


def test_template_may_not_lack_images(tmp_path, image_files):
    image_files.cbf_series(tmp_path, 2)
    image_files.cbf_series(tmp_path, 1, first=5)
    with pytest.raises(FormatError, match=r"img_####.cbf: missing images 3, 4 of 1 to 5"):
        import_images([tmp_path / "img_####.cbf"])
    (experiment,) = import_images([tmp_path / "img_####.cbf"], options(geometry__scan__image_range=(1, 2))).experiments
    assert experiment.scan.image_range == (1, 2)


def test_part_of_a_template_starts_at_its_own_angle(tmp_path, image_files):
    image_files.cbf_series(tmp_path, 6)
    (experiment,) = import_images([tmp_path / "img_####.cbf"], options(geometry__scan__image_range=(3, 5))).experiments
    assert experiment.scan.oscillation == (1.0, 0.5)


def test_old_compatibility_leaves_out_the_overload(tmp_path, image_files):
    paths = image_files.cbf_series(tmp_path, 1)
    (today,) = import_images(paths).experiments
    (old,) = import_images(paths, options(output__compatibility="dials-3.12")).experiments
    assert today.detector[0].trusted_range == (0.0, 1048575.0)
    assert old.detector[0].trusted_range == (0.0, 1048574.0)


def test_grid_scan_must_be_full(tmp_path, image_files):
    paths = [image_files.cbf_file(tmp_path / f"img_000{i}.cbf", number=i, width=0.0) for i in (1, 2, 3, 4)]
    grid = import_images(paths, options(input__as_grid_scan=True, input__grid_size=(2, 2))).experiments
    assert [e.imageset.images for e in grid] == [(str(path),) for path in paths]
    with pytest.raises(OptionError, match="must hold all 4 images"):
        import_images(paths, options(input__as_grid_scan=True, input__grid_size=(3, 2)))
    with pytest.raises(OptionError, match=r"needs input.grid_size"):
        import_images(paths, options(input__as_grid_scan=True))


def test_several_sequences_can_be_refused(tmp_path, image_files):
    paths = image_files.cbf_series(tmp_path, 1) + image_files.cbf_series(tmp_path, 1, name="other")
    assert len(import_images(paths).experiments) == 2
    with pytest.raises(OptionError, match="found 2 sequences, but allow_multiple_sequences=False"):
        import_images(paths, options(input__allow_multiple_sequences=False))


def test_images_of_two_sizes_in_one_template_are_named(tmp_path, image_files):
    paths = image_files.cbf_series(tmp_path, 2)
    odd = image_files.cbf_file(tmp_path / "img_0003.cbf", image_files.pixels(20, 20), 3)
    with pytest.raises(FormatError, match=r"img_0003.cbf: expected 40 x 31 pixels .* got 20 x 20"):
        import_images([*paths, odd])
    # By template the headers are not all read: the reader finds it.
    (experiment,) = import_images([tmp_path / "img_####.cbf"]).experiments
    with pytest.raises(FormatError, match=r"img_0003.cbf: expected 40 x 31 pixels"):
        open_reader(experiment).read(2)


def text_file(folder):
    (folder / "text.txt").write_text("hello")
    return folder / "text.txt"


def empty_folder(folder):
    (folder / "empty").mkdir()
    return folder / "empty"


def folder_without_images(folder):
    (folder / "notes").mkdir()
    (folder / "notes" / "a.txt").write_text("a")
    (folder / "notes" / "b.txt").write_text("b")
    return folder / "notes"


@pytest.mark.parametrize(("make", "message"), [
    (text_file, r"text.txt: not an image file of a known format"),
    (empty_folder, r"empty: the folder holds no files"),
    (folder_without_images, r"notes: none of the 2 files in this folder is an image"),
    (lambda folder: folder / "none_*.cbf", r"none_\*.cbf: the pattern matches no file"),
    (lambda folder: folder / "none_####.cbf", r"none_####.cbf: the template matches no file"),
    (lambda folder: folder / "nowhere" / "none_####.cbf", r"none_####.cbf: folder .*nowhere cannot be listed"),
    (lambda folder: folder / "none.cbf", r"none.cbf: no such file or folder"),
])
def test_what_is_no_image_is_named(tmp_path, make, message):
    with pytest.raises(FormatError, match=message):
        import_images([make(tmp_path)])


def test_nothing_given_is_an_error():
    with pytest.raises(FormatError, match="no images were given"):
        import_images([])


def test_text_beside_images_is_ignored_unless_asked(tmp_path, image_files):
    paths = [*image_files.cbf_series(tmp_path, 1), text_file(tmp_path)]
    assert len(import_images(paths).experiments) == 1
    with pytest.raises(FormatError, match=r"text.txt: not an image"):
        import_images(paths, options(input__ignore_unhandled=False))


def test_header_without_geometry_needs_it_from_the_user(tmp_path, image_files):
    path = tmp_path / "plain_1.tif"
    path.write_bytes(image_files.tiff_bytes(image_files.pixels().astype(np.uint16)))
    with pytest.raises(FormatError, match=r"plain_1.tif: its header has no geometry"):
        import_images([path])
    panel = {"pixel_size": (0.1, 0.1), "image_size": (40, 31), "trusted_range": (0, 60000), "origin": (-2, 2, -100),
             "slow_axis": (0, -1, 0)}
    given = options(geometry__beam__wavelength=0.98, geometry__detector__panel=(panel,))
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
    panel = {"pixel_size": (0.1, 0.1), "image_size": (40, 31), "trusted_range": (0, 60000)}
    wanted = options(geometry__beam__wavelength=0.98, geometry__detector__panel=(panel,),
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
                           options(geometry__convert_sequences_to_stills=True)).experiments
    assert [e.scan for e in stills] == [None] * 3
    assert stills[1].imageset.images == (str(tmp_path / "img_0002.cbf"),)


def test_reference_geometry_replaces_the_header(tmp_path, image_files):
    paths = image_files.cbf_series(tmp_path, 2)
    reference = import_images(paths, options(geometry__detector__distance=250.0,
                                             geometry__beam__wavelength=0.9)).experiments
    write_experiments(tmp_path / "ref.expt", reference)
    (experiment,) = import_images(paths, options(input__reference_geometry=str(tmp_path / "ref.expt"))).experiments
    assert experiment.beam.wavelength == 0.9
    assert experiment.detector.d_matrix(0)[2, 2] == -250.0
    odd = image_files.cbf_file(tmp_path / "odd_1.cbf", image_files.pixels(20, 20))
    with pytest.raises(OptionError, match="are not those of the images"):
        import_images([odd], options(input__reference_geometry=str(tmp_path / "ref.expt")))
