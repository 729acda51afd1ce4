"""Unmerged MTZ files, as CCP4's Pointless and Aimless read them.

The columns, their order and the batch headers are those that dials.export writes.

References
----------
CCP4, "MTZ file format" (https://www.ccp4.ac.uk/html/mtzformat.html).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

import xdp
from xdp.errors import XdpError
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.exporting.batches import Batches, make_batches
from xdp.exporting.mtz_symmetry import write_operations
from xdp.exporting.options import MtzOptions
from xdp.exporting.selection import resolve_intensity, select_for_export
from xdp.files import atomic_output
from xdp.reflections.normalise import check_indexed
from xdp.reflections.table import ReflectionTable
from xdp.space_groups import UntabulatedGroup

if TYPE_CHECKING:
    import gemmi

logger = logging.getLogger(__name__)

#: Where the numbers of a batch header stand (CCP4's MTZBAT), in 4-byte words of its whole and its real numbers.
_INTEGERS = {"ncryst": (12, 1), "ldtype": (14, 2), "jsaxs": (15, 1), "ngonax": (17, 1), "ndet": (19, 1)}
#: Flags of refinement of the cell, and number of the data set (whole numbers).
_LBCELL, _NBSETID = 4, 20
#: The real numbers, counted from the first of them.
_CELL, _UMAT, _PHISTT, _SCANAX, _BSCALE, _PHIRANGE, _E1 = 0, 6, 36, 38, 43, 47, 59
_SOURCE, _S0, _ALAMBD, _DX, _DETLM = 80, 83, 86, 111, 113
#: Wavelengths nearer than this (Å) are one data set. A choice: what refinement of a wavelength moves, not an edge scan.
_WAVELENGTH_TOLERANCE = 1e-4


def write_mtz(path: str | os.PathLike, experiments: ExperimentList, table: ReflectionTable,
              intensity: Sequence[str] = ("auto",), options: MtzOptions | None = None) -> int:
    """Write integrated reflections as an unmerged MTZ file, and give their number.

    Parameters
    ----------
    path : path
        The file.
    experiments : ExperimentList
        With crystals, of one space group.
    table : ReflectionTable
        Integrated (or scaled) reflections.
    intensity : sequence of str
        See :func:`xdp.exporting.selection.resolve_intensity`. With two kinds, I is the sum and IPR the fit.
    options : MtzOptions, optional
        Names, limits, and the cell of the file.

    Raises
    ------
    XdpError
        If there are no intensities, no crystals, several space groups, or nothing is left to write.
    """
    options = options or MtzOptions()
    check_exportable(experiments, table)
    cell = options.best_unit_cell or median_cell(experiments)
    table = table.with_columns(d=spacings(cell, table["miller_index"]))
    table = select_for_export(table, resolve_intensity(table, intensity), options)
    batches = make_batches(experiments, options.force_static_model)
    waves, dataset_of = group_wavelengths(experiments)
    mtz = _empty(experiments[0], cell, waves, options)
    for experiment, images, dataset in zip(experiments, batches, dataset_of, strict=True):
        _add_batches(mtz, experiment, images, dataset + 1)
    # by experiment, as the batches are; within one in the table's order
    table = table.select(np.argsort(table["id"], kind="stable"))
    _set_columns(mtz, _columns(experiments, table, batches), len(waves))
    with atomic_output(path) as part:
        mtz.write_to_file(os.fspath(part))
        _in_asymmetric_unit(part).write_to_file(os.fspath(part))
        group = experiments[0].known.crystal.space_group
        if isinstance(group, UntabulatedGroup):
            write_operations(part, group)
    return len(table)


def check_exportable(experiments: ExperimentList, table: ReflectionTable) -> None:
    """Raise XdpError unless all experiments have crystals of one space group, and the table indices of theirs."""
    if not len(experiments):
        raise XdpError("no experiments to export")
    check_indexed(table, "export")
    if any(e.crystal is None for e in experiments):
        raise XdpError("an experiment has no crystal: export needs the models of integration")
    if len({e.crystal.space_group_hall_symbol for e in experiments}) > 1:
        raise XdpError("the experiments have several space groups: give them one with xdp reindex, or export apart")
    if len(table) and int(table["id"].max()) >= len(experiments):
        raise XdpError(f"the reflections refer to experiment {int(table['id'].max())}, but there are "
                       f"{len(experiments)}: the files do not belong together")


def median_cell(experiments: ExperimentList) -> tuple[float, ...]:
    """The median of each cell parameter over the experiments.

    Parameters
    ----------
    experiments : ExperimentList
        With crystals. The cell that two-theta refinement recalculated is taken before the crystal's own.

    Returns
    -------
    tuple of 6 float
        Å and degrees.
    """
    cells = [e.crystal.extra.get("recalculated_unit_cell") or e.crystal.unit_cell for e in experiments]
    return tuple(float(v) for v in np.median(np.asarray(cells, dtype=np.float64), axis=0))


def spacings(cell: Sequence[float], hkl: np.ndarray) -> np.ndarray:
    """Spacings of Miller indices.

    Parameters
    ----------
    cell : sequence of 6 float
        Å and degrees.
    hkl : array (n, 3)

    Returns
    -------
    array (n,)
        d, Å; infinity for 0 0 0.

    Examples
    --------
    >>> spacings((10, 20, 30, 90, 90, 90), np.array([[0, 2, 0], [1, 0, 0]])).round(6).tolist()
    [10.0, 10.0]
    """
    from xdp.experiment.crystal import b_matrix

    q = np.linalg.norm(hkl @ b_matrix(cell).T, axis=1)
    return np.divide(1.0, q, out=np.full(len(q), np.inf), where=q > 0)


def group_wavelengths(experiments: Sequence[Experiment]) -> tuple[list[float], list[int]]:
    """Find the distinct wavelengths.

    Parameters
    ----------
    experiments : sequence of Experiment

    Returns
    -------
    waves : list of float
        Å, in order of first use.
    index : list of int
        For each experiment, which of them it has.
    """
    waves: list[float] = []
    index = []
    for experiment in experiments:
        wave = float(experiment.known.beam.wavelength)
        near = [i for i, other in enumerate(waves) if abs(other - wave) <= _WAVELENGTH_TOLERANCE]
        if not near:
            waves.append(wave)
        index.append(near[0] if near else len(waves) - 1)
    return waves, index


def _empty(experiment: Experiment, cell: Sequence[float], waves: Sequence[float], options: MtzOptions) -> gemmi.Mtz:
    """A file with symmetry and data sets, without reflections."""
    import gemmi

    mtz = gemmi.Mtz(with_base=False)
    mtz.title = "From xdp"
    mtz.history = [f"From xdp {xdp.__version__}"]
    group = experiment.known.crystal.space_group
    # A group that no table has is written when the file is there: gemmi knows tabulated ones only.
    mtz.spacegroup = gemmi.SpaceGroup("P1") if isinstance(group, UntabulatedGroup) else group
    mtz.cell = gemmi.UnitCell(*cell)
    for number, wave in enumerate(waves, 1):
        dataset = mtz.add_dataset(options.dataset_name)
        dataset.id = number
        dataset.project_name, dataset.crystal_name = options.project_name, options.crystal_name
        dataset.cell, dataset.wavelength = gemmi.UnitCell(*cell), wave
    return mtz


def _add_batches(mtz: gemmi.Mtz, experiment: Experiment, images: Batches, dataset: int) -> None:
    """One header an image."""
    first = _header(experiment, images, dataset)
    for i in range(len(images)):
        batch = first.clone()
        batch.number = images.first + i
        numbers = batch.floats
        start, end = images.phi[i]
        for at, values in ((_CELL, images.cells[i]), (_UMAT, images.orientations[i].T.ravel()),
                           (_PHISTT, (start, end)), (_PHIRANGE, (end - start,))):
            for j, value in enumerate(values):
                numbers[at + j] = float(value)
        mtz.batches.append(batch)


def _header(experiment: Experiment, images: Batches, dataset: int) -> gemmi.Mtz.Batch:
    """What the batches of an experiment have in common; of several panels, the first is told."""
    import gemmi

    batch = gemmi.Mtz.Batch()
    batch.axes = ["AXIS"]
    for at, value in (*_INTEGERS.values(), *((_LBCELL + j, -1) for j in range(6)), (_NBSETID, dataset)):
        batch.ints[at] = value
    panel = experiment.known.detector[0]
    # from the sample to the plane of the panel, along its normal
    distance = float(panel.d_matrix[:, 2] @ panel.normal)
    ideal = np.zeros(3)
    ideal[np.argmin(images.source)] = -1.0
    for at, values in ((_SCANAX, images.axis), (_E1, images.axis), (_BSCALE, (1.0,)), (_SOURCE, ideal),
                       (_S0, images.source), (_ALAMBD, (experiment.known.beam.wavelength,)), (_DX, (distance,)),
                       (_DETLM + 1, (panel.image_size[0],)), (_DETLM + 3, (panel.image_size[1],))):
        for j, value in enumerate(values):
            batch.floats[at + j] = float(value)
    return batch


def _columns(experiments: Sequence[Experiment], table: ReflectionTable, batches: Sequence[Batches],
             ) -> list[tuple[str, str, np.ndarray]]:
    """Name, type and values of each column, in the file's order."""
    zero = np.zeros(len(table))
    batch, rotation = zero.copy(), table["xyzcal.px"][:, 2].copy()
    for number, (experiment, images) in enumerate(zip(experiments, batches, strict=True)):
        rows = table["id"] == number
        batch[rows] = images.numbers(table["xyzobs.px.value"][rows, 2])
        if experiment.scan is not None:
            rotation[rows] = experiment.scan.angle(rotation[rows])
    fast, slow, _ = table["xyzobs.px.value"].T
    columns = [*((name, "H", index) for name, index in zip("HKL", table["miller_index"].T, strict=True)),
               ("M/ISYM", "Y", zero + 1.0), ("BATCH", "B", batch)]
    columns += _intensities(table)
    if "background.sum.value" in table and "background.sum.variance" in table:
        columns += [("BG", "R", table["background.sum.value"]),
                    ("SIGBG", "R", np.sqrt(np.maximum(table["background.sum.variance"], 0.0)))]
    columns += [("FRACTIONCALC", "R", table["fractioncalc"]), ("XDET", "R", fast), ("YDET", "R", slow),
                ("ROT", "R", rotation)]
    if "lp" in table:
        columns.append(("LP", "R", table["lp"]))
    return [*columns, ("QE", "R", table.get("qe", table.get("dqe", zero + 1.0)))]


def _intensities(table: ReflectionTable) -> list[tuple[str, str, np.ndarray]]:
    """Scaled intensities alone as I; else fitted ones as IPR and sums as I, or what there is of the two as I."""
    names = {kind: label for kind, label in (("scale", "I"), ("prf", "IPR"), ("sum", "I"))
             if f"intensity.{kind}.value" in table}
    if "scale" in names:
        factor = [("SCALEUSED", "R", table["inverse_scale_factor"])]
        if "inverse_scale_factor_variance" in table:
            factor.append(("SIGSCALEUSED", "R", np.sqrt(np.maximum(table["inverse_scale_factor_variance"], 0.0))))
        return [*_pair(table, "scale", "I"), *factor]
    if len(names) == 1:
        names = dict.fromkeys(names, "I")
    return [column for kind, label in names.items() for column in _pair(table, kind, label)]


def _pair(table: ReflectionTable, kind: str, label: str) -> list[tuple[str, str, np.ndarray]]:
    """An intensity and its standard deviation."""
    return [(label, "J", table[f"intensity.{kind}.value"]),
            (f"SIG{label}", "Q", np.sqrt(table[f"intensity.{kind}.variance"]))]


def _set_columns(mtz: gemmi.Mtz, columns: Sequence[tuple[str, str, np.ndarray]], dataset: int) -> None:
    """Add the columns with their values."""
    for name, kind, _ in columns:
        mtz.add_column(name, kind, dataset_id=dataset)
    # MTZ holds numbers of 32 bits
    mtz.set_data(np.stack([values for _, _, values in columns], axis=1).astype(np.float32))


def _in_asymmetric_unit(path: os.PathLike) -> gemmi.Mtz:
    """The file with its indices brought to CCP4's asymmetric unit; M/ISYM says by which operation.

    gemmi does this for files that it has read, and for indices that it knows to be the original ones (M/ISYM = 1 is
    the identity).
    """
    import gemmi

    mtz = gemmi.read_mtz_file(os.fspath(path))
    mtz.switch_to_original_hkl()
    mtz.switch_to_asu_hkl()
    mtz.update_reso()
    for batch in mtz.batches:  # gemmi reads the keyword as a part of the title
        batch.title = f"Batch {batch.number}"
    return mtz
