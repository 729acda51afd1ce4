"""Models and reflections in one NeXus file (HDF5), laid out as DIALS lays them out.

``/entry`` has a group ``experiment_N`` for each experiment (application definition NXmx: beam, detector, goniometer,
crystal) and a group ``reflections`` (base class NXreflections), a data set for each number of a reflection.

References
----------
Könnecke et al. (2015) "The NeXus data format", J. Appl. Cryst. 48, 301; Bernstein et al. (2020) "Gold Standard for
macromolecular crystallography diffraction data", IUCrJ 7, 784.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xdp.errors import XdpError
from xdp.experiment.beam import Beam
from xdp.experiment.crystal import Crystal, b_matrix, cell_of
from xdp.experiment.detector import Detector
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.experiment.goniometer import Goniometer, axis_angle_matrix
from xdp.experiment.imageset import SEQUENCE
from xdp.experiment.scan import Scan
from xdp.exporting.options import NexusOptions
from xdp.files import atomic_output
from xdp.reflections.table import ReflectionTable

if TYPE_CHECKING:
    import h5py

logger = logging.getLogger(__name__)

_DEFINITION = "https://github.com/nexusformat/definitions/blob/master/applications/NXmx.nxdl.xml"
_FEATURES = (6, 7)  # numbers that NeXus has given to the two layouts, of models and of reflections; DIALS asks for them
_PARALLEL = 1e-7    # radians within which the beam counts as along an axis, as in DIALS
_LARGEST = 2**53    # counts above are written as this one: larger whole numbers are not exact as floats


class _Column(NamedTuple):
    """How a column of the table is stored: names of data sets, kind of number, units, and what each of them is."""

    names: tuple[str, ...]
    dtype: str
    units: tuple[str | None, ...]
    meaning: tuple[str, ...]


def _one(name: str, dtype: str, meaning: str) -> _Column:
    return _Column((name,), dtype, (None,), (meaning,))


def _three(names: str, what: str, units: tuple[str, str, str], coordinates: tuple[str, str, str]) -> _Column:
    return _Column(tuple(names.split()), "f8", units, tuple(f"{what}: {c}" for c in coordinates))


_PX = (("", "", ""), ("column of pixels", "row of pixels", "frame"))
_MM = (("mm", "mm", "rad"), ("along fast", "along slow", "rotation angle"))

#: The columns of a table that the layout has a place for.
COLUMNS: dict[str, _Column] = {
    "miller_index": _Column(("h", "k", "l"), "i8", (None,) * 3, tuple(f"Miller index {letter}" for letter in "hkl")),
    "id": _one("id", "i8", "number of the experiment, -1 for none"),
    "partial_id": _one("reflection_id", "u8", "the same for all parts of a reflection"),
    "entering": _one("entering", "i1", "1: moves into the Ewald sphere; 0: out of it"),
    "flags": _one("flags", "u8", "states of processing, a bit each"),
    "panel": _one("det_module", "u8", "number of the module"),
    "d": _one("d", "f8", "spacing, Å"),
    "partiality": _one("partiality", "f8", "recorded fraction"),
    "xyzcal.px": _three("predicted_px_x predicted_px_y predicted_frame", "predicted", *_PX),
    "xyzcal.mm": _three("predicted_x predicted_y predicted_phi", "predicted", *_MM),
    "bbox": _Column(("bounding_box",), "i8", ("",), ("half-open limits: columns, rows, frames",)),
    "xyzobs.px.value": _three("observed_px_x observed_px_y observed_frame", "centroid", *_PX),
    "xyzobs.px.variance": _three("observed_px_x_var observed_px_y_var observed_frame_var", "variance", *_PX),
    "xyzobs.mm.value": _three("observed_x observed_y observed_phi", "centroid", *_MM),
    "xyzobs.mm.variance": _three("observed_x_var observed_y_var observed_phi_var", "variance", *_MM),
    "background.mean": _one("background_mean", "f8", "background, counts per pixel"),
    "intensity.sum.value": _one("int_sum", "f8", "summed intensity"),
    "intensity.sum.variance": _one("int_sum_var", "f8", "variance of the summed intensity"),
    "intensity.prf.value": _one("int_prf", "f8", "fitted intensity"),
    "intensity.prf.variance": _one("int_prf_var", "f8", "variance of the fitted intensity"),
    "profile.correlation": _one("prf_cc", "f8", "correlation of counts and profile"),
    "lp": _one("lp", "f8", "Lorentz and polarisation factor"),
    "num_pixels.background": _one("num_bg", "i8", "pixels of background"),
    "num_pixels.background_used": _one("num_bg_used", "i8", "pixels of background without outliers"),
    "num_pixels.foreground": _one("num_fg", "i8", "pixels of foreground"),
    "num_pixels.valid": _one("num_valid", "i8", "pixels that may be used"),
    "profile.rmsd": _one("prf_rmsd", "f8", "root mean square difference of counts and profile"),
}


def write_nexus(path: str | os.PathLike, experiments: ExperimentList, table: ReflectionTable,
                options: NexusOptions | None = None) -> int:
    """Write models and reflections to a NeXus file, and give the number of reflections.

    All reflections are written, as they are in the table. Columns that the layout has no place for are left out; the
    log names them. The same input gives the same bytes: the file holds no times.

    Parameters
    ----------
    path : path
        The file.
    experiments : ExperimentList
        Each with a crystal.
    table : ReflectionTable
        Reflections of any stage.
    options : NexusOptions, optional
        Names of instrument and source.

    Raises
    ------
    XdpError
        If an experiment has no beam, detector or crystal.

    Notes
    -----
    NeXus has the beam along z. Each experiment is turned there by a rotation R about the sample; its inverse is in
    ``dials/transformations/angle``. As in DIALS, whose reader turns them back, R is applied to the detector, to the
    setting rotation S of the goniometer (R S) and to the crystal's orientation U (R U). DIALS' reader composes the
    goniometer as S, turn about the axis, F, while by its links (``depends_on``) F comes last before S. Other readers
    must take U back by R, and look out where F is a rotation.
    """
    import h5py

    options = options or NexusOptions()
    for number, experiment in enumerate(experiments):
        if experiment.crystal is None or experiment.beam is None or experiment.detector is None:
            raise XdpError(f"export format=nxs: experiment {number} has no crystal, beam or detector, and the format "
                           "needs all of them: index first")
    _mention_rest(table)
    # the part file is locked already, against runs that remove leftovers
    with atomic_output(path) as part, h5py.File(part, "w", locking=False) as file:
        file.attrs["file_name"] = os.path.basename(path)
        entry = _add_group(file, "entry", "NXentry")
        entry.create_dataset("features", data=np.array(_FEATURES, np.uint64), maxshape=(None,))
        shared = {kind: {id(m): k for k, m in enumerate(experiments.unique(kind))} for kind in _SHARED}
        names = [_write_experiment(entry, number, experiment, shared, options)
                 for number, experiment in enumerate(experiments)]
        _write_program(entry)
        _write_reflections(entry, table, names)
    return len(table)


#: The attribute of ``dials/index`` by which experiments share a model, for each kind of model.
_SHARED = {"beam": "source", "detector": "detector", "goniometer": "goniometer", "scan": "scan", "crystal": "sample"}


def _mention_rest(table: ReflectionTable) -> None:
    """Log the columns that are not written."""
    rest = sorted(set(table) - COLUMNS.keys())
    if rest:
        logger.info("The NeXus layout has no place for these columns: %s", ", ".join(rest))


def _write_experiment(entry: h5py.Group, number: int, experiment: Experiment, shared: dict[str, dict[int, int]],
                      options: NexusOptions) -> str:
    """Write the models of an experiment; the path of its group."""
    group = _add_group(entry, f"experiment_{number}", "NXsubentry")
    definition = group.create_dataset("definition", data="NXmx")
    definition.attrs.update({"version": 1, "URL": _DEFINITION})
    group["title"] = "FROM_XDP"
    own = group.create_group("dials")
    own["index"] = number
    for kind, name in _SHARED.items():
        if getattr(experiment, kind) is not None:
            own["index"].attrs[name] = shared[kind][id(getattr(experiment, kind))]
    known = experiment.known
    axis, angle = find_turn_to_z(known.beam)
    turns = _add_group(own, "transformations", "NXtransformations")
    _add_axis(turns, "angle", -angle, axis, ".", "rotation")
    own["template"], image_range = _name_images(experiment)
    if image_range is not None:
        own["template"].attrs["range"] = image_range
    turn = axis_angle_matrix(axis, np.degrees(angle))
    _write_detector(group, known.detector, turn, experiment.scan)
    sample = _add_group(group, "sample", "NXsample")
    _write_beam(sample, known.beam, turn)
    depends = "."
    if experiment.goniometer is not None and experiment.scan is not None:
        depends = _write_goniometer(sample, experiment.goniometer, experiment.scan, turn)
    _write_crystal(sample, known.crystal, turn)
    sample["depends_on"] = depends
    _write_names(group, options)
    return str(group.name)


def find_turn_to_z(beam: Beam) -> tuple[np.ndarray, float]:
    """Find the rotation that brings the beam to the direction of NeXus, in which it travels along +z.

    Parameters
    ----------
    beam : Beam
        With the direction from sample to source.

    Returns
    -------
    axis : (3,)
        Unit vector; x where the beam is along z already, or opposite to it.
    angle : float
        Radians.

    Examples
    --------
    >>> axis, angle = find_turn_to_z(Beam.along_z(1.0))
    >>> axis.tolist(), round(angle, 6)
    ([1.0, 0.0, 0.0], 3.141593)
    """
    to_source, wanted = -beam.unit_s0, np.array([0.0, 0.0, -1.0])
    cross = np.cross(to_source, wanted)
    angle = float(np.arctan2(np.linalg.norm(cross), to_source @ wanted))
    if angle < _PARALLEL:
        return np.array([1.0, 0.0, 0.0]), 0.0
    if np.pi - angle < _PARALLEL:
        return np.array([1.0, 0.0, 0.0]), np.pi
    return cross / np.linalg.norm(cross), angle


def compute_stokes(normal: np.ndarray, fraction: float) -> tuple[float, float, float, float]:
    """Compute the Stokes parameters of a beam along z.

    Parameters
    ----------
    normal : (3,)
        Perpendicular to the plane of polarisation; its component along the beam does not count.
    fraction : float
        The polarised fraction.

    Returns
    -------
    (float, float, float, float)
        I, Q, U and V of an intensity of 1.

    Examples
    --------
    >>> [round(v, 3) for v in compute_stokes(np.array([0.0, 1.0, 0.0]), 0.99)]
    [1.0, 0.99, 0.0, 0.0]
    """
    plane = np.arctan2(normal[1], normal[0]) - 0.5 * np.pi
    return 1.0, float(fraction * np.cos(2.0 * plane)), float(fraction * np.sin(2.0 * plane)), 0.0


def _write_beam(sample: h5py.Group, beam: Beam, turn: np.ndarray) -> None:
    group = _add_group(sample, "beam", "NXbeam")
    group["incident_wavelength"] = beam.wavelength
    group["incident_wavelength"].attrs["units"] = "angstrom"
    group["incident_polarization_stokes"] = compute_stokes(turn @ np.asarray(beam.polarization_normal),
                                                           beam.polarization_fraction)


def _write_detector(group: h5py.Group, detector: Detector, turn: np.ndarray, scan: Scan | None) -> None:
    """Write the detector: a module for each panel, and of the sensor what the first panel has."""
    instrument = _add_group(group, "instrument", "NXinstrument")
    target = _add_group(instrument, "detector", "NXdetector")
    first = detector[0]
    different = [name for name in ("thickness", "material", "type", "trusted_range")
                 if any(getattr(panel, name) != getattr(first, name) for panel in detector)]
    if different:
        logger.warning("The NeXus layout has one %s for all panels: that of the first one is written",
                       ", ".join(different))
    lowest, highest = (int(np.clip(np.nan_to_num(v, posinf=_LARGEST, neginf=-_LARGEST), -_LARGEST, _LARGEST))
                       for v in first.trusted_range)
    target["sensor_thickness"] = first.thickness
    target["sensor_thickness"].attrs["units"] = "mm"
    target["sensor_material"], target["type"], target["description"] = first.material, first.type, first.type
    target["saturation_value"], target["underload"] = highest, lowest
    if scan is not None:
        target["timestamp"] = np.resize(scan.epochs or (0.0,), scan.n_frames)
        target["frame_time"] = np.resize(scan.exposure_time or (0.0,), scan.n_frames)
        target["frame_time"].attrs["units"] = "s"
    target["bit_depth_readout"] = 32
    target["depends_on"] = "."
    for number, panel in enumerate(detector):
        module = _add_group(target, f"module{number}", "NXdetector_module")
        module["data_size"] = panel.image_size
        module["data_origin"] = (-1, -1)  # the file has no images in which the module could begin somewhere
        fast, slow, origin = (turn @ detector.d_matrix(number)).T
        length = float(np.linalg.norm(origin))
        where = _add_axis(module, "module_offset", length, origin / length if length else origin, ".", "translation",
                          "mm")
        for name, direction, size in zip(("fast_pixel_direction", "slow_pixel_direction"), (fast, slow),
                                         panel.pixel_size, strict=True):
            _add_axis(module, name, size, direction, where, "translation", "mm")


def _write_goniometer(sample: h5py.Group, goniometer: Goniometer, scan: Scan, turn: np.ndarray) -> str:
    """Write the chain of rotations, from the laboratory to the sample; the path of the last one."""
    group = _add_group(sample, "transformations", "NXtransformations")
    setting_axis, setting_angle = find_axis_and_angle(turn @ goniometer.S)
    fixed_axis, fixed_angle = find_axis_and_angle(goniometer.F)
    start, width = scan.oscillation
    setting = _add_axis(group, "setting_rotation", setting_angle, setting_axis, ".", "rotation", "rad")
    fixed = _add_axis(group, "fixed_rotation", fixed_angle, fixed_axis, setting, "rotation", "rad")
    return _add_axis(group, "phi", start + width * np.arange(scan.n_frames), goniometer.rotation_axis_datum, fixed,
                     "rotation", "deg")


def find_axis_and_angle(rotation: np.ndarray) -> tuple[np.ndarray, float]:
    """Find the axis (unit vector; x for no rotation) and the angle (radians, 0 to pi) of a rotation matrix (3, 3).

    Examples
    --------
    >>> axis, angle = find_axis_and_angle(np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]))
    >>> axis.round(6).tolist(), round(angle, 6)
    ([0.0, 0.0, 1.0], 1.570796)
    """
    from scipy.spatial.transform import Rotation

    vector = Rotation.from_matrix(rotation).as_rotvec()
    angle = float(np.linalg.norm(vector))
    return (vector / angle, angle) if angle > 0.0 else (np.array([1.0, 0.0, 0.0]), 0.0)


def _write_crystal(sample: h5py.Group, crystal: Crystal, turn: np.ndarray) -> None:
    """Write cell and orientation, at each scan point where they vary, and on average."""
    sample["name"] = "FROM_XDP"
    # the prefix says of which kind the symbol is; without it DIALS does not read it
    sample["unit_cell_group"] = f"Hall: {crystal.space_group_hall_symbol.strip()}"
    points = np.asarray(crystal.A_at_scan_points or crystal.A).reshape(-1, 3, 3)
    cells, turns = zip(*(_split_setting(matrix, turn) for matrix in points), strict=True)
    cell, orientation = _split_setting(crystal.A, turn)
    for name, value in (("unit_cell", np.array(cells)), ("average_unit_cell", cell)):
        sample[name] = value
        sample[name].attrs.update({"angles_units": "deg", "length_units": "angstrom"})
    sample["orientation_matrix"] = np.array(turns)
    sample["average_orientation_matrix"] = orientation


def _split_setting(setting: np.ndarray, turn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The cell (6,) of a setting matrix A, Å and degrees, and its orientation U (3, 3), turned."""
    cell = cell_of(np.linalg.inv(setting))
    return np.array(cell), turn @ setting @ np.linalg.inv(b_matrix(cell))


def _name_images(experiment: Experiment) -> tuple[Any, tuple[int, ...] | None]:
    """The template of the images, or their names, with whole paths; and the range of their numbers."""
    imageset = experiment.imageset
    image_range = None if experiment.scan is None else experiment.scan.image_range
    if imageset is None:
        return "", image_range
    if imageset.kind == SEQUENCE:
        return os.path.abspath(imageset.template or ""), image_range
    return [os.path.abspath(name) for name in imageset.images or ()], None


def _write_names(group: h5py.Group, options: NexusOptions) -> None:
    """Write the names of instrument and source."""
    source = _add_group(group, "source", "NXsource")
    for target, name, short in ((group["instrument"], options.instrument_name, options.instrument_short_name),
                                (source, options.source_name, options.source_short_name)):
        target["name"] = name
        target["name"].attrs["short_name"] = short


def _write_program(entry: h5py.Group) -> None:
    """Write which program made the file."""
    from xdp import __version__

    entry["program_name"] = "xdp export"
    entry["program_name"].attrs.update({"version": __version__, "configuration": ""})
    process = _add_group(entry, "process", "NXprocess")
    process["program"], process["version"] = "xdp", __version__


def _write_reflections(entry: h5py.Group, table: ReflectionTable, experiments: Sequence[str]) -> None:
    """Write the columns that the layout has a place for; `experiments` are the paths of their groups."""
    group = _add_group(entry, "reflections", "NXreflections")
    group.attrs["description"] = ""
    group["experiments"] = np.array([path.encode() for path in experiments])
    for key, column in COLUMNS.items():
        if key not in table:
            continue
        values = np.asarray(table[key])
        parts: Iterable[np.ndarray] = values.T if len(column.names) > 1 else (values,)
        for name, part, units, meaning in zip(column.names, parts, column.units, column.meaning, strict=True):
            group[name] = np.ascontiguousarray(part).astype(column.dtype)
            group[name].attrs["description"] = meaning
            if units is not None:
                group[name].attrs["units"] = units


def _add_group(parent: h5py.Group, name: str, kind: str) -> h5py.Group:
    """A new group of a class of NeXus."""
    group = parent.create_group(name)
    group.attrs["NX_class"] = kind
    return group


def _add_axis(group: h5py.Group, name: str, value: float | np.ndarray, vector: np.ndarray, depends_on: str, kind: str,
              units: str = "rad") -> str:
    """A new rotation or translation along `vector` that moves what depends on it; its path."""
    group[name] = value
    attributes = {"depends_on": depends_on, "transformation_type": kind, "vector": np.asarray(vector, np.float64),
                  "offset": np.zeros(3), "units": units}
    group[name].attrs.update(attributes | ({"offset_units": "mm"} if kind == "rotation" else {}))
    return str(group[name].name)
