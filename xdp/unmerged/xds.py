"""Intensities of XDS: XDS_ASCII.HKL (of CORRECT or XSCALE), and INTEGRATE.HKL.

References
----------
Kabsch (2010). Acta Cryst. D66, 125-132, doi:10.1107/S0907444909047337. XDS program package, "Files"
(https://xds.mr.mpg.de/html_doc/xds_files.html): headers and items of the records.
Kahn, Fourme, Gadet, Janin, Dumas & André (1982). J. Appl. Cryst. 15, 330-337, doi:10.1107/S0021889882012060:
polarisation.
"""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass

import numpy as np

from xdp.errors import FormatError
from xdp.experiment.detector import Panel
from xdp.experiment.experiment import ExperimentList
from xdp.reflections.table import ReflectionTable
from xdp.unmerged.sweeps import ForeignSweep, make_sweep_models, make_sweep_table

logger = logging.getLogger(__name__)

_INTEGRATE_ITEMS = ("H", "K", "L", "IOBS", "SIGMA", "XD", "YD", "ZD", "RLP", "PEAK", "CORR")
"""INTEGRATE.HKL does not number its items; these are the first ones."""
_LEAST_COUNTING = 1e-3
"""Least part of a variance that is left when XDS' error model is taken out: SIGMA has four digits."""


@dataclass(frozen=True)
class XdsFile:
    """A file of XDS.

    Attributes
    ----------
    path : str
    header : dict of str to str
        Keywords and what follows them.
    sets : dict of int to dict of str to str
        For XSCALE's files the keywords of each data set.
    items : dict of str to int
        Columns of the records, from 0.
    records : (n, k) float64
    is_integrated : bool
        Whether it is INTEGRATE.HKL: not scaled, sigmas by counting, and corrected for an unpolarised beam.
    """

    path: str
    header: dict[str, str]
    sets: dict[int, dict[str, str]]
    items: dict[str, int]
    records: np.ndarray
    is_integrated: bool

    def get_item(self, name: str) -> np.ndarray:
        """Read a column of the records.

        Parameters
        ----------
        name : str
            XDS' word.

        Returns
        -------
        (n,) float64
        """
        return self.records[:, self.items[name]]

    def numbers(self, key: str, n: int, default: tuple[float, ...] | None = None) -> tuple[float, ...]:
        """Read the numbers that follow a keyword of the header.

        Parameters
        ----------
        key : str
        n : int
            How many there must be.
        default : tuple of float, optional
            Taken where the keyword is missing.

        Returns
        -------
        tuple of float

        Raises
        ------
        FormatError
            If the keyword is missing and has no default, or its numbers are none.
        """
        if key not in self.header and default is not None:
            return default
        try:
            found = tuple(float(word) for word in self.header.get(key, "").split()[:n])
        except ValueError:
            found = ()
        if len(found) != n:
            raise FormatError(f"{self.path}: the header needs {key}= with {n} numbers")
        return found


def read_xds_file(path: str | os.PathLike) -> XdsFile:
    """Read header and records of XDS_ASCII.HKL or INTEGRATE.HKL.

    Parameters
    ----------
    path : path

    Returns
    -------
    XdsFile

    Raises
    ------
    FormatError
        If the file is of another kind, merged, or cut off.
    """
    name = os.fspath(path)
    header: dict[str, str] = {}
    sets: dict[int, dict[str, str]] = {}
    items: dict[str, int] = {}
    records: list[str] = []
    ended = False
    with open(name, encoding="ascii", errors="replace") as lines:
        first = next(lines, "")
        is_integrated = first.startswith("!OUTPUT_FILE=INTEGRATE.HKL")
        if not is_integrated and not first.startswith("!FORMAT=XDS_ASCII"):
            raise FormatError(f"{name}: is no XDS_ASCII.HKL or INTEGRATE.HKL of XDS")
        if re.search(r"MERGE=\s*TRUE", first):
            raise FormatError(f"{name}: its intensities are merged already (MERGE=TRUE)")
        for line in lines:
            # a file of a run that was broken off has no such line
            if line.startswith("!END_OF_DATA"):
                ended = True
            elif line.startswith("!"):
                _read_header_line(line[1:].strip(), header, sets, items)
            elif not ended and line.strip():
                records.append(line)
    if not ended:
        raise FormatError(f"{name}: is cut off: the line !END_OF_DATA is missing")
    if is_integrated:
        items = {item: i for i, item in enumerate(_INTEGRATE_ITEMS)}
    missing = [item for item in ("H", "K", "L", "IOBS", "SIGMA", "ZD") if item not in items]
    if missing or not records:
        raise FormatError(f"{name}: has no {'item ' + missing[0] if missing else 'reflections'}")
    return XdsFile(name, header, sets, items, _parse_records(name, records, max(items.values())), is_integrated)


def _read_header_line(text: str, header: dict[str, str], sets: dict[int, dict[str, str]], items: dict[str, int]
                      ) -> None:
    """Put what a line of the header says where it belongs."""
    # items are numbered from 1, in any order
    item = re.match(r"ITEM_(\S+?)=\s*(\d+)", text)
    if item:
        items["SIGMA" if item[1].startswith("SIGMA") else item[1]] = int(item[2]) - 1
        return
    words = re.split(r"([A-Z][A-Z0-9_()'\-]*)=", text)
    pairs = {key: value.strip() for key, value in zip(words[1::2], words[2::2], strict=True)}
    if text.startswith("ISET="):
        sets.setdefault(int(pairs.pop("ISET").split()[0]), {}).update(pairs)
    elif text.startswith("Generated by"):
        header["Generated by"] = text
    else:
        header.update(pairs)


def _parse_records(name: str, records: list[str], last: int) -> np.ndarray:
    """Records as numbers."""
    try:
        values = np.loadtxt(records, dtype=np.float64, ndmin=2)
    except ValueError as error:
        raise FormatError(f"{name}: a record cannot be read ({error})") from error
    if values.shape[1] <= last:
        raise FormatError(f"{name}: the records have {values.shape[1]} items, {last + 1} are wanted")
    return values


def read_xds_intensities(path: str | os.PathLike, polarization_fraction: float | None = None
                         ) -> tuple[ExperimentList, ReflectionTable]:
    """Read the intensities of XDS as an experiment list and a table.

    1. Records that XDS calls misfits (SIGMA at most 0) are left out.
    2. Intensities are taken apart into counts and XDS' factor RLP (column ``lp``), so that scaling can tell counting
       errors; XDS' error model (VARIANCE_MODEL) is taken out of the variances that scaling begins with.
    3. XDS_ASCII.HKL counts as scaled: ``intensity.scale.*`` are its numbers as they are.
    4. INTEGRATE.HKL is corrected for an unpolarised beam by XDS; this is changed to the beam's polarisation, whose
       normal is XDS' y axis where the header names none.

    Parameters
    ----------
    path : path
    polarization_fraction : float, optional
        XDS' FRACTION_OF_POLARIZATION, for INTEGRATE.HKL; by default 0.5 (unpolarised).

    Returns
    -------
    ExperimentList
        One experiment, or one for each data set of XSCALE.
    ReflectionTable

    Raises
    ------
    FormatError
        If the file is damaged, merged, or all its records are misfits.
    """
    file = read_xds_file(path)
    sigma = file.get_item("SIGMA")
    kept = (sigma > 0.0) & np.isfinite(file.get_item("IOBS"))
    if not kept.any():
        raise FormatError(f"{file.path}: all of {len(sigma)} records are misfits (SIGMA is not above 0)")
    if not kept.all():
        logger.info("%s: %d of %d records, which XDS calls misfits, are left out", file.path,
                    int(np.count_nonzero(~kept)), len(kept))
    file = XdsFile(file.path, file.header, file.sets, file.items, file.records[kept], file.is_integrated)
    experiments, id_ = _make_experiments(file)
    # loadtxt gives floating numbers
    hkl = np.round(file.records[:, [file.items[name] for name in "HKL"]]).astype(np.int32)
    # XDS counts from the middle of the first pixel, which is 1; xdp and DIALS write their own coordinates
    shift = 0.0 if "Generated by" in file.header else 0.5
    xyz = np.stack([file.get_item("XD") - shift if "XD" in file.items else np.zeros(len(hkl)),
                    file.get_item("YD") - shift if "YD" in file.items else np.zeros(len(hkl)),
                    file.get_item("ZD")], axis=1)
    oriented = "UNIT_CELL_A-AXIS" in file.header
    table = make_sweep_table(experiments, id_, hkl, xyz, _make_intensities(file), oriented=oriented)
    if file.is_integrated:
        table = _polarise(file, experiments, table, polarization_fraction)
    return experiments, table


def _make_intensities(file: XdsFile) -> dict[str, np.ndarray]:
    """Columns of intensities."""
    value, sigma, one = file.get_item("IOBS"), file.get_item("SIGMA"), np.ones(len(file.records))
    lp = file.get_item("RLP") if "RLP" in file.items else one
    # reflections near the rotation axis may have a factor of 0, by which nothing can be divided
    lp = np.where(lp > 0.0, lp, 1.0)
    a, b = file.numbers("VARIANCE_MODEL", 2, (1.0, 0.0))
    # sigma^2 = a (sigma_0^2 + b I^2)
    counting = np.square(sigma) if a <= 0.0 else np.maximum(np.square(sigma) / a - b * np.square(value),
                                                           _LEAST_COUNTING * np.square(sigma) / a)
    columns = {"lp": lp, "qe": one, "intensity.prf.value": value / lp,
               "intensity.prf.variance": counting / np.square(lp),
               "partiality": np.clip(file.get_item("PEAK") / 100.0, 0.0, 1.0) if "PEAK" in file.items else one}
    if "CORR" in file.items:
        columns["profile.correlation"] = file.get_item("CORR") / 100.0
    if not file.is_integrated:
        columns |= {"intensity.scale.value": value, "intensity.scale.variance": np.square(sigma),
                    "inverse_scale_factor": one}
    return columns


def _make_experiments(file: XdsFile) -> tuple[ExperimentList, np.ndarray]:
    """The experiments, and that of each record."""
    if "ISET" in file.items:
        numbers, id_ = np.unique(np.round(file.get_item("ISET")).astype(int), return_inverse=True)
    else:
        numbers, id_ = np.array([0]), np.zeros(len(file.records), np.int64)
    found = []
    for k, number in enumerate(numbers):
        own = file.sets.get(int(number), {})
        header = XdsFile(file.path, {**file.header, **own}, {}, file.items, file.records, file.is_integrated)
        identifier = file.path + (f" set {number}" if len(numbers) > 1 else "")
        found.append(make_sweep_models(_describe_sweep(header, file.get_item("ZD")[id_ == k]), identifier))
    return ExperimentList(found), id_


def _describe_sweep(file: XdsFile, z: np.ndarray) -> ForeignSweep:
    """What the header says of a sweep whose reflections have the frame coordinates `z`."""
    import gemmi

    number = int(file.numbers("SPACE_GROUP_NUMBER", 1, (1.0,))[0]) or 1
    group = gemmi.find_spacegroup_by_number(number)
    if group is None:
        raise FormatError(f"{file.path}: there is no space group number {number}")
    cell = file.numbers("UNIT_CELL_CONSTANTS", 6)
    wavelength = file.numbers("X-RAY_WAVELENGTH", 1)[0]
    # centroids may lie a little outside the images that were measured
    first, last = int(np.floor(z.min())) + 1, max(int(np.ceil(z.max())), int(np.floor(z.min())) + 1)
    if "UNIT_CELL_A-AXIS" not in file.header:
        logger.warning("%s: has no orientation of the crystal and no width of images, which are taken as 1 degree",
                       file.path)
        return ForeignSweep(group, cell, wavelength, np.array([0.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0]), None,
                            (first, last), 0.0, 1.0, None)
    axes = np.array([file.numbers(f"UNIT_CELL_{letter}-AXIS", 3) for letter in "ABC"])
    if abs(np.linalg.det(axes)) < 1.0:  # Å³
        raise FormatError(f"{file.path}: the axes of the crystal (UNIT_CELL_A-AXIS and others) span no cell")
    width, start = file.numbers("OSCILLATION_RANGE", 1)[0], file.numbers("STARTING_ANGLE", 1, (0.0,))[0]
    frame = int(file.numbers("STARTING_FRAME", 1, (1.0,))[0])
    low, high = (int(x) for x in file.numbers("DATA_RANGE", 2, (float(first), float(last))))
    # reflections beside the images that the header names would have no frame
    low, high = min(low, first), max(high, last)
    return ForeignSweep(group, cell, wavelength, np.array(file.numbers("INCIDENT_BEAM_DIRECTION", 3, (0.0, 0.0, 1.0))),
                        np.array(file.numbers("ROTATION_AXIS", 3)), np.linalg.inv(axes), (low, high),
                        start + (low - frame) * width, width, _make_panel(file))


def _make_panel(file: XdsFile) -> Panel | None:
    """The detector, as one panel; None where the header does not tell it."""
    keys = ("NX", "NY", "QX", "QY", "ORGX", "ORGY", "DETECTOR_DISTANCE")
    if any(key not in file.header for key in keys):
        return None
    nx, ny, qx, qy, orgx, orgy, distance = (file.numbers(key, 1)[0] for key in keys)
    shift = 0.0 if "Generated by" in file.header else 0.5
    fast = np.array(file.numbers("DIRECTION_OF_DETECTOR_X-AXIS", 3, (1.0, 0.0, 0.0)))
    slow = np.array(file.numbers("DIRECTION_OF_DETECTOR_Y-AXIS", 3, (0.0, 1.0, 0.0)))
    origin = distance * np.cross(fast, slow) - (orgx - shift) * qx * fast - (orgy - shift) * qy * slow
    return Panel(tuple(fast.tolist()), tuple(slow.tolist()), tuple(origin.tolist()), (int(nx), int(ny)), (qx, qy))


def _polarise(file: XdsFile, experiments: ExperimentList, table: ReflectionTable, fraction: float | None
              ) -> ReflectionTable:
    """Change the correction for an unpolarised beam into that for the beam's polarisation."""
    if fraction is None:
        logger.info("%s: is corrected for an unpolarised beam; if the beam was polarised, give "
                    "input.polarization_fraction", file.path)
        return table
    normal = np.array(file.numbers("POLARIZATION_PLANE_NORMAL", 3, (0.0, 1.0, 0.0)))
    return table.with_columns(lp=table["lp"] * compare_polarisations(
        table["s1"], np.asarray(experiments[0].known.beam.s0), normal, fraction))


def compare_polarisations(s1: np.ndarray, s0: np.ndarray, normal: np.ndarray, fraction: float) -> np.ndarray:
    """What intensities that are corrected for an unpolarised beam are multiplied by for a polarised one.

    With p the fraction, n the normal of the plane of polarisation and unit vectors of the rays, the polarisation
    factor is ``p (1 - (m·s1)²) + (1 - p) (1 - (n·s1)²)`` with ``m = n × s0``, along which the electric field lies; that
    of an unpolarised beam, ``(1 + cos² 2θ) / 2``, is the one with p = 1/2.

    Parameters
    ----------
    s1 : (n, 3) float64
        Diffracted rays, of any length.
    s0, normal : (3,) float64
        Incident ray; normal of the plane of polarisation, which is made perpendicular to it.
    fraction : float
        p, from 0 to 1: XDS' FRACTION_OF_POLARIZATION.

    Returns
    -------
    (n,) float64

    Examples
    --------
    >>> s1 = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    >>> compare_polarisations(s1, np.array([0, 0, 1.0]), np.array([1.0, 0, 0]), 0.5).tolist()
    [1.0, 1.0]
    >>> compare_polarisations(s1, np.array([0, 0, 1.0]), np.array([1.0, 0, 0]), 0.25).round(6).tolist()
    [1.0, 0.666667]
    """
    # directions alone count
    beam = s0 / np.linalg.norm(s0)
    up = normal - (normal @ beam) * beam
    up = up / np.linalg.norm(up)
    across = np.cross(up, beam)
    unit = s1 / np.linalg.norm(s1, axis=1, keepdims=True)
    # what radiates along s1 is the part of the field that is perpendicular to it
    in_plane, out_of_plane = 1.0 - np.square(unit @ across), 1.0 - np.square(unit @ up)
    return 0.5 * (in_plane + out_of_plane) / (fraction * in_plane + (1.0 - fraction) * out_of_plane)
