"""The user's beam, goniometer and scan on top of the headers'."""

from __future__ import annotations

import numpy as np
import pytest
from importing import make_import_options

from xdp.errors import OptionError
from xdp.experiment import Beam, Goniometer, Scan
from xdp.images.importing import overrides
from xdp.images.importing.import_images import import_images
from xdp.images.importing.options import BeamOverride, GoniometerOverride, ScanOverride
from xdp.images.reader import open_reader

BEAM = Beam((0.0, 0.0, 1.0), 1.0)


def test_beam_values():
    changed = overrides.override_beam(BEAM, BeamOverride(direction=(0, 0, 2), flux=3.0, transmission=0.5))
    assert (changed.direction, changed.flux, changed.transmission, changed.wavelength) == ((0, 0, 1), 3.0, 0.5, 1.0)
    assert overrides.override_beam(None, BeamOverride()) is None
    assert overrides.override_beam(None, BeamOverride(wavelength=2.0)) == Beam((0.0, 0.0, 1.0), 2.0)
    with pytest.raises(OptionError, match="vector of some length"):
        overrides.override_beam(BEAM, BeamOverride(direction=(0, 0, 0)))


def test_goniometer_of_one_axis():
    inverted = overrides.override_goniometer(Goniometer(),
                                             GoniometerOverride(axis=(0, 2, 0), invert_rotation_axis=True))
    assert inverted.rotation_axis == (0, -1, 0)
    with pytest.raises(OptionError, match="rotation matrix"):
        overrides.override_goniometer(Goniometer(), GoniometerOverride(fixed_rotation=(1,) * 9))
    with pytest.raises(OptionError, match="needs a goniometer of several axes"):
        overrides.override_goniometer(Goniometer(), GoniometerOverride(angles=(1, 2)))


def test_goniometer_of_several_axes():
    made = overrides.override_goniometer(None, GoniometerOverride(axes=(1, 0, 0, 0, 3, 0), angles=(90, 0),
                                                                  names=("phi", "omega"), scan_axis=1))
    assert made.axes == ((1, 0, 0), (0, 1, 0))
    np.testing.assert_allclose(made.F, [[1, 0, 0], [0, 0, -1], [0, 1, 0]], atol=1e-15)
    turned = overrides.override_goniometer(made, GoniometerOverride(angles=(0, 0)))
    np.testing.assert_allclose(turned.F, np.eye(3), atol=1e-15)
    with pytest.raises(OptionError, match="angles must be of 2 axes, got 3"):
        overrides.override_goniometer(made, GoniometerOverride(angles=(1, 2, 3)))


def test_image_range_keeps_angles_and_extrapolates_times():
    scan = Scan((1, 3), (10.0, 0.5), (0.1,) * 3, (5.0, 6.0, 7.0))
    inside = overrides.override_scan(scan, ScanOverride(image_range=(2, 3)))
    assert (inside.oscillation, inside.n_frames) == ((10.5, 0.5), 2)
    longer = overrides.override_scan(scan, ScanOverride(image_range=(1, 5)))
    assert longer.epochs == (5.0, 6.0, 7.0, 0.0, 0.0)
    further = overrides.override_scan(scan, ScanOverride(image_range=(1, 5), extrapolate_scan=True))
    assert further.epochs == pytest.approx((5.0, 6.0, 7.0, 7.1, 7.2))
    with pytest.raises(OptionError, match="must rise"):
        overrides.override_scan(scan, ScanOverride(image_range=(5, 2)))


def test_stills_without_an_oscillation_are_a_sequence_of_stills(tmp_path, image_files):
    panel = {"pixel_size": (0.1, 0.1), "image_size": (40, 31), "trusted_range": (0, 60000), "origin": (-2, 2, -100)}
    for i in range(8, 12):
        path = tmp_path / f"plain_{i}.tif"
        path.write_bytes(image_files.tiff_bytes(image_files.pixels(seed=i).astype(np.uint16)))
    options = make_import_options(geometry__beam__wavelength=0.98, geometry__detector__panel=(panel,),
                                  geometry__convert_stills_to_sequences=True)
    experiments = import_images([tmp_path], options).experiments
    assert [e.scan.image_range for e in experiments] == [(i, i) for i in range(8, 12)]
    assert all(e.is_still and e.imageset is experiments[0].imageset for e in experiments)
    assert experiments[0].imageset.template == str(tmp_path / "plain_#.tif")
    np.testing.assert_array_equal(open_reader(experiments[2]).read(0)[0], image_files.pixels(seed=10))
