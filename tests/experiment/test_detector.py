from __future__ import annotations

import copy
import dataclasses
import pickle

import numpy as np
import pytest
from experiment_examples import flat_panel, mounted_detector, thick_panel

from xdp.errors import FormatError
from xdp.experiment import Detector, Panel


def source() -> dict:
    return Detector((flat_panel(), thick_panel(name="second"))).to_dict()


def test_round_trip():
    first = source()
    first["panels"][0]["projection_2d"] = [[1, 0, 0, 1], [3, 4]]
    first["panels"][1]["mask"] = [[0, 1, 2, 3], [4, 5, 6, 7]]
    first["panels"][1]["origin"] = [0.1 + 0.2, -0.0, 1e-300]
    first["unknown"] = {"x": 1}
    assert Detector.from_dict(copy.deepcopy(first)).to_dict() == first


def test_a_flat_detector_gets_dials_root_node():
    tree = source()["hierarchy"]
    assert tree["children"] == [{"panel": 0}, {"panel": 1}]
    assert (tree["name"], tree["image_size"], tree["px_mm_strategy"]) == ("", [0, 0], {"type": "SimplePxMmStrategy"})


def test_a_bare_list_of_panels_is_a_detector():
    panels = source()["panels"]
    assert Detector.from_dict(panels).to_dict()["panels"] == panels


def test_d_matrix_of_a_flat_panel_has_unit_axes():
    panel = flat_panel(fast_axis=(2.0, 0.0, 0.0), slow_axis=(0.0, -3.0, 0.0))
    expected = np.array([[1.0, 0.0, -5.0], [0.0, -1.0, 4.0], [0.0, 0.0, -50.0]])
    np.testing.assert_array_equal(Detector((panel,)).d_matrix(0), expected)
    assert panel.distance == pytest.approx(50.0)


def test_the_hierarchy_turns_and_moves_its_panels():
    detector = mounted_detector()
    # a point (1, 2, 0) of the arm lies at (-2, 1, -50): x -> y, y -> -x
    np.testing.assert_allclose(detector.d_matrix(0)[:, 2], [-2.0, 1.0, -50.0], atol=1e-15)
    np.testing.assert_allclose(detector.d_matrix(1)[:, 2], [-2.0, 20.0, -49.5], atol=1e-15)
    np.testing.assert_allclose(detector.d_matrix(0)[:, 0], [0.0, 1.0, 0.0], atol=1e-15)
    np.testing.assert_allclose(detector.d_matrix(0)[:, 1], [1.0, 0.0, 0.0], atol=1e-15)


def test_a_panel_of_another_detector_takes_its_new_mount():
    panel = mounted_detector()[0]
    assert panel.mount is not None
    moved = Detector((panel,))
    np.testing.assert_array_equal(moved.d_matrix(0)[:, 2], [1.0, 2.0, 0.0])
    assert moved[0] == panel  # the mount is no property of the panel itself


def test_the_mount_survives_replace_and_pickle():
    detector = pickle.loads(pickle.dumps(mounted_detector()))
    shifted = dataclasses.replace(detector[0], origin=(0.0, 0.0, 0.0))
    np.testing.assert_allclose(shifted.d_matrix[:, 2], [0.0, 0.0, -50.0])
    np.testing.assert_array_equal(detector.d_matrix(1), mounted_detector().d_matrix(1))


def test_a_d_matrix_cannot_be_changed_by_accident():
    with pytest.raises(ValueError, match="read-only"):
        flat_panel().d_matrix[0, 0] = 2.0


def test_shapes_are_slow_by_fast():
    detector = Detector((flat_panel(),))
    assert detector.panel_shapes == [(80, 100)]
    assert detector[0].image_size_mm == pytest.approx((10.0, 8.0))
    assert (len(detector), list(detector)) == (1, [detector[0]])


def test_mu_and_thickness_of_an_old_strategy():
    panel = flat_panel().to_dict()
    panel["px_mm_strategy"] = {"type": "ParallaxCorrectedPxMmStrategy", "mu": 1.5, "t0": 0.3}
    read = Panel.from_dict(panel)
    assert (read.mu, read.thickness, read.corrects_parallax) == (1.5, 0.3, True)


def test_no_parallax_without_a_sensor():
    assert not flat_panel(px_mm_strategy="ParallaxCorrectedPxMmStrategy").corrects_parallax


@pytest.mark.parametrize(("change", "message"), [
    ({"origin": [0.0, float("nan"), 0.0]}, "'origin' must be 3 finite numbers"),
    ({"fast_axis": [0.0, 0.0, 0.0]}, "'fast_axis' has no length"),
    ({"slow_axis": [1.0, 0.0, 0.0]}, "not at right angles"),
    ({"slow_axis": None}, "'slow_axis' is missing"),
    ({"image_size": [100, 0]}, "at least 1 by 1"),
    ({"image_size": [100, 10**200]}, "at most 1000000"),
    ({"image_size": [100.5, 10]}, "2 whole numbers"),
    ({"pixel_size": [0.1, 0.0]}, "above 0 mm"),
    ({"trusted_range": [0.0, float("nan")]}, "trusted_range"),
    ({"mask": [[1, 2, 3]]}, "mask"),
    ({"px_mm_strategy": {"type": "Magic"}}, "px_mm_strategy must be one of"),
    ({"name": 3}, "a string"),
])
def test_bad_panels_are_named(change, message):
    bad = source()
    bad["panels"][1] |= change
    with pytest.raises(FormatError, match=f"^detector, panel 1: .*{message}"):
        Detector.from_dict(bad)


def test_an_infinite_trusted_range_is_allowed():
    panel = flat_panel().to_dict() | {"trusted_range": [0.0, float("inf")]}
    assert Panel.from_dict(panel).trusted_range == (0.0, float("inf"))


@pytest.mark.parametrize(("children", "message"), [
    ([{"panel": 0}], "each of the 2 panels once"),
    ([{"panel": 0}, {"panel": 0}], "each of the 2 panels once"),
    ([{"panel": 0}, {"panel": 2}], "each of the 2 panels once"),
    ([{"panel": 0}, {"children": 5}], "must be a list"),
    ([{"panel": 0}, {}], "'children' is missing"),
    ([{"panel": 0}, {"fast_axis": [0, 0, 0], "slow_axis": [0, 1, 0], "origin": [0, 0, 0], "children": []}],
     "no length"),
])
def test_bad_hierarchies(children, message):
    bad = source()
    bad["hierarchy"]["children"] = children
    with pytest.raises(FormatError, match=message):
        Detector.from_dict(bad)


@pytest.mark.parametrize("panels", [None, [], {}])
def test_a_detector_has_panels(panels):
    with pytest.raises(FormatError, match="panels"):
        Detector.from_dict({"panels": panels})


def test_whole_numbers_beyond_any_type_are_numbers():
    """JSON knows no limits: an origin of 2**70 mm is far away, not an object."""
    source = mounted_detector().to_dict()
    source["hierarchy"]["origin"] = [0, 0, 2**70]
    assert Detector.from_dict(source).panels[0].d_matrix.dtype == np.float64
