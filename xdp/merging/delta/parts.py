"""Parts of the data: data sets, or groups of images in a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xdp.errors import OptionError
from xdp.experiment.experiment import ExperimentList
from xdp.images.image_ranges import parse_image_ranges
from xdp.reflections.table import ReflectionTable


@dataclass(frozen=True)
class DataParts:
    """The part that each reflection is of.

    Attributes
    ----------
    number : (n,) int64
        For each row of a table; -1: of none.
    first : tuple of int
        For each experiment the number of its first part.
    first_image : tuple of int
        For each experiment the number of its first image.
    group_size : int or None
        Images of a part; None: a part is a data set.
    """

    number: np.ndarray
    first: tuple[int, ...]
    first_image: tuple[int, ...]
    group_size: int | None

    @property
    def what(self) -> str:
        """What a part is called."""
        return "data set" if self.group_size is None else "group of images"

    def describe(self, number: int) -> str:
        """Name a part.

        Parameters
        ----------
        number : int

        Returns
        -------
        str
            ``dataset 3``, or ``dataset 3 images 11 to 20``.
        """
        k = int(np.searchsorted(self.first, number, side="right")) - 1
        if self.group_size is None:
            return f"dataset {k}"
        low = self.first_image[k] + (number - self.first[k]) * self.group_size
        return f"dataset {k} images {low} to {low + self.group_size - 1}"


def number_parts(experiments: ExperimentList, table: ReflectionTable, group_size: int | None) -> DataParts:
    """Number the data sets, or groups of images.

    Parameters
    ----------
    experiments : ExperimentList
    table : ReflectionTable
        With ``id`` and ``xyzcal.px``.
    group_size : int or None
        Images of a group; a still is a group by itself. None: data sets.

    Returns
    -------
    DataParts
    """
    ids, firsts, images, first = np.asarray(table["id"]).astype(np.int64), [], [], 0
    number = np.full(len(table), -1, np.int64)
    for k, experiment in enumerate(experiments):
        mine = np.flatnonzero(ids == k)
        firsts.append(first)
        low, high = (0, 1) if experiment.scan is None else experiment.scan.array_range
        images.append(low + 1)
        if group_size is None or experiment.scan is None:
            number[mine] = first
            first += 1
            continue
        # centroids may lie a little outside the sweep
        frame = np.clip(np.floor(table["xyzcal.px"][mine, 2]).astype(np.int64), low, high - 1) - low
        number[mine] = first + frame // group_size
        first += -(-(high - low) // group_size)
    return DataParts(number, tuple(firsts), tuple(images), group_size)


def select_sets(experiments: ExperimentList, table: ReflectionTable, chosen: Sequence[int]
                ) -> tuple[ExperimentList, ReflectionTable]:
    """Select some data sets, with numbers of their own.

    Parameters
    ----------
    experiments : ExperimentList
    table : ReflectionTable
    chosen : sequence of int
        Numbers of experiments, ascending.

    Returns
    -------
    ExperimentList, ReflectionTable
        Reflections in the order of the table.
    """
    # the last place is for the id -1, of reflections without an experiment
    new = np.full(len(experiments) + 1, -1, np.int64)
    new[list(chosen)] = np.arange(len(chosen))
    ids = new[np.clip(np.asarray(table["id"]), -1, len(experiments) - 1)]
    kept = table.select(ids >= 0)
    kept = kept.with_columns(id=ids[ids >= 0].astype(np.int32))
    kept.identifiers = {int(new[k]): table.identifiers[k] for k in chosen if k in table.identifiers}
    return ExperimentList([experiments[k] for k in chosen], experiments.extra), kept


def choose_sets(n: int, use: Sequence[int] | None, exclude: Sequence[int] | None) -> list[int]:
    """Choose data sets by their numbers.

    Parameters
    ----------
    n : int
        How many there are.
    use, exclude : sequence of int or None
        Only these; not these. One of the two may be given.

    Returns
    -------
    list of int

    Raises
    ------
    OptionError
        If both are given, a number is none of a data set, or no data set is left.

    Examples
    --------
    >>> choose_sets(4, None, (1, 3)), choose_sets(4, (2,), None)
    ([0, 2], [2])
    """
    if use and exclude:
        raise OptionError("dataset_selection: give either use_datasets or exclude_datasets, not both")
    name, given = ("use_datasets", use) if use else ("exclude_datasets", exclude)
    wrong = [k for k in given or () if not 0 <= k < n]
    if wrong:
        raise OptionError(f"dataset_selection.{name}={wrong[0]}: there are {n} data sets, numbered from 0")
    left = [k for k in range(n) if (k in use if use else k not in (exclude or ()))]
    if not left:
        raise OptionError("dataset_selection.exclude_datasets leaves no data set")
    return left


def find_excluded_rows(experiments: ExperimentList, table: ReflectionTable, words: Sequence[str]) -> np.ndarray:
    """Find the reflections of images that the user leaves out.

    Parameters
    ----------
    experiments : ExperimentList
    table : ReflectionTable
        With ``id`` and ``xyzcal.px``: a reflection is on the image that its centroid is on.
    words : sequence of str
        ``experiment:first:last``, or ``first:last`` where there is one experiment.

    Returns
    -------
    (n,) bool

    Raises
    ------
    OptionError
        If there is no such experiment or image, or a range names none of several experiments.
    """
    excluded = np.zeros(len(table), bool)
    # image 1 covers the frame coordinates 0 to 1
    image = np.floor(table["xyzcal.px"][:, 2]).astype(np.int64) + 1
    for number, first, last in parse_image_ranges(words):
        if number is None and len(experiments) > 1:
            raise OptionError(f"exclude_images={first}:{last}: there are {len(experiments)} data sets: write "
                              f"experiment:first:last, as 0:{first}:{last}")
        k = number or 0
        word = f"exclude_images={k}:{first}:{last}"
        if k >= len(experiments):
            raise OptionError(f"{word}: there are {len(experiments)} data sets, numbered from 0")
        low, high = experiments[k].known.scan.image_range[:2]
        if first > high or last < low:
            raise OptionError(f"{word}: data set {k} has the images {low} to {high}")
        excluded |= (table["id"] == k) & (image >= first) & (image <= last)
    return excluded
