"""Groups of images, split into single ones."""

from __future__ import annotations

from importing import make_import_options
from nexus_maker import write_nxmx

from xdp.images.importing.group import find_first_file, split_into_images
from xdp.images.importing.grouping import collect_images


def test_a_sweep_of_files_and_one_of_a_stack_are_split_into_images(tmp_path, image_files):
    paths = image_files.cbf_series(tmp_path, 3, first=7)
    stack = write_nxmx(tmp_path / "a#1.h5")
    of_stack, of_files = collect_images([*paths, stack], make_import_options())
    assert (find_first_file(of_files), find_first_file(of_stack)) == (str(paths[0]), str(stack))
    images = split_into_images(of_files)
    assert [image.imageset.images for image in images] == [(str(path),) for path in paths]
    assert [image.models.scan.image_range for image in images] == [(7, 7), (8, 8), (9, 9)]
    images = split_into_images(of_stack)
    assert [image.imageset.single_file_indices for image in images] == [(i,) for i in range(5)]
    assert not any(image.is_sequence for image in images)
