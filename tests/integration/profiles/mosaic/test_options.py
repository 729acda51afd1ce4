from __future__ import annotations

from xdp.integration.profiles.mosaic.options import MosaicOptions
from xdp.integration.profiles.options import GaussianRSOptions


def test_widths_grow_with_resolution_by_default():
    expected = MosaicOptions(enable=True, anisotropic=True, least_significance=3.0, bandwidth=None)
    assert GaussianRSOptions().mosaic == expected
