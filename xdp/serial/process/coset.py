"""The negative control: points of a doubled cell, where no reflection of the crystal can be, integrated like others."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from xdp.errors import XdpError
from xdp.experiment import Experiment
from xdp.images.masked_frames import PanelFrame
from xdp.integration.options import IntegrateOptions
from xdp.integration.results.finish import apply_absorption, drop_overlapping
from xdp.integration.stills.image import integrate_image
from xdp.integration.stills.shot import ShotImage
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable

DOUBLED = (
    ((2, 0, 0), (0, 1, 0), (0, 0, 1)), ((1, 0, 0), (0, 2, 0), (0, 0, 1)), ((1, 0, 0), (0, 1, 0), (0, 0, 2)),
    ((1, -1, 0), (1, 1, 0), (0, 0, 1)), ((1, 0, -1), (0, 1, 0), (1, 0, 1)), ((1, 0, 0), (0, 1, -1), (0, 1, 1)),
    ((1, 1, 0), (1, -1, 0), (0, 1, 1)),
)
"""Axes of the doubled cells in terms of a, b, c: along a, b, c; points at the middle of the C, B and A faces of the
reciprocal cell; points at its body centre."""


def double_crystal(experiment: Experiment, transformation: int) -> Experiment:
    """Double the cell of a crystal.

    Parameters
    ----------
    experiment : Experiment
        With a crystal.
    transformation : int
        Of :data:`DOUBLED`.

    Returns
    -------
    Experiment
        In P1.
    """
    crystal = experiment.known.crystal
    axes = np.array(DOUBLED[transformation]) @ crystal.real_space_matrix
    a, b, c = (tuple(float(v) for v in axis) for axis in axes)
    changed = dataclasses.replace(crystal, real_space_a=a, real_space_b=b, real_space_c=c,
                                  space_group_hall_symbol=" P 1")
    return dataclasses.replace(experiment, crystal=changed)


def is_in_coset(index: np.ndarray, transformation: int) -> np.ndarray:
    """Which indices of the doubled cell are none of the crystal's own.

    Parameters
    ----------
    index : (n, 3) int
        Of the doubled cell.
    transformation : int

    Returns
    -------
    (n,) bool

    Examples
    --------
    >>> is_in_coset(np.array([[1, 0, 0], [2, 5, 3]]), 0).tolist()
    [True, False]
    """
    own = index @ np.linalg.inv(np.array(DOUBLED[transformation], float)).T
    # halves or whole numbers: a quarter tells them apart
    return (np.abs(own - np.rint(own)) > 0.25).any(axis=1)


def integrate_coset(panels: Sequence[PanelFrame], experiments: Sequence[Experiment], options: IntegrateOptions,
                    transformation: int, background: str) -> tuple[list[Experiment], ReflectionTable]:
    """Integrate the points of the doubled cells of a shot's crystals.

    Parameters
    ----------
    panels : sequence of PanelFrame
        The shot.
    experiments : sequence of Experiment
        Its integrated crystals, with their profile models.
    options : IntegrateOptions
    transformation : int
        Which doubling.
    background : str
        The background algorithm.

    Returns
    -------
    experiments : list of Experiment
        With doubled cells.
    reflections : ReflectionTable
        Indices are those of the doubled cells.

    Raises
    ------
    XdpError
        If nothing can be integrated.
    """
    doubled = [double_crystal(experiment, transformation) for experiment in experiments]
    options = options.model_copy(update={"create_profile_model": False})
    found = integrate_image(ShotImage(panels, doubled), [None] * len(doubled), options, background)
    if found.table is None:
        raise XdpError(found.failures[0][1] if found.failures else "no point of the coset is predicted")
    table = drop_overlapping(apply_absorption(found.table, options), options)
    table = table.select(table.any_flags(Flag.INTEGRATED) & is_in_coset(table["miller_index"], transformation))
    return doubled, table.select(np.argsort(table["id"], kind="stable"))
