"""Models laid over those of shots."""

import numpy as np
import pytest
from hit_data import make_models

from xdp.errors import OptionError
from xdp.experiment import ExperimentList, write_experiments
from xdp.options.named import make_options
from xdp.serial.events.shot import Shot, ShotError
from xdp.serial.process.geometry import ShotGeometry, read_reference
from xdp.serial.process.options import StillsProcessOptions


def geometry(**named):
    return ShotGeometry(make_options(StillsProcessOptions, None, named))


def make_shot(model=None):
    return Shot(0, "a", [np.zeros((160, 160), np.int32)], experiment=model or make_models(), distance=60.0,
                photon_energy=9537.0)


def test_nothing_given_changes_nothing():
    shot = make_shot()
    assert geometry().does_nothing
    assert geometry().apply(shot) is shot


def test_values_of_the_user():
    changed = geometry(**{"geometry.detector.distance": 75.0, "geometry.beam.wavelength": 1.0})
    first, second = (changed.apply(make_shot()) for _ in range(2))
    assert first.distance == pytest.approx(75.0)
    assert first.experiment.beam.wavelength == 1.0
    assert first.photon_energy == pytest.approx(12398.42, abs=0.1)
    assert first.experiment.detector == second.experiment.detector


def test_a_reference_of_other_panels(tmp_path):
    write_experiments(tmp_path / "small.expt", ExperimentList([make_models(shape=(90, 100))]))
    with pytest.raises(ShotError, match=r"input\.reference_geometry has 1 panels of"):
        geometry(**{"input.reference_geometry": str(tmp_path / "small.expt")}).apply(make_shot())


def test_references_that_do_not_serve(tmp_path):
    write_experiments(tmp_path / "two.expt", ExperimentList([make_models(), make_models(distance=70.0)]))
    with pytest.raises(OptionError, match=r"must have one detector, has 2"):
        read_reference(str(tmp_path / "two.expt"))
    (tmp_path / "no.expt").write_text("{}")
    with pytest.raises(OptionError, match=r"input\.reference_geometry"):
        read_reference(str(tmp_path / "no.expt"))
    with pytest.raises(OptionError, match="shots are stills"):
        geometry(**{"geometry.convert_stills_to_sequences": True})
