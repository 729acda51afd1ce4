"""Crystals of an earlier run, which shots take over instead of being indexed."""

from __future__ import annotations

import dataclasses
import glob
import os
import uuid
from collections.abc import Sequence

import numpy as np

from xdp.errors import OptionError, XdpError
from xdp.experiment import Crystal, Experiment, ExperimentList, read_experiments
from xdp.indexing.outcome import add_predictions
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable
from xdp.serial.process.extras import reindex_spots


def make_crystal_identifier(tag: str, number: int) -> str:
    """Make the identifier of a crystal: the same in each run over the same shots.

    Parameters
    ----------
    tag : str
        Of the shot.
    number : int
        Of the crystal in the shot, from 0.

    Returns
    -------
    str
    """
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{tag} {number}"))


class KnownCrystals:
    """Crystals by the image that they were found on, or by their identifier where there is no image file.

    Parameters
    ----------
    names : sequence of str
        ``.expt`` files, patterns of them, and folders that hold some.

    Raises
    ------
    OptionError
        If nothing is found, or a file has no crystals.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.by_image: dict[tuple[str, int], list[Crystal]] = {}
        self.by_identifier: dict[str, Crystal] = {}
        for name in names:
            for path in _list_files(name):
                self._read(path)

    def _read(self, path: str) -> None:
        """Take the crystals of a file."""
        try:
            experiments = read_experiments(path)
        except XdpError as error:
            raise OptionError(f"known orientations: {error}") from error
        for experiment in experiments:
            if experiment.crystal is None:
                continue
            if experiment.identifier:
                self.by_identifier[experiment.identifier] = experiment.crystal
            key = _find_image(experiment)
            if key is not None:
                self.by_image.setdefault(key, []).append(experiment.crystal)

    def find(self, experiment: Experiment, tag: str) -> list[Crystal]:
        """Find the crystals of a shot.

        Parameters
        ----------
        experiment : Experiment
            With its image set.
        tag : str

        Returns
        -------
        list of Crystal
            Empty where there is none.
        """
        key = _find_image(experiment)
        if key is not None and key in self.by_image:
            return self.by_image[key]
        found: list[Crystal] = []
        while (crystal := self.by_identifier.get(make_crystal_identifier(tag, len(found)))) is not None:
            found.append(crystal)
        return found


def _list_files(name: str) -> list[str]:
    """The files that a name stands for. Of a folder those of integrated shots, or else of indexed ones."""
    if os.path.isdir(name):
        for ending in ("*_integrated.expt", "*_refined.expt", "*.expt"):
            files = sorted(glob.glob(os.path.join(glob.escape(name), ending)))
            if files:
                return files
    files = sorted(glob.glob(name)) if glob.has_magic(name) else [name] if os.path.isfile(name) else []
    if not files:
        raise OptionError(f"known orientations: {name}: there are no .expt files")
    return files


def _find_image(experiment: Experiment) -> tuple[str, int] | None:
    """The file of a still, and which image of it."""
    imageset = experiment.imageset
    if imageset is None or not imageset.images:
        return None
    indices = imageset.single_file_indices
    return os.path.realpath(imageset.images[0]), indices[0] if indices else 0


def index_with_crystals(experiment: Experiment, spots: ReflectionTable, crystals: Sequence[Crystal]
                        ) -> tuple[ExperimentList, ReflectionTable]:
    """Index the spots of a shot with crystals that are known.

    Parameters
    ----------
    experiment : Experiment
    spots : ReflectionTable
    crystals : sequence of Crystal

    Returns
    -------
    experiments : ExperimentList
        One a crystal.
    table : ReflectionTable
        The indexed spots, with predictions.

    Raises
    ------
    XdpError
        If no spot fits.
    """
    experiments = [dataclasses.replace(experiment, crystal=crystal) for crystal in crystals]
    table = reindex_spots(experiments, spots)
    if not len(table):
        raise XdpError("no spot fits the known crystal")
    table = table.with_columns(flags=table["flags"] | np.uint64(Flag.INDEXED))
    return ExperimentList(experiments), add_predictions(ExperimentList(experiments), table)
