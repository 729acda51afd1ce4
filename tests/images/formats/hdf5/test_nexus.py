"""NXmx files: models, masks, pixels, and what is wrong with them."""

from __future__ import annotations

import dataclasses

import h5py
import numpy as np
import pytest

from xdp.errors import FormatError
from xdp.images.formats.find import find_format
from xdp.images.formats.hdf5.nexus import NXmx
from xdp.images.importing.import_images import import_images


def edit(path, change):
    with h5py.File(path, "r+") as handle:
        change(handle["entry"])
    return path


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


def test_modules_become_panels_on_a_hierarchy(tmp_path, maker):
    counts = maker.example_counts(2, 30, 40)
    modules = [((0, 0), (30, 19), (40.0, 30.0)), ((0, 21), (30, 19), (40.0 - 21 * 0.075, 30.0))]
    opened = NXmx(maker.write_nxmx(tmp_path / "a.h5", counts, modules=modules))
    detector = opened.stack_models().detector
    assert [panel.image_size for panel in detector] == [(19, 30), (19, 30)]
    whole = NXmx(maker.write_nxmx(tmp_path / "b.h5", counts)).stack_models().detector
    np.testing.assert_allclose(detector.d_matrix(0), whole.d_matrix(0), atol=1e-12)
    # The second module begins 21 pixels along the fast axis.
    moved = whole.d_matrix(0).copy()
    moved[:, 2] += 21 * 0.075 * moved[:, 0]
    np.testing.assert_allclose(detector.d_matrix(1), moved, atol=1e-12)
    left, right = opened.raw(1)
    np.testing.assert_array_equal(left, counts[1, :, :19].astype(np.int32))
    np.testing.assert_array_equal(right, counts[1, :, 21:].astype(np.int32))
    assert right.flags.c_contiguous
    # Both hang on the same node for what they share (distance, tilt), each on its own offset.
    distance, = detector.hierarchy["children"]
    tilt, = distance["children"]
    assert (distance["name"], tilt["name"]) == tuple(f"/entry/instrument/detector/transformations/{n}"
                                                     for n in ("distance", "tilt"))
    assert [node["children"] for node in tilt["children"]] == [[{"panel": 0}], [{"panel": 1}]]


def test_axes_of_one_component_share_a_node(tmp_path, maker):
    modules = [((0, 0), (30, 19), (40.0, 30.0)), ((0, 21), (30, 19), (38.0, 30.0))]
    path = maker.write_nxmx(tmp_path / "a.h5", maker.example_counts(2, 30, 40), modules=modules)
    before = NXmx(path).stack_models().detector

    def name_arm(entry):
        for axis in ("distance", "tilt"):
            entry[f"instrument/detector/transformations/{axis}"].attrs["equipment_component"] = "arm"

    detector = NXmx(edit(path, name_arm)).stack_models().detector
    arm, = detector.hierarchy["children"]
    assert arm["name"].endswith("/tilt")
    assert len(arm["children"]) == 2
    for i in range(2):
        np.testing.assert_allclose(detector.d_matrix(i), before.d_matrix(i), atol=1e-12)


def test_module_with_an_axis_of_its_own_in_the_data(tmp_path, maker):
    counts = maker.example_counts(3, 20, 30).reshape(3, 2, 10, 30)
    modules = [((i, 0, 0), (1, 10, 30), (40.0, 30.0 - i)) for i in range(2)]
    opened = NXmx(maker.write_nxmx(tmp_path / "a.h5", counts, modules=modules))
    assert [panel.image_size for panel in opened.stack_models().detector] == [(30, 10)] * 2
    np.testing.assert_array_equal(opened.raw(2)[1], counts[2, 1].view(np.int32))


def test_several_axes_make_a_multi_axis_goniometer(tmp_path, maker):
    path = maker.write_nxmx(tmp_path / "a.h5")

    def add_kappa(entry):
        chain = entry["sample/transformations"]
        maker.axis(chain, "phi", [20.0], "rotation", (-1, 0, 0), "kappa")
        maker.axis(chain, "kappa", [30.0], "rotation", (0, 0.6, 0.8), "omega")
        maker.axis(chain, "sam_x", [1.0], "translation", (1, 0, 0), "phi")
        del entry["sample/depends_on"]
        entry["sample/depends_on"] = "transformations/sam_x"

    goniometer = NXmx(edit(path, add_kappa)).stack_models().goniometer
    assert goniometer.names == ("phi", "kappa", "omega")
    assert goniometer.angles == (20.0, 30.0, 10.0)
    assert goniometer.scan_axis == 2
    np.testing.assert_allclose(goniometer.axes, [(1, 0, 0), (0, 0.6, -0.8), (1, 0, 0)], atol=1e-15)


def test_backward_rotation_is_turned_round(tmp_path, maker):
    models = NXmx(maker.write_nxmx(tmp_path / "a.h5", omega=[10.0, 9.5, 9.0, 8.5, 8.0])).stack_models()
    assert models.scan.oscillation == (-10.0, 0.5)
    assert models.goniometer.rotation_axis == (-1.0, 0.0, 0.0)


def test_units_of_angles(tmp_path, maker):
    def to_radians(entry):
        omega = entry["sample/transformations/omega"]
        omega[...] = np.radians(omega[...])
        omega.attrs["units"] = "rad"
        del entry["sample/transformations/omega_end"]

    scan = NXmx(edit(maker.write_nxmx(tmp_path / "a.h5"), to_radians)).stack_models().scan
    np.testing.assert_allclose(scan.oscillation, (10.0, 0.5), rtol=1e-13)


def test_stills_have_no_scan(tmp_path, maker):
    opened = NXmx(maker.write_nxmx(tmp_path / "a.h5", rotation=False))
    models = opened.stack_models()
    assert (models.goniometer, models.scan) == (None, None)
    assert opened.n_images == 5


def test_one_setting_for_many_frames_means_stills(tmp_path, maker):
    opened = NXmx(maker.write_nxmx(tmp_path / "a.h5", omega=[30.0]))
    assert opened.stack_models().scan is None
    assert opened.n_images == 5


def test_wavelength_of_each_shot(tmp_path, maker):
    opened = NXmx(maker.write_nxmx(tmp_path / "a.h5", rotation=False, wavelength=[1.0, 1.1, 1.2, 1.3, 1.4]))
    assert opened.models(3).beam.wavelength == 1.3
    assert opened.stack_models().beam.wavelength == 1.0


def test_shots_are_imported_with_their_own_wavelength(tmp_path, maker):
    path = maker.write_nxmx(tmp_path / "a.h5", rotation=False, wavelength=[1.0, 1.0, 1.2, 1.3, 1.4])
    experiments = import_images([path]).experiments
    assert [e.beam.wavelength for e in experiments] == [1.0, 1.0, 1.2, 1.3, 1.4]
    assert experiments[0].beam is experiments[1].beam
    assert len({id(e.detector) for e in experiments}) == 1


def test_spectrum_is_taken_at_its_mean_energy(tmp_path, maker):
    path = maker.write_nxmx(tmp_path / "a.h5", wavelength=[1.0, 1.25])
    edit(path, lambda e: e["instrument/beam"].create_dataset("incident_wavelength_weights", data=[3.0, 1.0]))
    # Energies go as 1 and 0.8; their mean, weighted 3 to 1, is 0.95.
    assert NXmx(path).stack_models().beam.wavelength == pytest.approx(1.0 / 0.95, rel=1e-14)


def test_electrons(tmp_path, maker):
    path = maker.write_nxmx(tmp_path / "a.h5", wavelength=0.0251 + 0.6)
    edit(path, lambda e: maker.group(e, "source", "NXsource").create_dataset("probe", data="electron"))
    models = NXmx(path).stack_models()
    assert (models.beam.probe, models.beam.polarization_fraction) == ("electron", 0.5)
    assert not models.detector[0].corrects_parallax


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


def test_pixel_masks_add_up(tmp_path, maker):
    mask = np.zeros((37, 41), np.uint32)
    mask[3, 4] = 1
    path = maker.write_nxmx(tmp_path / "a.h5", mask=mask)
    second = np.zeros_like(mask)
    second[5, 6] = 256
    edit(path, lambda e: e["instrument/detector"].create_dataset("pixel_mask_2", data=second))
    valid, = NXmx(path).static_mask()
    assert sorted(zip(*np.nonzero(~valid), strict=True)) == [(3, 4), (5, 6)]


def test_no_mask_or_a_turned_one(tmp_path, maker):
    assert NXmx(maker.write_nxmx(tmp_path / "a.h5")).static_mask() is None
    turned = np.zeros((41, 37), np.uint32)
    assert NXmx(maker.write_nxmx(tmp_path / "b.h5", mask=turned)).static_mask() is None


def test_module_sizes_stored_fast_first(tmp_path, maker):
    modules = [((0, 0), (41, 37), (40.0, 30.0))]
    opened = NXmx(maker.write_nxmx(tmp_path / "a.h5", modules=modules))
    assert opened.stack_models().detector[0].image_size == (41, 37)
    assert opened.raw(0)[0].shape == (37, 41)


def test_dectris_writer_counts_from_zero(tmp_path, maker):
    path = maker.write_nxmx(tmp_path / "a.h5", layout="links", signal=None, detector_values={"underload_value": None})
    assert NXmx(path).stack_models().detector[0].trusted_range[0] == -0x7FFFFFFF
    edit(path, lambda e: e.create_dataset("instrument/detector/detectorSpecific/eiger_fw_version", data="1.8"))
    assert NXmx(path).stack_models().detector[0].trusted_range == (0.0, 60000.0)


def test_detector_on_the_wrong_side_is_put_behind_the_sample(tmp_path, maker):
    def flip(entry):
        chain = entry["instrument/detector/transformations"]
        chain["distance"][...] = -165.0
        chain["tilt"][...] = 0.0

    assert NXmx(edit(maker.write_nxmx(tmp_path / "a.h5"), flip)).stack_models().detector[0].origin[2] == -165.0




def test_missing_data_file_is_named(tmp_path, maker):
    for layout in ("links", "virtual"):
        path = maker.write_nxmx(tmp_path / "m.h5", layout=layout)
        (tmp_path / "m_data_000002.h5").unlink()
        with pytest.raises(FormatError, match=r"m\.h5: its data file .*m_data_000002\.h5 is missing") as caught:
            NXmx(path)
        assert "\n" not in str(caught.value)
        path.unlink()


def test_links_beyond_the_scan_may_lead_nowhere(tmp_path, maker):
    path = maker.write_nxmx(tmp_path / "m.h5", layout="links")
    link = h5py.ExternalLink("m_data_000003.h5", "/entry/data/data")
    edit(path, lambda e: e["data"].__setitem__("data_000003", link))
    assert NXmx(path).n_images == 5


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
    path = edit(maker.write_nxmx(tmp_path / "a.h5"), change)
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
