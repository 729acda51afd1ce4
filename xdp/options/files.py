"""Which files the values of an option model name: those that are read, and those that are written."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from xdp.options.model import Options
from xdp.options.tree import Definition, Scope, build_tree
from xdp.protection import refuse_input


@dataclass(frozen=True)
class NamedFile:
    """A file that a parameter names.

    Attributes
    ----------
    parameter : str
        Full name of the parameter.
    name : str
        The file; with `is_pattern` a pattern as of :mod:`glob` that all its files match.
    in_place : bool
        Whether the output may replace the input of the same kind.
    is_pattern : bool
    """

    parameter: str
    name: str
    in_place: bool = False
    is_pattern: bool = False

    @property
    def kind(self) -> str:
        """The last part of the parameter's name: ``experiments``, ``reflections``, ``log`` ..."""
        return self.parameter.rpartition(".")[2]


def list_input_files(options: Options) -> list[NamedFile]:
    """List the files and folders that the parameters name as inputs.

    Examples
    --------
    >>> from xdp.spotfinding.options import FindSpotsOptions
    >>> list_input_files(FindSpotsOptions())
    []
    """
    return [NamedFile(definition.path, name) for definition, _, value in _values(build_tree(type(options)), options)
            if definition.file == "input" for name in (value if isinstance(value, tuple) else (value,))
            if isinstance(name, str)]


def list_output_files(options: Options) -> list[NamedFile]:
    """List the files that the parameters name as outputs.

    Files whose names come from the data (Auto) are not among them, nor those that ``when`` switches off.

    Examples
    --------
    >>> from xdp.spotfinding.options import FindSpotsOptions
    >>> [file.name for file in list_output_files(FindSpotsOptions())]
    ['strong.refl', 'xdp.find_spots.log']
    """
    found = []
    for definition, model, value in _values(build_tree(type(options)), options):
        # A switch that is off (`when`) leaves the name without a file.
        if definition.file != "output" or (definition.when and not getattr(model, definition.when)):
            continue
        # The value is only a part of the names: a pattern stands for all of them.
        if definition.names and value is not None:
            found.append(NamedFile(definition.path, _pattern(definition.names, model), is_pattern=True))
        elif isinstance(value, str):
            found.append(NamedFile(definition.path, value, definition.in_place))
    return found


def refuse_outputs(options: Options) -> None:
    """Refuse options that name as an output what is declared as an input.

    Raises
    ------
    XdpError
        At the first such output; the message names both files.
    """
    for file in list_output_files(options):
        # Only files that are there already can be inputs.
        for name in glob.glob(file.name) if file.is_pattern else (file.name,):
            refuse_input(name, file.parameter)


def _values(scope: Scope, model: Any) -> Iterator[tuple[Definition, Any, Any]]:
    """Each parameter with the model that holds it and its value."""
    for node in scope.children:
        value = getattr(model, node.attribute)
        if isinstance(node, Definition):
            yield node, model, value
            continue
        for inner in value if node.multiple else (value,):
            yield from _values(node, inner)


def _pattern(names: str, model: Options) -> str:
    """A pattern with the model's values put in, whose own brackets and stars stand for themselves."""
    values = {field: getattr(model, field) for field in type(model).model_fields}
    texts = {field: glob.escape(value) if isinstance(value, str) else "" for field, value in values.items()}
    return names.format(**{**texts, "directory": texts.get("directory") or "."})
