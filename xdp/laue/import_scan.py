"""A series of images and what the log says of them, into one ``NAME__mccd.h5``."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from xdp.errors import FormatError, XdpError
from xdp.files import atomic_output, open_input
from xdp.images.input_files import find_files_of_words
from xdp.laue.collect import FrameLog, count_repeats, read_log
from xdp.laue.compression import dataset_options
from xdp.laue.design import Design
from xdp.laue.options import LaueImportOptions
from xdp.options import AUTO
from xdp.options.named import make_options
from xdp.protection import Inputs
from xdp.work.cores import count_threads
from xdp.work.options import MpOptions
from xdp.work.tasks import run_tasks

_LOGS = (".log", ".csv", ".tsv", ".txt")
"""Ends of names of logs and tables; all other inputs are images."""
_JPEG2000 = (".jp2", ".j2k", ".jpx")
"""Ends of names of JPEG 2000 images, which no format of xdp reads."""


@dataclass(frozen=True)
class LaueImport:
    """What `import_laue` wrote: the file, the images in their order, their shape (rows, columns) and the design."""

    output: Path
    images: tuple[str, ...]
    shape: tuple[int, int]
    design: Design


def import_laue(inputs: Sequence[str], options: LaueImportOptions | Mapping[str, Any] | None = None, **named: Any
                ) -> LaueImport:
    """Write images and their angles into one file.

    Parameters
    ----------
    inputs : sequence of str
        Images (MarCCD, TIFF, CBF, any format of xdp; JPEG 2000), and at most one log or table, if it is not given in
        the options. Without images, those that the log names are looked for beside it and in its ``xray_images``.
    options : LaueImportOptions or dict, optional
        The parameters of ``xdp laue_import``.
    **named
        Parameters by name, laid over `options`: ``start=0.0, step=2.0``.

    Returns
    -------
    LaueImport

    Raises
    ------
    XdpError
        If images and log do not fit together, images differ in size or type, or the output exists.

    Examples
    --------
    >>> import os, tempfile, xdp
    >>> from xdp.simulation import make_beam, make_crystal, make_detector, make_goniometer, make_scan
    >>> from xdp.simulation.write import write_minicbf_series
    >>> folder = tempfile.TemporaryDirectory()
    >>> models = make_crystal(), make_beam(), make_detector((60, 60)), make_goniometer(), make_scan(3)
    >>> paths = write_minicbf_series(xdp.simulate_rotation(*models), folder.name)
    >>> output = os.path.join(folder.name, "scan__mccd.h5")
    >>> xdp.import_laue([str(p) for p in paths], output=output, start=0.0, step=2.0).shape
    (60, 60)
    """
    options = make_options(LaueImportOptions, options, named)
    log_path, images = _sort_inputs(inputs, options)
    if log_path is not None:
        images, design = _match_images(read_log(log_path), images, log_path)
    else:
        design = _design_from_options(len(images), options)
    if not images:
        raise XdpError("no images: name image files, or a Lauecollect log whose images lie beside it")
    output = _choose_output(log_path or images[0], options)
    Inputs(lambda: find_files_of_words([*images, *filter(None, (log_path,))])).refuse(output)
    if output.exists() and not options.overwrite:
        raise XdpError(f"{output} exists already: choose another output= or overwrite=True")
    with atomic_output(output) as part:
        shape = _write(part, images, design, options)
    return LaueImport(output, tuple(images), shape, design)


def _sort_inputs(inputs: Sequence[str], options: LaueImportOptions) -> tuple[str | None, list[str]]:
    """The log and the images among the inputs."""
    logs = [path for path in inputs if path.lower().endswith(_LOGS)]
    images = [path for path in inputs if path not in logs]
    if options.log:
        logs.append(str(options.log))
    if len(logs) > 1:
        raise XdpError(f"one log or table is wanted, got {' and '.join(logs)}")
    for path in images:
        if not os.path.isfile(path):
            raise XdpError(f"{path}: no such image file")
    return (logs[0] if logs else None), images


def _match_images(log: FrameLog, images: list[str], log_path: str) -> tuple[list[str], Design]:
    """The images in the order of the log, with the design of those frames that are wanted.

    All of the log's frames are wanted where no images were named; else the images named, each of which the log must
    know.
    """
    if not images:
        return [_find_beside(file, log_path) for file in log.files], log.design
    known = {name: i for i, name in enumerate(log.files)}
    # logs name images without their folders, and are often copied away from them
    named = {os.path.basename(path): path for path in images}
    if len(named) != len(images):
        raise XdpError("two images have the same name; their folders are not in the log")
    strangers = [name for name in named if name not in known]
    if strangers:
        raise XdpError(f"{named[strangers[0]]}: not in {log_path}"
                       + (f" (nor are {len(strangers) - 1} others)" if len(strangers) > 1 else ""))
    frames = np.array(sorted(known[name] for name in named))
    design = log.design
    laser, delay, repeat = (None if column is None else column[frames]
                            for column in (design.laser, design.delay, design.repeat))
    return [named[log.files[i]] for i in frames], Design(design.angle[frames], laser, delay, repeat)


def _find_beside(file: str, log_path: str) -> str:
    folder = Path(log_path).parent
    for candidate in (folder / file, folder / "xray_images" / file):
        if candidate.is_file():
            return str(candidate)
    raise XdpError(f"{log_path}: its image {file} is neither beside it nor in {folder / 'xray_images'}")


def _design_from_options(n_frames: int, options: LaueImportOptions) -> Design:
    """Angles and laser states as given in the parameters."""
    if options.angle is not None:
        angle = np.asarray(options.angle, np.float64)
        if len(angle) != n_frames:
            raise XdpError(f"angle= has {len(angle)} values for {n_frames} images")
    elif options.start is not None and options.step is not None:
        angle = np.asarray(options.start + options.step * (np.arange(n_frames) // options.frames_per_angle), np.float64)
    else:
        raise XdpError("the angles are not known: give a Lauecollect log, a table, angle=, or start= and step=")
    laser = None
    if options.laser is not None:
        # np.resize repeats the pattern, as wanted
        laser = np.resize(np.asarray(options.laser, bool), n_frames)
    return Design(angle, laser, None, count_repeats(angle, laser) if n_frames else None)


def _choose_output(first: str, options: LaueImportOptions) -> Path:
    """As asked, or after the log, or after the first image less its number; in the current folder."""
    if options.output is not AUTO:
        return Path(str(options.output))
    stem = Path(first).name.split(".")[0]
    if not first.lower().endswith(_LOGS):
        # a name of digits alone is kept
        stem = stem.rstrip("_0123456789") or stem
    return Path(f"{stem}__mccd.h5")


def read_image(path: str) -> np.ndarray:
    """The counts of a one-panel image, (rows, columns).

    Raises
    ------
    FormatError
        If the image has several panels or cannot be read.
    """
    if path.lower().endswith(_JPEG2000):
        return _read_jpeg2000(path)
    from xdp.images.formats.find import find_format

    opened = find_format(path)
    if opened.n_images < 1:
        raise FormatError(f"{path}: it has no image")
    panels = opened.raw(0)
    if len(panels) != 1:
        raise FormatError(f"{path}: {len(panels)} panels; Laue data are taken with one")
    return panels[0]


def _read_jpeg2000(path: str) -> np.ndarray:
    import imagecodecs

    try:
        with open_input(path) as stream:
            image = imagecodecs.jpeg2k_decode(stream.read())
    except (OSError, imagecodecs.Jpeg2kError) as error:
        raise FormatError(f"{path}: not a readable JPEG 2000 image ({error})") from error
    if image.ndim != 2:
        raise FormatError(f"{path}: a grey image is wanted, shape is {image.shape}")
    return image


def _write(part: Path, images: list[str], design: Design, options: LaueImportOptions) -> tuple[int, int]:
    """Write the file; frames are read and compressed by tasks, and written in their order."""
    import h5py

    # the first image decides about size and type; any other that differs is named
    first = read_image(images[0])
    rows = min(options.rows, first.shape[0])
    shape = (len(images), *first.shape)
    with h5py.File(part, "w", locking=False) as file:
        settings = dataset_options(options.compression) | {"shuffle": options.compression in ("gzip", "lzf")}
        data = file.create_dataset("images", shape, first.dtype, chunks=(1, rows, first.shape[1]), **settings)
        data.attrs["axes"] = "frame,X,Y"
        for index, pieces in enumerate(_encode_images(images, first.shape, first.dtype, rows, options)):
            for i, piece in enumerate(pieces):
                # h5py compresses what is not gzip, in this one thread
                if isinstance(piece, np.ndarray):
                    data[index] = piece
                else:
                    data.id.write_direct_chunk((index, i * rows, 0), piece)
        group = file.create_group("lauecollect")
        for name, column in (("angle", design.angle), ("laser", design.laser), ("delay", design.delay),
                             ("repeat", design.repeat)):
            if column is not None:
                group[name] = column.astype(np.uint8) if name == "laser" else column
        group["file"] = [os.path.basename(path).encode() for path in images]
    return first.shape


def _encode_images(images: list[str], shape: tuple[int, int], dtype: np.dtype, rows: int,
             options: LaueImportOptions) -> Iterator[list[Any]]:
    """Each image's chunks as they will be stored, in order, some images at a time."""
    how = _ImageEncoding(images[0], shape, dtype, rows, options.compression)
    return run_tasks(_encode, how, [(path,) for path in images],
                     n_threads=count_threads(MpOptions(nproc=options.nproc)))


class _ImageEncoding(NamedTuple):
    """How images are stored: like the first, in chunks of so many rows."""

    first: str
    shape: tuple[int, int]
    dtype: np.dtype
    rows: int
    compression: str


def _encode(how: _ImageEncoding, path: str) -> list[Any]:
    """One image's chunks of `rows` rows as gzip stores them, or the image itself for other compressions."""
    image = read_image(path)
    if image.shape != how.shape:
        raise FormatError(f"{path}: {image.shape[0]} x {image.shape[1]} pixels, but {how.first} has "
                          f"{how.shape[0]} x {how.shape[1]}: frames of one series must be of one size")
    if image.dtype != how.dtype:
        raise FormatError(f"{path}: its counts are {image.dtype}, but those of {how.first} are {how.dtype}")
    if how.compression != "gzip":
        return [image]
    return [_gzip_chunk(image[begin:begin + how.rows], how.rows) for begin in range(0, how.shape[0], how.rows)]


def _gzip_chunk(piece: np.ndarray, rows: int) -> bytes:
    """A chunk shuffled and deflated as HDF5's filters do it; the last chunk is filled up with zeros."""
    full = np.zeros((rows, piece.shape[1]), piece.dtype)
    full[:len(piece)] = piece
    # the shuffle filter: first bytes of all counts, then second bytes ...
    planes = full.reshape(-1).view(np.uint8).reshape(-1, piece.dtype.itemsize).T
    return zlib.compress(planes.tobytes(), 1)
