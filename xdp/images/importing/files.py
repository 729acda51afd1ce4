"""Which image files a user's words mean: names, patterns, folders and templates."""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from xdp.errors import FormatError
from xdp.images.formats.files import strip_compression
from xdp.images.names import compile_number_pattern, replace_printf, split_name, split_template

logger = logging.getLogger(__name__)

# Missing numbers of a template that a message lists; a choice.
_FEW = 10


@dataclass(frozen=True)
class Candidate:
    """A file that may be an image.

    Attributes
    ----------
    path : str
        Of the file.
    is_named : bool
        Whether the user named it; one that was found in a folder may be something else.
    """

    path: str
    is_named: bool


def list_files(words: Sequence[str]) -> list[Candidate]:
    """List the files that names, patterns and folders mean.

    Parameters
    ----------
    words : sequence of str
        Names, patterns as a shell has them, and folders.

    Returns
    -------
    list of Candidate
        Sorted, each once; of a folder, the files right in it.

    Raises
    ------
    FormatError
        If a file does not exist, a pattern matches nothing, or a folder holds no file.
    """
    found: list[Candidate] = []
    for word in sorted(_expand_patterns(words)):
        if os.path.isdir(word) and not is_stack_folder(word):
            found += [Candidate(name, False) for name in _list_folder(word)]
        elif os.path.exists(word):
            found.append(Candidate(word, True))
        elif os.path.islink(word):
            raise FormatError(f"{word}: is a link to {os.readlink(word)}, which does not exist")
        else:
            raise FormatError(f"{word}: no such file or folder")
    return _drop_repeated(found)


def _drop_repeated(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Keep each file once, however often and by whatever spelling or link it is named: by what comes first.

    A name that is the file's own goes before one that is a link to it, and a file before its compressed copy.
    """
    kept: dict[str, Candidate] = {}
    for candidate in candidates:
        file = os.path.realpath(candidate.path)
        if file not in kept or (os.path.islink(kept[file].path) and not os.path.islink(candidate.path)):
            kept[file] = candidate
    paths = {candidate.path for candidate in kept.values()}
    copies = [candidate.path for candidate in kept.values()
              if strip_compression(candidate.path) != candidate.path and strip_compression(candidate.path) in paths]
    if copies:
        logger.warning("not read: %s%s, since the same file is there uncompressed", copies[0],
                       f" and {len(copies) - 1} others" if len(copies) > 1 else "")
    return [candidate for candidate in kept.values() if candidate.path not in copies]


def make_absolute(path: str) -> str:
    """Make a path absolute; links in it stay, but ``..`` behind one is the folder above that to which it leads.

    Parameters
    ----------
    path : str
        Of a file or folder, which need not be there.

    Returns
    -------
    str

    Examples
    --------
    >>> make_absolute("/data/./run_1/../run_2/img_0001.cbf")
    '/data/run_2/img_0001.cbf'
    """
    result = "/" if path.startswith("/") else os.getcwd()
    for part in path.split("/"):
        if part == "..":
            result = os.path.dirname(os.path.realpath(result) if os.path.islink(result) else result)
        elif part not in ("", "."):
            result = os.path.join(result, part)
    return result


def is_stack_folder(path: str) -> bool:
    """Whether a folder is one stack of images (a zarr store) rather than a place of files."""
    return strip_compression(path).rstrip("/").endswith(".zarr")


def _expand_patterns(words: Sequence[str]) -> list[str]:
    """Replace patterns by what they match; a file that is named so counts as itself."""
    paths = []
    for word in words:
        # Brackets and question marks may stand in the name of a file.
        if not os.path.exists(word) and glob.has_magic(word):
            matches = glob.glob(word)
            if not matches:
                raise FormatError(f"{word}: the pattern matches no file")
            paths += matches
        else:
            paths.append(word)
    return paths


def _list_folder(folder: str) -> list[str]:
    """List the files right in a folder but hidden ones, sorted."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise FormatError(f"{folder}: cannot be listed: {error.strerror}") from error
    # Folders within are not searched, but a zarr store is one stack.
    paths = [os.path.join(folder, name) for name in names if not name.startswith(".")]
    files = [path for path in paths if os.path.isfile(path) or is_stack_folder(path)]
    for path in paths:
        if os.path.islink(path) and not os.path.exists(path):
            logger.warning("not read: %s is a link to %s, which does not exist", path, os.readlink(path))
    if not files:
        raise FormatError(f"{folder}: the folder holds no files")
    return files


def list_template_files(template: str) -> tuple[str, dict[int, str]]:
    """List the files of a template.

    Parameters
    ----------
    template : str
        Path with ``#`` for each digit of the image number, or ``%04d``, in its file name. A single ``#`` stands for
        unpadded numbers of any length; more of them go on with longer numbers where 9999 is followed by 10000.

    Returns
    -------
    template : str
        Absolute, with ``#``; of numbers of more than nine digits the first ones are written out.
    files : dict
        Path of each file by its image number, ascending.

    Raises
    ------
    FormatError
        If it matches no file, or long numbers differ in more than their last six digits.
    """
    # Names are matched as a whole, digits by their number: img_##### is not img_####.
    template = make_absolute(replace_printf(template))
    folder, name = os.path.split(template)
    pattern = compile_number_pattern(name)
    try:
        names = os.listdir(folder)
    except OSError as error:
        raise FormatError(f"{template}: folder {folder} cannot be listed: {error.strerror}") from error
    matches = ((pattern.match(found), found) for found in names)
    found = {match[1]: os.path.join(folder, found) for match, found in matches if match}
    if not found:
        raise FormatError(f"{template}: the template matches no file{_suggest_compressed(name, names)}")
    width = len(parts.digits) if (parts := split_template(name)) else 0
    if width > 1 and "9" * width not in found:
        found = {digits: path for digits, path in found.items() if len(digits) == width}
    if not found:
        raise FormatError(f"{template}: the template matches no file, longer numbers follow on {'9' * width} only")
    shortened = {split_name(path)[0] for path in found.values()}
    if any(len(digits.lstrip("0")) > len(str(split_name(path)[1])) for digits, path in found.items()):
        if len(shortened) > 1:
            raise FormatError(f"{template}: image numbers have nine digits at most; write the first digits out, such "
                              f"as {os.path.basename(min(shortened))}")
        return shortened.pop(), {split_name(path)[1] or 0: path for _, path in sorted(found.items())}
    return template, dict(sorted((int(digits), path) for digits, path in found.items()))


def _suggest_compressed(name: str, names: Sequence[str]) -> str:
    """What to say where only compressed files of a template are there."""
    for ending in (".gz", ".bz2"):
        pattern = compile_number_pattern(name + ending)
        if any(pattern.match(found) for found in names):
            return f"; there are compressed ones: {name}{ending}"
    return ""


def list_missing(numbers: Iterable[int], first: int, last: int) -> str:
    """List the numbers from `first` to `last` that are not among `numbers`, in words; empty where none is missing."""
    if missing := sorted(set(range(first, last + 1)) - set(numbers)):
        listed = ", ".join(map(str, missing[:_FEW])) + (", ..." if len(missing) > _FEW else "")
        return f"missing image{'s' if len(missing) > 1 else ''} {listed} of {first} to {last}"
    return ""
