"""Slow twins of the kernels for peaks that stand out of their rings."""

from __future__ import annotations

import numpy as np


def clip_twin(values, factor, lowest, n_passes):
    """Number, mean and spread of values, far ones left out pass by pass; without a spread again with wide limits."""
    found = _clip_once(values, min(factor, 3.0), factor, lowest, n_passes)
    return _clip_once(values, factor, factor, lowest, n_passes) if found[2] == 0 else found


def _clip_once(values, narrow, wide, lowest, n_passes):
    low, high, used = lowest, np.inf, np.zeros(0)
    for number in range(n_passes):
        used = values[(values >= low) & (values <= high)].astype(float)
        if not used.size:
            return 0, np.nan, np.nan
        reach = wide if number >= n_passes - 2 else narrow
        low, high = max(lowest, used.mean() - reach * used.std()), used.mean() + reach * used.std()
    return used.size, used.mean(), used.std()


def peaks_twin(image, rings, high, rules):
    """Rows (slow, fast, pixels, signal, ratio, height, level) of the peaks, by scipy's labels, by first pixel."""
    from scipy import ndimage

    safe = np.where(rings >= 0, rings, 0)
    is_high = (rings >= 0) & (image > high[safe]) & (image <= rules.top)
    labels, n = ndimage.label(is_high, np.ones((3, 3)))
    out = []
    for label in range(1, n + 1):
        slow, fast = np.nonzero(labels == label)
        values = image[slow, fast].astype(float)
        if not rules.min_pixels <= values.size <= rules.max_pixels:
            continue
        first = (slow[0], fast[0])
        offset = high[len(high) // 2:][rings[first]]
        weight = values - offset
        centre = (weight @ slow / weight.sum(), weight @ fast / weight.sum())
        i, j = int(centre[0] + 0.5), int(centre[1] + 0.5)
        around = []
        for a in range(max(0, i - 2 * rules.bg_radius), min(image.shape[0], i + 2 * rules.bg_radius + 1)):
            for b in range(max(0, j - 2 * rules.bg_radius), min(image.shape[1], j + 2 * rules.bg_radius + 1)):
                is_near = abs(a - i) < rules.bg_radius and abs(b - j) < rules.bg_radius
                if not is_near and rings[a, b] >= 0 and image[a, b] <= high[rings[a, b]]:
                    around.append(float(image[a, b]))
        if len(around) < 3 or not values.max() > max(around):
            continue
        weight = values - np.mean(around)
        ratio = weight.sum() / np.std(around) if np.std(around) > 0 else np.inf
        if ratio >= rules.min_snr:
            out.append((weight @ slow / weight.sum(), weight @ fast / weight.sum(), values.size, weight.sum(), ratio,
                        values.max(), np.sort(values)[values.size - rules.min_pixels]))
    return np.array(out).reshape(-1, 7)
