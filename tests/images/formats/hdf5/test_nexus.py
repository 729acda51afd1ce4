"""NXmx files: models, pixels, and what is wrong with them."""

from __future__ import annotations

import dataclasses

import h5py
import numpy as np
import pytest
from nexus_maker import edit_entry

from xdp.errors import FormatError
from xdp.images.formats.find import find_format
from xdp.images.formats.hdf5.nexus import NXmx
from xdp.images.importing.import_images import import_images


def test_single_module(tmp_path, maker):
    counts = maker.example_counts(5)
    opened = find_format(maker.write_nxmx(tmp_path / "a.h5", counts))
    assert isinstance(opened, NXmx)
    assert opened.n_images == 5
    models = opened.stack_models()
    assert models.beam.wavelength == 0.9795
    panel, = models.detector
    # The maker's chain by hand: the offset (40, 30) is turned by 10 degrees about y, then moved 165 along z; in
    # imgCIF's frame x and z point the other way.
    cos, sin = np.cos(np.radians(10.0)), np.sin(np.radians(10.0))
    np.testing.assert_allclose(panel.origin, (-40.0 * cos, 30.0, -(165.0 - 40.0 * sin)), atol=1e-12)
    np.testing.assert_allclose(panel.fast_axis, (cos, 0.0, -sin), atol=1e-15)
    np.testing.assert_allclose(panel.slow_axis, (0.0, -1.0, 0.0), atol=1e-15)
    np.testing.assert_allclose(panel.pixel_size, (0.075, 0.075), rtol=1e-15)
    assert panel.image_size == (41, 37)
    assert panel.trusted_range == (0.0, 60000.0)
    assert panel.corrects_parallax
    assert models.goniometer.rotation_axis == (1.0, 0.0, 0.0)
    assert models.scan.image_range == (1, 5)
    assert models.scan.oscillation == (10.0, 0.5)
    assert models.scan.exposure_time == (0.1,) * 5
    np.testing.assert_array_equal(opened.raw(2)[0], counts[2].view(np.int32))


def test_models_of_one_image(tmp_path, maker):
    opened = NXmx(maker.write_nxmx(tmp_path / "a.h5"))
    scan = opened.models(3).scan
    assert scan.image_range == (4, 4)
    assert scan.oscillation == (11.5, 0.5)
    assert len(scan.exposure_time) == 1


def test_shots_are_imported_with_their_own_wavelength(tmp_path, maker):
    path = maker.write_nxmx(tmp_path / "a.h5", rotation=False, wavelength=[1.0, 1.0, 1.2, 1.3, 1.4])
    experiments = import_images([path]).experiments
    assert [e.beam.wavelength for e in experiments] == [1.0, 1.0, 1.2, 1.3, 1.4]
    assert experiments[0].beam is experiments[1].beam
    assert len({id(e.detector) for e in experiments}) == 1


@pytest.mark.parametrize(("dtype", "bits", "saturation", "native"), [
    (np.uint16, 16, 60000, np.uint16),   # the marks lie beyond the trusted range: 16 bits stay 16
    (np.uint16, 16, None, np.int32),
    (np.uint16, 16, 65534, np.int32),
    (np.uint8, 8, None, np.int32),
    (np.uint32, 32, None, np.int32),
    (np.uint16, None, None, np.uint16),
])  # fmt: skip
def test_marked_pixels(tmp_path, maker, dtype, bits, saturation, native):
    counts = np.full((1, 8, 9), 7, dtype)
    top = 1 << (31 if bits == 32 else np.iinfo(dtype).bits)
    counts[0, 0, :3] = top - 1, top - 2, top - 3
    values = {"saturation_value": saturation, "bit_depth_readout": bits}
    image, = NXmx(maker.write_nxmx(tmp_path / "a.h5", counts, rotation=False, detector_values=values)).raw(0)
    assert image.dtype == native
    expected = [-1, -2, top - 3] if native is np.int32 and bits else [top - 1, top - 2, top - 3]
    assert image[0, :3].tolist() == expected
    assert (image[1:] == 7).all()


def test_masked_pixels_of_32_bits_are_minus_one(tmp_path, maker):
    counts = np.zeros((1, 8, 9), np.uint32)
    counts[0, 0, 0] = 0xFFFFFFFF
    values = {"bit_depth_readout": 32}
    assert NXmx(maker.write_nxmx(tmp_path / "a.h5", counts, detector_values=values, omega=[0])).raw(0)[0][0, 0] == -1


@pytest.mark.parametrize(("change", "complaint"), [
    (lambda e: e.__delitem__("instrument/detector/sensor_material"), "sensor_material is ''"),
    (lambda e: e.__delitem__("instrument/detector/sensor_thickness"), "no sensor_thickness"),
    (lambda e: e.__delitem__("instrument/beam"), "no NXbeam"),
    (lambda e: e.__delitem__("data"), "no NXdata"),
    (lambda e: e.__delitem__("instrument/detector/module_0/data_size"), "data_size must be"),
    (lambda e: e["instrument/detector/module_0/data_size"].__setitem__(0, 500), "outside frames"),
    (lambda e: e["instrument/beam/incident_wavelength"].__setitem__((), -1.0), "above 0"),
    (lambda e: e["instrument/beam/incident_wavelength"].attrs.__setitem__("units", "kg"), "units are 'kg'"),
    (lambda e: e["instrument/detector/transformations/tilt"].attrs.__setitem__("depends_on", "tilt"), "never ends"),
    (lambda e: e["instrument/detector/transformations/tilt"].attrs.__setitem__("depends_on", "x"), "not there"),
    (lambda e: e["instrument/detector/transformations/distance"].__setitem__(0, np.nan), "not finite"),
    (lambda e: e["instrument/detector/transformations/tilt"].attrs.__setitem__("vector", (0, 0, 0)), "no vector"),
    (lambda e: e["instrument/detector/transformations/tilt"].attrs.__setitem__("transformation_type", "twist"),
     "transformation_type is 'twist'"),
    (lambda e: e["instrument/detector/module_0/fast_pixel_direction"].__setitem__(0, 0.0), "pixel size"),
])  # fmt: skip
def test_complaints_name_file_and_place(tmp_path, maker, change, complaint):
    path = edit_entry(maker.write_nxmx(tmp_path / "a.h5"), change)
    with pytest.raises(FormatError, match=complaint) as caught:
        NXmx(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_more_images_in_the_scan_than_in_the_data(tmp_path, maker):
    path = maker.write_nxmx(tmp_path / "a.h5", omega=np.arange(9.0))
    with pytest.raises(FormatError, match="its scan has 9 images, its data files have 5"):
        NXmx(path)


def test_not_nxmx(tmp_path, maker):
    with h5py.File(tmp_path / "a.h5", "w") as handle:
        handle["x"] = 1
    assert not NXmx.understands(str(tmp_path / "a.h5"), b"")
    with pytest.raises(FormatError, match="not an image file"):
        find_format(tmp_path / "a.h5")
    (tmp_path / "b.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(FormatError):
        find_format(tmp_path / "b.h5")


def test_rot_dev(shared_data):
    opened = NXmx(shared_data / "rot_dev" / "rot_dev_master.h5")
    assert opened.n_images == 60
    models = opened.stack_models()
    assert models.scan.oscillation == (10.0, 0.5)
    np.testing.assert_allclose(models.detector[0].origin, (-85.1916, 70.4684, -165.0), atol=1e-9)
    cbf = find_format(shared_data / "rot_dev" / "cbf" / "rot_dev_0017.cbf.gz")
    # The CBF marks gaps with -1 and -2, the HDF5 file with the highest count: the same pixels, the same counts.
    one, other = opened.raw(16)[0], cbf.raw(0)[0]
    np.testing.assert_array_equal(np.maximum(one, -1), np.maximum(other, -1))


def test_models_are_frozen(tmp_path, maker):
    models = NXmx(maker.write_nxmx(tmp_path / "a.h5")).stack_models()
    with pytest.raises(dataclasses.FrozenInstanceError):
        models.beam.wavelength = 2.0


def test_a_time_that_nothing_needs_is_noted(tmp_path, maker):
    path = edit_entry(maker.write_nxmx(tmp_path / "a.h5"),
                      lambda e: e["instrument/detector/frame_time"].attrs.__delitem__("units"))
    opened = NXmx(path)
    assert opened.stack_models().scan.exposure_time == (0.0,) * 5
    assert "exposure times are not known" in opened.notes[0]


@pytest.mark.parametrize(("bits", "saturation", "stored"), [(16, 4e6, 65535), (12, 4e6, 4095), (8, 4e6, 255)])
def test_counts_of_a_summed_read_out_are_counts(tmp_path, maker, bits, saturation, stored):
    counts = np.full((1, 8, 9), 7, np.uint32)
    counts[0, 0, :2] = stored, stored - 1
    values = {"saturation_value": saturation, "bit_depth_readout": bits}
    image, = NXmx(maker.write_nxmx(tmp_path / "a.h5", counts, omega=[0], detector_values=values)).raw(0)
    assert image[0, :2].tolist() == [stored, stored - 1]


def test_marked_pixels_are_not_trusted_without_a_lowest_count(tmp_path, maker):
    values = {"saturation_value": 65535, "bit_depth_readout": 16, "underload_value": None}
    opened = NXmx(maker.write_nxmx(tmp_path / "a.h5", np.full((1, 8, 9), 65535, np.uint16), omega=[0],
                                   detector_values=values))
    assert opened.stack_models().detector[0].trusted_range == (0.0, 65535.0)
    assert (opened.raw(0)[0] == -1).all()


def test_marks_of_signed_counts_lie_above_the_trusted_range(tmp_path, maker):
    values = {"saturation_value": None, "bit_depth_readout": 32, "underload_value": None}
    opened = NXmx(maker.write_nxmx(tmp_path / "a.h5", np.full((1, 8, 9), 0x7FFFFFFE, np.int32), omega=[0],
                                   detector_values=values))
    assert opened.stack_models().detector[0].trusted_range == (-0x7FFFFFFF, 0x7FFFFFFD)
    assert (opened.raw(0)[0] == 0x7FFFFFFE).all()


def test_limits_that_cannot_be_read_are_not_absent(tmp_path, maker):
    path = maker.write_nxmx(tmp_path / "a.h5", detector_values={"saturation_value": np.nan})
    with pytest.raises(FormatError, match="saturation_value must be one finite number"):
        NXmx(path)
    assert NXmx(path, {"given": ["trusted_range"]}).n_images == 5


def cut_chain(entry):
    """No axes: only the distance says where the detector is."""
    for name in ("fast_pixel_direction", "slow_pixel_direction", "module_offset"):
        entry[f"instrument/detector/module_0/{name}"].attrs["depends_on"] = "."
    detector = entry["instrument/detector"]
    detector["distance"] = 0.1
    detector["distance"].attrs["units"] = "m"
    detector["beam_center_x"], detector["beam_center_y"] = 20.0, 15.0


def test_distance_without_a_chain_of_axes(tmp_path, maker):
    path = edit_entry(maker.write_nxmx(tmp_path / "a.h5"), cut_chain)
    panel = NXmx(path).stack_models().detector[0]
    np.testing.assert_allclose(panel.origin, (-20 * 0.075, 15 * 0.075, -100.0), atol=1e-12)

    def change_unit(entry):
        for name, value in (("x", 1.5), ("y", 1.125)):
            entry[f"instrument/detector/beam_center_{name}"][()] = value
            entry[f"instrument/detector/beam_center_{name}"].attrs["units"] = "mm"

    np.testing.assert_allclose(NXmx(edit_entry(path, change_unit)).stack_models().detector[0].origin, panel.origin)
    edit_entry(path, lambda e: e["instrument/detector"].__delitem__("distance"))
    with pytest.raises(FormatError, match=r"it has no distance; geometry\.detector\.distance gives it"):
        NXmx(path)
