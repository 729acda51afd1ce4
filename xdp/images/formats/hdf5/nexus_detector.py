"""The detector of an NXmx file and the hierarchy of its modules, as DIALS makes them.

References
----------
NeXus manual, application definition NXmx, https://manual.nexusformat.org/classes/applications/NXmx.html;
H. J. Bernstein et al. (2020), IUCrJ 7, 784, doi 10.1107/S2052252520008672.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from xdp.errors import FormatError
from xdp.experiment import Detector, Panel
from xdp.experiment.detector import PARALLAX, flat_hierarchy
from xdp.experiment.materials import attenuation_coefficient
from xdp.images.formats.hdf5.files import decode_text, get_child, read_stated_number, read_text
from xdp.images.formats.hdf5.nexus_axes import (
    TO_IMGCIF,
    NexusAxis,
    follow_chain,
    locate,
    multiply_chain,
    read_offset,
    read_values,
    read_vector,
    to_floats,
)
from xdp.images.formats.units import find_unit_factor

# Formulas of sensors by the names that writers give them, in lower case.
MATERIALS = {"si": "Si", "silicon": "Si", "cdte": "CdTe", "gaas": "GaAs"}
ELECTRON_MU = 1e10
"""mm⁻¹; an electron stops at once: no parallax, and no efficiency to correct. The number is that of DIALS."""

# Units of positions that are pixels already; writers that give none mean them.
_PIXEL_UNITS = ("", "pixel", "pixels", "px")
# The highest count of an int32: no pixel is overloaded.
_NO_LIMIT = float(0x7FFFFFFF)


@dataclass(frozen=True)
class Module:
    """One NXdetector_module: where it is, and which part of the data array it is.

    Attributes
    ----------
    path : str
        In the file.
    origin, size : tuple of int
        Of its part of a frame, slow to fast (in front of them the module's number, where data have one more axis).
    fast, slow : ndarray, shape (3,)
        Pixel directions in the frame of the chain, NeXus' frame.
    pixel_size : tuple of float
        mm (fast, slow).
    offset : ndarray, shape (3,)
        mm, of the pixel directions.
    chain : list of NexusAxis
        What the module is mounted on, innermost first.
    """

    path: str
    origin: tuple[int, ...]
    size: tuple[int, ...]
    fast: np.ndarray
    slow: np.ndarray
    pixel_size: tuple[float, float]
    offset: np.ndarray
    chain: list[NexusAxis]

    @property
    def image_size(self) -> tuple[int, int]:
        """Pixels (fast, slow)."""
        return self.size[-1], self.size[-2]

    @property
    def slices(self) -> tuple[slice, ...]:
        """Its part of a frame."""
        return tuple(slice(o, o + s) for o, s in zip(self.origin, self.size, strict=True))


def read_module(group: h5py.Group, frame_shape: tuple[int, ...]) -> Module:
    """Read a detector module.

    Parameters
    ----------
    group : h5py.Group
        An NXdetector_module.
    frame_shape : tuple of int
        Shape of a frame, into which it must fit.

    Returns
    -------
    Module

    Raises
    ------
    FormatError
        If something is missing, or the module lies outside the frame.
    """
    fast, slow = (_get_pixel_direction(group, f"{name}_pixel_direction") for name in ("fast", "slow"))
    target = decode_text(fast.attrs.get("depends_on"))
    if not target or target == ".":
        # Some Eiger files put '.' here and the chain at the module's offset.
        offset = get_child(group, "module_offset")
        target = decode_text(offset.attrs.get("depends_on")) if isinstance(offset, h5py.Dataset) else None
    origin, size = _read_place(group, frame_shape)
    fast_offset = read_offset(fast)
    return Module(
        path=group.name, origin=origin, size=size,
        fast=_check_vector(read_vector(fast, "vector"), fast), slow=_check_vector(read_vector(slow, "vector"), slow),
        pixel_size=(_read_pixel_size(fast), _read_pixel_size(slow)),
        offset=fast_offset, chain=[axis for axis, _ in follow_chain(group, target)],
    )  # fmt: skip


def _get_pixel_direction(group: h5py.Group, name: str) -> h5py.Dataset:
    """The data set that describes the fast or slow direction."""
    dataset = get_child(group, name)
    if not isinstance(dataset, h5py.Dataset):
        raise FormatError(f"{locate(group)}: has no {name}")
    return dataset


def _check_vector(vector: np.ndarray | None, dataset: h5py.Dataset) -> np.ndarray:
    """The vector of a direction, which must be there and have a length."""
    if vector is None or not vector.any():
        raise FormatError(f"{locate(dataset)}: has no vector")
    return vector


def _read_pixel_size(dataset: h5py.Dataset) -> float:
    """Read the size of a pixel along a direction, mm."""
    size = read_values(dataset, "length")
    if size.size != 1 or not size[0] > 0.0:
        raise FormatError(f"{locate(dataset)}: the pixel size must be one number above 0, got {size[:5]}")
    return float(size[0])


def _read_place(group: h5py.Group, frame_shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Read origin and size of a module in the frame, both with as many numbers as a frame has axes."""
    origin, size = _read_integers(group, "data_origin"), _read_integers(group, "data_size")
    if len(origin) != len(size) or len(size) != len(frame_shape):
        raise FormatError(f"{locate(group)}: data_origin {origin} and data_size {size} do not fit frames of shape "
                          f"{frame_shape}")
    if not _is_within(origin, size, frame_shape) and _is_within(origin[::-1], size[::-1], frame_shape):
        # Some firmware and DLS files of 2021 have fast before slow.
        origin, size = origin[::-1], size[::-1]
    if not _is_within(origin, size, frame_shape) or any(s != 1 for s in size[:-2]):
        raise FormatError(f"{locate(group)}: data_origin {origin} and data_size {size} lie outside frames of shape "
                          f"{frame_shape}")
    return origin, size


def _is_within(origin: Sequence[int], size: Sequence[int], shape: Sequence[int]) -> bool:
    return all(o >= 0 and s > 0 and o + s <= n for o, s, n in zip(origin, size, shape, strict=True))


def _read_integers(group: h5py.Group, name: str) -> tuple[int, ...]:
    """Read two or three integers."""
    dataset = get_child(group, name)
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in "iu" or dataset.size not in (2, 3):
        raise FormatError(f"{locate(group)}: {name} must be two or three integers")
    return tuple(int(n) for n in np.asarray(dataset[()]).reshape(-1))


@dataclass(frozen=True)
class Sensor:
    """What all modules of a detector share.

    Attributes
    ----------
    trusted_range : tuple of float
        Inclusive.
    material : str
        Chemical symbol.
    thickness, mu : float
        mm, mm⁻¹.
    gain : float
        Counts per photon.
    px_mm_strategy : str
        Whether the parallax is corrected.
    """

    trusted_range: tuple[float, float]
    material: str
    thickness: float
    mu: float
    gain: float = 1.0
    px_mm_strategy: str = PARALLAX


def read_sensor(detector: h5py.Group, wavelength: float, underload: float | None = None, gain: float = 1.0,
                given: Collection[str] = ()) -> Sensor:
    """Read the sensor of a detector.

    Parameters
    ----------
    detector : h5py.Group
        An NXdetector.
    wavelength : float
        Å, for the attenuation coefficient.
    underload : float, optional
        Lowest trusted count where the file has no underload_value; by default none is too low.
    gain : float
        Counts per photon, 1 by default.
    given : collection of str
        Of "trusted_range", "material" and "thickness": what somebody else gives, so that the file may lack it.

    Returns
    -------
    Sensor

    Raises
    ------
    FormatError
        If its material or thickness is missing or unknown, or its limits are stated and no numbers.
    """
    low = high = None
    if "trusted_range" not in given:
        low, high = (read_stated_number(detector, f"{name}_value") for name in ("underload", "saturation"))
    low = underload if low is None else low
    name = read_text(detector, "sensor_material") or ""
    material = MATERIALS.get(name.strip().lower(), "Si" if "material" in given else None)
    if material is None:
        raise FormatError(f"{locate(detector)}: sensor_material is {name!r}, wanted Si, CdTe or GaAs; "
                          "geometry.detector.panel.material gives it")
    dataset = get_child(detector, "sensor_thickness")
    if not isinstance(dataset, h5py.Dataset) and "thickness" not in given:
        raise FormatError(f"{locate(detector)}: has no sensor_thickness; geometry.detector.panel.thickness gives it, "
                          "mm")
    thickness = 0.0 if "thickness" in given else float(read_values(dataset, "length")[0])
    return Sensor((-_NO_LIMIT if low is None else low, _NO_LIMIT if high is None else high), material, thickness,
                  attenuation_coefficient(material, wavelength), gain)


def read_nexus_beam_centre(detector: h5py.Group, module: Module) -> tuple[float, float] | None:
    """Read the beam centre that a detector states.

    Parameters
    ----------
    detector : h5py.Group
        An NXdetector.
    module : Module
        Whose pixels count.

    Returns
    -------
    (fast, slow), or None
        In pixels; one in units of length is converted. None where there is none.

    Raises
    ------
    FormatError
        If it is no number, or its unit is unknown.
    """
    centre = []
    for name, size in zip(("beam_center_x", "beam_center_y"), module.pixel_size, strict=True):
        value, item = read_stated_number(detector, name), get_child(detector, name)
        if value is None or item is None:
            return None
        unit = (decode_text(item.attrs.get("units")) or "").strip()
        if unit.lower() not in _PIXEL_UNITS:
            value *= find_unit_factor(unit, "length", locate(item)) / size
        centre.append(value)
    return centre[0], centre[1]


def read_distance_axis(detector: h5py.Group, is_given: bool) -> NexusAxis:
    """Read the distance of a detector as an axis along the beam, for files that describe no chain of axes.

    Parameters
    ----------
    detector : h5py.Group
        An NXdetector.
    is_given : bool
        Whether somebody else gives the distance; then that of a file without one is 100 mm.

    Raises
    ------
    FormatError
        If the file states no distance, or none above 0.
    """
    dataset = get_child(detector, "distance")
    distance = 100.0
    if isinstance(dataset, h5py.Dataset) and dataset.size:
        distance = float(read_values(dataset, "length")[0])
    elif not is_given:
        raise FormatError(f"{locate(detector)}: its modules depend on nothing, and it has no distance; "
                          "geometry.detector.distance gives it (mm)")
    return NexusAxis(f"{detector.name}/distance", False, np.array([distance]), np.array([0.0, 0.0, 1.0]), np.zeros(3),
                     None)


def build_nexus_detector(
    modules: Sequence[Module], sensor: Sensor, beam_centre: tuple[float, float] | None = None
) -> Detector:
    """Build a detector of its modules.

    Parameters
    ----------
    modules : sequence of Module
        As read.
    sensor : Sensor
        Of all of them.
    beam_centre : tuple of float, optional
        In pixels (fast, slow): moves a flat panel that the file puts onto the beam (older Eiger files).

    Returns
    -------
    Detector
        One module is a flat panel; several are panels on the hierarchy of what they are mounted on.
    """
    if len(modules) == 1:
        return Detector((_build_flat_panel(modules[0], sensor, beam_centre),))
    root = flat_hierarchy(0)
    panels = []
    for number, module in enumerate(modules):
        _find_node(root, module)["children"].append({"panel": number})
        panels.append(_make_panel(module, sensor, TO_IMGCIF @ module.fast, TO_IMGCIF @ module.slow,
                             TO_IMGCIF @ module.offset))
    return Detector(tuple(panels), root)


def _build_flat_panel(module: Module, sensor: Sensor, beam_centre: tuple[float, float] | None) -> Panel:
    """A panel in the lab frame."""
    matrix = multiply_chain(module.chain)
    # Offsets of axes shift the panel, they do not turn its directions.
    rotation = multiply_chain([_drop_shift(axis) for axis in module.chain if axis.is_rotation])[:3, :3]
    fast, slow = TO_IMGCIF @ rotation @ module.fast, TO_IMGCIF @ rotation @ module.slow
    origin = TO_IMGCIF @ (matrix[:3, 3] + rotation @ module.offset)
    if origin[0] == 0.0 and origin[1] == 0.0 and beam_centre is not None and all(beam_centre):
        origin = origin - sum(c * p * v for c, p, v in zip(beam_centre, module.pixel_size, (fast, slow), strict=True))
    if _is_upstream(fast, slow, origin):
        origin = origin * (1.0, 1.0, -1.0)
    return _make_panel(module, sensor, fast, slow, origin)


def _drop_shift(axis: NexusAxis) -> NexusAxis:
    """The axis without its offset."""
    return NexusAxis(axis.path, True, axis.values, axis.vector, np.zeros(3), None)


def _is_upstream(fast: np.ndarray, slow: np.ndarray, origin: np.ndarray) -> bool:
    """Whether a detector across the beam stands between source and sample: then its distance has the wrong sign."""
    # Within 8 degrees of across the beam; the limit is DIALS'.
    return abs(np.cross(fast, slow)[2]) > 0.99 and origin[2] > 0.0


def _make_panel(module: Module, sensor: Sensor, fast: np.ndarray, slow: np.ndarray, origin: np.ndarray) -> Panel:
    """A panel with the module's pixels and the detector's sensor."""
    return Panel(
        fast_axis=to_floats(fast), slow_axis=to_floats(slow), origin=to_floats(origin), image_size=module.image_size,
        pixel_size=module.pixel_size, trusted_range=sensor.trusted_range, name=module.path, type="SENSOR_PAD",
        thickness=sensor.thickness, material=sensor.material, mu=sensor.mu, gain=sensor.gain,
        px_mm_strategy=sensor.px_mm_strategy,
    )  # fmt: skip


def _find_node(root: dict[str, Any], module: Module) -> dict[str, Any]:
    """Find the node that carries a module: its chain from the lab inwards, axes of one component taken together.

    Nodes that are not in the tree yet are added.
    """
    # An axis without component is a component of its own.
    counter = itertools.count()
    outside_in = [(axis.component or next(counter), axis) for axis in reversed(module.chain)]
    node = root
    for _, group in itertools.groupby(outside_in, key=lambda pair: pair[0]):
        axes = [axis for _, axis in group]
        name = axes[-1].path
        known = [c for c in node["children"] if c.get("name") == name]
        if known:
            node = known[0]
            continue
        child_node = _make_node(name, multiply_chain(axes[::-1]))
        node["children"].append(child_node)
        node = child_node
    return node


def _make_node(name: str, matrix: np.ndarray) -> dict[str, Any]:
    """A frame of the hierarchy: the matrix seen from imgCIF's axes."""
    rotation = TO_IMGCIF @ matrix[:3, :3] @ TO_IMGCIF
    return flat_hierarchy(0) | {
        "name": name,
        "fast_axis": list(to_floats(rotation[:, 0])),
        "slow_axis": list(to_floats(rotation[:, 1])),
        "origin": list(to_floats(TO_IMGCIF @ matrix[:3, 3])),
        "children": [],
    }
