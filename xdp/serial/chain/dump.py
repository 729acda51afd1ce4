"""The module mod_dump: writes the image of each shot that reaches it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from xdp.errors import OptionError, XdpError
from xdp.files import atomic_output
from xdp.serial.chain.configuration import ModuleSettings
from xdp.serial.chain.keys import DumpKeys
from xdp.serial.chain.modules import ChainEvent, ChainModule, ChainRun
from xdp.serial.events.shot import Shot
from xdp.serial.events.times import format_time_digits

LOWEST, SATURATED = -400, {"cspad": 90000, "rayonix": 65535, "marccd": 65535}
"""Trusted values that image dictionaries have, as cctbx.xfel writes them."""
DEFAULT_SATURATION = 65535


@dataclass
class DumpResult:
    """How many images were written."""

    n_written: int = 0

    def join(self, other: DumpResult) -> None:
        """Add those of another batch."""
        self.n_written += other.n_written

    def text(self) -> str:
        """Say it in a line."""
        return f"{self.n_written} images written"


class DumpModule(ChainModule):
    """Writes images as HDF5, CBF, TIFF, NumPy, zarr, or image dictionaries."""

    keys_model: ClassVar = DumpKeys

    def __init__(self, settings: ModuleSettings) -> None:
        super().__init__(settings)
        self.result = DumpResult()

    def begin(self, run: ChainRun) -> None:
        """Read the keys; make the folder."""
        super().begin(run)
        if self.keys.out_basename is None:
            raise OptionError(f"{self.settings.label}: out_basename is wanted, such as shot-")
        if self.keys.out_dirname is not None:
            os.makedirs(self.keys.out_dirname, exist_ok=True)

    def event(self, event: ChainEvent) -> bool:
        """Write the image; a shot without one goes on with a message."""
        if not event.shot.image:
            event.messages.append(f"{event.shot.id}: no image, nothing is written")
            return True
        shot = self.prepare(event)
        if shot is None:
            return False
        form = self.keys.out_format
        path = name_image(self.keys.out_dirname, self.keys.out_basename, shot, form)
        write_image(path, shot, form, self.keys.address or "")
        self.result.n_written += 1
        return True

    def end(self) -> DumpResult:
        """How many were written."""
        return self.result


def name_image(folder: str | None, prefix: str, shot: Shot, form: str) -> str:
    """The path of an image: prefix and 17 digits of the time; without a time the number of the shot in as many.

    Parameters
    ----------
    folder : str or None
    prefix : str
    shot : Shot
    form : str
        Its ending.

    Returns
    -------
    str

    Examples
    --------
    >>> from xdp.serial.events.times import parse_time
    >>> name_image("out", "shot-", Shot(3, "a", time=parse_time("2016-07-08T22:05Z24.133")), "h5")
    'out/shot-20160708220524133.h5'
    """
    digits = f"{shot.index:017d}" if shot.time is None else format_time_digits(shot.time)
    return os.path.join(folder or "", f"{prefix}{digits}.{form}")


def write_image(path: str, shot: Shot, form: str, address: str = "") -> None:
    """Write the image of a shot, whole or not at all.

    Parameters
    ----------
    path : str
    shot : Shot
    form : {"h5", "cbf", "tiff", "zarr", "npy", "pickle"}
        zarr and HDF5 hold the panels as they are, npy and the others one image: panels are put side by side. Values are
        rounded to whole numbers, as the original writes them, in cbf, tiff and pickle.
    address : str
        Of the detector, for image dictionaries.

    Raises
    ------
    XdpError
        If the form cannot hold the image.
    """
    if form == "h5":
        _write_hdf5(path, shot)
    elif form == "zarr":
        _write_zarr(path, shot)
    elif form == "npy":
        with atomic_output(path) as part, open(part, "wb") as sink:
            np.save(sink, _join_panels(shot))
    elif form == "tiff":
        from PIL import Image

        with atomic_output(path) as part, open(part, "wb") as sink:
            Image.fromarray(round_image(_join_panels(shot)), mode="I").save(sink, format="TIFF")
    elif form == "cbf":
        _write_cbf(path, shot)
    else:
        from xdp.images.masks.pickles import write_dictionary_pickle

        write_dictionary_pickle(path, make_dictionary(shot, address))


def round_image(image: np.ndarray) -> np.ndarray:
    """Whole counts, int32: the nearest.

    Parameters
    ----------
    image : array

    Returns
    -------
    int32 array

    Examples
    --------
    >>> round_image(np.array([1.6, -2.4])).tolist()
    [2, -2]
    """
    limits = np.iinfo(np.int32)
    return np.clip(np.rint(np.nan_to_num(image)), limits.min, limits.max).astype(np.int32)


def _join_panels(shot: Shot) -> np.ndarray:
    """The panels side by side by the geometry; one below the other without one of equal widths."""
    if len(shot.image) == 1:
        return shot.image[0]
    models = shot.experiment
    if models is not None and models.detector is not None and models.beam is not None:
        from xdp.serial.hits.layout import plan_assembly

        return plan_assembly(models.detector, models.beam).assemble(shot.image)
    if len({panel.shape[1] for panel in shot.image}) == 1:
        return np.concatenate(shot.image)
    raise XdpError(f"{shot.id}: has panels of different widths and no geometry: choose out_format = h5")


def _write_hdf5(path: str, shot: Shot) -> None:
    """Panels, and what is known of the shot as attributes."""
    import h5py

    with atomic_output(path) as part, h5py.File(part, "w", locking=False) as file:
        if len({panel.shape for panel in shot.image}) == 1:
            file.create_dataset("data", data=np.stack(shot.image), compression="gzip", compression_opts=1)
        else:
            for number, panel in enumerate(shot.image):
                file.create_dataset(f"data/{number}", data=panel, compression="gzip", compression_opts=1)
        for name, value in _list_facts(shot).items():
            file.attrs[name] = value


def _list_facts(shot: Shot) -> dict[str, str | float]:
    """What is known of a shot; a distance that is not known is 0, as the original has it."""
    facts: dict[str, str | float] = {"id": shot.id, "distance": shot.distance or 0.0}
    for name, value in (("timestamp", shot.timestamp), ("photon_energy", shot.photon_energy),
                        ("wavelength", shot.wavelength)):
        if value is not None:
            facts[name] = value
    return facts


def _write_zarr(path: str, shot: Shot) -> None:
    """A zarr array (panel, slow, fast), in a folder that is renamed when it is whole."""
    import shutil
    import tempfile

    import zarr

    if len({panel.shape for panel in shot.image}) > 1:
        raise XdpError(f"{shot.id}: has panels of different shapes: choose out_format = h5")
    work = tempfile.mkdtemp(prefix=".dump-", dir=os.path.dirname(path) or ".")
    try:
        data = np.stack(shot.image)
        array = zarr.create_array(store=os.path.join(work, "a"), shape=data.shape, dtype=data.dtype, chunks=data.shape)
        array[...] = data
        array.attrs.update(_list_facts(shot))
        shutil.rmtree(path, ignore_errors=True)
        os.replace(os.path.join(work, "a"), path)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _write_cbf(path: str, shot: Shot) -> None:
    """A mini CBF: one panel, whole counts."""
    from xdp.images.formats.base import Models
    from xdp.images.formats.cbf.writer import write_minicbf

    models = shot.experiment
    if len(shot.image) != 1 or models is None:
        raise XdpError(f"{shot.id}: mini CBF holds one panel with its geometry, not {len(shot.image)}: choose "
                       "out_format = h5")
    write_minicbf(path, round_image(shot.image[0]), Models(models.beam, models.detector))


def make_dictionary(shot: Shot, address: str) -> dict[str, object]:
    """The image dictionary of cctbx.xfel.

    Parameters
    ----------
    shot : Shot
    address : str

    Returns
    -------
    dict
    """
    image = round_image(_join_panels(shot))
    pixel, areas, beam = 0.11, [0, 0, *image.shape], (image.shape[0] * 0.055, image.shape[1] * 0.055)
    models = shot.experiment
    if models is not None and models.detector is not None and models.beam is not None:
        from xdp.serial.hits.layout import plan_assembly

        assembly = plan_assembly(models.detector, models.beam)
        pixel, beam = assembly.geometry.pixel_size, assembly.geometry.beam
        areas = [int(v) for area in assembly.areas for v in area]
    device = re.split(r"[|:]", address)[-1].lower()
    saturated = next((value for name, value in SATURATED.items() if name in device), DEFAULT_SATURATION)
    return {"ACTIVE_AREAS": np.array(areas, np.int32), "BEAM_CENTER_X": float(beam[0]), "BEAM_CENTER_Y": float(beam[1]),
            "CCD_IMAGE_SATURATION": saturated, "SATURATED_VALUE": saturated, "DATA": image,
            "DETECTOR_ADDRESS": address, "DISTANCE": float(shot.distance or 0.0), "PIXEL_SIZE": float(pixel),
            "MIN_TRUSTED_VALUE": LOWEST, "SIZE1": image.shape[0], "SIZE2": image.shape[1],
            "TIMESTAMP": shot.timestamp or "", "SEQUENCE_NUMBER": 0, "WAVELENGTH": float(shot.wavelength or 0.0),
            "xtal_target": None}
