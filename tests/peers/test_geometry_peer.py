"""Geometry against DIALS: the same pixel lies at the same place, with the same resolution, on every data set."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from xdp.experiment import Experiment, Goniometer, read_experiments
from xdp.experiment import pixels as px
from xdp.experiment.extent import beam_centre, max_inscribed_resolution, max_resolution
from xdp.experiment.materials import attenuation_coefficient
from xdp.experiment.shadow import diamond_anvil_cell, known_shape, mini_kappa, shadow_masks

pytestmark = [pytest.mark.peer, pytest.mark.shared]

# one file of each geometry: flat, tilted by two-theta, barrel of 24, hierarchy of 64, four chips, CCD, grid, HDF5
IMAGES = {
    "rot_dev": "rot_dev/cbf/rot_dev_0001.cbf.gz",
    "tilted": "lcysteine_pilatus2m/l-cyst_01_00001.cbf.gz",
    "barrel": "image_examples/DLS_I23_P12M_thau_00001.cbf.gz",
    "cspad": "thermolysin_cspad/idx-20130301060858401.cbf.gz",
    "timepix": "image_examples/TIMEPIX_SU_512-stdgoni_0001.img.gz",
    "smargon": "image_examples/DLS_I03_smargon_0001.cbf.gz",
    "eiger": "image_examples/dlsnxs2cbf_therm_0001.cbf.gz",
}
FILES = {
    "ccd_old_json": "snase_stills_ccd/refined_experiments.json",
    "rayonix_old_json": "rayonix_still/experiments_000.json",
}

PEER = """
import sys
import numpy as np
from dxtbx.model.experiment_list import ExperimentListFactory
from scitbx.array_family import flex
out = {}
for path in sys.argv[1:]:
    name = path.split("/")[-1].split(".")[0]
    experiment = ExperimentListFactory.from_json_file(path, check_format=False)[0]
    s0 = experiment.beam.get_s0()
    out[name + "/max"] = [experiment.detector.get_max_resolution(s0),
                          experiment.detector.get_max_inscribed_resolution(s0)]
    for i, panel in enumerate(experiment.detector):
        if i % 7 not in (0, 5):
            continue
        fast, slow = panel.get_image_size()
        rng = np.random.default_rng(i)
        xy = rng.uniform((-20, -20), (fast + 20, slow + 20), (300, 2))
        points = flex.vec2_double(xy.tolist())
        mm = panel.pixel_to_millimeter(points)
        lab = panel.get_lab_coord(mm)
        key = f"{name}/{i}/"
        out[key + "xy"] = xy
        out[key + "mm"] = np.array(list(mm))
        out[key + "px"] = np.array(list(panel.millimeter_to_pixel(points)))
        out[key + "lab"] = np.array(list(lab))
        out[key + "d"] = [panel.get_resolution_at_pixel(s0, tuple(p)) for p in xy]
        out[key + "two_theta"] = [panel.get_two_theta_at_pixel(s0, tuple(p)) for p in xy]
        out[key + "ray"] = [panel.get_ray_intersection(p) for p in lab]
        out[key + "distance"] = panel.get_distance()
np.savez("out.npz", **out)
"""


def unpacked(source: Path, folder: Path) -> Path:
    """The image without its gzip, which DIALS 3.12 does not read for every format."""
    target = folder / source.name.removesuffix(".gz")
    target.write_bytes(gzip.decompress(source.read_bytes()))
    return target


@pytest.fixture(scope="module")
def experiments(dials, shared_data, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("geometry")
    paths = {}
    for name, image in IMAGES.items():
        paths[name] = folder / f"{name}.expt"
        dials.command("dials.import", unpacked(shared_data / image, folder), f"output.experiments={paths[name]}",
                      cwd=folder)
    for name, file in FILES.items():
        paths[name] = folder / f"{name}.json"
        paths[name].write_bytes((shared_data / file).read_bytes())
    return paths


@pytest.fixture(scope="module")
def theirs(dials, experiments, tmp_path_factory) -> dict[str, np.ndarray]:
    return dials.script(PEER, *experiments.values(), cwd=tmp_path_factory.mktemp("peer"))


@pytest.fixture(params=[*IMAGES, *FILES])
def case(request, experiments, theirs) -> tuple[str, Experiment, dict[str, np.ndarray]]:
    return request.param, read_experiments(experiments[request.param])[0], theirs


def panels(case) -> list[tuple[int, dict[str, np.ndarray]]]:
    name, experiment, theirs = case
    found = [i for i in range(len(experiment.detector)) if f"{name}/{i}/xy" in theirs]
    assert found
    return [(i, {key.split("/")[2]: value for key, value in theirs.items() if key.startswith(f"{name}/{i}/")})
            for i in found]


def test_pixels_and_millimetres(case):
    # sums of a few products of doubles: 1e-12 of the panel's extent is their rounding
    for i, peer in panels(case):
        panel = case[1].detector[i]
        extent = max(panel.image_size_mm)
        np.testing.assert_allclose(px.px_to_mm(panel, peer["xy"]), peer["mm"], rtol=1e-12, atol=1e-12 * extent)
        np.testing.assert_allclose(px.mm_to_px(panel, peer["xy"]), peer["px"], rtol=1e-12, atol=1e-9)
        np.testing.assert_allclose(panel.distance, peer["distance"], rtol=1e-12)


def test_lab_and_rays(case):
    for i, peer in panels(case):
        detector = case[1].detector
        np.testing.assert_allclose(px.mm_to_lab(detector, i, peer["mm"]), peer["lab"], rtol=1e-12, atol=1e-10)
        xy, hits = px.ray_intersection(detector, i, peer["lab"])
        np.testing.assert_allclose(xy, peer["ray"], rtol=1e-10, atol=1e-9)
        size = np.array(detector[i].image_size_mm)
        np.testing.assert_array_equal(hits, np.all((peer["ray"] >= 0) & (peer["ray"] < size), axis=1))


def test_resolution(case):
    # DIALS takes an arc cosine, which loses digits beside the beam: compare to 1e-10 where two_theta > 0.01
    for i, peer in panels(case):
        experiment = case[1]
        d = px.resolution(experiment.detector, experiment.beam, i, peer["xy"])
        two_theta = px.two_theta(experiment.detector, experiment.beam, i, peer["xy"])
        outside = peer["two_theta"] > 0.01
        np.testing.assert_allclose(d[outside], peer["d"][outside], rtol=1e-10)
        np.testing.assert_allclose(d, peer["d"], rtol=1e-6)
        np.testing.assert_allclose(two_theta, peer["two_theta"], rtol=1e-6, atol=1e-9)


def test_limits(case):
    name, experiment, theirs = case
    ours = [max_resolution(experiment.detector, experiment.beam),
            max_inscribed_resolution(experiment.detector, experiment.beam)]
    np.testing.assert_allclose(ours, theirs[f"{name}/max"], rtol=1e-9)


def test_beam_centre_of_the_tilted_detector_is_off_its_middle(experiments):
    experiment = read_experiments(experiments["tilted"])[0]
    panel, xy = beam_centre(experiment.detector, experiment.beam)
    assert panel == 0
    # as dials.show prints it
    np.testing.assert_allclose(px.mm_to_px(experiment.detector[0], xy), [192.73, 865.00], atol=0.005)


MASKS = """
import sys
import numpy as np
from dials.util.ext import ResolutionMaskGenerator
from dxtbx.model.experiment_list import ExperimentListFactory
from scitbx.array_family import flex
out = {}
for path in sys.argv[1:]:
    name = path.split("/")[-1].split(".")[0]
    experiment = ExperimentListFactory.from_json_file(path, check_format=False)[0]
    for i in (0, len(experiment.detector) - 1):
        panel = experiment.detector[i]
        masker = ResolutionMaskGenerator(experiment.beam, panel)
        for k, (low, high) in enumerate(((0, 2.5), (3.6, 3.7), (10, 1e9))):
            mask = flex.bool(flex.grid(panel.get_image_size()[1], panel.get_image_size()[0]), True)
            masker.apply(mask, low, high)
            out[f"{name}/{i}/{k}"] = mask.as_numpy_array()
np.savez("out.npz", **out)
"""


def test_resolution_masks_are_equal_pixel_for_pixel(dials, experiments, tmp_path):
    names = ["rot_dev", "tilted", "barrel", "cspad", "ccd_old_json"]
    theirs = dials.script(MASKS, *(experiments[name] for name in names), cwd=tmp_path)
    masked = 0
    for key, mask in theirs.items():
        name, i, k = key.split("/")
        experiment = read_experiments(experiments[name])[0]
        d = px.resolution_map(experiment.detector, experiment.beam, int(i))
        low, high = ((0, 2.5), (3.6, 3.7), (10, 1e9))[int(k)]
        np.testing.assert_array_equal(~((d >= low) & (d <= high)), mask, err_msg=key)
        masked += np.count_nonzero(~mask)
    assert masked > 100_000


MU = """
import sys
import numpy as np
from cctbx.eltbx import attenuation_coefficient
wavelengths = [float(w) for w in sys.argv[1:]]
np.savez("out.npz", **{m: [attenuation_coefficient.get_table(m).mu_at_angstrom(w) / 10 for w in wavelengths]
                       for m in ("Si", "CdTe", "GaAs")})
"""


def test_attenuation_coefficients(dials, tmp_path):
    wavelengths = [0.1, 0.3, 0.4639, 0.6889, 0.9795, 1.0, 1.03, 1.1, 1.19, 1.3051, 1.5418, 2.7, 3.5, 6.7, 12.0]
    theirs = dials.script(MU, *wavelengths, cwd=tmp_path)
    for material, expected in theirs.items():
        ours = [attenuation_coefficient(material, wavelength) for wavelength in wavelengths]
        # the same table and the same interpolation: rounding only
        np.testing.assert_allclose(ours, expected, rtol=1e-12)


SHADOW = """
import sys
import numpy as np
from dxtbx.masking import GoniometerMaskerFactory
from dxtbx.model.experiment_list import ExperimentListFactory
from scitbx.array_family import flex
path, kind, angles = sys.argv[1], sys.argv[2], [[float(a) for a in w.split(",")] for w in sys.argv[3:]]
experiment = ExperimentListFactory.from_json_file(path, check_format=False)[0]
make = getattr(GoniometerMaskerFactory, kind)
goniometer = experiment.goniometer
out = {}
for n, motors in enumerate(angles):
    goniometer.set_angles(flex.double(motors))
    masker = make(goniometer, 1.3) if kind == "diamond_anvil_cell" else make(goniometer)
    mask = masker.get_mask(experiment.detector, motors[goniometer.get_scan_axis()])
    for i in range(len(experiment.detector)):
        out[f"{n}/{i}"] = mask[i].as_numpy_array()
np.savez("out.npz", **out)
"""

MOTORS = [(0, 0, 0), (30, 40, 75), (0, 90, 180), (-20, 10, -95), (10, -45, 222.25), (123, 70, 35)]


@pytest.mark.parametrize(("name", "kind"), [("smargon", "smargon"), ("barrel", "dls_i23_kappa"),
                                            ("barrel", "mini_kappa"), ("smargon", "diamond_anvil_cell")])
def test_goniometer_shadows_are_equal_pixel_for_pixel(dials, experiments, tmp_path, name, kind):
    experiment = read_experiments(experiments[name])[0]
    shape = {"mini_kappa": mini_kappa, "diamond_anvil_cell": lambda: diamond_anvil_cell(np.rad2deg(1.3))}.get(
        kind, lambda: known_shape(experiment))()
    assert shape is not None
    theirs = dials.script(SHADOW, experiments[name], kind, *(",".join(map(str, m)) for m in MOTORS), cwd=tmp_path)
    hidden = unequal_panels = 0
    for n, motors in enumerate(MOTORS):
        old = experiment.goniometer
        goniometer = Goniometer.multi_axis(old.axes, motors, old.names, old.scan_axis)
        masks = shadow_masks(shape, goniometer, experiment.detector, motors[old.scan_axis])
        for i, mask in enumerate(masks):
            differs = mask != theirs[f"{n}/{i}"]
            # DIALS' polygon clipping rounds to a grid as coarse as the polygon is large: where a point of the head lies
            # nearly in the panel's plane its outermost row is lost. Inside, two centres may lie on the border itself.
            assert np.count_nonzero(differs[1:-1, 1:-1]) <= 2, (motors, i)
            assert np.count_nonzero(differs) <= max(mask.shape), (motors, i)
            unequal_panels += bool(np.count_nonzero(differs) > 2)
            hidden += np.count_nonzero(~mask)
    assert hidden > 10_000
    assert unequal_panels <= 1
