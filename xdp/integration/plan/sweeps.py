"""What is integrated together: the frames of one image set, and the experiments on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xdp.errors import XdpError
from xdp.experiment import Experiment


@dataclass(frozen=True)
class Sweep:
    """Frames of one image set and scan.

    Attributes
    ----------
    number : int
        Its place among the sweeps.
    ids : tuple of int
        Experiments on these frames.
    experiments : tuple of Experiment
        Those, in order; they share images, detector and scan.
    first, last : int
        Half-open range of frames (array index).
    """

    number: int
    ids: tuple[int, ...]
    experiments: tuple[Experiment, ...]
    first: int
    last: int

    @property
    def model(self) -> Experiment:
        """The experiment whose images, detector and masks hold for all."""
        return self.experiments[0]

    @property
    def n_frames(self) -> int:
        """How many frames there are."""
        return self.last - self.first

    def rows(self, ids: np.ndarray, bbox: np.ndarray | None = None, first: int = 0, last: int = 0) -> np.ndarray:
        """Rows of its reflections in a table that is sorted by experiment, ascending.

        Parameters
        ----------
        ids : (n,)
            Column ``id``.
        bbox : (n, 6), optional
            Column ``bbox``: only those whose boxes meet the frames `first` to `last` - 1.
        """
        # Rows are sorted by experiment, so that those of a sweep are nearly always one slice.
        start, stop = np.searchsorted(ids, (self.ids[0], self.ids[-1] + 1)).tolist()
        rows = np.arange(start, stop)
        if bbox is not None:
            rows = rows[(bbox[start:stop, 4] < last) & (bbox[start:stop, 5] > first)]
        if self.ids[-1] - self.ids[0] + 1 == len(self.ids):
            return rows
        return rows[np.isin(ids[rows], self.ids)]  # experiments of other sweeps lie between


def find_sweeps(experiments: Sequence[Experiment]) -> list[Sweep]:
    """The sweeps of experiments, in the order of their first experiment.

    Experiments on the same images and scan whose detectors differ are sweeps of their own: outlines are drawn on, and
    pixels masked by, the detector of a sweep's first experiment.

    Raises
    ------
    XdpError
        If an experiment lacks images, detector, beam or crystal.
    """
    check_models(experiments)
    groups: dict[tuple[int, int], list[list[int]]] = {}
    for i, experiment in enumerate(experiments):
        # Compared by identity: experiments of one file that share images or scan share the object.
        on_images = groups.setdefault((id(experiment.imageset), id(experiment.scan)), [])
        for ids in on_images:
            if experiment.detector == experiments[ids[0]].detector:
                ids.append(i)
                break
        else:
            on_images.append([i])
    found = sorted(ids for on_images in groups.values() for ids in on_images)
    return [Sweep(number, tuple(ids), tuple(experiments[i] for i in ids), *find_frame_range(experiments[ids[0]]))
            for number, ids in enumerate(found)]


def check_models(experiments: Sequence[Experiment]) -> None:
    """Check that each experiment has what integration needs.

    Raises
    ------
    XdpError
        For the first experiment that lacks images, detector, beam or crystal.
    """
    for i, experiment in enumerate(experiments):
        for name in ("imageset", "detector", "beam", "crystal"):
            if getattr(experiment, name) is None:
                raise XdpError(f"experiment {i} has no {'images' if name == 'imageset' else name}: integration needs "
                               "indexed and refined models with their images")


def find_frame_range(experiment: Experiment) -> tuple[int, int]:
    """Half-open range of an experiment's frames.

    Returns
    -------
    (int, int)
        Array indices of its scan; without a scan positions of its images, from 0.
    """
    if experiment.scan is not None:
        return experiment.scan.array_range
    return 0, len(experiment.known.imageset.images or ())
