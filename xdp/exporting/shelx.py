"""Intensities for SHELX: the HKLF 4 file, and the head of an instruction file.

References
----------
Sheldrick, G. M. (2015). Acta Cryst. C71, 3-8, doi:10.1107/S2053229614024218; SHELXL manual: HKLF, LATT, SYMM.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from xdp.errors import XdpError
from xdp.experiment.cell_errors import cell_uncertainties
from xdp.experiment.experiment import ExperimentList
from xdp.exporting.mtz import check_exportable, group_wavelengths, median_cell, spacings
from xdp.exporting.options import MtzOptions, ShelxOptions
from xdp.exporting.selection import COLUMN_OF, resolve_intensity, select_for_export
from xdp.files import atomic_output
from xdp.reflections.table import ReflectionTable
from xdp.space_groups import AnySpaceGroup, UntabulatedGroup

#: Å and degrees: cells that differ by less are one cell, written by programs that round.
_SAME_CELL = 1e-6
#: SHELXL's numbers of the centrings; R is rhombohedral obverse on hexagonal axes.
_LATTICES = {"P": 1, "I": 2, "R": 3, "F": 4, "A": 5, "B": 6, "C": 7}


def write_shelx(experiments: ExperimentList, table: ReflectionTable, intensity: Sequence[str] = ("auto",),
                shelx: ShelxOptions | None = None, options: MtzOptions | None = None) -> int:
    """Write the .hkl and .ins files, and give the number of reflections.

    Parameters
    ----------
    experiments, table, options
        As for :func:`xdp.exporting.mtz.write_mtz`.
    intensity : sequence of str
        One kind; auto is scaled, else fitted, else summed.
    shelx : ShelxOptions, optional
        Names of the files, and the scale.

    Raises
    ------
    XdpError
        If more than one kind of intensity or wavelength is there, or nothing is left to write.
    """
    shelx, options = shelx or ShelxOptions(), options or MtzOptions()
    check_exportable(experiments, table)
    if len(group_wavelengths(experiments)[0]) > 1:
        raise XdpError("the experiments have several wavelengths: a SHELX file has one")
    # "auto" may give sums and fits: the last one, fits, is written
    kinds = resolve_intensity(table, intensity)
    if len(kinds) > 1 and tuple(intensity) != ("auto",):
        raise XdpError(f"intensity={'+'.join(kinds)}: a SHELX file has one kind of intensities")
    cell = options.best_unit_cell or median_cell(experiments)
    table = table.with_columns(d=spacings(cell, table["miller_index"]))
    table = select_for_export(table, kinds[-1:], options)
    name = next(COLUMN_OF[k] for k in kinds[::-1] if f"intensity.{COLUMN_OF[k]}.value" in table)
    value = table[f"intensity.{name}.value"]
    sigma = np.sqrt(table[f"intensity.{name}.variance"])
    scale = scale_into(value, sigma, shelx.scale_range) if shelx.scale else 1.0
    write_hkl_rows(shelx.hklout, table["miller_index"], value * scale, sigma * scale)
    errors = None if options.best_unit_cell else find_cell_errors(experiments)
    _write_ins(shelx.ins, experiments, cell, errors)
    return len(table)


def scale_into(value: np.ndarray, sigma: np.ndarray, limits: tuple[float, float]) -> float:
    """Find the largest factor that keeps all numbers within limits.

    Parameters
    ----------
    value, sigma : array (n,)
        Intensities and their standard deviations.
    limits : (float, float)
        Least (negative) and largest (positive) number.

    Returns
    -------
    float

    Examples
    --------
    >>> scale_into(np.array([50.0, -2.0]), np.array([3.0, 1.0]), (-9999.0, 9999.0))
    199.98
    """
    highest, lowest = max(value.max(), sigma.max()), value.min()
    # where all numbers are 0, any factor keeps them within limits
    factors = ([limits[1] / highest] if highest > 0 else []) + ([limits[0] / lowest] if lowest < 0 else [])
    return float(min(factors, default=1.0))


def write_hkl_rows(path: str | os.PathLike, hkl: np.ndarray, value: np.ndarray, sigma: np.ndarray) -> None:
    """Write intensities as SHELX's HKLF 4: rows of 3I4, 2F8.2; as many decimals as fit into eight columns.

    Parameters
    ----------
    path : path
    hkl : (n, 3) int
    value, sigma : (n,) float64
        Scaled so that they fit (:func:`scale_into`).

    Raises
    ------
    XdpError
        If an index or a number does not fit.
    """
    if np.abs(hkl).max() > 999:
        raise XdpError(f"{os.fspath(path)}: a Miller index beyond 999 does not fit into a SHELX file")
    with atomic_output(path) as part, part.open("w", encoding="ascii") as out:
        for (h, k, l_), i, s in zip(hkl.tolist(), value.tolist(), sigma.tolist(), strict=True):
            out.write(f"{h:4d}{k:4d}{l_:4d}{_eight(i)}{_eight(s)}\n")
        # a row of zeros ends the data
        out.write(f"{0:4d}{0:4d}{0:4d}{0:8.2f}{0:8.2f}\n")


def _eight(number: float) -> str:
    """A number in eight columns, with two decimals if they fit."""
    for decimals in (2, 1, 0):
        text = f"{number:8.{decimals}f}"
        if len(text) <= 8:
            return text
    raise XdpError(f"the intensity {number:.0f} does not fit into eight columns: leave shelx.scale=True")


def find_cell_errors(experiments: ExperimentList) -> np.ndarray | None:
    """Find the standard uncertainties of the cell that :func:`xdp.exporting.mtz.median_cell` gives.

    Parameters
    ----------
    experiments : ExperimentList
        With crystals.

    Returns
    -------
    array (6,) or None
        Å and degrees. Of one cell, which all experiments may share, those that refinement gave it; None if it gave
        none. Of different cells the standard error of their mean: what they differ by says more than each one's own.
    """
    crystals = [e.known.crystal for e in experiments]
    cells = np.array([c.extra.get("recalculated_unit_cell") or c.unit_cell for c in crystals], dtype=np.float64)
    if len(crystals) > 1 and np.ptp(cells, axis=0).max() > _SAME_CELL:
        return np.std(cells, axis=0, ddof=1) / np.sqrt(len(cells))
    recalculated = crystals[0].extra.get("recalculated_cell_parameter_sd")
    if crystals[0].extra.get("recalculated_unit_cell") and recalculated and len(recalculated) == 6:
        return np.asarray(recalculated, dtype=np.float64)
    return cell_uncertainties(crystals[0])


def _write_ins(path: str | os.PathLike, experiments: ExperimentList, cell: Sequence[float],
               errors: np.ndarray | None) -> None:
    """Title, cell, its uncertainties where they are known, lattice and symmetry."""
    group = experiments[0].known.crystal.space_group
    wave = experiments[0].known.beam.wavelength
    lines = [f"TITL {group.number} in {group.short_name()}",
             "CELL {:8.5f} {:8.4f} {:8.4f} {:8.4f} {:8.3f} {:8.3f} {:8.3f}".format(wave, *cell)]
    if errors is not None:
        order = len(group.operations())
        lines.append("ZERR {:8.3f} {:8.4f} {:8.4f} {:8.4f} {:8.3f} {:8.3f} {:8.3f}".format(order, *errors))
    with atomic_output(path) as part:
        part.write_text("\n".join([*lines, *symmetry_cards(group)]) + "\n", encoding="ascii")


def symmetry_cards(group: AnySpaceGroup) -> list[str]:
    """The LATT and SYMM cards of a space group.

    Parameters
    ----------
    group : gemmi.SpaceGroup or UntabulatedGroup

    Returns
    -------
    list of str
        LATT: the centring, negative without an inversion at the origin. SYMM: the operations that neither this, nor
        the identity, nor the inversion implies.
    """
    import gemmi

    operations = group.operations()
    centric = any(op.triplet() == "-x,-y,-z" for op in operations)
    letter = group.centring_type() if isinstance(group, UntabulatedGroup) else group.hm[0]
    if isinstance(group, gemmi.SpaceGroup) and group.ext == "R":
        letter = "P"  # a rhombohedral cell is primitive
    lattice = _LATTICES.get(letter, 1)
    # A centring that has no letter is told by the operations.
    listed = operations.sym_ops if letter in _LATTICES else list(operations)
    cards = [f"LATT {lattice if centric else -lattice}"]
    seen: set[str] = {"x,y,z", "-x,-y,-z"} if centric else {"x,y,z"}
    for operation in listed:
        if operation.triplet() in seen:
            continue
        seen.add(operation.triplet())
        if centric:  # of an operation and its inverse image SHELX wants one
            seen.add(operation.combine(type(operation)("-x,-y,-z")).wrap().triplet())
        cards.append(f"SYMM {operation.triplet().upper()}")
    return cards
