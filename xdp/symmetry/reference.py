"""Merged intensities of a file, with whose indexing data sets are to agree."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xdp.errors import FormatError, XdpError
from xdp.experiment.crystal import b_matrix, cell_of
from xdp.experiment.experiment import ExperimentList
from xdp.experiment.io import read_experiments
from xdp.indexing.lattice.basis import reduce_basis
from xdp.indexing.lattice.symmetry import find_primitive_change
from xdp.intensities.lattice import LatticeGroup, find_lattice_group, list_proper_rotations, move_rotations
from xdp.intensities.normalised import NormalisedIntensities, pack_indices
from xdp.reflections.merged_file import choose_intensities_of_file, read_merged_file
from xdp.reflections.refl import read_reflections
from xdp.reflections.table import ReflectionTable
from xdp.symmetry.common_axes import match_reduced_axes
from xdp.symmetry.normalise import gather_rows, normalise_sets
from xdp.symmetry.options import SymmetryOptions

if TYPE_CHECKING:
    from xdp.space_groups import AnySpaceGroup

#: How the names of reflection tables end.
REFLECTION_ENDINGS = (".refl", ".refl.gz")
_SHELLS = 20
"""Shells of resolution, in which intensities are divided by their mean."""


@dataclass(frozen=True)
class MergedReference:
    """Merged intensities.

    Attributes
    ----------
    hkl : (n, 3) int64
    intensity, sigma : (n,) float64
    cell : tuple of 6 float
        Å and degrees.
    group : gemmi.SpaceGroup
    """

    hkl: np.ndarray
    intensity: np.ndarray
    sigma: np.ndarray
    cell: tuple[float, ...]
    group: AnySpaceGroup


@dataclass(frozen=True)
class PlacedReference:
    """A reference on the axes of a lattice.

    Attributes
    ----------
    data : NormalisedIntensities
        Each equivalent reflection is there.
    rotations : tuple of int
        Numbers of the lattice's rotations that its space group has.
    change : (3, 3) float64
        The lattice's axes in terms of those of the reference.
    group : gemmi.SpaceGroup
        Of the reference.
    """

    data: NormalisedIntensities
    rotations: tuple[int, ...]
    change: np.ndarray
    group: AnySpaceGroup


def read_indexing_reference(options: SymmetryOptions) -> MergedReference:
    """Read the intensities with which indexing is to agree.

    Parameters
    ----------
    options : SymmetryOptions
        ``reference`` is ``.mtz``, ``.refl`` (with its ``.expt``), or else mmCIF structure factors.

    Returns
    -------
    MergedReference

    Raises
    ------
    XdpError
        If a file cannot be read, or has no intensities.
    """
    path = os.fspath(options.reference or "")
    if not path.endswith(REFLECTION_ENDINGS):
        if options.reference_experiments is not None:
            raise XdpError(f"reference_experiments={options.reference_experiments}: only a .refl has a .expt, and "
                           f"reference={path} is none")
        return read_reference_intensities(path)
    stem = path.removesuffix(".gz").removesuffix(".refl")
    models = os.fspath(options.reference_experiments or f"{stem}.expt")
    if not os.path.exists(models):
        raise XdpError(f"reference={path}: {models} is not there; give reference_experiments=")
    # all resolutions: what the reference lacks cannot be compared
    plain = SymmetryOptions(d_min=None, partiality_threshold=options.partiality_threshold)
    return merge_reference(read_experiments(models), read_reflections(path), plain)


def merge_reference(experiments: ExperimentList, reflections: ReflectionTable, options: SymmetryOptions
                    ) -> MergedReference:
    """Merge the intensities of reflections that have the symmetry of their crystals, scaled or not.

    Parameters
    ----------
    experiments : ExperimentList
        Crystals of one space group, on the same axes.
    reflections : ReflectionTable
    options : SymmetryOptions
        Limits of resolution and partiality.

    Returns
    -------
    MergedReference
        Intensities relative to their expected means.

    Raises
    ------
    XdpError
        If crystals are missing, or nothing can be used.
    """
    crystals = [e.crystal for e in experiments]
    if not crystals or any(c is None for c in crystals):
        raise XdpError("reference: its experiments have no crystal")
    crystal = experiments[0].known.crystal
    lattice = find_lattice_group(crystal.real_space_matrix, find_primitive_change(crystal.space_group))
    rows = gather_rows(experiments, reflections, lattice, options)
    mean = normalise_sets(rows, lattice, options)
    rotations = move_rotations(list_proper_rotations(crystal.space_group), np.linalg.inv(lattice.from_input))
    if rotations is None:
        raise XdpError(f"reference: its lattice does not have the symmetry of {crystal.space_group.xhm()}")
    # of all equivalents the one with the smallest number stands for the reflection
    keys = np.array([pack_indices(rows.hkl @ rotation)[0] for rotation in rotations])
    best = keys.argmin(axis=0)
    # the equivalent that stands for all, on the axes of the crystal again
    hkl = np.einsum("nj,njk->nk", rows.hkl, rotations[best])
    hkl = np.where(pack_indices(hkl)[1][:, None], -hkl, hkl)
    _, first, number = np.unique(keys.min(axis=0), return_index=True, return_inverse=True)
    # weights from expected intensities: those from counts favour low ones
    weight = np.square(mean) / (rows.background + rows.counting * mean)
    total = np.bincount(number.ravel(), weight)
    e2 = np.bincount(number.ravel(), weight * rows.intensity / mean) / total
    return MergedReference(np.round(hkl[first] @ np.linalg.inv(lattice.from_input).T).astype(np.int64), e2,
                           1.0 / np.sqrt(total), cell_of(crystal.real_space_matrix), crystal.space_group)


def read_reference_intensities(path: str | os.PathLike) -> MergedReference:
    """Read merged intensities, or squares of amplitudes, of an MTZ or mmCIF file.

    Parameters
    ----------
    path : path
        ``.mtz``, or else mmCIF structure factors.

    Returns
    -------
    MergedReference

    Raises
    ------
    FormatError
        If the file cannot be read, or has neither.
    """
    mtz = read_merged_file(path)
    values, sigmas = choose_intensities_of_file(mtz, path)
    good = np.isfinite(values) & np.isfinite(sigmas) & (sigmas > 0.0)
    if not good.any():
        raise FormatError(f"reference={os.fspath(path)}: no intensities or amplitudes with standard deviations")
    hkl = np.asarray(mtz.make_miller_array(), np.int64)[good]
    cell = tuple(float(v) for v in mtz.cell.parameters)
    if mtz.spacegroup is None:
        raise FormatError(f"reference={os.fspath(path)}: it names no space group")
    return MergedReference(hkl, values[good], sigmas[good], cell, mtz.spacegroup)


def place_reference(reference: MergedReference, lattice: LatticeGroup, length_tolerance: float,
                    angle_tolerance: float) -> PlacedReference:
    """Put a reference on the axes of a lattice, and divide its intensities by their mean.

    Parameters
    ----------
    reference : MergedReference
    lattice : LatticeGroup
    length_tolerance : float
        How far lengths of axes may differ, as a fraction.
    angle_tolerance : float
        How far angles may differ, degrees.

    Returns
    -------
    PlacedReference

    Raises
    ------
    XdpError
        If the cell is another one, or the lattice does not have the symmetry.
    """
    primitive = find_primitive_change(reference.group)
    axes = primitive @ np.linalg.inv(b_matrix(reference.cell))
    reduced = reduce_basis(axes)
    match = match_reduced_axes(reduced, lattice.basis, length_tolerance, angle_tolerance)
    if match is None:
        mine, other = (", ".join(f"{v:.1f}" for v in cell_of(b)) for b in (reduced, lattice.basis))
        raise XdpError(f"reference: its reduced cell {mine} is not the {other} of the data: it is of another crystal")
    change = match @ np.round(reduced @ np.linalg.inv(axes)) @ primitive
    moved = move_rotations(list_proper_rotations(reference.group), np.linalg.inv(change))
    number = {r.tobytes(): k for k, r in enumerate(lattice.rotations)}
    if moved is None or any(r.tobytes() not in number for r in moved):
        raise XdpError(f"reference: the lattice of the data does not have the symmetry of its space group "
                       f"{reference.group.xhm()} within lattice_symmetry_max_delta")
    rotations = tuple(sorted(number[r.tobytes()] for r in moved))
    return PlacedReference(_expand(reference, change, lattice, rotations), rotations, change, reference.group)


def _expand(reference: MergedReference, change: np.ndarray, lattice: LatticeGroup, rotations: tuple[int, ...]
            ) -> NormalisedIntensities:
    """All equivalent reflections with their E^2."""
    hkl = np.round(reference.hkl @ change.T).astype(np.int64)
    d = 1.0 / np.linalg.norm(hkl @ np.linalg.inv(lattice.basis).T, axis=1)
    mean = np.ones(len(d))
    for shell in np.array_split(np.argsort(d, kind="stable"), _SHELLS):
        if len(shell):
            mean[shell] = max(float(reference.intensity[shell].mean()), 1e-6 * float(reference.sigma[shell].mean()))
    every = np.concatenate([hkl @ lattice.rotations[r] for r in rotations])
    key, is_mate = pack_indices(every)
    key, first = np.unique(key, return_index=True)
    row = first % len(hkl)
    every = np.where(is_mate[:, None], -every, every)[first]
    # sigmas of merged intensities hold their counts
    background = np.square(reference.sigma / mean)[row]
    return NormalisedIntensities(every, key, (reference.intensity / mean)[row], background, np.zeros(len(row)), d[row],
                                 np.zeros((0, 6)), len(row), float(d.min()))
