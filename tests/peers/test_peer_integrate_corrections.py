"""LP, QE and Kapton absorption beside DIALS' own, for the same rays and the same shoeboxes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from xdp.experiment import Beam, Detector, Experiment, ExperimentList, Goniometer, Panel, Scan
from xdp.experiment.io import write_experiments
from xdp.experiment.pixels import px_to_s1
from xdp.integration.corrections.absorption import compute_absorption_factors, correct_absorption
from xdp.integration.corrections.absorption_options import AbsorptionOptions
from xdp.integration.corrections.geometric import compute_correction_columns
from xdp.reflections.refl import read_reflections, write_reflections
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable

_LP_QE = """
import sys
from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentList
experiments = ExperimentList.from_file(sys.argv[1], check_format=False)
table = flex.reflection_table.from_file(sys.argv[2])
table.compute_corrections(experiments)
table.as_file(sys.argv[3])
"""

_KAPTON = """
import importlib, json, logging, sys
from dials.algorithms.integration import kapton_correction
from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentList
experiments = ExperimentList.from_file(sys.argv[1], check_format=False)
table = flex.reflection_table.from_file(sys.argv[2])
algorithm, smart, within = json.loads(sys.argv[4])
from libtbx.phil import parse
scope = kapton_correction.absorption_phil_scope.fetch(parse(
    "absorption_correction.fuller_kapton { smart_sigmas=%s\\n within_spot_sigmas=%s }" % (smart, within)))
params = scope.extract().absorption_correction[0].fuller_kapton
name = "kapton_correction" if algorithm == "fuller_kapton" else "kapton_2019_correction"
module = importlib.import_module("dials.algorithms.integration." + name)
_, corrected = module.multi_kapton_correction(experiments, table, params, logger=logging.getLogger())()
corrected.as_file(sys.argv[3])
"""


@pytest.fixture(scope="module")
def stills(tmp_path_factory):
    """A still on a flat panel, with 60 shoeboxes of one frame each, written for both programs."""
    folder = tmp_path_factory.mktemp("kapton")
    panel = Panel(name="p", type="SENSOR_PAD", fast_axis=(1.0, 0.0, 0.0), slow_axis=(0.0, -1.0, 0.0),
                  origin=(-85.0, 86.0, -140.0), image_size=(1000, 1000), pixel_size=(0.172, 0.172),
                  trusted_range=(0.0, 65535.0), thickness=0.32, material="Si", mu=3.7)
    experiment = Experiment(identifier="one", beam=Beam((0.0, 0.0, 1.0), 1.3), detector=Detector((panel,)))
    rng = np.random.default_rng(3)
    corner = rng.integers(5, 980, (60, 2))
    bbox = np.stack([corner[:, 0], corner[:, 0] + 7, corner[:, 1], corner[:, 1] + 6, 0 * corner[:, 0],
                     0 * corner[:, 0] + 1], axis=1).astype(np.int32)
    offsets = np.arange(61) * 42
    mask = rng.choice([3, 5, 4], 60 * 42, p=[0.5, 0.45, 0.05]).astype(np.uint8)
    boxes = Shoeboxes(np.zeros(60), bbox, offsets, rng.poisson(5, 60 * 42), mask)
    table = ReflectionTable({
        "id": np.zeros(60, np.int32), "panel": np.zeros(60, np.uint64),
        "s1": px_to_s1(experiment.detector, experiment.beam, 0, corner + 3.0),
        "intensity.sum.value": np.r_[0.0, rng.normal(100, 50, 59)], "intensity.sum.variance": rng.uniform(50, 200, 60),
        "num_pixels.valid": np.full(60, 42, np.int32), "num_pixels.foreground": np.full(60, 18, np.int32),
        "bbox": bbox, "row": np.arange(60, dtype=np.int32), "shoebox": boxes}, {0: "one"})
    experiments = ExperimentList([experiment])
    write_experiments(str(folder / "in.expt"), experiments, "dials-3.12")
    write_reflections(folder / "in.refl", table)
    return folder, experiments, table, boxes


@pytest.mark.parametrize("algorithm", ["fuller_kapton", "kapton_2019"])
@pytest.mark.parametrize(("smart", "within"), [(False, False), (True, False), (True, True)])
def test_kapton_as_in_dials(dials, stills, algorithm, smart, within, monkeypatch):
    if algorithm == "fuller_kapton":  # DIALS takes the corners of pixels there; everything else must agree
        monkeypatch.setattr("xdp.integration.corrections.absorption.PIXEL_CENTRE", 0.0)
    folder, experiments, table, boxes = stills
    out = folder / f"{algorithm}{smart}{within}.refl"
    dials.script(_KAPTON, folder / "in.expt", folder / "in.refl", out,
                 json.dumps([algorithm, smart, within]), cwd=folder)
    theirs = read_reflections(out)
    theirs = theirs.select(np.argsort(theirs["row"]))
    options = AbsorptionOptions(apply=True, algorithm=algorithm, fuller_kapton={
        "smart_sigmas": smart, "within_spot_sigmas": within})
    mine = correct_absorption(experiments, table, boxes, [options])
    factor = theirs["kapton_absorption_correction"]
    assert 20 < np.count_nonzero(factor > 1.001) < 60
    # DIALS interpolates each of 101 attenuation lengths linearly, we 15 of them in logarithms: 2e-4 of an exponent of
    # at most 0.5.
    np.testing.assert_allclose(mine["kapton_absorption_correction"], factor, rtol=2e-4)
    np.testing.assert_allclose(mine["intensity.sum.value"], theirs["intensity.sum.value"], rtol=2e-4)
    np.testing.assert_allclose(mine["intensity.sum.variance"], theirs["intensity.sum.variance"], rtol=1e-3)
    _, sigmas = compute_absorption_factors(experiments, table, boxes, options)
    assert (sigmas is not None) == smart
    if smart:
        rows = table["intensity.sum.value"] != 0
        assert np.count_nonzero(sigmas > 0.01) > 5
        np.testing.assert_allclose(sigmas[rows], theirs["kapton_absorption_correction_sigmas"][rows], atol=3e-4)


@pytest.mark.parametrize("is_still", [False, True])
def test_lp_and_qe_as_in_dials(dials, tmp_path, is_still):
    rng = np.random.default_rng(7)
    panels = tuple(Panel(
        name=f"p{i}", type="SENSOR_PAD", fast_axis=(np.cos(t), 0.0, np.sin(t)), slow_axis=(0.0, -1.0, 0.0),
        origin=(-50.0 + 60 * i, 40.0, -120.0), image_size=(300, 400), pixel_size=(0.1, 0.1),
        trusted_range=(0.0, 1e6), thickness=0.45, material="Si", mu=2.9 + i) for i, t in enumerate((0.0, 0.4)))
    beam = Beam((0.1, 0.05, 1.0), 1.1, polarization_normal=(0.28, 0.96, 0.0), polarization_fraction=0.9)
    rotation = {} if is_still else {"goniometer": Goniometer(rotation_axis=(0.6, 0.8, 0.0)),
                                    "scan": Scan((1, 10), (0.0, 0.5), exposure_time=(0.1,) * 10)}
    experiments = ExperimentList([Experiment(identifier="a", beam=beam, detector=Detector(panels), **rotation)])
    write_experiments(str(tmp_path / "in.expt"), experiments, "dials-3.12")
    s1 = rng.normal(size=(500, 3)) * 0.4 + np.asarray(beam.s0)
    table = ReflectionTable({"id": np.zeros(500, np.int32), "panel": rng.integers(0, 2, 500).astype(np.uint64),
                             "s1": s1}, {0: "a"})
    write_reflections(tmp_path / "in.refl", table)
    dials.script(_LP_QE, tmp_path / "in.expt", tmp_path / "in.refl", tmp_path / "out.refl", cwd=tmp_path)
    theirs, mine = read_reflections(tmp_path / "out.refl"), compute_correction_columns(experiments, table)
    # The same formula in double precision; near the axis 1 / L is a small difference.
    np.testing.assert_allclose(mine["lp"], theirs["lp"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(mine["qe"], theirs["qe"], rtol=1e-9)
