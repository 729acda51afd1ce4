"""Names and defaults are DIALS'."""

from __future__ import annotations

from xdp.merging.resolution.options import ResolutionOptions


def test_defaults():
    own = ResolutionOptions().resolution
    assert (own.cc_half, own.cc_ref, own.nbins, own.reflections_per_bin, own.emax) == (0.3, 0.1, 100, 10, 4.0)
    assert (own.cc_half_method, own.cc_half_fit, own.binning_method) == ("half_dataset", "tanh", "counting_sorted")
