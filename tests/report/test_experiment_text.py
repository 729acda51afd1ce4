from __future__ import annotations

import dataclasses

import pytest

from xdp.experiment import Beam, Crystal, Detector, Experiment, ExperimentList, Goniometer, ImageSet, Panel, Scan
from xdp.report.experiment_text import describe_experiment, describe_experiments, describe_sharing

PANEL = Panel((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (-5.0, 4.0, -50.0), (100, 80), (0.1, 0.1), (0.0, 65535.0),
              type="SENSOR_PAD", thickness=0.45, material="Si", mu=3.9,
              px_mm_strategy="ParallaxCorrectedPxMmStrategy")
EXPERIMENT = Experiment("abc", Beam((0.0, 0.0, 1.0), 0.97951), Detector((PANEL,)), Goniometer(),
                        Scan((1, 20), (10.0, 0.5), (0.1,) * 20),
                        Crystal((40.0, 0.0, 0.0), (0.0, 50.0, 0.0), (0.0, 0.0, 60.0), " P 2ac 2ab"),
                        ImageSet("ImageSequence", template="a_###.cbf"))


def test_facts_of_a_rotation_experiment():
    lines = list(describe_experiment(EXPERIMENT))
    for line in ("Experiment identifier: abc", "Image template: a_###.cbf", "  pixel_size:{0.1,0.1}",
                 "  image_size: {100,80}", "  trusted_range: {0,65535}", "  distance: 50", "    t0: 0.45",
                 "  origin: {-5,4,-50}", "    wavelength: 0.97951", "    mm: (5.00,4.00)", "    px: (50.00,40.00)",
                 "    number of images:   20", "    oscillation:   {10,0.5}", "    Rotation axis:   {1,0,0}",
                 "    Unit cell: 40.000, 50.000, 60.000, 90.000, 90.000, 90.000", "    Space group: P 21 21 21"):
        assert line in lines
    # 4 mm from the beam at 50 mm: wavelength / (2 sin(arctan(0.08) / 2)), a little coarser for the parallax
    (inscribed,) = (float(line.split()[-1]) for line in lines if line.startswith("Max resolution (inscribed)"))
    assert inscribed == pytest.approx(0.97951 / 0.0797, rel=0.01)


@pytest.mark.parametrize(("epochs", "text"), [
    ((1669814400.0, 1669814401.0), "1669814400 (2022-11-30 13:20:00 UTC)"), ((0.0, 0.0), "0"), ((1e30, 0.0), "1e+30"),
])
def test_probe_and_time_of_the_first_image(epochs, text):
    scan = Scan((1, 2), (0.0, 0.1), (0.1, 0.1), epochs)
    neutrons = dataclasses.replace(EXPERIMENT.beam, probe="neutron")
    lines = list(describe_experiment(dataclasses.replace(EXPERIMENT, scan=scan, beam=neutrons)))
    assert f"    epoch:         {text}" in lines
    assert "    probe: neutron" in lines
    plain = list(describe_experiment(EXPERIMENT))
    assert "    probe: x-ray" in plain
    assert not any("epoch" in line for line in plain)  # there is none


def test_several_panels_name_the_one_that_the_beam_hits():
    other = dataclasses.replace(PANEL, origin=(-25.0, 4.0, -50.0), raw_image_offset=(0, 0))
    here = dataclasses.replace(PANEL, raw_image_offset=(200, 0))
    lines = list(describe_experiment(dataclasses.replace(EXPERIMENT, detector=Detector((other, here)))))
    assert "    px: panel 1, (50.00,40.00)" in lines
    assert "    px, raw image: (250.00,40.00)" in lines


def test_no_beam_centre_where_the_beam_misses():
    beside = Detector((dataclasses.replace(PANEL, origin=(15.0, 4.0, -50.0)),))
    assert not any("Beam centre" in line for line in
                   describe_experiment(dataclasses.replace(EXPERIMENT, detector=beside)))


def test_multi_axis_goniometers_show_their_motors():
    axes = [(1.0, 0.0, 0.0), (0.6, 0.8, 0.0), (1.0, 0.0, 0.0)]
    goniometer = Goniometer.multi_axis(axes, (1.5, 2.0, 3.0), ("PHI", "KAPPA", "OMEGA"), 2)
    lines = list(describe_experiment(dataclasses.replace(EXPERIMENT, goniometer=goniometer)))
    assert "    Axis #1 (KAPPA):  {0.6,0.8,0}" in lines
    assert "    Angles: 1.5,2,3" in lines
    assert "    scan axis: #2 (OMEGA)" in lines


def test_scan_points_on_request():
    point = tuple(float(v) for v in EXPERIMENT.crystal.A.ravel())
    crystal = dataclasses.replace(EXPERIMENT.crystal, A_at_scan_points=(point, point))
    experiment = dataclasses.replace(EXPERIMENT, crystal=crystal)
    assert "    A sampled at 2 scan points" in list(describe_experiment(experiment))
    lines = list(describe_experiment(experiment))
    assert "  Scan point #2:" not in lines
    assert "  Scan point #2:" in list(describe_experiment(experiment, scan_varying=True))
    assert "  Average unit cell: 40.000, 50.000, 60.000, 90.000, 90.000, 90.000" in lines


def test_bare_experiments():
    assert describe_experiments(ExperimentList([Experiment(), Experiment("x")])).splitlines() == [
        "Experiment 0:", "Experiment 1:", "Experiment identifier: x"]


def test_sharing():
    other = dataclasses.replace(EXPERIMENT, crystal=None)
    text = describe_sharing(ExperimentList([EXPERIMENT, other]))
    assert "Experiment 1    x" in text.split("Detector:")[1].split("Crystal:")[0]
    assert "Experiment 1    ." in text.split("Crystal:")[1].split("Beam:")[0]
