"""Identifiers follow from images and models."""

from __future__ import annotations

import os
import shutil
import uuid

import numpy as np
from importing import make_import_options
from nexus_maker import example_counts, write_nxmx

from xdp.images.importing.import_images import import_images


def list_identifiers(words, **changes):
    return [e.identifier for e in import_images(words, make_import_options(**changes)).experiments]


def test_the_same_images_have_the_same_identifier_wherever_they_lie(tmp_path, image_files):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    paths = image_files.cbf_series(tmp_path / "a", 3)
    copies = [shutil.copy(path, tmp_path / "b") for path in paths]
    for path in copies:
        os.utime(path, (1.0, 1.0))
    (name,) = list_identifiers(paths)
    assert str(uuid.UUID(name)) == name
    assert list_identifiers(copies) == list_identifiers([tmp_path / "b" / "img_####.cbf"]) == [name]
    # in one import they may not be the same
    both = list_identifiers([*paths, *copies])
    assert len(set(both)) == 2
    assert name in both


def test_other_images_or_another_geometry_have_others(tmp_path, image_files):
    paths = image_files.cbf_series(tmp_path, 4)
    changed = image_files.cbf_file(tmp_path / "img_0005.cbf", image_files.pixels(seed=99), 5)
    found = [list_identifiers(paths), list_identifiers(paths[:3]), list_identifiers(paths[1:]),
             list_identifiers([*paths, changed]), list_identifiers(paths, geometry__detector__distance=123.0),
             list_identifiers(paths, geometry__scan__oscillation=(1.0, 0.5))]
    image_files.cbf_file(changed, image_files.pixels(seed=98), 5)
    found.append(list_identifiers([*paths, changed]))
    assert len({name for names in found for name in names}) == len(found)


def test_stacks_by_their_pixels_and_stills_by_their_place(tmp_path):
    """The pixels lie in files that the master file links to: its own bytes are the same."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    counts = example_counts()
    paths = [write_nxmx(tmp_path / name / "m.h5", counts, layout="links", rotation=False) for name in ("a", "b")]
    first = list_identifiers([paths[0]])
    assert len(set(first)) == 5
    shutil.copy(paths[0], paths[1])
    assert list_identifiers([paths[1]]) == first
    counts[-1] += np.uint32(1)
    write_nxmx(paths[1], counts, layout="links", rotation=False)
    shutil.copy(paths[0], paths[1])
    assert not set(list_identifiers([paths[1]])) & set(first)
