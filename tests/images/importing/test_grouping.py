"""Which images make a sequence, and which models they share."""

from __future__ import annotations

import numpy as np
import pytest
from importing import make_import_options

from xdp.errors import FormatError
from xdp.images.importing.import_images import import_images
from xdp.images.reader import open_reader


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
    part = make_import_options(geometry__scan__image_range=(1, 2))
    (experiment,) = import_images([tmp_path / "img_####.cbf"], part).experiments
    assert experiment.scan.image_range == (1, 2)


def test_part_of_a_template_starts_at_its_own_angle(tmp_path, image_files):
    image_files.cbf_series(tmp_path, 6)
    part = make_import_options(geometry__scan__image_range=(3, 5))
    (experiment,) = import_images([tmp_path / "img_####.cbf"], part).experiments
    assert experiment.scan.oscillation == (1.0, 0.5)


def test_images_of_two_sizes_in_one_template_are_named(tmp_path, image_files):
    paths = image_files.cbf_series(tmp_path, 2)
    odd = image_files.cbf_file(tmp_path / "img_0003.cbf", image_files.pixels(20, 20), 3)
    with pytest.raises(FormatError, match=r"img_0003.cbf: expected 40 x 31 pixels .* got 20 x 20"):
        import_images([*paths, odd])
    # By template the headers are not all read: the reader finds it.
    (experiment,) = import_images([tmp_path / "img_####.cbf"]).experiments
    with pytest.raises(FormatError, match=r"img_0003.cbf: expected 40 x 31 pixels"):
        open_reader(experiment).read(2)
