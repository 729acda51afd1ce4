"""The lattices of one shot by the parameters of indexing."""

import numpy as np
import pytest

from xdp.errors import OptionError, XdpError
from xdp.indexing.options import KnownSymmetry
from xdp.options.named import make_options
from xdp.serial.process.lattices import ShotIndexer
from xdp.serial.process.options import StillsProcessOptions
from xdp.simulation.still_spots import make_still_spots

CELL = (79.3, 79.3, 37.8, 90.0, 90.0, 90.0)


@pytest.fixture(scope="module")
def shot():
    return make_still_spots()


def indexer(forms=(), **named):
    return ShotIndexer(make_options(StillsProcessOptions, None, named), forms)


def test_a_known_cell(shot):
    experiment, spots = shot
    found = indexer(unit_cell=CELL, space_group="P43212").find(experiment, spots)
    assert len(found.experiments) == 1
    assert found.method == "cell"
    assert found.false_alarm < 1e-4
    assert found.rmsd < 0.5
    assert len(found.table) > 0.9 * len(spots)


def test_the_form_that_explains_most_is_taken(shot):
    experiment, spots = shot
    forms = [KnownSymmetry(unit_cell=(50, 65, 90, 90, 105, 90), space_group="P21"),
             KnownSymmetry(unit_cell=CELL, space_group="P43212")]
    found = indexer(forms).find(experiment, spots)
    np.testing.assert_allclose(found.experiments[0].crystal.unit_cell, CELL, rtol=0.01)
    with pytest.raises(XdpError, match="false-alarm"):
        indexer(forms[:1]).find(experiment, spots)


def test_other_methods_search_the_shot_alone(shot):
    experiment, spots = shot
    found = indexer(unit_cell=CELL, space_group="P43212", **{"indexing.method": "real_space_grid_search"}).find(
        experiment, spots)
    assert found.method == "real_space_grid_search"
    assert np.isnan(found.false_alarm)
    assert not indexer(**{"indexing.method": "fft3d"}).needs_forms
    assert indexer().needs_forms
    assert not indexer(unit_cell=CELL).needs_forms


def test_a_beam_that_nothing_compares_is_refused():
    form = {"cell": CELL, "lookup_symbol": "P43212", "beam_restraint": (0.0, 0.0)}
    with pytest.raises(OptionError, match="beam_restraint: the beam of a shot is not refined"):
        indexer(**{"indexing.stills.isoforms": (form,)})
