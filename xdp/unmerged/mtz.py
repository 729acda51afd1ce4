"""Unmerged MTZ files: of MOSFLM, Pointless, Aimless, DIALS and xdp.

References
----------
CCP4, "MTZ file format" (https://www.ccp4.ac.uk/html/mtzformat.html): batch headers, M/ISYM. Busing & Levy (1967). Acta
Cryst. 22, 457-464, doi:10.1107/S0365110X67000970: the frame of UMAT.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from xdp.errors import FormatError
from xdp.experiment.experiment import ExperimentList
from xdp.exporting.batches import make_busing_levy
from xdp.reflections.table import ReflectionTable
from xdp.unmerged.sweeps import ForeignSweep, make_sweep_models, make_sweep_table

if TYPE_CHECKING:
    import gemmi

logger = logging.getLogger(__name__)

#: Where the numbers of a batch header stand (CCP4's MTZBAT), counted from the first real number, and of whole ones.
_CELL, _UMAT, _PHISTT, _SCANAX, _PHIRANGE, _SOURCE, _S0, _ALAMBD = 0, 6, 36, 38, 47, 80, 83, 86
_NBSETID = 20
_SAME_ANGLE = 0.01
"""Degrees by which an image may begin beside the end of the one before it: headers have single precision, and MOSFLM
writes two decimals."""
_PART = 256  # M/ISYM is 256 M + ISYM, with M = 1 for partially recorded reflections


def read_mtz_intensities(path: str | os.PathLike) -> tuple[ExperimentList, ReflectionTable]:
    """Read an unmerged MTZ file as an experiment list and a table.

    1. Indices are brought back to those that were measured (M/ISYM).
    2. Batches are joined to sweeps where their numbers and angles follow each other, in one data set.
    3. Parts of a reflection on successive batches (M of M/ISYM is 1) are added, and divided by the fraction of it that
       they record (FRACTIONCALC).
    4. Intensities are taken apart into counts and the corrections LP and QE, where there are such columns.
    5. Files with SCALEUSED are scaled: ``intensity.scale.*`` are I and SIGI.

    Parameters
    ----------
    path : path

    Returns
    -------
    ExperimentList
        An experiment for each sweep.
    ReflectionTable

    Raises
    ------
    FormatError
        If the file is no MTZ file, is merged, or has no intensities.
    """
    import gemmi

    name = os.fspath(path)
    try:
        mtz = gemmi.read_mtz_file(name)
    except (RuntimeError, OSError, ValueError) as error:
        raise FormatError(f"{name}: cannot be read as an MTZ file ({error})") from error
    labels = {column.label for column in mtz.columns}
    if not {"M/ISYM", "BATCH"} <= labels or not mtz.batches:
        raise FormatError(f"{name}: is merged: it has no batches; unmerged intensities are wanted")
    if not {"I", "SIGI"} <= labels:
        raise FormatError(f"{name}: has no columns I and SIGI")
    if mtz.spacegroup is None:
        raise FormatError(f"{name}: has no space group that is tabulated")
    parts = np.array(mtz.column_with_label("M/ISYM").array).astype(int) >= _PART
    mtz.switch_to_original_hkl()
    columns = {column.label: np.array(column.array, np.float64) for column in mtz.columns}
    columns["is_part"] = parts.astype(np.float64)
    columns = _join_parts(columns)
    batches = list(mtz.batches)
    # an image of a batch is a frame of a sweep
    runs = _find_runs(batches)
    experiments, oriented = _make_experiments(mtz, runs, name)
    id_, z = _place_on_frames(experiments, runs, batches, columns)
    kept = (id_ >= 0) & np.isfinite(columns["I"]) & (columns["SIGI"] > 0.0)
    if not kept.any():
        raise FormatError(f"{name}: no reflection has an intensity with a sigma above 0, and a batch with a header")
    if not kept.all():
        logger.info("%s: %d of %d reflections without sigma or batch are left out", name,
                    int(np.count_nonzero(~kept)), len(kept))
    columns = {label: values[kept] for label, values in columns.items()}
    hkl = np.stack([columns[label] for label in "HKL"], axis=1).astype(np.int32)
    zero = np.zeros(len(hkl))
    xyz = np.stack([columns.get("XDET", zero), columns.get("YDET", zero), z[kept]], axis=1)
    return experiments, make_sweep_table(experiments, id_[kept], hkl, xyz, _make_intensities(columns),
                                         oriented=oriented)


def _join_parts(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """One row for the parts of a reflection on successive batches: sums, at their mean position."""
    if not columns["is_part"].any():
        return columns
    batch = columns["BATCH"]
    order = np.lexsort((batch, columns["is_part"], columns["L"], columns["K"], columns["H"]))
    sorted_ = {label: values[order] for label, values in columns.items()}
    # successive rows are parts of one reflection if they agree in all indices and follow in batch
    same = np.ones(len(order) - 1, bool)
    for label in "HKL":
        same &= np.diff(sorted_[label]) == 0
    same &= (np.diff(sorted_["BATCH"]) == 1) & (sorted_["is_part"][1:] > 0) & (sorted_["is_part"][:-1] > 0)
    group = np.concatenate([[0], np.cumsum(~same)])
    n = np.bincount(group)
    first = np.flatnonzero(np.diff(group, prepend=-1))
    result = {label: values[first] for label, values in sorted_.items()}
    for label, values in sorted_.items():
        if label in ("I", "IPR", "FRACTIONCALC", "BG"):
            result[label] = np.bincount(group, values)
        elif label in ("SIGI", "SIGIPR", "SIGBG"):
            result[label] = np.sqrt(np.bincount(group, np.square(values)))
        elif label in ("XDET", "YDET", "ROT", "LP", "QE"):
            result[label] = np.bincount(group, values) / n
    # the frame in the middle, for files without ROT
    result["BATCH"] = np.floor(np.bincount(group, sorted_["BATCH"]) / n)
    fraction = result.get("FRACTIONCALC", np.ones(len(n)))
    # of what is on no image nothing is known: what was recorded stands for the whole, as in files without parts
    whole = np.where((result["is_part"] > 0) & (fraction > 0.0), fraction, 1.0)
    for label in {"I", "IPR", "SIGI", "SIGIPR"} & set(result):
        result[label] = result[label] / whole
    logger.info("%d parts were joined to %d reflections", int(n[n > 1].sum()), int(np.count_nonzero(n > 1)))
    return result


def _find_runs(batches: Sequence[gemmi.Mtz.Batch]) -> list[list[int]]:
    """Numbers, from 0, of the batches of each sweep."""
    runs: list[list[int]] = []
    for i, batch in enumerate(batches):
        if runs and _follows(batches[runs[-1][-1]], batch):
            runs[-1].append(i)
        else:
            runs.append([i])
    return runs


def _follows(before: gemmi.Mtz.Batch, after: gemmi.Mtz.Batch) -> bool:
    """Whether an image continues the sweep of the one before it."""
    end = before.floats[_PHISTT] + _width_of(before)
    return (after.number == before.number + 1 and after.ints[_NBSETID] == before.ints[_NBSETID]
            and abs(after.floats[_PHISTT] - end) < _SAME_ANGLE
            and abs(_width_of(after) - _width_of(before)) < _SAME_ANGLE)


def _width_of(batch: gemmi.Mtz.Batch) -> float:
    """Degrees of an image."""
    return float(batch.floats[_PHISTT + 1] - batch.floats[_PHISTT]) or float(batch.floats[_PHIRANGE])


def _make_experiments(mtz: gemmi.Mtz, runs: list[list[int]], name: str) -> tuple[ExperimentList, bool]:
    """An experiment for each sweep, and whether all of them have an orientation."""
    sweeps = []
    for run in runs:
        first = mtz.batches[run[0]]
        numbers = np.array(first.floats, np.float64)
        dataset = next((d for d in mtz.datasets if d.id == first.ints[_NBSETID]), None)
        wavelength = float(numbers[_ALAMBD]) or (0.0 if dataset is None else dataset.wavelength)
        own = numbers[_CELL:_CELL + 6]
        cell = tuple(own.tolist()) if np.all(own > 0.0) else tuple(mtz.cell.parameters)
        # Fortran has the columns one after the other
        U = numbers[_UMAT:_UMAT + 9].reshape(3, 3).T
        beam = -numbers[_S0:_S0 + 3] if np.any(numbers[_S0:_S0 + 3]) else np.array([-1.0, 0.0, 0.0])
        axis = numbers[_SCANAX:_SCANAX + 3]
        has_axis = bool(np.any(axis))
        # a matrix that is no rotation is none; MOSFLM writes six decimals
        known = has_axis and np.allclose(U @ U.T, np.eye(3), atol=1e-3)
        setting = U @ make_busing_levy(np.array([cell]))[0] if known else None
        sweeps.append(ForeignSweep(
            mtz.spacegroup, cell, wavelength, beam, axis if has_axis else np.array([0.0, 0.0, 1.0]), setting,
            (first.number, mtz.batches[run[-1]].number), float(numbers[_PHISTT]), _width_of(first), None))
    oriented = all(sweep.setting is not None for sweep in sweeps)
    if not oriented:
        logger.warning("%s: batch headers have no orientation of the crystal", name)
    several = len(sweeps) > 1
    return ExperimentList([make_sweep_models(sweep, f"{name} batches {sweep.images[0]} to {sweep.images[1]}"
                                             if several else name) for sweep in sweeps]), oriented


def _place_on_frames(experiments: ExperimentList, runs: list[list[int]], batches: Sequence[gemmi.Mtz.Batch],
                     columns: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The experiment of each reflection (-1: none), and its frame coordinate."""
    id_, z = np.full(len(columns["BATCH"]), -1), np.zeros(len(columns["BATCH"]))
    for k, (experiment, run) in enumerate(zip(experiments, runs, strict=True)):
        low, high = batches[run[0]].number, batches[run[-1]].number
        rows = np.flatnonzero((columns["BATCH"] >= low) & (columns["BATCH"] <= high))
        id_[rows] = k
        # the middle of the image, where nothing better is known
        z[rows] = columns["BATCH"][rows] - 0.5
        scan = experiment.known.scan
        if "ROT" in columns and not scan.is_still:
            by_angle = scan.frame_coordinate(columns["ROT"][rows])
            # ROT of other programs may be a whole turn off, or of the image's middle only
            near = np.abs(by_angle - z[rows]) < 1.5
            z[rows] = np.where(near, by_angle, z[rows])
    return id_, z


def _make_intensities(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Columns of intensities: I as summed and IPR as fitted, or I alone as fitted."""
    one = np.ones(len(columns["I"]))
    lp, qe = columns.get("LP", one), columns.get("QE", one)
    lp, qe = np.where(lp > 0.0, lp, 1.0), np.where(qe > 0.0, qe, 1.0)
    fraction = columns.get("FRACTIONCALC", one)
    fraction = np.where(fraction > 0.0, fraction, 1.0)
    found = {"lp": lp, "qe": qe, "partiality": fraction}
    if "SCALEUSED" in columns:
        # I is on the common scale, and its corrections are not in it any more
        return {**found, "lp": one, "qe": one, "partiality": one,
                "intensity.prf.value": columns["I"], "intensity.prf.variance": np.square(columns["SIGI"]),
                "intensity.scale.value": columns["I"], "intensity.scale.variance": np.square(columns["SIGI"]),
                "inverse_scale_factor": one}
    has_both = {"IPR", "SIGIPR"} <= set(columns)
    for kind, label in (("sum", "I"), ("prf", "IPR")) if has_both else (("prf", "I"),):
        value, sigma = (columns[key] * qe / lp for key in (label, f"SIG{label}"))
        if kind == "sum":
            # of MTZ files I is that of the whole reflection, of tables the sum of the part that was recorded
            value, sigma = value * fraction, sigma * fraction
        found |= {f"intensity.{kind}.value": np.where(np.isfinite(value), value, 0.0),
                  f"intensity.{kind}.variance": np.where(np.isfinite(sigma), np.square(sigma), 0.0)}
    return found
