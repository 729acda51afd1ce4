"""The top parameters of xdp refine."""

from __future__ import annotations

from xdp.options import parse
from xdp.refinement.command_options import RefineOptions


def test_words_of_the_command_line_reach_their_options():
    options, rest = parse(RefineOptions, ["detector.fix=distance", "scan_varying=False", "output.log=None",
                                          "n_static_macrocycles=2", "indexed.expt"])
    assert options.refinement.parameterisation.detector.fix == "distance"
    assert options.refinement.parameterisation.scan_varying is False
    assert options.output.log is None
    assert options.n_static_macrocycles == 2
    assert list(rest) == ["indexed.expt"]



