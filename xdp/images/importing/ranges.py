"""Parts of sweeps: the range of images that the user wants, and sweeps split into several."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from xdp.errors import FormatError, OptionError
from xdp.experiment import Scan
from xdp.images.importing.group import ImageGroup, find_first_file


def cut_sweeps(groups: Sequence[ImageGroup], image_range: tuple[int, int] | None) -> list[ImageGroup]:
    """Keep the images of a range where one name stands for several sweeps.

    Parameters
    ----------
    groups : sequence of ImageGroup
        Of all files.
    image_range : (int, int) or None
        First and last image number that the user wants; None wants all.

    Returns
    -------
    list of ImageGroup
        A name with one sweep stays as it is: there the range may reach beyond what the header says.
    """
    names = [group.imageset.template for group in groups if group.is_sequence]
    kept = []
    for group in groups:
        scan = group.models.scan
        if image_range is None or scan is None or names.count(group.imageset.template) < 2:
            kept.append(group)
            continue
        first, last = max(scan.image_range[0], image_range[0]), min(scan.image_range[1], image_range[1])
        if first <= last:
            kept.append(cut_group(group, scan, first, last))
    if not kept:
        raise FormatError(f"{find_first_file(groups[0])}: no sweep has images of geometry.scan.image_range="
                          f"{','.join(map(str, image_range or ()))}")
    return kept


def cut_group(group: ImageGroup, scan: Scan, first: int, last: int) -> ImageGroup:
    """Cut a sweep to some of its images.

    Parameters
    ----------
    group : ImageGroup
        A sweep.
    scan : Scan
        Of all its images.
    first, last : int
        Numbers of the first and last image that are kept.

    Returns
    -------
    ImageGroup
        Marked as a part, to which no further range applies.
    """
    offset, n = first - scan.image_range[0], last - first + 1
    start, width = scan.oscillation
    # Headers without times have none for any image: slices of nothing are nothing.
    part = dataclasses.replace(scan, image_range=(first, last), oscillation=(start + offset * width, width),
                               exposure_time=scan.exposure_time[offset:offset + n],
                               epochs=scan.epochs[offset:offset + n])
    return fit_indices(dataclasses.replace(group, models=dataclasses.replace(group.models, scan=part), is_part=True))


def fit_indices(group: ImageGroup) -> ImageGroup:
    """Make the places of a stack's images in their file those of the scan, which the user may have changed."""
    scan, indices = group.models.scan, group.imageset.single_file_indices
    if not group.is_sequence or scan is None or indices is None or group.n_held is None:
        return group
    wanted = tuple(range(scan.image_range[0] - 1, scan.image_range[1]))
    if indices == wanted:
        return group
    return dataclasses.replace(group, imageset=dataclasses.replace(group.imageset, single_file_indices=wanted))


def split_sweeps(groups: Sequence[ImageGroup], split: tuple[int, ...] | None) -> list[ImageGroup]:
    """Split sweeps into sweeps of so many images.

    Parameters
    ----------
    groups : sequence of ImageGroup
        With the user's scan; stills are not split.
    split : tuple of int or None
        (size,), or (first, last, size): only images with these numbers are kept. None splits nothing.

    Returns
    -------
    list of ImageGroup
        Each a sweep of `size` images, the last one of what is left.

    Raises
    ------
    OptionError
        If there are two numbers or more than three, or a sweep has none of the images.
    """
    if split is None:
        return list(groups)
    if len(split) not in (1, 3):
        raise OptionError(f"input.split must be SIZE or FIRST,LAST,SIZE, got {','.join(map(str, split))}")
    size = split[-1]
    parts = []
    for group in groups:
        scan = group.models.scan
        if not group.is_sequence or scan is None:
            parts.append(group)
            continue
        first, last = scan.image_range
        # Images outside of the user's numbers are left out on purpose: nothing is said of them.
        if len(split) == 3:
            first, last = max(first, split[0]), min(last, split[1])
        if first > last:
            raise OptionError(f"input.split={split[0]},{split[1]},{size}: {find_first_file(group)} is of a sweep of "
                              f"images {scan.image_range[0]} to {scan.image_range[1]}")
        parts += [cut_group(group, scan, start, min(start + size - 1, last)) for start in range(first, last + 1, size)]
    return parts
