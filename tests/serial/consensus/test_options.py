"""Parameters of the search for cells over many shots have the effects that their help says."""

import numpy as np
import pytest
from consensus_data import P21, pool_stills

from xdp.errors import OptionError
from xdp.options.named import make_options
from xdp.serial.consensus.options import ConsensusOptions


def test_a_wrong_value_is_an_error():
    with pytest.raises(OptionError, match="min_shots"):
        make_options(ConsensusOptions, {"min_shots": 0}, {})


def test_shots_with_few_spots_have_no_candidates():
    shot, = pool_stills("mP", P21, [1], n_spots=20, options=ConsensusOptions(min_spots=21))
    assert len(shot.points) == len(shot.bases) == 0


def test_candidates_and_spots_are_limited():
    options = ConsensusOptions(max_candidates=7, max_spots=30)
    shot, = pool_stills("mP", P21, [1], n_spots=60, options=options)
    assert len(shot.bases) == 7
    assert len(shot.points) == 30


def test_axes_and_volumes_keep_their_limits():
    shot, = pool_stills("mP", P21, [1], options=ConsensusOptions(min_cell=60.0, min_cell_volume=4e5))
    assert np.abs(np.linalg.det(shot.bases)).min() > 4e5
    assert np.linalg.norm(shot.bases[-1], axis=1).min() > 40.0  # vectors of 60 Å at least, reduced then
