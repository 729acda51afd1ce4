"""Writes averages: HDF5, mini CBF, or image dictionaries that cctbx reads."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

import h5py
import numpy as np

from xdp.errors import XdpError
from xdp.experiment import Beam
from xdp.files import atomic_output
from xdp.images.formats.base import Models
from xdp.images.formats.cbf.writer import write_minicbf
from xdp.images.masks.pickles import write_dictionary_pickle
from xdp.serial.calibration.average import Averages
from xdp.serial.calibration.options import AverageOptions
from xdp.serial.events.times import format_time
from xdp.serial.path_fields import fill_path_fields

logger = logging.getLogger(__name__)

# Counts of a CSPAD that are saturated, and those below which a pixel is bad: what cctbx.xfel writes.
_SATURATED, _LOWEST = 90000, -400
_ENDINGS = {"h5": ".h5", "cbf": ".cbf", "pickle": ".pickle"}
# What the names of AverageOptions stand for, with the field of Averages.
_PARTS = {"averagebase": "mean", "stddevbase": "stddev", "maxbase": "maximum", "minpath": "minimum"}

_SHORT = {"mean": "avg", "stddev": "stddev", "maximum": "max", "minimum": "min"}


def list_average_files(options: AverageOptions, inputs: Sequence[str] = ()) -> dict[str, str]:
    """List the files of an average.

    Parameters
    ----------
    options : AverageOptions
        Names with fields, folder and form.
    inputs : sequence of str
        Files of the shots: without an experiment, the name of the first takes the place of experiment and run.

    Returns
    -------
    dict of str to str
        Path of each of ``mean``, ``stddev``, ``maximum`` and, where it is wanted, ``minimum``.

    Raises
    ------
    OptionError
        If a name has a field that is not known.
    """
    defaults = AverageOptions()
    ending = _ENDINGS["pickle" if options.as_pickle else options.format]
    files = {}
    for base, part in _PARTS.items():
        if part == "minimum" and not options.minimum:
            continue
        text = getattr(options, base)
        if text == getattr(defaults, base) and options.experiment is None and inputs:
            # Files have no run number of their own: {experiment}_avg-r-001 would say nothing.
            stem = os.path.basename(str(inputs[0]).rstrip("/")).split(".")[0] or "shots"
            name = f"{stem}_{_SHORT[part]}"
        else:
            name = fill_path_fields(text, {"experiment": options.experiment, "run": options.run})
        files[part] = os.path.join(options.outputdir, name + ending)
    return files


def write_averages(averages: Averages, options: AverageOptions, inputs: Sequence[str] = ()) -> dict[str, str]:
    """Write averages.

    Parameters
    ----------
    averages : Averages
        Of shots.
    options : AverageOptions
        Names, folder and form.
    inputs : sequence of str
        As of :func:`list_average_files`.

    Returns
    -------
    dict of str to str
        Path of each part.

    Raises
    ------
    XdpError
        If a file cannot be written, or its form cannot hold the image.
    """
    files = list_average_files(options, inputs)
    form = "pickle" if options.as_pickle else options.format
    for part, path in files.items():
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        panels = getattr(averages, part)
        if form == "h5":
            write_average_hdf5(path, averages, part)
        elif form == "cbf":
            _write_cbf(path, panels, averages)
        else:
            write_dictionary_pickle(path, make_image_dictionary(panels, averages, options.address or ""))
    return files


def write_average_hdf5(path: str | os.PathLike, averages: Averages, part: str) -> None:
    """Write one part of averages as HDF5.

    Parameters
    ----------
    path : path
        The file.
    averages : Averages
        Of shots.
    part : str
        ``mean``, ``stddev``, ``maximum`` or ``minimum``: the data set ``data``. The file of the mean has the standard
        deviation and the number of shots of each pixel, too, so that it is a whole dark.
    """
    with atomic_output(path) as temporary, h5py.File(temporary, "w", locking=False) as handle:
        _write_panels(handle, "data", getattr(averages, part))
        if part == "mean":
            _write_panels(handle, "stddev", averages.stddev)
            _write_panels(handle, "counts", [panel.astype(np.int32) for panel in averages.counts])
        handle.attrs["quantity"] = part
        handle.attrs["n_shots"] = averages.n_shots
        handle.attrs["divisor"] = averages.divisor
        for name, value, unit in (("wavelength", averages.wavelength, "angstrom"),
                                  ("distance", averages.distance, "mm")):
            if value is not None:
                handle.attrs[name] = value
                handle.attrs[f"{name}_units"] = unit
        if averages.time is not None:
            handle.attrs["time"] = format_time(averages.time)


def _write_panels(handle: h5py.File, name: str, panels: Sequence[np.ndarray]) -> None:
    """One data set, or one a panel where their sizes differ."""
    if len(panels) == 1:
        handle.create_dataset(name, data=panels[0])
    elif len({panel.shape for panel in panels}) == 1:
        handle.create_dataset(name, data=np.stack(panels))
    else:
        for i, panel in enumerate(panels):
            handle.create_dataset(f"{name}/{i}", data=panel)


def _write_cbf(path: str, panels: Sequence[np.ndarray], averages: Averages) -> None:
    """A mini CBF: one panel, whole counts."""
    if len(panels) != 1:
        raise XdpError(f"{path}: a mini CBF holds one panel, the shots have {len(panels)}: use format=h5 or "
                       "format=pickle")
    experiment = averages.experiment
    if experiment is None or experiment.detector is None or averages.wavelength is None:
        raise XdpError(f"{path}: a mini CBF needs a detector and a wavelength, which the shots have not: use "
                       "format=h5, or give geometry=...")
    logger.warning("%s: a mini CBF holds whole counts: they are rounded", path)
    beam = experiment.beam or Beam.along_z(averages.wavelength)
    write_minicbf(path, np.rint(panels[0]).astype(np.int32), Models(beam, experiment.detector))


def make_image_dictionary(panels: Sequence[np.ndarray], averages: Averages, address: str = "") -> dict[str, object]:
    """Make the image dictionary of cctbx.xfel of an average.

    Parameters
    ----------
    panels : sequence of (slow, fast) array
        Put one below the other; ACTIVE_AREAS says where each is.
    averages : Averages
        Distance, wavelength, time and detector.
    address : str
        Of the detector.

    Returns
    -------
    dict
        With the keys of cctbx.xfel.

    Raises
    ------
    XdpError
        If the panels have not one width.
    """
    if len({panel.shape[1] for panel in panels}) > 1:
        raise XdpError("an image dictionary holds panels of one width, these differ: use format=h5")
    data = np.concatenate([np.asarray(panel, np.float64) for panel in panels])
    ends = np.cumsum([panel.shape[0] for panel in panels])
    areas = [v for end, panel in zip(ends, panels, strict=True)
             for v in (int(end) - panel.shape[0], 0, int(end), panel.shape[1])]
    detector = None if averages.experiment is None else averages.experiment.detector
    pixel = detector[0].pixel_size[0] if detector is not None else 0.11
    return {
        "ACTIVE_AREAS": np.array(areas, np.int32), "BEAM_CENTER_X": pixel * data.shape[0] / 2.0,
        "BEAM_CENTER_Y": pixel * data.shape[1] / 2.0, "CCD_IMAGE_SATURATION": _SATURATED, "DATA": data,
        "DETECTOR_ADDRESS": address, "DISTANCE": averages.distance or 0.0, "PIXEL_SIZE": pixel,
        "SATURATED_VALUE": _SATURATED, "MIN_TRUSTED_VALUE": _LOWEST, "SIZE1": data.shape[0], "SIZE2": data.shape[1],
        "TIMESTAMP": "" if averages.time is None else format_time(averages.time), "SEQUENCE_NUMBER": 0,
        "WAVELENGTH": averages.wavelength or 0.0, "xtal_target": None}
