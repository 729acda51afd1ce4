"""Which image files a user's words mean: names, patterns, folders and templates."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass

from xdp.errors import FormatError
from xdp.images.formats.files import strip_compression
from xdp.images.names import compile_number_pattern, replace_printf


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
    # A file that is named and lies in a folder that is named too counts once, by what comes first.
    found: dict[str, Candidate] = {}
    for word in sorted(_expand_patterns(words)):
        if os.path.isdir(word) and not is_stack_folder(word):
            for name in _list_folder(word):
                found.setdefault(name, Candidate(name, False))
        elif os.path.exists(word):
            found.setdefault(word, Candidate(word, True))
        else:
            raise FormatError(f"{word}: no such file or folder")
    return list(found.values())


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
    if not files:
        raise FormatError(f"{folder}: the folder holds no files")
    return files


def list_template_files(template: str) -> tuple[str, dict[int, str]]:
    """List the files of a template.

    Parameters
    ----------
    template : str
        Path with ``#`` for each digit of the image number, or ``%04d``.

    Returns
    -------
    template : str
        With ``#``.
    files : dict
        Path of each file by its image number, ascending.

    Raises
    ------
    FormatError
        If it matches no file.
    """
    # Names are matched as a whole, digits by their number: img_##### is not img_####.
    template = replace_printf(os.path.normpath(template))
    folder, name = os.path.split(template)
    pattern = compile_number_pattern(name)
    try:
        names = os.listdir(folder or ".")
    except OSError as error:
        raise FormatError(f"{template}: folder {folder} cannot be listed: {error.strerror}") from error
    matches = ((pattern.match(found), found) for found in names)
    found = {int(match[1]): os.path.join(folder, found) for match, found in matches if match}
    if not found:
        raise FormatError(f"{template}: the template matches no file")
    return template, dict(sorted(found.items()))
