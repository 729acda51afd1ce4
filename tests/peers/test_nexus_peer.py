"""HDF5 images as DIALS reads them: the models it imports, and the pixels it sees."""

from __future__ import annotations

import json

import h5py
import nexus_maker as maker
import numpy as np
import pytest

from xdp.images.formats.find import find_format
from xdp.images.masks.static import build_rectangles_mask, combine_masks

pytestmark = pytest.mark.peer

PIXELS = """
import sys
import numpy as np
from dxtbx.model.experiment_list import ExperimentList
experiments = ExperimentList.from_file(sys.argv[1], check_format=True)
images, masks = [], []
for imageset in experiments.imagesets():
    for i in range(len(imageset)):
        images.append(np.concatenate([p.as_numpy_array().ravel() for p in imageset.get_raw_data(i)]))
        masks.append(np.concatenate([p.as_numpy_array().ravel() for p in imageset.get_mask(i)]))
frames = [[np.array(p.get_fast_axis() + p.get_slow_axis() + p.get_origin()) for p in e.detector]
          for e in experiments[:1]]
np.savez("out.npz", images=np.array(images), masks=np.array(masks), frames=np.array(frames[0]))
"""


def imported(dials, path, folder) -> dict:
    dials.command("dials.import", path, "output.experiments=theirs.expt", cwd=folder)
    return json.loads((folder / "theirs.expt").read_text())


def assert_same(ours, theirs, tolerance, where=""):
    """Equal keys and words; numbers to a relative tolerance."""
    if isinstance(theirs, dict):
        assert ours.keys() == theirs.keys(), where
        for key in theirs:
            assert_same(ours[key], theirs[key], tolerance, f"{where}/{key}")
    elif isinstance(theirs, list):
        assert len(ours) == len(theirs), where
        for i, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            assert_same(one, other, tolerance, f"{where}[{i}]")
    elif isinstance(theirs, int | float) and not isinstance(theirs, bool):
        assert ours == pytest.approx(theirs, rel=tolerance, abs=tolerance), where
    else:
        assert ours == theirs, where


def compare_models(path, theirs, tolerance=1e-9):
    """Our models of a file against the first ones that DIALS imported; the trusted range begins one below in 3.12."""
    models = find_format(path).stack_models()
    for name in ("beam", "detector", "goniometer", "scan"):
        model = getattr(models, name)
        if model is None:
            assert theirs[name] == [], name
            continue
        ours, other = model.to_dict(), theirs[name][0]
        for panel in other.get("panels", []):
            # DIALS 3.12 excludes both ends: it takes one off the lowest, and forgets the highest.
            panel["trusted_range"][0] += 1.0
        assert_same(ours, other, tolerance, name)


def compare_pixels(dials, path, folder, frames):
    """Counts that are valid in DIALS' own mask are the same in ours, and so is the static mask."""
    theirs = dials.script(PIXELS, "theirs.expt", cwd=folder)
    opened = find_format(path)
    static = combine_masks(opened.static_mask(), build_rectangles_mask(opened.stack_models().detector))
    for i in frames:
        panels = opened.raw(i)
        ours = np.concatenate([p.ravel() for p in panels]).astype(np.int64)
        detector = opened.stack_models().detector
        limits = [p.trusted_range for p in detector]
        trusted = np.concatenate([((p >= lo) & (p <= hi)).ravel() for p, (lo, hi) in zip(panels, limits, strict=True)])
        valid = trusted if static is None else trusted & np.concatenate([m.ravel() for m in static])
        # 3.12 leaves out the highest trusted count.
        highest = np.concatenate([(p == hi).ravel() for p, (_, hi) in zip(panels, limits, strict=True)])
        np.testing.assert_array_equal(valid & ~highest, theirs["masks"][i])
        np.testing.assert_array_equal(ours[theirs["masks"][i]], theirs["images"][i][theirs["masks"][i]])
    return theirs


def test_rotation_set(dials, shared_data, tmp_path):
    path = shared_data / "rot_dev" / "rot_dev_master.h5"
    compare_models(path, imported(dials, path, tmp_path))
    compare_pixels(dials, path, tmp_path, range(0, 60, 7))


def test_stack_of_stills(dials, shared_data, tmp_path):
    path = shared_data / "stills_dev" / "stills_dev.h5"
    theirs = imported(dials, path, tmp_path)
    assert len(theirs["experiment"]) == find_format(path).n_images
    compare_models(path, theirs)
    compare_pixels(dials, path, tmp_path, range(0, 60, 11))


@pytest.mark.parametrize("layout", ["inside", "virtual"])
def test_written_layouts(dials, tmp_path, layout):
    path = maker.write_nxmx(tmp_path / "a.h5", layout=layout, mask=np.eye(37, 41, dtype=np.uint32))
    # Angles go through 3.12 as given; the chain of two axes costs a rounding or two.
    compare_models(path, imported(dials, path, tmp_path), 1e-12)
    compare_pixels(dials, path, tmp_path, range(5))


def test_masked_values_of_16_bits(dials, tmp_path):
    counts = maker.example_counts(2, dtype=np.uint16)
    counts[0, 0, :2] = 65535, 65534
    path = maker.write_nxmx(tmp_path / "a.h5", counts, detector_values={"bit_depth_readout": 16,
                                                                        "saturation_value": None})
    imported(dials, path, tmp_path)
    theirs = compare_pixels(dials, path, tmp_path, range(2))
    np.testing.assert_array_equal(find_format(path).raw(0)[0].ravel(), theirs["images"][0])


def test_several_modules(dials, tmp_path):
    modules = [((0, 0), (30, 19), (40.0, 30.0)), ((0, 21), (30, 19), (38.425, 30.0))]
    path = maker.write_nxmx(tmp_path / "a.h5", maker.example_counts(2, 30, 40), modules=modules)
    theirs = imported(dials, path, tmp_path)
    compare_models(path, theirs, 1e-12)
    frames = compare_pixels(dials, path, tmp_path, range(2))["frames"]
    detector = find_format(path).stack_models().detector
    for i in range(2):
        np.testing.assert_allclose(detector.d_matrix(i).T.ravel(), frames[i], atol=1e-9)


def test_multi_axis_goniometer(dials, tmp_path):
    path = maker.write_nxmx(tmp_path / "a.h5")
    with h5py.File(path, "r+") as handle:
        chain = handle["entry/sample/transformations"]
        maker.axis(chain, "phi", [20.0], "rotation", (-1, 0, 0), "kappa")
        maker.axis(chain, "kappa", [30.0], "rotation", (0, 0.6, 0.8), "omega")
        del handle["entry/sample/depends_on"]
        handle["entry/sample/depends_on"] = "/entry/sample/transformations/phi"
    compare_models(path, imported(dials, path, tmp_path), 1e-12)


def test_older_eiger(dials, tmp_path):
    # An Eiger 1M: DIALS wants to know the modules.
    path = maker.write_eiger(tmp_path / "e_master.h5", maker.example_counts(2, 1065, 1030, dtype=np.uint16))
    theirs = imported(dials, path, tmp_path)
    # DIALS copies lengths and angles as float32: 6e-8 relative.
    compare_models(path, theirs, 1e-6)
    compare_pixels(dials, path, tmp_path, range(2))
