"""Simulated series as files: mini CBF for the plain geometry, which DIALS imports too, NPY with .expt for any."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np

from xdp.errors import XdpError
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.experiment.extent import beam_centre
from xdp.experiment.imageset import SEQUENCE, ImageSet
from xdp.experiment.io import write_experiments
from xdp.files import atomic_output
from xdp.images.formats.cbf.sections import encode_section
from xdp.simulation.images import Simulation

#: The header of a Pilatus file as beamlines write it, with the models' values.
_HEADER = """###CBF: VERSION 1.5, xdp simulation
data_{name}
_array_data.header_convention "PILATUS_1.2"
_array_data.header_contents
;
# Detector: PILATUS3 SIM, S/N 60-0000
# 2020-01-01T00:00:{second:06.3f}
# Pixel_size {pixel_fast:.0f}e-6 m x {pixel_slow:.0f}e-6 m
# Silicon sensor, thickness {thickness:.6f} m
# Exposure_time 0.0990000 s
# Exposure_period 0.1000000 s
# Tau = 0 s
# Count_cutoff {cutoff:.0f} counts
# Threshold_setting: 6329 eV
# Gain_setting: mid gain (vrf = -0.200)
# N_excluded_pixels = 0
# Wavelength {wavelength:.6f} A
# Detector_distance {distance:.6f} m
# Beam_xy ({beam_x:.3f}, {beam_y:.3f}) pixels
# Flux 0.000000
# Filter_transmission 1.0000
# Start_angle {angle:.5f} deg.
# Angle_increment {width:.5f} deg.
# Detector_2theta 0.0000 deg.
# Polarization {polarisation:.4f}
# Alpha 0.0000 deg.
# Kappa 0.0000 deg.
# Phi {angle:.5f} deg.
# Phi_increment {width:.5f} deg.
# Chi 0.0000 deg.
# Oscillation_axis X, CW
# N_oscillations 1
;
_array_data.data
;
"""


def write_minicbf_series(simulation: Simulation, folder: str | os.PathLike, prefix: str = "simulated") -> list[Path]:
    """Write a rotation series as mini CBF, one file a frame: ``PREFIX_0001.cbf`` and so on, numbered as the scan.

    The geometry is in the headers, to their printed precision.

    Parameters
    ----------
    simulation : Simulation
    folder : path
    prefix : str

    Returns
    -------
    The files, in order.

    Raises
    ------
    XdpError
        If the geometry is one that a mini CBF header cannot state: several panels, a tilted one, another axis than x.
    """
    experiment = simulation.experiments[0]
    fields = _header_fields(experiment)
    folder = Path(folder)
    first = experiment.known.scan.image_range[0]
    paths = [folder / f"{prefix}_{first + index:04d}.cbf" for index in range(simulation.n_frames)]
    for index, (path, (image,)) in enumerate(zip(paths, simulation.iterate_frames(), strict=True)):
        angle = float(experiment.known.scan.angle(experiment.known.scan.array_range[0] + index))
        text = _HEADER.format(name=path.stem, angle=angle, second=0.1 * index % 60, **fields)
        with atomic_output(path) as part:
            part.write_bytes(text.replace("\n", "\r\n").encode() + encode_section(image) + b";\r\n")
    return paths


def write_npy_series(simulation: Simulation, folder: str | os.PathLike, prefix: str = "simulated") -> Path:
    """Write all frames as ``PREFIX.npy`` and the models without crystal as ``PREFIX.expt``.

    Parameters
    ----------
    simulation : Simulation
    folder : path
    prefix : str

    Returns
    -------
    Path
        Of the ``.expt`` file. The array is int32 (frame, slow, fast), or (frame, panel, slow, fast) where there are
        several panels.
    """
    folder = Path(folder)
    stack = simulation.stack()
    with atomic_output(folder / f"{prefix}.npy") as part, open(part, "wb") as file:
        np.save(file, stack[:, 0] if stack.shape[1] == 1 else stack)
    imageset = ImageSet(SEQUENCE, template=str((folder / f"{prefix}.npy").resolve()))
    bare = dataclasses.replace(simulation.experiments[0], crystal=None, imageset=imageset)
    write_experiments(folder / f"{prefix}.expt", ExperimentList([bare]))
    return folder / f"{prefix}.expt"


def _header_fields(experiment: Experiment) -> dict[str, float]:
    """Give what the header states of the models; refuse models that it cannot state."""
    detector, beam, goniometer = experiment.known.detector, experiment.known.beam, experiment.known.goniometer
    axes = np.array([[1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    is_plain = (len(detector) == 1 and np.allclose(detector.d_matrix(0)[:, :2].T, axes, atol=1e-9)
                and np.allclose(beam.unit_s0, [0, 0, -1], atol=1e-9)
                and np.allclose(goniometer.rotation_axis_lab, [1, 0, 0], atol=1e-9)
                and np.allclose(goniometer.F, np.eye(3), atol=1e-9))
    if not is_plain:
        raise XdpError("a mini CBF header holds one panel square to a beam along -z, and a rotation axis along x; "
                       "write this geometry with write_npy_series")
    panel = detector[0]
    # The header's beam centre is in pixels of the raw panel: no parallax there, for a ray square to it.
    beam_x, beam_y = beam_centre(detector, beam)[1] / np.asarray(panel.pixel_size)  # type: ignore[index]
    return {"pixel_fast": panel.pixel_size[0] * 1e3, "pixel_slow": panel.pixel_size[1] * 1e3,
            "thickness": panel.thickness * 1e-3, "cutoff": panel.trusted_range[1], "wavelength": beam.wavelength,
            "distance": panel.distance * 1e-3, "beam_x": beam_x, "beam_y": beam_y,
            "polarisation": beam.polarization_fraction, "width": experiment.known.scan.oscillation[1]}
