"""What kind of file a word of a command names, and what to say where a command reads another kind.

A file is judged by its ending and its first bytes. Files that are not there, or of no kind that is known here, are left
to whoever reads them, which says why they cannot be read.
"""

from __future__ import annotations

import glob
import gzip
import os
import re
import shlex
import zlib
from collections.abc import Iterable, Sequence
from enum import Enum

from xdp.errors import XdpError
from xdp.files import open_input
from xdp.options.files import NamedFile
from xdp.reflections.foreign import describe_foreign, is_pickle

#: Endings of the files that name experiments and reflections.
EXPERIMENT_ENDINGS = (".expt", ".json")
REFLECTION_ENDINGS = (".refl", ".refl.gz")
#: Endings of reflection tables of older and other programs, which count only if MessagePack is in them.
_OLD_ENDINGS = (".pickle", ".pkl", ".mpack")
#: How a table in MessagePack begins: a list of three, whose first is the format's name, a text with its length before
#: it in one of two spellings.
_TABLE_MAGIC = (b"\x93\xbbdials::af::reflection_table", b"\x93\xd9\x1bdials::af::reflection_table")
#: Bytes that are looked at; all that is sought here stands at the beginning of a file.
_HEAD = 512


class FileKind(Enum):
    """What is in a file, as far as commands ask."""

    IMAGES = "images"
    EXPERIMENTS = "experiments"
    REFLECTIONS = "reflections"
    INTENSITIES = "intensities"
    OTHER = "other"
    UNKNOWN = "unknown"


_IMAGES, _EXPERIMENTS, _REFLECTIONS = FileKind.IMAGES, FileKind.EXPERIMENTS, FileKind.REFLECTIONS
_INTENSITIES = FileKind.INTENSITIES
#: Kinds that commands read, by what they do.
READS_IMAGES = frozenset({_IMAGES})
READS_MODELS = frozenset({_EXPERIMENTS})
READS_IMAGES_OR_MODELS = frozenset({_IMAGES, _EXPERIMENTS})
READS_PAIRS = frozenset({_EXPERIMENTS, _REFLECTIONS})
READS_OBSERVATIONS = frozenset({_EXPERIMENTS, _REFLECTIONS, _INTENSITIES})
READS_ALL = frozenset({_IMAGES, _EXPERIMENTS, _REFLECTIONS})

_MTZ, _XDS = "an MTZ file of intensities", "a file of intensities of XDS"
#: What other files are, by how they begin; and, after it, by how their names end.
_BEGINNINGS = (
    (b"MTZ ", _MTZ), (b"!FORMAT=XDS_ASCII", _XDS), (b"!OUTPUT_FILE=INTEGRATE.HKL", _XDS),
    (b"XPARM.XDS", "a file of models of XDS"),
    (b"CrystFEL stream format", "a stream of CrystFEL"), (b"\x89PNG", "a picture"), (b"\xff\xd8\xff", "a picture"),
    (b"%PDF", "a document"), (b"PK\x03\x04", "a zip archive"),
)
_ENDINGS = (
    (".mtz", "an MTZ file of intensities"), ("xds.inp", "a file of parameters of XDS"),
    (".hkl", "a file of intensities"), (".stream", "a stream of CrystFEL"),
    (".geom", "a file of geometry of CrystFEL"), (".cell", "a file with a cell, of CrystFEL"),
    (".mask", "a mask"), (".log", "a log"), (".py", "a Python script"), (".ipynb", "a notebook"),
)
#: What each set of kinds is called in a message.
_WANTED = {
    READS_IMAGES: "images", READS_MODELS: ".expt files", READS_PAIRS: ".expt and .refl files",
    READS_OBSERVATIONS: ".expt and .refl files, unmerged MTZ files, XDS_ASCII.HKL and INTEGRATE.HKL",
    READS_IMAGES_OR_MODELS: "images, or the .expt file that xdp import makes of them",
    READS_ALL: "images, .expt and .refl files",
}

#: Parameters that name maps of pixels, and what these hold; and the one that names experiments.
_MAPS = {"mask": "a mask", "combine": "a mask", "gain": "a map of gains", "pedestal": "a map of pedestals",
         "dx": "a map of shifts", "dy": "a map of shifts"}
_GEOMETRY = "reference_geometry"


def is_experiment_file(name: str) -> bool:
    """Say whether a word names a file of experiments, by its ending.

    Examples
    --------
    >>> is_experiment_file("refined.expt"), is_experiment_file("refined.refl")
    (True, False)
    """
    return name.endswith(EXPERIMENT_ENDINGS)


def is_reflection_file(name: str) -> bool:
    """Say whether a word names a file of reflections: by its ending, or a file ``.pickle`` with MessagePack in it.

    Files of DIALS of some years ago are named so; a true pickle is none.

    Examples
    --------
    >>> is_reflection_file("strong.refl"), is_reflection_file("imported.expt")
    (True, False)
    """
    if name.endswith(REFLECTION_ENDINGS):
        return True
    return name.endswith(_OLD_ENDINGS) and _read_head(name).startswith(_TABLE_MAGIC)


def is_mask_file(name: str) -> bool:
    """Say whether a word names a file with a mask: ``.mask``, or a true pickle, as DIALS writes masks.

    Parameters
    ----------
    name : str
        The file; one that is not there is none.
    """
    return os.path.isfile(name) and not is_reflection_file(name) and (
        name.endswith(".mask") or _read_head(name).startswith(b"\x80"))


def find_kind(name: str) -> tuple[FileKind, str]:
    """Find out what is in a file.

    Parameters
    ----------
    name : str
        A word of a command: a file, a template, a pattern, a folder.

    Returns
    -------
    kind : FileKind
        UNKNOWN for what is not there or cannot be told.
    description : str
        What it is, for a message; empty for UNKNOWN.
    """
    if is_experiment_file(name):
        return FileKind.EXPERIMENTS, "a file of experiments"
    head = _read_head(name)
    if is_reflection_file(name) or head.startswith(_TABLE_MAGIC):
        return FileKind.REFLECTIONS, "a table of reflections"
    lower = name.lower()
    other = next((text for magic, text in _BEGINNINGS if head.startswith(magic)), None)
    if other in (_MTZ, _XDS):
        return FileKind.INTENSITIES, other
    if other is None and is_pickle(head):
        other = describe_foreign(head)
    # An ending alone convinces only of files that are there and begin like no image.
    other = other or (next((text for end, text in _ENDINGS if lower.endswith(end)), None) if head else None)
    if other is not None:
        return FileKind.OTHER, other
    return (FileKind.IMAGES, _name_images(name)) if _is_image(name, head) else (FileKind.UNKNOWN, "")


def check_kinds(inputs: Sequence[str], command: str, reads: frozenset[FileKind]) -> None:
    """Refuse inputs of a kind that a command does not read, with what to do instead.

    Parameters
    ----------
    inputs : sequence of str
        Words that stand for files.
    command : str
        The command's name.
    reads : frozenset of FileKind
        What it reads.

    Raises
    ------
    XdpError
        At the first such input. Commands that read images say themselves why one of unknown kind is none.
    """
    endings: set[str] = set()
    for name in inputs:
        # Of ten thousand images one is looked at: files of one ending are of one kind.
        ending = re.sub(r"[0-9]+", "#", os.path.splitext(name)[1])
        if ending in endings and not (is_experiment_file(name) or name.endswith(REFLECTION_ENDINGS)):
            continue
        kind, description = find_kind(name)
        if kind in reads or (kind is FileKind.UNKNOWN and FileKind.IMAGES in reads):
            endings.add(ending)
            continue
        if kind is FileKind.EXPERIMENTS and not os.path.exists(name):
            continue  # that it is missing is said by whoever reads it
        what = f"{name}: is {description}; " if description else f"{name}: "
        raise XdpError(f"{what}xdp {command} reads {_WANTED[reads]}{_advise(name, kind, description, command, reads)}")


def check_parameter_kinds(files: Iterable[NamedFile]) -> None:
    """Refuse files of the wrong kind as values of parameters.

    Parameters
    ----------
    files : iterable of NamedFile
        What parameters name as inputs.

    Raises
    ------
    XdpError
        Where experiments or reflections stand for a mask or map, or anything but experiments for a geometry. Whether a
        mask is sound is said by whoever reads it.
    """
    for file in files:
        if file.kind not in (*_MAPS, _GEOMETRY):
            continue
        kind, description = find_kind(file.name)
        is_wrong = kind in READS_PAIRS if file.kind in _MAPS else kind not in (_EXPERIMENTS, FileKind.UNKNOWN)
        if is_wrong and os.path.exists(file.name):
            wanted = "the .expt file of another run" if file.kind == _GEOMETRY else f"a file with {_MAPS[file.kind]}"
            raise XdpError(f"{file.parameter}={file.name}: is {description}; {wanted} is wanted")


def _advise(name: str, kind: FileKind, description: str, command: str, reads: frozenset[FileKind]) -> str:
    """What to do with a file of the wrong kind."""
    shown = shlex.quote(name)
    if kind is FileKind.IMAGES:
        return f"; begin with xdp import {shown}, then xdp find_spots imported.expt"
    if kind is FileKind.EXPERIMENTS and command == "import":
        return (f"; what it names is imported already: go on with xdp find_spots {shown} (or, for its geometry "
                f"alone, give images and reference_geometry={shown})")
    if "mask" in description and FileKind.IMAGES in reads:
        return f"; a mask goes in by lookup.mask={shown} of xdp import, find_spots and integrate"
    return ""


def _name_images(name: str) -> str:
    """What a word that stands for images is called."""
    if os.path.isdir(name):
        return "a folder"
    return "an image" if os.path.exists(name) else "a template of images"


def _is_image(name: str, head: bytes) -> bool:
    """Whether a word stands for images: files of a known format, a template, or a pattern that matches something."""
    from xdp.images.formats.find import find_format_class
    from xdp.images.names import has_placeholder

    if not head and not os.path.isdir(name):
        return has_placeholder(name) or (glob.has_magic(name) and bool(glob.glob(name)))
    try:
        find_format_class(name)
    except (XdpError, OSError):
        return os.path.isdir(name)
    return True


def _read_head(name: str) -> bytes:
    """The first bytes of a file, unpacked; none of what is no file or cannot be read."""
    try:
        with open_input(name) as stream:
            head = stream.read(_HEAD)
            if not head.startswith(b"\x1f\x8b"):
                return head
            stream.seek(0)
            with gzip.GzipFile(fileobj=stream) as packed:
                return packed.read(_HEAD)
    except (OSError, EOFError, zlib.error, ValueError):
        return b""
