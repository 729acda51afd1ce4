"""Small panels and masks for the tests of masks."""

from __future__ import annotations

import numpy as np

from xdp.experiment import Beam, Detector, Experiment, ImageSet, Panel


def make_mask(shape=(20, 30)) -> np.ndarray:
    """A mask (slow, fast) of good pixels only."""
    return np.ones(shape, bool)


def list_masked(mask: np.ndarray) -> set:
    """The masked pixels as (slow, fast)."""
    return set(map(tuple, np.argwhere(~mask).tolist()))


def make_panel(**changes) -> Panel:
    """A panel of 30 x 20 pixels, 20 mm from the sample, the beam in its middle."""
    model = {"fast_axis": (1.0, 0.0, 0.0), "slow_axis": (0.0, -1.0, 0.0), "origin": (-3.0, 2.0, -20.0),
             "image_size": (30, 20), "pixel_size": (0.2, 0.2), "trusted_range": (0.0, 1000.0)}
    return Panel(**(model | changes))


def make_experiment(mask_file=None, **changes) -> Experiment:
    """A still on one panel, its mask in a file."""
    return Experiment(beam=Beam((0.0, 0.0, 1.0), 1.0), detector=Detector((make_panel(**changes),)),
                      imageset=ImageSet("ImageSet", images=("x",), mask=mask_file))


class KnownMask:
    """A reader whose format knows a bad pixel."""

    def static_mask(self):
        mask = make_mask()
        mask[1, 1] = False
        return [mask]
