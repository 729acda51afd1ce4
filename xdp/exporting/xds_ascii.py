"""Unmerged intensities as XDS' XDS_ASCII.HKL, for XSCALE and others.

References
----------
XDS program package, "XDS_ASCII.HKL" (https://xds.mr.mpg.de/html_doc/xds_files.html); Schwarzenbach, D. & Flack, H. D.
(1989). J. Appl. Cryst. 22, 601-605, doi:10.1107/S0021889889008824, for psi.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import xdp
from xdp.errors import XdpError
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.exporting.batches import image_range
from xdp.exporting.mtz import check_exportable, median_cell, spacings
from xdp.exporting.options import MtzOptions
from xdp.exporting.selection import correction_factor, resolve_intensity, select_for_export
from xdp.files import atomic_output
from xdp.reflections.table import ReflectionTable
from xdp.space_groups import UntabulatedGroup

#: The columns of a record, in XDS' words.
_ITEMS = ("H", "K", "L", "IOBS", "SIGMA(IOBS)", "XD", "YD", "ZD", "RLP", "PEAK", "CORR", "PSI")


def write_xds_ascii(path: str | os.PathLike, experiments: ExperimentList, table: ReflectionTable,
                    intensity: Sequence[str] = ("auto",), options: MtzOptions | None = None) -> tuple[int, list[Path]]:
    """Write one file an experiment, and give the number of reflections and the paths.

    Parameters
    ----------
    path : path
        The file; of several experiments, ``_0``, ``_1``, ... is added to the name.
    experiments, table, intensity, options
        As for :func:`xdp.exporting.mtz.write_mtz`; of two kinds the sums are written. Sigmas are those of the
        integration.

    Raises
    ------
    XdpError
        If there are no intensities or crystals, or nothing is left to write.
    """
    options = options or MtzOptions()
    check_exportable(experiments, table)
    _check_setting(experiments)
    kinds = resolve_intensity(table, intensity)
    paths, n = [], 0
    for number, experiment in enumerate(experiments):
        stem, ending = os.path.splitext(path)
        target = Path(path if len(experiments) == 1 else f"{stem}_{number}{ending}")
        part = table.select(table["id"] == number)
        cell = options.best_unit_cell or median_cell(ExperimentList([experiment]))
        part = select_for_export(part.with_columns(d=spacings(cell, part["miller_index"])), kinds, options)
        _write(target, experiment, part)
        paths.append(target)
        n += len(part)
    return n, paths


def _check_setting(experiments: ExperimentList) -> None:
    """Raise XdpError where the number of the space group, which is all that the file has, would be read wrongly."""
    group = experiments[0].known.crystal.space_group
    if isinstance(group, UntabulatedGroup):
        raise XdpError(f"an XDS_ASCII file knows no space group {group.xhm()}: first come to tabulated axes by xdp "
                       f"reindex change_of_basis_op={group.change_to_base}")


def _write(path: Path, experiment: Experiment, table: ReflectionTable) -> None:
    """Header, records sorted by unique indices, end."""
    table = table.select(_order(experiment, table["miller_index"]))
    kind = next(kind for kind in ("scale", "sum", "prf") if f"intensity.{kind}.value" in table)
    turn = _detector_frame(experiment)
    zero = np.zeros(len(table))
    rows = np.column_stack([
        table["miller_index"], table[f"intensity.{kind}.value"], np.sqrt(table[f"intensity.{kind}.variance"]),
        table["xyzcal.px"], correction_factor(table), 100.0 * table["fractioncalc"],
        100.0 * table.get("profile.correlation", zero + 1.0), _psi(experiment, table, turn)])
    with atomic_output(path) as part, part.open("w", encoding="ascii") as out:
        out.write("\n".join(_header(experiment, turn)) + "\n")
        np.savetxt(out, rows, "%d %d %d %f %f %f %f %f %f %.1f %.1f %f")
        out.write("!END_OF_DATA\n")


def _order(experiment: Experiment, hkl: np.ndarray) -> np.ndarray:
    """Rows by their indices in the asymmetric unit."""
    import gemmi

    group = experiment.known.crystal.space_group
    if isinstance(group, UntabulatedGroup):  # refused before
        return np.arange(len(hkl))
    unit, operations = gemmi.ReciprocalAsu(group), group.operations()
    # each distinct index is mapped once, since gemmi maps them one by one
    unique, inverse = np.unique(hkl, axis=0, return_inverse=True)
    mapped = np.array([unit.to_asu(index, operations)[0] for index in unique.tolist()])
    # lexsort sorts by its last key first
    return np.lexsort(mapped[inverse.ravel()].T[::-1])


def _detector_frame(experiment: Experiment) -> np.ndarray:
    """Rotation from the laboratory to XDS' frame: x along the first panel's fast axis, y along its slow axis."""
    d = experiment.known.detector[0].d_matrix
    return np.stack([d[:, 0], d[:, 1], np.cross(d[:, 0], d[:, 1])])


def _header(experiment: Experiment, turn: np.ndarray) -> list[str]:
    """The lines before the records."""
    panel, crystal = experiment.known.detector[0], experiment.known.crystal
    # ORGX, ORGY: where the normal through the sample meets the panel, pixels
    origin = turn @ panel.d_matrix[:, 2]
    orgx, orgy = -origin[:2] / panel.pixel_size
    first, last = image_range(experiment) if experiment.scan is not None else (1, 1)
    start, width = (0.0, 0.0) if experiment.scan is None else experiment.scan.oscillation[:2]
    axis = np.array([1.0, 0.0, 0.0]) if experiment.goniometer is None else experiment.goniometer.rotation_axis_lab
    axes = _zero_axes(experiment) @ turn.T
    return [
        "!FORMAT=XDS_ASCII    MERGE=FALSE    FRIEDEL'S_LAW=TRUE", f"!Generated by xdp {xdp.__version__}",
        f"!DATA_RANGE= {first} {last}", "!ROTATION_AXIS= {:9.6f} {:9.6f} {:9.6f}".format(*(turn @ axis)),
        f"!OSCILLATION_RANGE= {width:f}", f"!STARTING_ANGLE= {start:f}", f"!STARTING_FRAME= {first}",
        f"!SPACE_GROUP_NUMBER= {crystal.space_group.number}",
        "!UNIT_CELL_CONSTANTS= {:9.3f} {:9.3f} {:9.3f} {:7.3f} {:7.3f} {:7.3f}".format(*crystal.unit_cell),
        *("!UNIT_CELL_{}-AXIS= {:9.3f} {:9.3f} {:9.3f}".format(name, *row)
          for name, row in zip("ABC", axes, strict=True)),
        f"!X-RAY_WAVELENGTH= {experiment.known.beam.wavelength:f}",
        "!INCIDENT_BEAM_DIRECTION= {:f} {:f} {:f}".format(*(turn @ experiment.known.beam.s0)),
        "!NX= {} NY= {} QX= {:f} QY= {:f}".format(*panel.image_size, *panel.pixel_size),
        f"!ORGX= {orgx:9.2f} ORGY= {orgy:9.2f}", f"!DETECTOR_DISTANCE= {origin[2]:8.3f}",
        "!DIRECTION_OF_DETECTOR_X-AXIS=   1.00000   0.00000   0.00000",
        "!DIRECTION_OF_DETECTOR_Y-AXIS=   0.00000   1.00000   0.00000",
        "!VARIANCE_MODEL= 1.000e+00 0.000e+00", f"!NUMBER_OF_ITEMS_IN_EACH_DATA_RECORD={len(_ITEMS)}",
        *(f"!ITEM_{name}={i}" for i, name in enumerate(_ITEMS, 1)), "!END_OF_HEADER"]


def _zero_axes(experiment: Experiment) -> np.ndarray:
    """Rows: the cell axes in the laboratory, at zero rotation of the scanning axis."""
    axes = experiment.known.crystal.real_space_matrix
    goniometer = experiment.goniometer
    return axes if goniometer is None else axes @ (goniometer.S @ goniometer.F).T


def _psi(experiment: Experiment, table: ReflectionTable, turn: np.ndarray) -> np.ndarray:
    """The azimuth of a reflection's reference vector about its normal, degrees (Schwarzenbach and Flack)."""
    axes = _zero_axes(experiment) @ turn.T
    hkl = table["miller_index"].astype(np.float64)
    s0 = turn @ experiment.known.beam.s0
    # Schwarzenbach and Flack: (k - l, l - h, h - k) lies in the plane. It vanishes along (h, h, h); there (h, -h, 0)
    # serves.
    reference = np.where((hkl == hkl[:, :1]).all(axis=1, keepdims=True),
                         np.stack([hkl[:, 0], -hkl[:, 0], 0 * hkl[:, 0]], axis=1),
                         np.roll(hkl, -1, axis=1) - np.roll(hkl, -2, axis=1))
    point, inside = hkl @ np.linalg.inv(axes).T, reference @ axes
    if experiment.goniometer is not None and experiment.scan is not None:
        axis = turn @ experiment.goniometer.rotation_axis_lab
        angle = np.deg2rad(experiment.scan.angle(table["xyzcal.px"][:, 2]))
        point, inside = _turned(point, axis, angle), _turned(inside, axis, angle)
    s1 = point + s0
    normal = np.cross(s1, s0)
    cosine = np.sum(normal * inside, axis=1) / (np.linalg.norm(normal, axis=1) * np.linalg.norm(inside, axis=1))
    # which side of the plane of incidence it points to
    sign = np.where(np.sum(inside * -(s1 + s0), axis=1) < 0, -1.0, 1.0)
    return sign * np.rad2deg(np.arccos(np.clip(cosine, -1.0, 1.0)))


def _turned(vectors: np.ndarray, axis: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Vectors (n, 3) turned about an axis by an angle each (radians; Rodrigues)."""
    c, s = np.cos(angle)[:, None], np.sin(angle)[:, None]
    return vectors * c + np.cross(axis, vectors) * s + np.outer(vectors @ axis, axis) * (1.0 - c)
