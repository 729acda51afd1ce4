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
from xdp.images.formats.hdf5.nexus_axes import TO_IMGCIF, NexusAxis, locate, to_floats
from xdp.images.formats.units import find_unit_factor

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


def read_scan(chain: Sequence[tuple[NexusAxis, h5py.Dataset]], frame_time: float | None,
              n_held: int | None = None) -> Scan | None:
    """Read the scan along the sample axis that moves.

    Start and width of a rotation's frames come from the axis and its ``_end``; the width is the median, and a warning
    says where widths differ from it by more than a tenth.

    Parameters
    ----------
    chain : sequence of (NexusAxis, h5py.Dataset)
        What the sample is mounted on, innermost first.
    frame_time : float or None
        Seconds from frame to frame; None counts as 0.
    n_held : int, optional
        Frames that there are: where an axis has one value more, the last one is the end of the last frame.

    Returns
    -------
    Scan or None
        None for a sample without axes. A rotation comes before a translation, and one that moves before one that does
        not.
    """
    pair = _find_scan_axis(chain)
    if pair is None:
        return None
    axis, dataset = pair
    n_frames = _count_frames(axis, n_held)
    oscillation = (0.0, 0.0)
    if axis.is_rotation:
        widths = _read_widths(axis, dataset, n_frames)
        width = float(np.median(widths))
        if np.any(np.abs(widths - width) > abs(0.1 * width)):
            logger.warning("%s: widths of some frames differ from their median %g by more than 10 %%",
                           locate(dataset), width)
        oscillation = (float(axis.values[0]), width)
    time = 0.0 if frame_time is None else frame_time
    return Scan((1, n_frames), oscillation, exposure_time=(time,) * n_frames,
                epochs=tuple(float(e) for e in np.arange(n_frames) * time))


def read_n_settings(chain: Sequence[tuple[NexusAxis, h5py.Dataset]]) -> int | None:
    """Count the settings of the sample axis that moves; None for a sample without axes."""
    pair = _find_scan_axis(chain)
    return None if pair is None else pair[0].values.size


def read_frame_angles(chain: Sequence[tuple[NexusAxis, h5py.Dataset]],
                      n_held: int | None = None) -> tuple[np.ndarray, np.ndarray] | None:
    """Read the start and width of each frame.

    Parameters
    ----------
    chain : sequence of (NexusAxis, h5py.Dataset)
        What the sample is mounted on, innermost first.
    n_held : int, optional
        As of :func:`read_scan`.

    Returns
    -------
    starts, widths : (n_frames,) float64
        Degrees; None instead of both where no axis of rotation has a setting for each of several frames.
    """
    pair = _find_scan_axis(chain)
    if pair is None or not pair[0].is_rotation or pair[0].values.size < 2:
        return None
    n_frames = _count_frames(pair[0], n_held)
    widths = _read_widths(*pair, n_frames)
    if len(widths) < n_frames:
        # Of steps: a frame is as wide as the smaller of the steps before and behind it, since a jump is no width.
        before, behind = np.append(widths[:1], widths), np.append(widths, widths[-1:])
        widths = np.where(np.abs(before) < np.abs(behind), before, behind)
    return pair[0].values[:n_frames], widths


def _find_scan_axis(chain: Sequence[tuple[NexusAxis, h5py.Dataset]]) -> tuple[NexusAxis, h5py.Dataset] | None:
    """Find the axis of the scan: rotation before translation, moving before standing still."""
    moving = [pair for pair in chain if pair[0].varies]
    turning = [pair for pair in moving if pair[0].is_rotation]
    found = turning or moving or list(chain)
    return found[0] if found else None


def _count_frames(axis: NexusAxis, n_held: int | None) -> int:
    """Frames of an axis' values, which may be the ends of frames: one more than there are frames."""
    n = axis.values.size
    return n - 1 if n_held is not None and n == n_held + 1 and n > 2 else n


def _read_widths(axis: NexusAxis, dataset: h5py.Dataset, n_frames: int) -> np.ndarray:
    """Read the width of each frame, degrees, by the axis' ends, else by its steps; one 0 for a single frame."""
    ends = get_child(dataset.parent, f"{axis.name}_end")
    if isinstance(ends, h5py.Dataset) and ends.size in (axis.values.size, n_frames):
        numbers = np.asarray(ends[()], dtype=np.float64).reshape(-1)
        if np.isfinite(numbers).all():
            # Ends without units have those of the axis.
            unit = decode_text(ends.attrs.get("units")) or decode_text(dataset.attrs.get("units"))
            factor = find_unit_factor(unit, "angle", locate(ends))
            return _drop_turns(numbers[:n_frames] * factor - axis.values[:n_frames])
    if axis.values.size < 2:
        return np.zeros(1)
    return _drop_turns(np.diff(axis.values))[:n_frames]


def _drop_turns(widths: np.ndarray) -> np.ndarray:
    """Widths without the whole turn of a step from 360 degrees to 0."""
    return np.where(np.abs(widths) > 180.0, (widths + 180.0) % 360.0 - 180.0, widths)
