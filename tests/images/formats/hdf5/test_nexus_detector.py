"""The detector of NXmx files, and where its modules are mounted."""

from __future__ import annotations

import numpy as np
from nexus_maker import edit_entry

from xdp.images.formats.hdf5.nexus import NXmx


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

    detector = NXmx(edit_entry(path, name_arm)).stack_models().detector
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


def test_module_sizes_stored_fast_first(tmp_path, maker):
    modules = [((0, 0), (41, 37), (40.0, 30.0))]
    opened = NXmx(maker.write_nxmx(tmp_path / "a.h5", modules=modules))
    assert opened.stack_models().detector[0].image_size == (41, 37)
    assert opened.raw(0)[0].shape == (37, 41)


def test_dectris_writer_counts_from_zero(tmp_path, maker):
    path = maker.write_nxmx(tmp_path / "a.h5", layout="links", signal=None, detector_values={"underload_value": None})
    assert NXmx(path).stack_models().detector[0].trusted_range[0] == -0x7FFFFFFF
    edit_entry(path, lambda e: e.create_dataset("instrument/detector/detectorSpecific/eiger_fw_version", data="1.8"))
    assert NXmx(path).stack_models().detector[0].trusted_range == (0.0, 60000.0)


def test_detector_on_the_wrong_side_is_put_behind_the_sample(tmp_path, maker):
    def flip(entry):
        chain = entry["instrument/detector/transformations"]
        chain["distance"][...] = -165.0
        chain["tilt"][...] = 0.0

    assert NXmx(edit_entry(maker.write_nxmx(tmp_path / "a.h5"), flip)).stack_models().detector[0].origin[2] == -165.0
