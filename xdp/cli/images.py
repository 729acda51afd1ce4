"""Experiments of what a command was given: .expt files, or images of any kind."""

from __future__ import annotations

from collections.abc import Sequence

from xdp.experiment import ExperimentList


def read_images(inputs: Sequence[str]) -> ExperimentList:
    """The experiments of .expt files (or .json), or those that the images make."""
    if all(name.endswith((".expt", ".json")) for name in inputs):
        from xdp.experiment import read_experiments

        return ExperimentList([experiment for name in inputs for experiment in read_experiments(name)])
    from xdp.images.importing import import_images

    return import_images(inputs)
