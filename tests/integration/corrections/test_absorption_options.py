"""Options of absorption: what is off by default, and which names are refused."""

from __future__ import annotations

import numpy as np
import pytest
from integration_data import options

from xdp.errors import OptionError
from xdp.integration.corrections.absorption_options import AbsorptionOptions, KaptonOptions
from xdp.integration.corrections.kapton import Tape, make_tape


def test_nothing_is_corrected_unless_asked_for():
    assert [model.apply for model in options().absorption_correction] == [False]


def test_the_default_tape_is_that_of_the_reference():
    assert make_tape(KaptonOptions()) == Tape(0.02, 0.05, 1.5875, np.deg2rad(1.15))


def test_scopes_may_be_repeated_each_with_its_own_model():
    first, second = "absorption_correction { apply=True; algorithm=kapton_2019 }", \
        "absorption_correction { apply=True; algorithm=other; name=loop }"
    models = options(first, second).absorption_correction
    assert [(m.algorithm, m.name) for m in models if m.apply] == [("kapton_2019", None), ("other", "loop")]


def test_an_unknown_algorithm_is_refused():
    with pytest.raises(OptionError, match="fuller_kapton"):
        options("absorption_correction.algorithm=silicon")
    assert AbsorptionOptions().algorithm is None
