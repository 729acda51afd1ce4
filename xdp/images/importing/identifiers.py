"""Identifiers of imported experiments, which follow from images and models: the same import gives the same ones."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Sequence
from typing import Any

from xdp.errors import FormatError
from xdp.experiment import Experiment, ImageSet
from xdp.files import open_input
from xdp.images.formats.base import EVERYTHING, GIVEN
from xdp.images.formats.find import find_format
from xdp.images.reader import is_template, list_frame_files

# Bytes at the beginning and the end of a file that stand for it, with its length. The header is among the first; a
# frame's pixels follow. A choice: 64 KiB are read at once from any disk, and of a sweep two files are looked at.
_PIECE = 65536
# Significant digits of numbers of models: the last bits of computed ones may differ between machines.
_DIGITS = 9


def make_identifiers(experiments: Sequence[Experiment]) -> list[str]:
    """Make an identifier for each experiment, by what it is made of.

    These count: the names of its images without their folder, which of them it has, their first and last file (length,
    first and last 64 KiB), the first and last image of a stack, and all models but the times of the images. So
    identifiers are the same wherever the images lie, and others for other images or another geometry.

    Parameters
    ----------
    experiments : sequence of Experiment
        With images.

    Returns
    -------
    list of str
        UUIDs, as DIALS has them. No two are the same: copies of the same images in one import are numbered.
    """
    stacks = _list_stack_frames(experiments)
    prints: dict[str, str] = {}
    seen: dict[str, int] = {}
    identifiers = []
    for experiment in experiments:
        described = [_describe_images(experiment, stacks, prints), _describe_models(experiment)]
        content = json.dumps(described, sort_keys=True)
        seen[content] = seen.get(content, 0) + 1
        # A first copy has no number, so that its identifier is that of an import on its own.
        number = f" {seen[content]}" if seen[content] > 1 else ""
        identifiers.append(str(uuid.uuid5(uuid.NAMESPACE_OID, content + number)))
    return identifiers


def _list_stack_frames(experiments: Sequence[Experiment]) -> dict[str, tuple[int, int, dict[str, Any]]]:
    """The first and last image of each stack that any experiment has, and the options of its format."""
    found: dict[str, tuple[int, int, dict[str, Any]]] = {}
    for experiment in experiments:
        imageset = experiment.imageset
        if imageset is None or not _is_stack(imageset):
            continue
        (path, *_), indices = list_frame_files(imageset, experiment.scan)
        first, last, _ = found.get(path, (min(indices), max(indices), {}))
        found[path] = min(first, *indices), max(last, *indices), dict(imageset.params)
    return found


def _is_stack(imageset: ImageSet) -> bool:
    """Whether the images lie in one file, by their places in it."""
    return bool(imageset.single_file_indices) or (imageset.template is not None and not is_template(imageset))


def _describe_images(experiment: Experiment, stacks: dict[str, tuple[int, int, dict[str, Any]]],
                     prints: dict[str, str]) -> list[Any]:
    """Which images an experiment has, and what is in them; what has been read is kept in `prints`."""
    imageset = experiment.imageset
    if imageset is None:
        return []
    files, indices = list_frame_files(imageset, experiment.scan)
    ends = list(dict.fromkeys((files[0], files[-1])))
    for path in ends:
        if path not in prints:
            prints[path] = _print_file(path, stacks.get(path))
    return [[os.path.basename(path.rstrip("/")) for path in ends], [indices[0], indices[-1], len(indices)],
            [prints[path] for path in ends]]


def _print_file(path: str, frames: tuple[int, int, dict[str, Any]] | None) -> str:
    """A hash of a file's length and ends, and of some of its frames if it is a stack."""
    digest = hashlib.sha256()
    if os.path.isfile(path):
        size = os.path.getsize(path)
        with open_input(path) as stream:
            digest.update(f"{size} ".encode() + stream.read(_PIECE))
            stream.seek(max(size - _PIECE, 0))
            digest.update(stream.read(_PIECE))
    if frames is not None:
        first, last, params = frames
        opened = find_format(path, {**params, GIVEN: EVERYTHING})
        for index in dict.fromkeys((first, last)):
            try:
                panels = opened.raw(index)
            except (FormatError, IndexError):  # whoever reads the image says what is wrong
                continue
            for panel in panels:
                digest.update(f"{panel.dtype} {panel.shape} ".encode() + panel.tobytes())
    return digest.hexdigest()


def _describe_models(experiment: Experiment) -> dict[str, Any]:
    """The models of an experiment, with rounded numbers."""
    models = {name: getattr(experiment, name) for name in ("beam", "detector", "goniometer", "scan")}
    described = {name: None if model is None else model.to_dict() for name, model in models.items()}
    if described["scan"] is not None:
        # Formats without a date take that of the file, which copies do not keep; of a template the first header counts.
        for name in ("epochs", "exposure_time", "properties"):
            described["scan"].pop(name, None)
    return _round_numbers(described)


def _round_numbers(value: Any) -> Any:
    """A tree of dictionaries and lists with its numbers as text of few digits; arrays as lists."""
    if isinstance(value, dict):
        return {str(key): _round_numbers(item) for key, item in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_round_numbers(item) for item in value]
    # 0.0 and -0.0 are one number.
    return f"{value + 0.0:.{_DIGITS}g}" if isinstance(value, float) else value
