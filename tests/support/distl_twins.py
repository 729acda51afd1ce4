"""Slow twins of the kernels of the Spotfinder recipe, in plain Python and NumPy."""

from __future__ import annotations

import numpy as np

from xdp.serial.hits._kernels_distl import Levels

CUT, UNDERLOAD, OVERLOAD = 3.5, 0, 4000


def make_levels(image, margin=1, use_overloads=False, n_neighbours=2):
    return Levels(UNDERLOAD, OVERLOAD, use_overloads, CUT, n_neighbours, np.array([margin, margin]),
                          np.array(image.shape) - 1 - margin)


def draw_image(seed, mean=12.0, shape=(130, 140)):
    """Sloping background with spots of several sizes."""
    random = np.random.default_rng(seed)
    slope = np.linspace(0.6, 1.4, shape[1])[None, :] * np.linspace(0.8, 1.2, shape[0])[:, None]
    image = random.poisson(mean * slope).astype(np.int32)
    for _ in range(25):
        i, j = random.integers(4, shape[0] - 8), random.integers(4, shape[1] - 8)
        h, w = random.integers(1, 5, 2)
        image[i:i + h, j:j + w] += random.poisson(60.0, (h, w)).astype(np.int32)
    image[70, 70] = 5000
    return image


def score_twin(image, boxes_of_passes, cuts, underload, overload):
    """Scores by least squares: boxes one after the other, each wider until it has enough background."""
    scores = np.zeros(image.shape, np.float32)
    for boxes, cut in zip(boxes_of_passes, cuts, strict=True):
        for box in boxes:
            _score_box_twin(image, scores, [int(v) for v in box], cut, underload, overload)
    return scores


def _score_box_twin(image, scores, box, cut, underload, overload):
    a, b, c, d = box
    wanted = (c - a) * (d - b) * 2 // 3 // 4
    grown = list(box)
    while True:
        slow, fast = np.mgrid[grown[0]:grown[2]:2, grown[1]:grown[3]:2]
        values = image[slow, fast]
        used = (scores[slow, fast] < cut) & (values > underload) & (values < overload)
        if used.sum() >= wanted:
            break
        more = min(c - a, d - b) // 3
        height, width = grown[2] - grown[0] + 2 * more, grown[3] - grown[1] + 2 * more
        top = min(max(0, grown[0] - more), image.shape[0] - height)
        left = min(max(0, grown[1] - more), image.shape[1] - width)
        grown = [top, left, top + height, left + width]
    design = np.stack([slow[used] - a, fast[used] - b, np.ones(used.sum())], 1).astype(float)
    plane = np.linalg.lstsq(design, values[used].astype(float), rcond=None)[0]
    spread = np.sqrt(np.mean((values[used] - design @ plane) ** 2))
    i, j = np.mgrid[a:c, b:d]
    scores[a:c, b:d] = (image[a:c, b:d] - (plane[0] * (i - a) + plane[1] * (j - b) + plane[2])) / spread


def peaks_twin(image, scores, first, last, cut, n_neighbours, underload, overload):
    """Flat indices of peaks, by looking at every pixel and its eight neighbours."""
    out = []
    for i in range(first[0] + 1, last[0]):
        for j in range(first[1] + 1, last[1]):
            around, high = image[i - 1:i + 2, j - 1:j + 2], scores[i - 1:i + 2, j - 1:j + 2] > cut
            is_top = high[1, 1] and image[i, j] > underload and image[i, j] == around.max()
            if image[i, j] >= overload or (is_top and high.sum() - 1 >= n_neighbours):
                out.append(i * image.shape[1] + j)
    return out


def spots_twin(scores, peaks, cut):
    """Areas of the groups of connected pixels above the cut that hold a peak, by scipy; sorted."""
    from scipy import ndimage

    labels, _ = ndimage.label(scores > cut, np.ones((3, 3)))
    held = {int(label) for label in labels.reshape(-1)[peaks]} - {0}
    return sorted(int((labels == label).sum()) for label in held)


def pairs_twin(pixels):
    """Pairs of pixels that touch by an edge or a corner."""
    pixels = [tuple(p) for p in pixels]
    return sum(max(abs(a[0] - b[0]), abs(a[1] - b[1])) == 1 for n, a in enumerate(pixels) for b in pixels[:n])
