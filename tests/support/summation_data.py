"""Random shoeboxes for tests of summation."""

from __future__ import annotations

import numpy as np

from xdp.integration.shoeboxes.extract import compute_box_offsets
from xdp.reflections.flags import MaskCode
from xdp.reflections.shoeboxes import Shoeboxes

GOOD_FG, GOOD_BG = int(MaskCode.VALID | MaskCode.FOREGROUND), int(MaskCode.VALID | MaskCode.BACKGROUND)


USED = GOOD_BG | int(MaskCode.BACKGROUND_USED)


def make_random_boxes(n=30, seed=0):
    """Shoeboxes of random shapes, counts, masks and backgrounds."""
    generator = np.random.default_rng(seed)
    low = generator.integers(0, 50, (n, 3))
    bbox = np.stack([low, low + generator.integers(2, 7, (n, 3))], axis=2).reshape(n, 6).astype(np.int32)
    offsets = compute_box_offsets(bbox)
    codes = np.array([GOOD_FG, GOOD_FG, GOOD_FG, GOOD_BG, USED, int(MaskCode.FOREGROUND), int(MaskCode.BACKGROUND),
                      GOOD_FG | int(MaskCode.OVERLAPPED), 0], np.uint8)
    rare = np.where(np.repeat(generator.random(n) < 0.5, np.diff(offsets)), 5, 9)
    mask = codes[generator.integers(0, 9, offsets[-1]) % rare]
    return Shoeboxes(np.zeros(n), bbox, offsets, generator.poisson(20, offsets[-1]), mask,
                     generator.uniform(1, 15, offsets[-1]))
