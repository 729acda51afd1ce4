"""Reads the ``.cfg`` of a chain, as pyana and psana take it. Nothing in it is ever evaluated as code."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from xdp.errors import OptionError

SECTIONS = ("pyana", "psana")
"""The section with the modules: one of these makes a file the configuration of a chain."""
NOT_GIVEN = ("none", "no", "")
"""Values that mean: not given."""
CODE_KEYS = ("dark_path", "dark_stddev", "gain_map_path", "mask_path")
"""Keys whose values the original evaluates as Python."""
_CODE = re.compile(r"""[()'"\[\]]|\blambda\b|__""")
_HEADER = re.compile(r"^\s*\[([^\]]+)\]\s*(.*)$")
_PAIR = re.compile(r"(?:^|(?<=\s))([\w-]+)\s*=\s*")


@dataclass(frozen=True)
class ModuleSettings:
    """One instance of a module in the chain.

    Attributes
    ----------
    name : str
        The module without its package: ``mod_hitfind``.
    instance : str
        What follows the colon; the name of the module without one.
    keys : dict of str to str
        Values that are given, as they are written.
    """

    name: str
    instance: str
    keys: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """How messages call it."""
        return self.name if self.instance == self.name else f"{self.name}:{self.instance}"


@dataclass(frozen=True)
class ChainSettings:
    """The modules of a chain, in order.

    Attributes
    ----------
    modules : tuple of ModuleSettings
    num_cpu : int or None
        Processes, as the section has them.
    files : tuple of str
        The configuration and the PHIL files that it names, which exist.
    """

    modules: tuple[ModuleSettings, ...]
    num_cpu: int | None = None
    files: tuple[str, ...] = ()


def is_chain_file(path: str | os.PathLike) -> bool:
    """Whether a file is the configuration of a chain: it has a section [pyana] or [psana], as lsf.sh tells it.

    Parameters
    ----------
    path : path

    Returns
    -------
    bool
    """
    try:
        text = Path(path).read_text(errors="replace")
    except OSError:
        return False
    return any(re.match(rf"\s*\[({'|'.join(SECTIONS)})\]", line) for line in text.splitlines())


def read_chain(path: str | os.PathLike) -> ChainSettings:
    """Read the configuration of a chain.

    Parameters
    ----------
    path : path

    Returns
    -------
    ChainSettings

    Raises
    ------
    OptionError
        If it cannot be read, has no modules, or a line is not understood.
    """
    try:
        text = Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"{path}: cannot be read ({error})") from None
    settings = parse_chain(text, str(path))
    targets = [find_phil_file(module.keys["xtal_target"], os.path.dirname(str(path)))
               for module in settings.modules if "xtal_target" in module.keys]
    files = [str(path), *(target for target in targets if target is not None)]
    return ChainSettings(settings.modules, settings.num_cpu, tuple(dict.fromkeys(files)))


def parse_chain(text: str, where: str = "the configuration") -> ChainSettings:
    r"""Read the text of a configuration.

    Parameters
    ----------
    text : str
    where : str
        What messages begin with.

    Returns
    -------
    ChainSettings

    Raises
    ------
    OptionError
        If there are no modules, or a line is not understood.

    Examples
    --------
    >>> chain = parse_chain('''[pyana]
    ... modules = my.mod_hitfind:hitfind \\
    ...           my.mod_dump
    ... [my.mod_hitfind]
    ... threshold = 450''')
    >>> [module.label for module in chain.modules], chain.modules[0].keys
    (['mod_hitfind:hitfind', 'mod_dump'], {'threshold': '450'})
    """
    sections = _split_sections(text, where)
    head = next((sections[name] for name in SECTIONS if name in sections), None)
    if head is None:
        raise OptionError(f"{where}: has no section [pyana] or [psana]")
    words = [word for word in re.split(r"[\s,]+", head.get("modules", "")) if word not in ("", "\\")]
    if not words:
        raise OptionError(f"{where}: modules = names no module")
    modules = tuple(_make_module(word, sections) for word in words)
    number = head.get("num-cpu", head.get("num_cpu"))
    if number is not None and not number.isdigit():
        raise OptionError(f"{where}: num-cpu must be a whole number, got {number!r}")
    return ChainSettings(modules, None if number is None else int(number))


def _make_module(word: str, sections: Mapping[str, Mapping[str, str]]) -> ModuleSettings:
    """The settings of one word of ``modules``: keys of the module's section, and those of the instance over them."""
    path, _, instance = word.partition(":")
    name = path.rpartition(".")[2]
    keys = {**sections.get(path, {}), **sections.get(word, {})}
    return ModuleSettings(name, instance or name,
                          {key: value for key, value in keys.items() if value.lower() not in NOT_GIVEN})


def _split_sections(text: str, where: str) -> dict[str, dict[str, str]]:
    """Keys and values of each section; a section that stands twice is one."""
    sections: dict[str, dict[str, str]] = {}
    current: dict[str, str] | None = None
    last: str | None = None
    for number, line in _join_lines(text):
        header = _HEADER.match(line)
        rest = line
        if header:
            current, last, rest = sections.setdefault(header.group(1).strip(), {}), None, header.group(2)
        if not rest.strip():
            continue
        if current is None:
            raise OptionError(f"{where}, line {number}: stands before the first [section]: {rest.strip()!r}")
        if _PAIR.match(rest.strip()):
            last = _add_pairs(rest.strip(), current, is_one=header is None)
        elif last is not None and line[:1].isspace():
            # an indented line goes on with the value before it, as ConfigParser has it
            current[last] = f"{current[last]} {rest.strip()}".strip()
        else:
            raise OptionError(f"{where}, line {number}: is no 'key = value': {rest.strip()!r}")
    return sections


def _join_lines(text: str) -> list[tuple[int, str]]:
    """Lines with the number of their first one: a backslash at the end goes on, comments are left out."""
    out: list[tuple[int, str]] = []
    goes_on = False
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith(("#", ";")):
            continue
        body = line.rstrip()
        if goes_on:
            out[-1] = (out[-1][0], f"{out[-1][1]} {body.strip().removesuffix(chr(92)).rstrip()}")
        else:
            out.append((number, body.removesuffix("\\").rstrip()))
        goes_on = body.endswith("\\")
    return out


def _add_pairs(text: str, section: dict[str, str], is_one: bool) -> str:
    """Add ``key = value``, of which a section's own line may hold several; the key of the last."""
    found = list(_PAIR.finditer(text))
    # a value may hold a = of its own: only behind a header are there more pairs in a line
    found = found[:1] if is_one else found
    for k, pair in enumerate(found):
        end = found[k + 1].start() if k + 1 < len(found) else len(text)
        section[pair.group(1)] = text[pair.end():end].strip()
    return found[-1].group(1)


def refuse_code(key: str, value: str, label: str) -> None:
    """Refuse a value that only makes sense as Python code.

    Parameters
    ----------
    key, value : str
    label : str
        Of the module, for the message.

    Raises
    ------
    OptionError
        If it looks like code.

    Examples
    --------
    >>> refuse_code("dark_path", "/data/dark.h5", "mod_hitfind")
    """
    if key in CODE_KEYS and _CODE.search(value):
        raise OptionError(f"{label}: {key} = {value} is Python code; xdp never evaluates what a configuration says: "
                          "give the path itself, with fields such as {run:04d} where it depends on the run")


def find_phil_file(name: str, folder: str = "") -> str | None:
    """Find the file that ``xtal_target`` names: as given, or with .params or .phil added.

    Parameters
    ----------
    name : str
    folder : str
        Where it is looked for besides the current folder.

    Returns
    -------
    str or None
    """
    for base in dict.fromkeys((name, os.path.join(folder, name))):
        for path in (base, f"{base}.params", f"{base}.phil"):
            if os.path.isfile(path):
                return path
    return None
