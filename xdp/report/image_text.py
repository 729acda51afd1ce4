"""Images in numbers: the spread of counts on each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from xdp.experiment.experiment import ExperimentList


def describe_images(experiments: ExperimentList) -> Iterator[str]:
    """Describe the counts of each raw image: least, quartiles, median, greatest, of all panels and all pixels.

    Parameters
    ----------
    experiments : ExperimentList
        Those without images are left out.

    Yields
    ------
    str
        A line for each image, after a heading.

    Raises
    ------
    XdpError
        If an image cannot be read.
    """
    from xdp.images.reader import list_frame_files, open_reader

    yield "Five number summary of the raw images"
    for experiment in experiments:
        if experiment.imageset is None:
            continue
        # Frame by frame: a series need not fit into memory.
        reader = open_reader(experiment)
        files, indices = list_frame_files(experiment.imageset, experiment.scan)
        for frame in range(reader.n_frames):
            counts = np.concatenate([panel.ravel() for panel in reader.read(frame)])
            low, q1, median, q3, high = summarise_values(counts)
            # A file that holds all frames is listed once.
            is_stack = len(files) < reader.n_frames
            name = f"{Path(files[0]).name} #{indices[frame] + 1}" if is_stack else Path(files[frame]).name
            yield f"{name}: Min: {low:.1f} Q1: {q1:.1f} Med: {median:.1f} Q3: {q3:.1f} Max: {high:.1f}"


def summarise_values(values: np.ndarray) -> tuple[float, ...]:
    """Give least value, lower quartile, median, upper quartile and greatest value.

    Examples
    --------
    >>> summarise_values(np.arange(5))
    (0.0, 1.0, 2.0, 3.0, 4.0)
    """
    low, q1, median, q3, high = np.percentile(values, [0, 25, 50, 75, 100])
    return float(low), float(q1), float(median), float(q3), float(high)
