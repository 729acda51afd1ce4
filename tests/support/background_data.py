"""Shoeboxes with a background, for tests of its algorithms."""

from __future__ import annotations

import numpy as np

from xdp.integration.background.model_options import ModelBackgroundOptions
from xdp.integration.background.options import BackgroundOptions
from xdp.options import parse
from xdp.reflections.flags import MaskCode
from xdp.reflections.shoeboxes import Shoeboxes


def parse_words(*words: str) -> BackgroundOptions:
    """Options from PHIL words."""
    return parse(BackgroundOptions, list(words))[0]


def make_boxes(n: int = 20, shape=(3, 9, 10), level=None, seed: int = 1, outliers: float = 0.01) -> Shoeboxes:
    """Boxes of one shape: Poisson background with a slope, a foreground disc, invalid and overlapped pixels."""
    rng = np.random.default_rng(seed)
    depth, height, width = shape
    z, y, x = np.indices(shape)
    levels = 10.0 ** rng.uniform(0.0, 2.5, n) if level is None else np.full(n, float(level))
    mean = levels[:, None, None, None] * np.exp(0.04 * (x - width / 2) - 0.03 * (y - height / 2) + 0.05 * z)
    data = rng.poisson(mean).astype(np.float32)
    mask = np.full((n, *shape), 3, np.uint8)
    disc = (x - width / 2 + 0.5) ** 2 + (y - height / 2 + 0.5) ** 2 < 6
    mask[:, disc] = 5
    mask[rng.random(mask.shape) < 0.03] = 2
    mask[rng.random(mask.shape) < 0.03] |= np.uint8(MaskCode.OVERLAPPED)
    data[rng.random(mask.shape) < outliers] += 300
    bbox = np.tile([0, width, 0, height, 0, depth], (n, 1))
    return Shoeboxes(np.zeros(n), bbox, np.arange(n + 1) * np.prod(shape), data.ravel(), mask.ravel())


def each_box(boxes: Shoeboxes):
    """Number, data, mask and background of each box."""
    for i in range(len(boxes)):
        yield i, *boxes.box(i)


def find_used(boxes: Shoeboxes) -> np.ndarray:
    """Which pixels have the bit BACKGROUND_USED, bool (n_pixels,)."""
    return boxes.mask & MaskCode.BACKGROUND_USED != 0


def parse_gmodel_words(*words: str) -> BackgroundOptions:
    """Options with the algorithm gmodel, from PHIL words."""
    return parse(BackgroundOptions, ["algorithm=gmodel", *words])[0]


def parse_model_words(*words: str) -> ModelBackgroundOptions:
    """Options of ``xdp model_background`` from PHIL words."""
    return parse(ModelBackgroundOptions, list(words))[0]
