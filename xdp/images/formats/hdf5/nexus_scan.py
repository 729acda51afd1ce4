"""Goniometer and scan of an NXmx file, as DIALS makes them.

References
----------
NeXus manual, application definition NXmx, https://manual.nexusformat.org/classes/applications/NXmx.html;
H. J. Bernstein et al. (2020), IUCrJ 7, 784, doi 10.1107/S2052252520008672.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import h5py
import numpy as np

from xdp.errors import FormatError
from xdp.experiment import Goniometer, Scan
from xdp.images.formats.hdf5.files import decode_text, get_child
from xdp.images.formats.hdf5.nexus_axes import TO_IMGCIF, NexusAxis, find_unit_factor, locate, to_floats

logger = logging.getLogger(__name__)


def read_goniometer(chain: Sequence[tuple[NexusAxis, h5py.Dataset]]) -> Goniometer | None:
    """Read the goniometer of a sample.

    Parameters
    ----------
    chain : sequence of (NexusAxis, h5py.Dataset)
        What the sample is mounted on, innermost first.

    Returns
    -------
    Goniometer or None
        None where nothing turns. With several axes their angles are those of the first image.

    Raises
    ------
    FormatError
        If several axes turn during the series.
    """
    rotations = [axis for axis, _ in chain if axis.is_rotation]
    if not rotations:
        return None
    axes = [to_floats(TO_IMGCIF @ axis.vector) for axis in rotations]
    if len(axes) == 1:
        return Goniometer(rotation_axis=_normalise_axis(axes[0]))
    scanning = [i for i, axis in enumerate(rotations) if axis.varies]
    if len(scanning) > 1:
        raise FormatError(f"{locate(chain[0][1])}: {len(scanning)} axes turn at once, one is wanted: "
                          f"{', '.join(rotations[i].name for i in scanning)}")
    return Goniometer.multi_axis(axes, [axis.values[0] for axis in rotations], [axis.name for axis in rotations],
                                 scanning[0] if scanning else 0)


def _normalise_axis(vector: tuple[float, ...]) -> tuple[float, ...]:
    """The vector with length 1."""
    return to_floats(np.asarray(vector) / np.linalg.norm(vector))


def read_scan(chain: Sequence[tuple[NexusAxis, h5py.Dataset]], frame_time: float | None) -> Scan | None:
    """Read the scan along the sample axis that moves.

    Start and width of a rotation's frames come from the axis and its ``_end``; the width is the median, and a warning
    says where widths differ from it by more than a tenth.

    Parameters
    ----------
    chain : sequence of (NexusAxis, h5py.Dataset)
        What the sample is mounted on, innermost first.
    frame_time : float or None
        Seconds from frame to frame; None counts as 0.

    Returns
    -------
    Scan or None
        None for a sample without axes. A rotation comes before a translation, and one that moves before one that does
        not.
    """
    if not chain:
        return None
    # Rotation before translation, moving before standing still.
    moving = [pair for pair in chain if pair[0].varies]
    turning = [pair for pair in moving if pair[0].is_rotation]
    axis, dataset = (turning or moving or list(chain))[0]
    n_frames = axis.values.size
    oscillation = (0.0, 0.0)
    if axis.is_rotation:
        widths = _read_widths(axis, dataset)
        width = float(np.median(widths))
        if np.any(np.abs(widths - width) > abs(0.1 * width)):
            logger.warning("%s: widths of some frames differ from their median %g by more than 10 %%",
                           locate(dataset), width)
        oscillation = (float(axis.values[0]), width)
    time = 0.0 if frame_time is None else frame_time
    return Scan((1, n_frames), oscillation, exposure_time=(time,) * n_frames,
                epochs=tuple(float(e) for e in np.arange(n_frames) * time))


def _read_widths(axis: NexusAxis, dataset: h5py.Dataset) -> np.ndarray:
    """Read the width of each frame, degrees, by the axis' ends, else by its steps; one 0 for a single frame."""
    ends = get_child(dataset.parent, f"{axis.name}_end")
    if isinstance(ends, h5py.Dataset) and ends.size == axis.values.size:
        numbers = np.asarray(ends[()], dtype=np.float64).reshape(-1)
        if np.isfinite(numbers).all():
            # The ends have the axis' units, whatever they say themselves.
            factor = find_unit_factor(decode_text(dataset.attrs.get("units")), "angle", locate(dataset))
            return numbers * factor - axis.values
    return np.diff(axis.values) if axis.values.size > 1 else np.zeros(1)
