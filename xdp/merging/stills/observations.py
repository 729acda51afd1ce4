"""Integrated reflections of stills as observations to be merged, and which lattices lie in one shot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from xdp.errors import XdpError
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.exporting.selection import LARGEST_INTENSITY
from xdp.integration.partiality.shot_data import SPOT_SIGNIFICANCE, compute_corrections
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable

_LEAST_BACKGROUND = 0.1
"""The background's part of a variance is at least this part of its median: weights stay finite where no count was
left. A choice, the one of scaling."""

_FINEST = 0.98
"""Part of a lattice's significant spots that its own resolution holds."""


@dataclass(frozen=True)
class StillObservations:
    """Observations of lattices in shots.

    Attributes
    ----------
    hkl : (n, 3) int64
        Miller indices.
    value : (n,) float64
        Sums, corrected for polarisation and the sensor's efficiency, not divided by the partiality.
    background : (n,) float64
        The part of their variances that does not come from the reflection itself.
    counting : (n,) float64
        What is added to the variance for each unit of expected sum.
    partiality : (n,) float64
        1 where none is known.
    relative : (n,) float64
        Variance of the partiality over its square.
    lattice : (n,) int64
        Number of the experiment.
    square : (n,) float64
        1/d², 1/Å².
    """

    hkl: np.ndarray
    value: np.ndarray
    background: np.ndarray
    counting: np.ndarray
    partiality: np.ndarray
    relative: np.ndarray
    lattice: np.ndarray
    square: np.ndarray

    def __len__(self) -> int:
        return len(self.value)

    def select(self, rows: np.ndarray) -> StillObservations:
        """Keep some of the observations, by number or truth value."""
        return StillObservations(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    def reindex(self, turns: np.ndarray) -> StillObservations:
        """Change the indices of each lattice.

        Parameters
        ----------
        turns : (n_lattices, 3, 3) int
            ``h @ turns[k]`` are the new indices of lattice k.

        Returns
        -------
        StillObservations
        """
        return replace(self, hkl=np.einsum("ni,nij->nj", self.hkl, turns[self.lattice]))


def gather_stills(experiments: ExperimentList, table: ReflectionTable, a_star_metric: np.ndarray, *,
                  min_partiality: float = 0.05, has_partialities: bool = True) -> StillObservations:
    """Gather the observations that can be merged.

    Parameters
    ----------
    experiments : ExperimentList
        Stills with crystals.
    table : ReflectionTable
        Integrated reflections.
    a_star_metric : (3, 3) float64
        ``B.T @ B`` of the common cell, 1/Å²: for resolutions.
    min_partiality : float
        Observations of which less was recorded are left out.
    has_partialities : bool
        False: all partialities are taken for 1, as in Monte-Carlo merging.

    Returns
    -------
    StillObservations

    Raises
    ------
    XdpError
        If nothing can be used.
    """
    needed = ("intensity.sum.value", "intensity.sum.variance", "miller_index", "id", "flags")
    missing = [name for name in needed if name not in table]
    if missing:
        raise XdpError(f"the reflections are not integrated: {missing[0]} is missing (run xdp stills_process or xdp "
                       "integrate)")
    hkl, factor = np.asarray(table["miller_index"], np.int64), compute_corrections(table)
    value, variance = table["intensity.sum.value"] * factor, table["intensity.sum.variance"] * factor**2
    partiality, relative = find_partialities(table) if has_partialities else (np.ones(len(table)), np.zeros(len(table)))
    with np.errstate(invalid="ignore"):
        good = table.any_flags(Flag.INTEGRATED) & ~table.flags(Flag.FOREGROUND_INCLUDES_BAD_PIXELS)
        good &= (table["id"] >= 0) & (table["id"] < len(experiments)) & np.any(hkl != 0, axis=1)
        good &= (np.abs(value) < LARGEST_INTENSITY) & (variance > 0.0) & (variance < LARGEST_INTENSITY**2)
        good &= (partiality >= min_partiality) & (relative <= 1.0)
    rows = np.flatnonzero(good)
    if not len(rows):
        raise XdpError(f"none of {len(table)} reflections can be merged: they must be integrated (xdp show tells their "
                       f"flags), and of a partiality of stills.min_partiality={min_partiality:g} or more")
    value, variance, factor, hkl = value[rows], variance[rows], factor[rows], hkl[rows]
    # a reflection that was measured too low by chance must not get a large weight for it
    background = variance - factor * value
    floor = _LEAST_BACKGROUND * max(float(np.median(background)), float(np.median(variance)) * _LEAST_BACKGROUND)
    square = np.einsum("ni,ij,nj->n", hkl, a_star_metric, hkl)
    return StillObservations(hkl, value, np.maximum(background, floor), factor, partiality[rows], relative[rows],
                             np.asarray(table["id"][rows], np.int64), square)


def find_partialities(table: ReflectionTable) -> tuple[np.ndarray, np.ndarray]:
    """Find the partialities of a table, and their relative variances.

    Parameters
    ----------
    table : ReflectionTable
        With ``partiality.variance`` as xdp writes it, or ``partiality.inv.variance``, that of 1/p, as DIALS does.

    Returns
    -------
    partiality, relative : (n,) float64
        1 and 0 where nothing is known.
    """
    n = len(table)
    partiality = np.asarray(table.get("partiality", np.ones(n)), np.float64)
    safe = np.maximum(partiality, 1e-9)
    if "partiality.variance" in table:
        relative = table["partiality.variance"] / safe**2
    else:
        relative = table.get("partiality.inv.variance", np.zeros(n)) * safe**2
    return partiality, np.where(np.isfinite(relative) & (relative >= 0.0), relative, np.inf)


def has_partiality_model(table: ReflectionTable) -> bool:
    """Whether partialities were worked out: a column of ones says nothing."""
    return "partiality" in table and bool(np.any(np.abs(table["partiality"] - 1.0) > 1e-6))


def choose_by_resolution(seen: StillObservations, n_lattices: int, push_res: float) -> np.ndarray:
    """Choose observations that lie no further than so much beyond the resolution of their lattice.

    Parameters
    ----------
    seen : StillObservations
    n_lattices : int
    push_res : float
        1/nm.

    Returns
    -------
    (n,) bool
        A lattice's own resolution is that of its finest 2 % of reflections above 5 standard deviations.
    """
    length = np.sqrt(seen.square)
    sigma = np.sqrt(seen.background + seen.counting * np.maximum(seen.value, 0.0))
    strong = seen.value > SPOT_SIGNIFICANCE * sigma
    limit = np.zeros(n_lattices)
    for k in np.unique(seen.lattice[strong]).tolist():
        limit[k] = np.quantile(length[strong & (seen.lattice == k)], _FINEST)
    return length <= limit[seen.lattice] + 0.1 * push_res


def name_shots(experiments: Sequence[Experiment]) -> list[str]:
    """Name the shot of each lattice: lattices of one image have one name.

    Parameters
    ----------
    experiments : sequence of Experiment

    Returns
    -------
    list of str
        ``image file//frame``; the experiment's identifier or number where it has no images.
    """
    names = []
    for number, experiment in enumerate(experiments):
        images = experiment.imageset
        if images is None:
            names.append(experiment.identifier or f"experiment {number}")
            continue
        frames = [*(images.images or ()), *map(str, images.single_file_indices or ())]
        if experiment.scan is not None:
            frames.append(str(experiment.scan.array_range[0]))
        names.append("//".join([*([images.template] if images.template else []), *frames]))
    return names


def number_shots(names: Sequence[str]) -> np.ndarray:
    """Number the shots of lattices by their names.

    Parameters
    ----------
    names : sequence of str
        Of :func:`name_shots`.

    Returns
    -------
    (n,) int64

    Examples
    --------
    >>> number_shots(["b//1", "a//1", "b//1"]).tolist()
    [1, 0, 1]
    """
    return np.unique(np.asarray(names, dtype=str), return_inverse=True)[1].ravel().astype(np.int64)


def share_out_shots(shots: np.ndarray, seed: int = 0) -> np.ndarray:
    """Put each shot into one of two halves, with all of its lattices.

    Parameters
    ----------
    shots : (n,) int64
        Number of the shot of each lattice.
    seed : int
        Of the choice.

    Returns
    -------
    (n,) int64
        0 or 1; the halves have equally many shots, or one has one more.

    Examples
    --------
    >>> halves = share_out_shots(np.array([0, 0, 1, 2, 3]))
    >>> bool(halves[0] == halves[1]), int(halves[1:].sum())
    (True, 2)
    """
    n = int(shots.max(initial=-1)) + 1
    place = np.empty(n, np.int64)
    place[np.random.default_rng(seed).permutation(n)] = np.arange(n) % 2
    return place[shots]
