"""What the sweeps of a run are called in messages and summaries."""

from __future__ import annotations

import os
from collections.abc import Sequence

from xdp.experiment.experiment import Experiment


def name_images(experiment: Experiment) -> str:
    """Name the images of an experiment: template or file, without its folder, with the range of a sweep.

    Examples
    --------
    >>> from xdp.experiment import ImageSet, Scan
    >>> name_images(Experiment(imageset=ImageSet("ImageSequence", template="/data/a_####.cbf"),
    ...                        scan=Scan((1, 90), (0.0, 0.5))))
    'a_####.cbf 1-90'
    """
    imageset, scan = experiment.imageset, experiment.scan
    if imageset is None:
        return experiment.identifier or "no images"
    path = imageset.template or (imageset.images[0] if imageset.images else "")
    text = os.path.basename(path.rstrip("/"))
    if scan is not None:
        return f"{text} {scan.image_range[0]}-{scan.image_range[1]}"
    # Stills of one file differ by their places in it alone.
    places = imageset.single_file_indices
    return f"{text} {places[0] + 1}" if places else text


def name_sweep(experiments: Sequence[Experiment], number: int) -> str | None:
    """Name one of several experiments for a message about it.

    Parameters
    ----------
    experiments : sequence of Experiment
        All of the run.
    number : int
        Which of them.

    Returns
    -------
    str or None
        ``sweep 1 (b_####.cbf 1-90)``, for stills ``experiment 7 (shots.h5 8)``; None where there is only one.
    """
    if len(experiments) < 2:
        return None
    experiment = experiments[number]
    sets = list({id(e.imageset): None for e in experiments})
    place = sets.index(id(experiment.imageset))
    # Lattices of one sweep share its images: then only the experiment's number tells them apart.
    is_alone = len(sets) == len(experiments) and not experiment.is_still
    return f"{f'sweep {place}' if is_alone else f'experiment {number}'} ({name_images(experiment)})"
