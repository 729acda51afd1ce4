"""Which single images make a sweep."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from importing import make_import_options

from xdp.errors import FormatError
from xdp.experiment import Scan
from xdp.images.importing.import_images import import_images
from xdp.images.importing.series import compute_turn, fit_width, is_next
from xdp.images.reader import open_reader


def write_turning_images(image_files, folder, starts, width=0.5, name="img_{:04d}.cbf"):
    """Mini CBF files at given angles."""
    paths = []
    for number, start in enumerate(starts, 1):
        path = image_files.cbf_file(folder / name.format(number), number=number)
        text = path.read_bytes()
        for field, value in (("Start_angle", start), ("Angle_increment", width)):
            at = text.index(f"# {field}".encode())
            text = text[:at] + f"# {field} {value} deg.".encode() + text[text.index(b"\n", at) - 1:]
        path.write_bytes(text)
        paths.append(path)
    return paths


def test_unpadded_numbers_are_one_sweep_in_their_order(tmp_path, image_files):
    for i in range(1, 13):
        image_files.cbf_file(tmp_path / f"img_{i}.cbf", number=i)
    for words in ([tmp_path], [tmp_path / "img_#.cbf"]):
        (experiment,) = import_images(words).experiments
        assert experiment.imageset.template == str(tmp_path / "img_#.cbf")
        assert experiment.scan.image_range == (1, 12)
        np.testing.assert_array_equal(open_reader(experiment).read(11)[0], image_files.pixels(seed=12))


def test_one_file_named_three_ways_is_one_image(tmp_path, image_files, monkeypatch):
    (tmp_path / "raw").mkdir()
    image_files.cbf_series(tmp_path / "raw", 3)
    monkeypatch.chdir(tmp_path)
    (experiment,) = import_images(["raw", "./raw/img_0002.cbf", tmp_path / "raw" / "img_0001.cbf"]).experiments
    assert experiment.scan.image_range == (1, 3)
    # spellings mixed in one sweep
    (experiment,) = import_images(["raw/img_0001.cbf", tmp_path / "raw" / "img_0002.cbf"]).experiments
    assert experiment.scan.image_range == (1, 2)


def test_a_hash_in_folder_or_name_is_no_placeholder(tmp_path, image_files):
    folder = tmp_path / "crystal#1"
    folder.mkdir()
    paths = image_files.cbf_series(folder, 3)
    (experiment,) = import_images(paths).experiments
    np.testing.assert_array_equal(open_reader(experiment).read(1)[0], image_files.pixels(seed=2))
    odd = image_files.cbf_file(folder / "img_#7.cbf", number=7)
    (experiment,) = import_images([odd]).experiments
    np.testing.assert_array_equal(open_reader(experiment).read(0)[0], image_files.pixels(seed=7))


def test_time_stamps_number_images_by_their_last_digits(tmp_path, image_files):
    for i in range(3):
        image_files.cbf_file(tmp_path / f"lyso_2023062710501{i}.cbf", number=105010 + i)
    (experiment,) = import_images([tmp_path]).experiments
    assert experiment.scan.image_range == (105010, 105012)
    np.testing.assert_array_equal(open_reader(experiment).read(2)[0], image_files.pixels(seed=105012))


def test_template_without_hash_names_a_file(tmp_path, image_files):
    (path, *_) = image_files.cbf_series(tmp_path, 3)
    packed = tmp_path / "l_0001.cbf.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    for name in (path, packed):
        (experiment,) = import_images([], make_import_options(input__template=(str(name),))).experiments
        assert experiment.scan.image_range == (1, 1)
    with pytest.raises(FormatError, match=r"img_0009.cbf: no such file; a template has # for each digit"):
        import_images([], make_import_options(input__template=(str(tmp_path / "img_0009.cbf"),)))


def test_a_sweep_goes_through_360_degrees(tmp_path, image_files):
    starts = [round((359.8 + i / 30) % 360.0, 4) % 360.0 for i in range(12)]
    paths = write_turning_images(image_files, tmp_path, starts, 0.0333)
    for words in (paths, [tmp_path / "img_####.cbf"]):
        (experiment,) = import_images(words).experiments
        assert (experiment.scan.n_frames, experiment.scan.oscillation) == (12, (359.8, 0.0333))


def test_screening_images_are_sweeps_of_their_own(tmp_path, image_files, caplog):
    paths = write_turning_images(image_files, tmp_path, [0.0, 45.0, 90.0], 0.15)
    for words in (paths, [tmp_path / "img_####.cbf"]):
        experiments = import_images(words).experiments
        assert [e.scan.oscillation for e in experiments] == [(0.0, 0.15), (45.0, 0.15), (90.0, 0.15)]
    assert "do not turn on where the one before ended" in caplog.text
    forced = make_import_options(geometry__scan__oscillation=(0.0, 0.15))
    assert len(import_images([tmp_path / "img_####.cbf"], forced).experiments) == 1


def test_images_without_width_are_stills_though_the_crystal_turned_between_them(tmp_path, image_files):
    write_turning_images(image_files, tmp_path, [0.0, 1.0, 2.0], width=0.0)
    experiments = import_images([tmp_path]).experiments
    assert all(experiment.scan is None or experiment.scan.is_still for experiment in experiments)


def test_widths_that_headers_round_fit_the_last_image():
    scan = Scan((1, 3601), (0.0, 0.0333))
    assert fit_width(scan, 120.0, "img").oscillation == (0.0, pytest.approx(1 / 30, abs=1e-12))
    assert fit_width(scan, 3600 * 0.0333 + 0.01, "img") is scan
    stills = Scan((1, 8), (100.0, 0.0))
    assert fit_width(stills, 107.0, "img") is stills
    # a whole turn is none
    assert fit_width(Scan((1, 11), (355.0, 1.0)), 5.0, "img").oscillation == (355.0, 1.0)


@pytest.mark.parametrize(("start", "agrees"), [(0.0, True), (360.0, True), (-360.0, True), (0.1, False),
                                               (180.0, False)])
def test_angles_are_compared_without_whole_turns(start, agrees):
    scan = Scan((1, 1), (359.5, 0.5))
    assert is_next(scan, 1, Scan((2, 2), (start, 0.5)), 0.03) is agrees
    assert compute_turn(540.0) == -180.0


def test_image_range_may_not_name_files_that_are_not_there(tmp_path, image_files):
    paths = image_files.cbf_series(tmp_path, 3)
    with pytest.raises(FormatError, match=r"img_####.cbf: missing images 4, 5 of 1 to 5"):
        import_images(paths, make_import_options(geometry__scan__image_range=(1, 5)))
