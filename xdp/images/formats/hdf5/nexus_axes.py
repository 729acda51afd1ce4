"""NeXus transformations: units, chains of axes that depend on each other, and the matrices they make.

References
----------
NeXus manual, base class NXtransformations, https://manual.nexusformat.org/classes/base_classes/NXtransformations.html
"""

from __future__ import annotations

from dataclasses import dataclass

import h5py
import numpy as np

from xdp.errors import FormatError
from xdp.images.formats.hdf5.files import MAX_TEXT, decode_text, get_child
from xdp.images.formats.units import find_unit_factor

TO_IMGCIF = np.diag([-1.0, 1.0, -1.0])
"""NeXus (McStas) axes to imgCIF's, which DIALS uses: x and z point the other way."""

# Bounds for damaged files: goniometers have some ten axes, and no scan has 67 million angles. The values are a choice.
_MAX_CHAIN = 64
_MAX_VALUES = 1 << 26


def locate(item: h5py.HLObject) -> str:
    """Locate a group or data set: its file and path, for messages."""
    return f"{item.file.filename}: {item.name}"


def read_values(dataset: h5py.Dataset, kind: str) -> np.ndarray:
    """Read the numbers of a data set in our units.

    Parameters
    ----------
    dataset : h5py.Dataset
        With the attribute ``units``.
    kind : str
        As :func:`find_unit_factor` takes it.

    Returns
    -------
    (n,) float64
        In mm, degrees, seconds, eV or Å.

    Raises
    ------
    FormatError
        If they are no numbers, not finite, or without a fitting unit; zeros need none.
    """
    where = locate(dataset)
    if dataset.dtype.kind not in "iuf" or dataset.size is None or not 0 < dataset.size <= _MAX_VALUES:
        raise FormatError(f"{where}: must hold numbers, holds {dataset.dtype} of shape {dataset.shape}")
    numbers = np.asarray(dataset[()], dtype=np.float64).reshape(-1)
    if not np.isfinite(numbers).all():
        raise FormatError(f"{where}: has numbers that are not finite")
    # Zeros are zeros in any unit.
    if not numbers.any():
        return numbers
    return numbers * find_unit_factor(decode_text(dataset.attrs.get("units")), kind, where)


@dataclass(frozen=True)
class NexusAxis:
    """One transformation: a rotation or a translation along a vector, then a fixed offset.

    Attributes
    ----------
    path, name : str
        In the file, and its last part.
    is_rotation : bool
        Otherwise a translation.
    values : ndarray, shape (n,)
        Settings, degrees or mm; one, or one a frame.
    vector : ndarray, shape (3,)
        In NeXus' frame.
    offset : ndarray, shape (3,)
        Applied before the transformation, mm.
    component : str or None
        The part of the equipment it belongs to.
    """

    path: str
    is_rotation: bool
    values: np.ndarray
    vector: np.ndarray
    offset: np.ndarray
    component: str | None

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def varies(self) -> bool:
        """Whether it moves during the series."""
        return self.values.size > 1 and bool(np.any(self.values != self.values[0]))

    @property
    def matrix(self) -> np.ndarray:
        """Homogeneous matrix (4, 4) at the first setting, lengths in mm."""
        from xdp.experiment.goniometer import axis_angle_matrix

        result = np.eye(4)
        if not self.is_rotation:
            result[:3, 3] = self.values[0] * self.vector
        elif self.values[0] != 0.0:
            result[:3, :3] = axis_angle_matrix(self.vector, float(self.values[0]))
        result[:3, 3] += self.offset
        return result


def follow_chain(start: h5py.Group, target: str | None) -> list[tuple[NexusAxis, h5py.Dataset]]:
    """Follow ``depends_on`` from axis to axis.

    Parameters
    ----------
    start : h5py.Group
        From which the first path counts.
    target : str or None
        Path of the first axis; ``.`` or None: there is none.

    Returns
    -------
    list of (NexusAxis, h5py.Dataset)
        The axes with their data sets, the first one first.

    Raises
    ------
    FormatError
        If an axis is missing, or the chain never ends.
    """
    chain: list[tuple[NexusAxis, h5py.Dataset]] = []
    group = start
    while target and target != ".":
        dataset = get_child(group, target)
        if not isinstance(dataset, h5py.Dataset):
            raise FormatError(f"{locate(group)}: depends on {target}, which is not there")
        if len(chain) == _MAX_CHAIN:
            raise FormatError(f"{locate(dataset)}: the chain of depends_on never ends")
        chain.append((read_axis(dataset), dataset))
        group, target = dataset.parent, decode_text(dataset.attrs.get("depends_on"))
    return chain


def read_axis(dataset: h5py.Dataset) -> NexusAxis:
    """Read the transformation that a data set and its attributes describe.

    Parameters
    ----------
    dataset : h5py.Dataset
        Settings of an axis, with ``transformation_type``, ``vector`` and perhaps ``offset``.

    Returns
    -------
    NexusAxis

    Raises
    ------
    FormatError
        If it is neither rotation nor translation, or has no vector.
    """
    where = locate(dataset)
    kind = decode_text(dataset.attrs.get("transformation_type"))
    if kind not in ("rotation", "translation", None):
        raise FormatError(f"{where}: transformation_type is {kind!r}, wanted rotation or translation")
    is_rotation = kind == "rotation"
    vector = read_vector(dataset, "vector")
    if vector is None or (is_rotation and not vector.any()):
        raise FormatError(f"{where}: has no vector to turn or move along")
    return NexusAxis(dataset.name, is_rotation, read_values(dataset, "angle" if is_rotation else "length"), vector,
                read_offset(dataset), decode_text(dataset.attrs.get("equipment_component")))


def read_vector(dataset: h5py.Dataset, name: str) -> np.ndarray | None:
    """Read an attribute of three finite numbers.

    Parameters
    ----------
    dataset : h5py.Dataset
        Whose attribute it is.
    name : str
        Of the attribute.

    Returns
    -------
    (3,) float64 or None
        None where there is none.

    Raises
    ------
    FormatError
        If it is anything else.
    """
    value = np.asarray(dataset.attrs.get(name, ()))
    if value.size == 0 or value.nbytes > MAX_TEXT:
        return None
    if value.dtype.kind not in "iuf" or value.size not in (1, 3) or not np.isfinite(value).all():
        raise FormatError(f"{locate(dataset)}: attribute {name} must be three numbers, is {value!r}")
    # Some writers put a single 0 for no offset.
    return np.broadcast_to(value.astype(np.float64).reshape(-1), (3,)).copy()


def read_offset(dataset: h5py.Dataset) -> np.ndarray:
    """Read the offset of an axis.

    Parameters
    ----------
    dataset : h5py.Dataset
        The axis.

    Returns
    -------
    (3,) float64
        mm. Where the offset has no units of its own (DLS), those of the axis are meant.
    """
    offset = read_vector(dataset, "offset")
    if offset is None or not offset.any():
        return np.zeros(3)
    unit = decode_text(dataset.attrs.get("offset_units")) or decode_text(dataset.attrs.get("units"))
    return offset * find_unit_factor(unit, "length", f"{locate(dataset)}, its offset")


def multiply_chain(chain: list[NexusAxis]) -> np.ndarray:
    """Multiply the matrices of a chain.

    Parameters
    ----------
    chain : list of NexusAxis
        Innermost first.

    Returns
    -------
    (4, 4) float64
        From coordinates on the first axis to the lab, mm.
    """
    result = np.eye(4)
    for axis in chain:
        result = axis.matrix @ result
    return result


def to_floats(vector: np.ndarray) -> tuple[float, ...]:
    """The numbers of a vector as Python's; adding zero makes 0.0 of -0.0, as an .expt file should have it."""
    return tuple(float(v) + 0.0 for v in vector)
