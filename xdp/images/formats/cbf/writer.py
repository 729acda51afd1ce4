"""Writes mini CBF images, as Dectris' detectors do, of experiments with one panel square to the beam."""

from __future__ import annotations

import datetime
import os

import numpy as np

from xdp.errors import XdpError
from xdp.experiment import Beam, Detector, Panel, Scan
from xdp.files import atomic_output
from xdp.images.formats.base import Models
from xdp.images.formats.cbf.sections import encode_section

# Dectris' names of sensors by their formula.
_SENSORS = {"Si": "Silicon", "CdTe": "CdTe", "GaAs": "GaAs"}


def write_minicbf(path: str | os.PathLike, image: np.ndarray, models: Models, *,
                  detector_name: str = "GENERIC, S/N 0-0000", convention: str = "GENERIC_MINI") -> None:
    """Write one image as a mini CBF with byte-offset compression.

    Parameters
    ----------
    path : path
        The file; it appears when it is complete.
    image : (slow, fast) integer array
        Counts, taken as int32.
    models : Models
        Beam, and a detector of one panel whose fast axis is +x and slow axis -y; the scan is of this image alone.
    detector_name, convention : str
        What the header says; ``PILATUS_1.2`` and a name with ``PILATUS`` make readers mask the gaps of its modules.

    Raises
    ------
    XdpError
        If the header of a mini CBF cannot say where the detector is, or the image has another size than the panel.
    """
    if models.beam is None or models.detector is None:
        raise XdpError(f"{os.fspath(path)}: a mini CBF needs a beam and a detector")
    panel = _check_square_panel(models.beam, models.detector, os.fspath(path))
    if image.shape != panel.shape:
        raise XdpError(f"{os.fspath(path)}: expected an image of {panel.shape} (slow, fast) pixels, got {image.shape}")
    header = format_header_lines(models.beam, panel, models.scan, detector_name)
    text = "\r\n".join(["###CBF: VERSION 1.5, xdp", "", f"data_{os.path.basename(os.fspath(path)).split('.')[0]}", "",
                        f'_array_data.header_convention "{convention}"', "_array_data.header_contents", ";", *header,
                        ";", "", "_array_data.data", ";", ""])
    with atomic_output(path) as part:
        part.write_bytes(text.encode("ascii", "replace") + encode_section(image) + b";\r\n")


def _check_square_panel(beam: Beam, detector: Detector, path: str) -> Panel:
    """The panel, if there is one and it faces the beam along -z with rows along +x and columns along -y."""
    if len(detector) != 1:
        raise XdpError(f"{path}: a mini CBF holds one panel, the detector has {len(detector)}")
    frame = detector.d_matrix(0)
    # To rounding: the header has no place for a tilt.
    faces = np.allclose(frame[:, :2].T, [[1, 0, 0], [0, -1, 0]], atol=1e-6)
    if not faces or not np.allclose(beam.unit_s0, [0, 0, -1], atol=1e-6):
        raise XdpError(f"{path}: a mini CBF can only say the place of a detector square to a beam along -z, with fast "
                       "axis +x and slow axis -y")
    return detector[0]


def format_header_lines(beam: Beam, panel: Panel, scan: Scan | None, detector_name: str) -> list[str]:
    """Write the comment lines of the header; numbers have all their digits, so that models come back the same.

    Parameters
    ----------
    beam : Beam
        Along -z.
    panel : Panel
        Square to it.
    scan : Scan or None
        Of this image; a still has angles and times of 0.
    detector_name : str
        Name and serial number.

    Returns
    -------
    list of str
        Lines that begin with ``#``, lengths in m.
    """
    x, y, z = panel.origin
    pixel = panel.pixel_size
    start, width = scan.oscillation if scan is not None else (0.0, 0.0)
    exposure = scan.exposure_time[0] if scan is not None and scan.exposure_time else 0.0
    epoch = scan.epochs[0] if scan is not None and scan.epochs else 0.0
    stamp = datetime.datetime.fromtimestamp(epoch, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    sensor = _SENSORS.get(panel.material)
    return [
        f"# Detector: {detector_name}",
        f"# {stamp}",
        f"# Pixel_size {pixel[0] / 1000.0!r} m x {pixel[1] / 1000.0!r} m",
        *([f"# {sensor} sensor, thickness {panel.thickness / 1000.0:.9f} m"] if sensor else []),
        f"# Exposure_time {exposure!r} s",
        f"# Exposure_period {exposure!r} s",
        f"# Count_cutoff {panel.trusted_range[1]:.0f} counts",
        f"# Wavelength {beam.wavelength!r} A",
        f"# Detector_distance {-z / 1000.0!r} m",
        f"# Beam_xy ({-x / pixel[0]!r}, {y / pixel[1]!r}) pixels",
        f"# Flux {beam.flux!r}",
        f"# Start_angle {start!r} deg.",
        f"# Angle_increment {width!r} deg.",
        f"# Polarization {beam.polarization_fraction!r}",
        "# Detector_2theta 0.0 deg.",
        f"# Phi {start!r} deg.",
        "# Oscillation_axis X, CW",
    ]
