"""Words of PHIL text to Python values, and back: literals only, nothing is evaluated."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from typing import Any, Protocol

from xdp.errors import OptionError
from xdp.options.model import AUTO, describe_broken_bound
from xdp.options.tree import Definition


class Word(Protocol):
    """A word as freephil's tokenizer gives it."""

    value: str
    quote_token: str | None


_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
_INTEGER = re.compile(r"[+-]?[0-9]+(\.0*)?\Z")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\Z")


def read_value(definition: Definition, words: list[Word]) -> Any:
    """The value that the user's words give to a parameter.

    Raises
    ------
    OptionError
        If the words are not of the parameter's type or out of its bounds; the message says what is wanted.
    """
    kind = definition.kind
    # In quotes the words None and Auto are text.
    plain = words[0].value.lower() if len(words) == 1 and words[0].quote_token is None else ""
    if plain == "auto" and kind.allow_auto:
        return AUTO
    if plain == "none" and kind.allow_none:
        return None
    text = " ".join(word.value for word in words)
    if plain == "none" and plain in kind.choices:  # as mp.method=none: a choice like any other
        return _choice(definition, words)
    # The word None is refused where it is no value: it is hardly meant as a name.
    if (plain == "auto" and kind.base in ("str", "path")) or plain == "none":
        raise _refuse(definition, text)
    if kind.base == "choice":
        return _choice(definition, words)
    try:
        value = _READERS[kind.base](text) if kind.base != "strings" else tuple(word.value for word in words)
    except ValueError:
        raise _refuse(definition, text) from None
    _check(definition, value, text)
    return value


def _check(definition: Definition, value: Any, text: str) -> None:
    """Refuse a wrong number of values and values out of bounds."""
    size = definition.kind.size
    if size is not None and len(value) != size:
        raise _refuse(definition, text)
    if definition.bounds:
        for number in value if isinstance(value, tuple) else (value,):
            if describe_broken_bound(number, definition.bounds):
                raise _refuse(definition, text)


def _refuse(definition: Definition, text: str) -> OptionError:
    return OptionError(f"{definition.path} must be {definition.wanted}, got {text!r}")


def _bool(text: str) -> bool:
    lower = text.lower()
    if lower not in _TRUE + _FALSE:
        raise ValueError(text)
    return lower in _TRUE


def _int(text: str) -> int:
    # Python turns long digits to numbers in quadratic time; nobody means 40 of them.
    if not _INTEGER.match(text) or len(text) > 40:
        raise ValueError(text)
    return int(text.partition(".")[0])


def _float(text: str) -> float:
    if not _NUMBER.match(text):
        raise ValueError(text)
    number = float(text)
    # 1e999 matches the pattern and is infinite.
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _items(text: str) -> list[str]:
    """Split a list of numbers: separated by blanks, commas or semicolons, perhaps in brackets, as PHIL allows."""
    text = text.strip()
    while len(text) >= 2 and text[0] + text[-1] in ("()", "[]"):
        text = text[1:-1].strip()
    items = text.replace(",", " ").replace(";", " ").split()
    if not items:
        raise ValueError(text)
    return items


def _unit_cell(text: str) -> tuple[float, ...]:
    """Six numbers, or three with right angles; positive, angles below 180 degrees, and a cell that has a volume."""
    cell = tuple(_float(item) for item in _items(text))
    if len(cell) == 3:
        cell = (*cell, 90.0, 90.0, 90.0)
    if len(cell) != 6 or min(cell) <= 0 or max(cell[3:]) >= 180:
        raise ValueError(text)
    ca, cb, cg = (math.cos(math.radians(angle)) for angle in cell[3:])
    # The squared volume over (abc)^2: angles such as 10, 90, 170 enclose none.
    if 1 - ca * ca - cb * cb - cg * cg + 2 * ca * cb * cg <= 1e-12:
        raise ValueError(text)
    return cell


def _space_group(text: str) -> str:
    """A symbol or number that gemmi knows, left as the user wrote it."""
    import gemmi  # late: 20 ms that only a user who names a space group pays

    text = text.strip()
    if text.isdigit():
        known = 1 <= int(text) <= 230
    else:
        known = gemmi.find_spacegroup_by_name(text) is not None or _hall(gemmi, text)
    if not known:
        raise ValueError(text)
    return text


def _hall(gemmi: Any, text: str) -> bool:
    try:
        return gemmi.find_spacegroup_by_ops(gemmi.symops_from_hall(text.removeprefix("Hall:"))) is not None
    except (ValueError, RuntimeError):
        return False


_READERS: dict[str, Callable[[str], Any]] = {
    "bool": _bool,
    "int": _int,
    "float": _float,
    "str": str,
    "path": os.path.expanduser,
    "ints": lambda text: tuple(_int(item) for item in _items(text)),
    "floats": lambda text: tuple(_float(item) for item in _items(text)),
    "unit_cell": _unit_cell,
    "space_group": _space_group,
}


def _choice(definition: Definition, words: list[Word]) -> Any:
    """The selected word(s) of a choice: ``b``, ``a *b c``, ``*a *b`` or ``a+b``; the case does not matter."""
    kind = definition.kind
    known = {choice.lower(): choice for choice in kind.choices}
    text = " ".join(word.value for word in words)
    # PHIL prints a choice with all its words, the chosen ones starred; that text reads back.
    marked = [word.value[1:] for word in words if word.value.startswith("*")]
    if marked:
        chosen = marked
    elif kind.multi and "+" in text:
        chosen = [item for item in "".join(word.value for word in words).split("+") if item]
    elif len(words) == 1:
        chosen = [words[0].value]
    else:
        chosen = []
    if not chosen and kind.multi:
        return ()
    if not chosen or any(item.lower() not in known for item in chosen) or (len(chosen) > 1 and not kind.multi):
        raise _refuse(definition, text)
    # In the order of the model, so that equal choices are equal values.
    selected = {known[item.lower()] for item in chosen}
    ordered = tuple(choice for choice in kind.choices if choice in selected)
    return ordered if kind.multi else ordered[0]


def write_value(definition: Definition, value: Any) -> str:
    """Write a value as PHIL text, which :func:`read_value` reads back as the same value.

    Parameters
    ----------
    definition : Definition
        Its kind says how: of a choice all words are listed, the chosen ones with a star.
    value : object
        Of the parameter's type; None and `AUTO` are written as words.
    """
    kind = definition.kind
    if kind.base == "choice" and value is not AUTO:
        selected = () if value is None else value if kind.multi else (value,)
        return " ".join(f"*{choice}" if choice in selected else choice for choice in kind.choices)
    if value is None or value is AUTO or isinstance(value, bool):
        return repr(value)
    if kind.base in ("str", "path"):
        return quote_text(value)
    if kind.base == "strings":
        return " ".join(quote_text(item) for item in value) or "None"
    if kind.base == "unit_cell":
        return ",".join(_number_text(item) for item in value)
    if isinstance(value, tuple):
        return " ".join(_number_text(item) for item in value) or "None"
    return value if isinstance(value, str) else _number_text(value)


def _number_text(number: float) -> str:
    """The shortest text that reads back as the same number, without a trailing ``.0``."""
    short = f"{number:.10g}"
    return short if float(short) == number else repr(number)


def quote_text(text: str) -> str:
    r"""Put text in single quotes, within which PHIL substitutes no variables.

    Examples
    --------
    >>> print(quote_text("it's"))
    'it\'s'
    """
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
