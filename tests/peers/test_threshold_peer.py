"""Strong-pixel masks against DIALS' own thresholds, pixel for pixel."""

from __future__ import annotations

import bz2
import gzip
import json
import shutil

import numpy as np
import pytest

from xdp.spotfinding.options import DispersionOptions
from xdp.spotfinding.threshold.dispersion import Thresholder
from xdp.spotfinding.threshold.radial_profile import RadialThresholder

pytestmark = [pytest.mark.peer, pytest.mark.long]

PARAMETERS = [
    {},
    {"kernel_size": (5, 2)},
    {"kernel_size": (1, 1)},
    {"kernel_size": (2, 5), "min_local": 10},
    {"kernel_size": (8, 9), "sigma_background": 4.0},
    {"min_local": 0},
    {"min_local": 10, "gain": 0.5},
    {"gain": 2.0, "global_threshold": 10.0},
    {"sigma_background": 3.0, "sigma_strong": 1.5},
    {"sigma_background": 0.0, "sigma_strong": 0.0},
]

MASKS = """
import json, sys
import numpy as np
from dials.array_family import flex
from dials.algorithms.image import threshold

def masks(image, mask, parameters):
    for number, p in enumerate(parameters):
        for name in ("DispersionThreshold", "DispersionExtendedThreshold"):
            find = getattr(threshold, name)(image.all(), p["kernel_size"], p["sigma_background"], p["sigma_strong"],
                                            p["global_threshold"], p["min_local"])
            out = flex.bool(flex.grid(image.all()))
            if p["gain"] is None:
                find(image, mask, out)
            else:
                find(image, mask, flex.double(flex.grid(image.all()), p["gain"]), out)
            yield f"{number}_{name}", np.packbits(out.as_numpy_array())
"""

SYNTHETIC = MASKS + """
loaded = np.load(sys.argv[1])
out = {}
for name in loaded["names"]:
    image = flex.double(loaded[f"{name}_image"].astype(float))
    for key, value in masks(image, flex.bool(loaded[f"{name}_use"]), json.loads(sys.argv[2])):
        out[f"{name}_{key}"] = value
np.savez("out.npz", **out)
"""

REAL = MASKS + """
from dxtbx.model.experiment_list import ExperimentListFactory
experiments = ExperimentListFactory.from_filenames(sys.argv[2:])
out, count = {}, 0
for experiment in experiments:
    images = experiment.imageset
    for index in (0, len(images) - 1)[:len(images)]:
        data, mask = images.get_corrected_data(index), images.get_mask(index)
        raw = images.get_raw_data(index)
        for panel in range(min(len(data), 3)):
            out[f"{count}_image"] = raw[panel].as_numpy_array() if images.get_detector()[0].get_gain() == 1 \\
                else data[panel].as_numpy_array()
            out[f"{count}_use"] = np.packbits(mask[panel].as_numpy_array())
            for key, value in masks(data[panel], mask[panel], json.loads(sys.argv[1])):
                out[f"{count}_{key}"] = value
            count += 1
out["n"] = count
np.savez("out.npz", **out)
"""

RADIAL = """
import sys
import numpy as np
from dials.command_line.find_spots import phil_scope
from dials.extensions.radial_profile_spotfinder_threshold_ext import RadialProfileSpotFinderThresholdExt
from dxtbx.model.experiment_list import ExperimentListFactory
images = ExperimentListFactory.from_filenames(sys.argv[1:])[0].imageset
image, mask, panel = images.get_corrected_data(0)[0], images.get_mask(0)[0], images.get_detector()[0]
out = {"image": image.as_numpy_array(), "use": mask.as_numpy_array(),
       "two_theta": panel.get_two_theta_array(images.get_beam().get_s0()).as_numpy_array()}
for blur in (None, "narrow", "wide"):
    for n_bins, n_iqr in ((100, 6), (17, 3)):
        parameters = phil_scope.extract()
        scope = parameters.spotfinder.threshold.radial_profile
        scope.blur, scope.n_bins, scope.n_iqr = blur, n_bins, n_iqr
        finder = RadialProfileSpotFinderThresholdExt(parameters)
        found = finder.compute_threshold(image, mask, imageset=images, i_panel=0)
        out[f"{blur}_{n_bins}"] = found.as_numpy_array()
np.savez("out.npz", **out)
"""

REAL_SETS = [
    "rot_dev/cbf/*0001.cbf*", "rot_dev/rot_dev_master.h5", "stills_dev/stills_dev.h5",
    "lcysteine_pilatus2m/*_00001.cbf*", "thaumatin_grid_pilatus6m/*000[12].cbf*", "thermolysin_cspad/*.cbf*",
    "snase_stills_ccd/*00001.img*", "snase_stills_ccd/osc2deg/*", "image_examples/*", "image_formats/*",
    "eiger16m_cbf/*0001.cbf*", "rayonix_still/*.cbf*",
]


def full(parameters: dict) -> dict:
    """All parameters of DIALS' classes."""
    return {**DispersionOptions().model_dump(), **parameters}


def synthetic_images() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Images with what real ones have of trouble, each with its mask."""
    rng = np.random.default_rng(7)
    images = {}
    for name, background, dtype in (("sparse", 0.03, "u2"), ("faint", 1.0, "i4"), ("bright", 900.0, "u2")):
        image = rng.poisson(background, (151, 203))
        for y, x, peak in zip(*(rng.integers(3, high, 60) for high in (148, 200, 4000)), strict=True):
            image[y - 1:y + 2, x - 1:x + 2] += rng.poisson(peak * np.outer([1, 2, 1], [1, 2, 1]) / 16)
        use = np.ones(image.shape, bool)
        use[40:47], use[:, 90:92], use[100:130, 20:50] = False, False, False
        use &= rng.random(image.shape) > 0.02
        images[name] = image.astype(dtype), use
    noise = np.rint(rng.normal(3, 12, (90, 111))).astype(np.int32)
    noise[20:23, 30:33] += 500
    images["negative"] = noise, rng.random(noise.shape) > 0.1
    huge = rng.poisson(5.0, (80, 70)).astype(np.int32)
    huge[10, 10], huge[0, 0], huge[40, 69] = 2**24, 2**30, 2**24 - 1
    huge[41:44, 20:23], huge[60:62, 50:52] = 2**25, 9_000_000
    images["huge"] = huge, np.ones(huge.shape, bool)
    zeros = np.zeros((50, 60), np.uint8)
    zeros[25, 30], zeros[40:43, 10:14] = 1, 200
    images["zeros"] = zeros, np.ones(zeros.shape, bool)
    images["tiny"] = rng.poisson(2.0, (4, 5)).astype(np.int16), np.ones((4, 5), bool)
    uneven = rng.poisson(40.0, (70, 90)) / 3.7 - 2
    uneven[30:34, 50:54] += 40
    uneven[:20, :30] = 0.0
    images["fractions"] = uneven, rng.random(uneven.shape) > 0.05
    images["single"] = uneven.astype(np.float32), np.ones(uneven.shape, bool)
    return images


def assert_same(found: np.ndarray, packed: np.ndarray, what: str) -> None:
    expected = np.unpackbits(packed, count=found.size).reshape(found.shape).astype(bool)
    differing = np.argwhere(found != expected)
    assert not len(differing), f"{what}: {len(differing)} of {expected.sum()} differ, first {differing[:3].tolist()}"


ALGORITHMS = {"DispersionThreshold": "dispersion", "DispersionExtendedThreshold": "dispersion_extended"}


def test_masks_on_synthetic_images_are_identical(dials, tmp_path):
    images = synthetic_images()
    arrays = {f"{name}_image": image for name, (image, _) in images.items()}
    arrays |= {f"{name}_use": use for name, (_, use) in images.items()}
    np.savez(tmp_path / "in.npz", names=list(images), **arrays)
    expected = dials.script(SYNTHETIC, "in.npz", json.dumps([full(p) for p in PARAMETERS]), cwd=tmp_path)
    n_strong = 0
    for name, (image, use) in images.items():
        for number, parameters in enumerate(PARAMETERS):
            for theirs, algorithm in ALGORITHMS.items():
                finder = Thresholder(image.shape, use, options=DispersionOptions(**parameters), algorithm=algorithm)
                found = finder.strong_mask(image)
                n_strong += found.sum()
                assert_same(found, expected[f"{name}_{number}_{theirs}"], f"{name} {algorithm} {parameters}")
    assert n_strong > 10000


@pytest.mark.shared
@pytest.mark.parametrize("pattern", REAL_SETS)
def test_masks_on_real_images_are_identical(dials, shared_data, tmp_path, pattern):
    files = readable_files(shared_data, pattern, tmp_path)
    if not files:
        pytest.skip(f"no such files: {pattern}")
    chosen = PARAMETERS[:3] + PARAMETERS[5:9]
    compared = 0
    for file in files:
        try:
            expected = dials.script(REAL, json.dumps([full(p) for p in chosen]), file, cwd=tmp_path)
        except AssertionError:
            continue  # DIALS reads some of the example files only with more to say about their geometry
        for k in range(int(expected["n"])):
            image = expected[f"{k}_image"]
            use = np.unpackbits(expected[f"{k}_use"], count=image.size).reshape(image.shape).astype(bool)
            for number, parameters in enumerate(chosen):
                for theirs, algorithm in ALGORITHMS.items():
                    finder = Thresholder(image.shape, use, options=DispersionOptions(**parameters), algorithm=algorithm)
                    assert_same(finder.strong_mask(image), expected[f"{k}_{number}_{theirs}"],
                                f"{file} {algorithm} {parameters}")
                    compared += 1
        (tmp_path / "out.npz").unlink()
    if not compared:
        pytest.skip("DIALS reads none of these files")


@pytest.mark.shared
def test_trusted_range_is_inclusive_where_dials_excludes(dials, shared_data, tmp_path):
    """DIALS 3.12 excludes both limits: its range (-1, high) is our [0, high - 1] on a counting detector."""
    file = readable_files(shared_data, "rot_dev/cbf/*0001.cbf*", tmp_path)[0]
    expected = dials.script(REAL, json.dumps([full({})]), file, cwd=tmp_path)
    image = expected["0_image"]
    use = np.unpackbits(expected["0_use"], count=image.size).reshape(image.shape).astype(bool)
    finder = Thresholder(image.shape, options=DispersionOptions(), algorithm="dispersion_extended",
                         trusted_range=(0, 1048575))
    np.testing.assert_array_equal(finder.usable(image), use)
    assert_same(finder.strong_mask(image), expected["0_0_DispersionExtendedThreshold"], str(file))


@pytest.mark.shared
def test_radial_profile_masks_are_identical(dials, shared_data, tmp_path):
    from xdp.spotfinding.options import RadialProfileOptions

    file = readable_files(shared_data, "rot_dev/cbf/*0001.cbf*", tmp_path)[0]
    expected = dials.script(RADIAL, file, cwd=tmp_path)
    image = expected["image"]
    for blur in (None, "narrow", "wide"):
        for n_bins, n_iqr in ((100, 6), (17, 3)):
            options = RadialProfileOptions(blur=blur, n_bins=n_bins, n_iqr=n_iqr)
            finder = RadialThresholder(image.shape, expected["use"], options=options, two_theta=expected["two_theta"])
            assert expected[f"{blur}_{n_bins}"].sum() > 100
            np.testing.assert_array_equal(finder.strong_mask(image), expected[f"{blur}_{n_bins}"])


def readable_files(shared_data, pattern, tmp_path, limit: int = 5) -> list:
    """The first files of a pattern, unpacked: Debian's DIALS does not read all formats compressed."""
    files = []
    for file in sorted(p for p in shared_data.glob(pattern) if p.is_file())[:limit]:
        opener = {".gz": gzip.open, ".bz2": bz2.open}.get(file.suffix)
        if opener is not None:
            with opener(file) as packed, open(tmp_path / file.stem, "wb") as out:
                shutil.copyfileobj(packed, out)
            file = tmp_path / file.stem
        files.append(file)
    return files
