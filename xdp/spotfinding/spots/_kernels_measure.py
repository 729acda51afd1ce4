"""Sums over the pixels of labelled spots, all spots in a few passes over the sorted list of pixels."""

from __future__ import annotations

from xdp.kernels import kernel

VALID_FOREGROUND = 5
"""Mask bits of a strong pixel in a shoebox, DIALS' codes: 1 (valid) + 4 (foreground)."""


@kernel
def measure_boxes(labels, frame, panel, slow, fast, box_panel, bbox, first):
    """Bounding boxes (x0 x1 y0 y1 z0 z1), panels, and index of the first pixel of each spot; negative labels skipped.

    `first` starts at -1; everything else is written here.
    """
    for i in range(labels.size):
        k = labels[i]
        if k < 0:
            continue
        x, y, z = fast[i], slow[i], frame[i]
        if first[k] < 0:
            first[k], box_panel[k] = i, panel[i]
            bbox[k, 0], bbox[k, 1] = x, x + 1
            bbox[k, 2], bbox[k, 3] = y, y + 1
            bbox[k, 4], bbox[k, 5] = z, z + 1
        else:
            bbox[k, 0], bbox[k, 1] = min(bbox[k, 0], x), max(bbox[k, 1], x + 1)
            bbox[k, 2], bbox[k, 3] = min(bbox[k, 2], y), max(bbox[k, 3], y + 1)
            # frames ascend: the lower end is that of the first pixel
            bbox[k, 5] = max(bbox[k, 5], z + 1)


@kernel
def fill_boxes(labels, frame, slow, fast, value, bbox, offsets, data, mask):
    """Write the pixels of each spot into its shoebox, flat in (frame, slow, fast); the rest stays as it is."""
    for i in range(labels.size):
        k = labels[i]
        if k < 0:
            continue
        height, width = bbox[k, 3] - bbox[k, 2], bbox[k, 1] - bbox[k, 0]
        at = offsets[k] + ((frame[i] - bbox[k, 4]) * height + slow[i] - bbox[k, 2]) * width + fast[i] - bbox[k, 0]
        data[at] = value[i]
        mask[at] = VALID_FOREGROUND


@kernel
def sum_pixels(labels, value, total, square, count):
    """Sums of values and of squares in single precision, as DIALS sums them, and the number of pixels."""
    for i in range(labels.size):
        k = labels[i]
        if k >= 0:
            total[k] += value[i]
            square[k] += value[i] * value[i]
            count[k] += 1


@kernel
def sum_moments(labels, frame, slow, fast, value, bbox, total, mean, moment):
    """Means and second central moments of the pixels' centres (fast, slow, frame), relative to their bounding box.

    `mean` and `moment` (n, 3) start at 0; spots whose `total` is not positive keep zeros.
    """
    for i in range(labels.size):
        k = labels[i]
        if k >= 0:
            v = float(value[i])
            mean[k, 0] += v * (fast[i] - bbox[k, 0] + 0.5)
            mean[k, 1] += v * (slow[i] - bbox[k, 2] + 0.5)
            mean[k, 2] += v * (frame[i] - bbox[k, 4] + 0.5)
    for k in range(total.size):
        for d in range(3):
            mean[k, d] = mean[k, d] / total[k] if total[k] > 0 else 0.0
    for i in range(labels.size):
        k = labels[i]
        # about the mean, in a second pass: a difference of large sums would lose the digits of small spots
        if k >= 0 and total[k] > 0:
            v = float(value[i])
            moment[k, 0] += v * (fast[i] - bbox[k, 0] + 0.5 - mean[k, 0]) ** 2
            moment[k, 1] += v * (slow[i] - bbox[k, 2] + 0.5 - mean[k, 1]) ** 2
            moment[k, 2] += v * (frame[i] - bbox[k, 4] + 0.5 - mean[k, 2]) ** 2


@kernel
def peak_offsets(offsets, data, peak):
    """Offset of the first of the largest values within each shoebox."""
    for k in range(peak.size):
        best = offsets[k]
        for at in range(offsets[k], offsets[k + 1]):
            # not >=: of equal ones the first, as DIALS takes it
            if data[at] > data[best]:
                best = at
        peak[k] = best - offsets[k]


@kernel
def mark_overloads(labels, panel, value, saturation, overloaded, count):
    """Flag spots with a pixel above its panel's saturation; such pixels leave the `count` of signal pixels."""
    for i in range(labels.size):
        k = labels[i]
        if k >= 0 and value[i] > saturation[panel[i]]:
            overloaded[k] = True
            count[k] -= 1
