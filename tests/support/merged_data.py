"""Merged intensities drawn from Wilson's distribution, of twins and of crystals with a translation."""

from __future__ import annotations

from typing import NamedTuple

import gemmi
import numpy as np

from xdp.merging.unique import UniqueReflections, find_unique


class MergedExample(NamedTuple):
    """Arguments of `diagnose`, in its order."""

    unique: UniqueReflections
    intensity: np.ndarray
    sigma: np.ndarray
    d: np.ndarray
    cell: tuple[float, ...]
    group: gemmi.SpaceGroup


def draw_merged(symbol, cell, d_min, rng, *, law=None, fraction=0.0, noise=0.1, shift=None):
    """Draw merged intensities.

    `law`, an operation on coordinates, makes twins of a fraction; `shift` gives the crystal a copy of its content
    there. `noise` is sigma relative to the root of the intensity, whose mean is 1.
    """
    group, unit = gemmi.SpaceGroup(symbol), gemmi.UnitCell(*cell)
    unique = find_unique(group, gemmi.make_miller_array(unit, group, d_min))
    d = np.array([unit.calculate_d(h) for h in unique.hkl.tolist()])
    normal = np.square(rng.normal(size=(len(d), 2)))
    J = np.where(unique.is_centric, normal[:, 0], normal.mean(axis=1)) * unique.epsilon
    if shift is not None:
        J = J * (1.0 + np.cos(2.0 * np.pi * unique.hkl @ np.asarray(shift)))
    if law is not None:
        rotation = np.array(gemmi.Op(law).rot) // gemmi.Op.DEN
        both = find_unique(group, np.concatenate([unique.hkl, unique.hkl @ rotation]))
        own, mate = np.split(both.group, 2)
        row = np.empty(len(both), int)
        row[own] = np.arange(len(own))
        J = (1.0 - fraction) * J + fraction * J[row[mate]]
    mean = np.exp(-20.0 / (2.0 * np.square(d)))
    sigma = noise * np.sqrt(mean * (J + 0.3))
    return MergedExample(unique, J * mean + sigma * rng.normal(size=len(d)), sigma, d, tuple(cell), group)
