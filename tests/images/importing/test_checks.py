"""Geometry that cannot be."""

from __future__ import annotations

import dataclasses

import pytest
from importing import make_import_options

from xdp.errors import FormatError
from xdp.experiment import Goniometer
from xdp.images.importing.checks import check_geometry
from xdp.images.importing.grouping import collect_images
from xdp.images.importing.import_images import import_images


def test_models_that_no_experiment_has(tmp_path, image_files):
    (group,) = collect_images(image_files.cbf_series(tmp_path, 2), make_import_options())
    check_geometry(group)
    panel = group.models.detector[0]

    def change_panel(**values):
        changed = dataclasses.replace(panel, **values)
        return {"detector": dataclasses.replace(group.models.detector, panels=(changed,))}

    nan = float("nan")
    for change, complaint in [
        (change_panel(origin=(*panel.origin[:2], 0.0)), r"img_0001.cbf: its detector is at distance 0 mm"),
        (change_panel(origin=(nan, 0.0, -100.0)), "has no sound place"),
        (change_panel(fast_axis=(0.0, -1.0, 0.0)), "has no sound place"),
        (change_panel(pixel_size=(0.0, 0.1)), "has pixels of"),
        (change_panel(trusted_range=(10.0, 0.0)), "trusts counts from 10 to 0"),
        ({"beam": dataclasses.replace(group.models.beam, wavelength=nan)}, "its wavelength cannot be nan"),
        ({"goniometer": Goniometer(rotation_axis=(0.0, 0.0, 0.0))}, "its rotation axis cannot be"),
        ({"scan": dataclasses.replace(group.models.scan, oscillation=(nan, 0.1))}, "its scan starts at nan"),
    ]:
        with pytest.raises(FormatError, match=complaint):
            check_geometry(dataclasses.replace(group, models=dataclasses.replace(group.models, **change)))


def test_distance_zero_needs_one_from_the_user(tmp_path, image_files):
    path = image_files.smv_file(tmp_path / "a_0001.img")
    path.write_bytes(path.read_bytes().replace(b"DISTANCE=150.0;", b"DISTANCE=0.000;"))
    with pytest.raises(FormatError, match=r"a_0001.img: .*distance"):
        import_images([path])
    (experiment,) = import_images([path], make_import_options(geometry__detector__distance=120.0)).experiments
    assert experiment.detector[0].origin[2] == -120.0
