"""Electron diffraction: the rotation axis from the spots, and what a flat Ewald sphere changes in refinement."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from xdp.cli import main as commands
from xdp.errors import XdpError
from xdp.experiment.beam import Beam
from xdp.experiment.detector import SIMPLE, Detector, Panel
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.experiment.goniometer import Goniometer
from xdp.experiment.imageset import ImageSet
from xdp.experiment.io import read_experiments, write_experiments
from xdp.images.formats.sensors import build_sensor_fields
from xdp.images.importing.options import BeamOverride
from xdp.images.importing.overrides import override_beam
from xdp.indexing.index import index_sweeps
from xdp.indexing.options import AxisSearch
from xdp.indexing.rotation_axis import find_rotation_axis
from xdp.refinement.options import Refinement
from xdp.refinement.refine import refine_models
from xdp.reflections.refl import write_reflections
from xdp.reflections.table import ReflectionTable
from xdp.simulation.models import make_scan
from xdp.simulation.spot_lists import draw_crystal, simulate_spot_list

CELL = (11.0, 14.0, 19.0, 90.0, 90.0, 90.0)
AZIMUTH = 37.0  # degrees


def axis_of(azimuth: float) -> tuple[float, float, float]:
    return float(np.cos(np.radians(azimuth))), float(-np.sin(np.radians(azimuth))), 0.0


def sweep(azimuth: float = AZIMUTH, width: float = 60.0) -> Experiment:
    """0.5 degree frames of an electron microscope: 1.0 Å at the edge of 1024 x 1024 pixels."""
    n, pixel = 1024, 0.055
    distance = 0.5 * n * pixel / np.tan(2.0 * np.arcsin(0.5 * 0.0251))
    origin = (-(n / 2 + 3.3) * pixel, (n / 2 - 2.6) * pixel, -distance)
    panel = Panel((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), origin, (n, n), (pixel, pixel), (0.0, 1e6), type="SENSOR_PAD",
                  px_mm_strategy=SIMPLE)
    return Experiment(beam=Beam.along_z(0.0251), detector=Detector((panel,)),
                      imageset=ImageSet("ImageSequence", template="x_####.cbf"),
                      goniometer=Goniometer(rotation_axis=axis_of(azimuth)), scan=make_scan(int(2 * width), 0.5))


def spots_of(experiment: Experiment, drift: float = 0.0) -> ReflectionTable:
    """Spots of one crystal; all move by `drift` px along fast during the scan, as the beam does in a microscope."""
    crystal = draw_crystal("oP", CELL, 3)
    spots = simulate_spot_list([replace(experiment, crystal=crystal)], np.random.default_rng(1), n_spots=700,
                               d_min=1.0, spurious=0.1)
    xyz = spots.table["xyzobs.px.value"].copy()
    xyz[:, 0] += drift * np.sin(2.0 * np.pi * xyz[:, 2] / experiment.scan.n_frames)
    return spots.table.with_columns(**{"xyzobs.px.value": xyz})


@pytest.fixture(scope="module")
def table() -> ReflectionTable:
    return spots_of(sweep())


@pytest.mark.parametrize("header", [0.0, -120.0])
def test_axis_is_found_with_its_sense(table: ReflectionTable, header: float):
    wrong = ExperimentList([sweep(header)])
    found, azimuth = find_rotation_axis(wrong, table, AxisSearch(max_sample_size=500))
    # the last step is 0.1 degrees; 500 spots with errors of 0.2 px at radii of some 200 px say no more than a few steps
    assert abs(azimuth - AZIMUTH) < 0.5
    np.testing.assert_allclose(found[0].goniometer.rotation_axis_lab, axis_of(AZIMUTH), atol=0.01)
    assert np.mean(index_sweeps(found, table).reflections["id"] == 0) > 0.85


OTHERS = {"d_max": 2.0, "max_two_theta": 0.5, "max_sample_size": 40, "global_search": False, "azimuth": -70.0,
          "opposite": True}


def test_every_parameter_of_the_axis_search_is_listed():
    assert OTHERS.keys() == AxisSearch.model_fields.keys()


@pytest.mark.parametrize("name", OTHERS)
def test_parameter_of_the_axis_search_changes_its_search(table: ReflectionTable, name: str,
                                                         caplog: pytest.LogCaptureFixture):
    base = {"max_sample_size": 200} | ({"global_search": False} if name in ("azimuth", "opposite") else {})
    logs = []
    for more in ({}, {name: OTHERS[name]}):
        with caplog.at_level("INFO", logger="xdp"):
            find_rotation_axis(ExperimentList([sweep(0.0)]), table, AxisSearch.model_validate(base | more))
        logs.append(caplog.messages)
        caplog.clear()
    assert logs[0] != logs[1]


def test_multi_axis_goniometer_turns_as_a_whole(table: ReflectionTable):
    one = Goniometer.multi_axis([(1.0, 0.0, 0.0), (0.0, 1.0, 0.0)], (0.0, 0.0), ("phi", "tilt"), 0)
    found, azimuth = find_rotation_axis(ExperimentList([replace(sweep(), goniometer=one)]), table,
                                        AxisSearch(max_sample_size=300))
    axes = np.array(found[0].goniometer.axes)
    np.testing.assert_allclose(axes[0], axis_of(azimuth), atol=1e-9)
    assert abs(axes[0] @ axes[1]) < 1e-9


def test_bad_input(table: ReflectionTable):
    with pytest.raises(XdpError, match="too few, at least 30"):
        find_rotation_axis(ExperimentList([sweep()]), table.select(np.arange(12)))
    with pytest.raises(XdpError, match="no scan"):
        find_rotation_axis(ExperimentList([replace(sweep(), scan=None, goniometer=None)]), table)


def test_command_writes_the_axis(table: ReflectionTable, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_experiments("imported.expt", ExperimentList([sweep(0.0)]))
    write_reflections("strong.refl", table)
    assert commands.main(["find_rotation_axis", "imported.expt", "strong.refl", "max_sample_size=300"]) == 0
    np.testing.assert_allclose(read_experiments("optimised.expt")[0].goniometer.rotation_axis_lab, axis_of(AZIMUTH),
                               atol=0.02)


def test_distance_stays_and_beam_drift_is_followed():
    experiment = sweep()
    drifting = spots_of(experiment, drift=3.0)
    indexed = index_sweeps(ExperimentList([experiment]), drifting)
    # tilts turn the panel about its middle, which moves the foot of the normal a little
    assert indexed.experiments[0].detector[0].distance == pytest.approx(experiment.detector[0].distance, rel=2e-4)
    still = Refinement.model_validate({"parameterisation": {"scan_varying": True}})
    moving = Refinement.model_validate({"parameterisation": {"scan_varying": True, "beam": {
        "fix": ("wavelength",), "force_static": False, "smoother": {"absolute_num_intervals": 8}},
        "crystal": {"orientation": {"force_static": True}, "unit_cell": {"force_static": True}}}})
    rms = [refine_models(indexed.experiments, indexed.reflections, o).rmsds[0] for o in (still, moving)]
    # 3 px of drift are 2.1 px rms; the spots' own error is 0.2 px = 0.011 mm
    assert rms[1][0] < 0.014 < rms[0][0]


def test_distance_is_refined_where_asked_and_with_x_rays(table: ReflectionTable):
    experiment = sweep()
    indexed = index_sweeps(ExperimentList([experiment]), table)
    free = Refinement.model_validate({"parameterisation": {"scan_varying": False, "detector": {"fix": None}}})
    fixed = Refinement.model_validate({"parameterisation": {"scan_varying": False}})
    names = [refine_models(indexed.experiments, indexed.reflections, o).names for o in (free, fixed)]
    assert sum("Dist" in n for n in names[0]) == 1
    assert not any("Dist" in n for n in names[1])


def test_beam_of_electrons_is_unpolarised_and_sensors_have_no_parallax():
    assert Beam.along_z(0.0251).polarization_fraction == 0.5
    assert Beam.along_z(0.9795).polarization_fraction == 0.999
    assert Beam.along_z(0.0251).is_electron
    assert not Beam.along_z(0.9795).is_electron
    assert replace(Beam.along_z(0.9795), probe="electron").is_electron
    assert override_beam(None, BeamOverride(wavelength=0.0251)).polarization_fraction == 0.5
    assert "px_mm_strategy" not in build_sensor_fields("Si", 0.32, 0.0251)
    assert "px_mm_strategy" in build_sensor_fields("Si", 0.32, 0.9795)
