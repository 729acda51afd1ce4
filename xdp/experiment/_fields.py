"""Checked reading of the dictionaries that an ``.expt`` file is made of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from xdp.errors import FormatError

#: Stands for "no default": None is a default that callers use.
_REQUIRED = object()


class Fields:
    """Take the known keys out of one dictionary of a file, each checked; what is left over is kept as it is.

    Parameters
    ----------
    source
        The dictionary as JSON gave it.
    where
        What it is and where it came from, for messages: ``"imported.expt: beam 0"``.
    """

    def __init__(self, source: object, where: str) -> None:
        if not isinstance(source, Mapping):
            raise FormatError(f"{where}: expected a JSON object, got {_shown(source)}")
        self.where = where
        self._left = dict(source)

    def __contains__(self, key: str) -> bool:
        return key in self._left

    def take(self, key: str, default: Any = _REQUIRED) -> Any:
        """The value of `key` as it stands; `default` where it is missing or null."""
        # DIALS writes null for what is not there
        value = self._left.pop(key, None)
        if value is not None:
            return value
        if default is _REQUIRED:
            raise FormatError(f"{self.where}: '{key}' is missing")
        return default

    def number(self, key: str, default: Any = _REQUIRED, *, infinite: bool = False) -> float:
        """A finite number (an infinite one too where `infinite`)."""
        value = self.take(key, default)
        if not _is_number(value) or math.isnan(value) or (math.isinf(value) and not infinite):
            self._refuse(key, "a finite number", value)
        return float(value)

    def integer(self, key: str, default: Any = _REQUIRED) -> int:
        """A whole number."""
        value = self.take(key, default)
        # 3.0 is a whole number too: some programs write all numbers of JSON with a point
        if not _is_number(value) or not math.isfinite(value) or value != math.floor(value):
            self._refuse(key, "a whole number", value)
        return int(value)

    def text(self, key: str, default: Any = _REQUIRED) -> Any:
        """A string; `default` may be None."""
        value = self.take(key, default)
        if value is not default and not isinstance(value, str):
            self._refuse(key, "a string", value)
        return value

    def vector(self, key: str, size: int | None = 3, default: Any = _REQUIRED, *, infinite: bool = False
               ) -> tuple[float, ...]:
        """A tuple of `size` finite numbers (of any length where `size` is None)."""
        value = self.take(key, default)
        if not _are_numbers(value, size) or any(math.isnan(v) or (math.isinf(v) and not infinite) for v in value):
            self._refuse(key, f"{'' if size is None else f'{size} '}finite numbers", value)
        return tuple(float(v) for v in value)

    def integers(self, key: str, size: int, default: Any = _REQUIRED) -> tuple[int, ...]:
        """A tuple of `size` whole numbers."""
        value = self.take(key, default)
        if not _are_numbers(value, size) or any(not math.isfinite(v) or v != math.floor(v) for v in value):
            self._refuse(key, f"{size} whole numbers", value)
        return tuple(int(v) for v in value)

    def rows(self, key: str, size: int, default: Any = _REQUIRED) -> tuple[tuple[float, ...], ...]:
        """A tuple of tuples of `size` finite numbers each."""
        value = self.take(key, default)
        if not isinstance(value, Sequence) or isinstance(value, str) or not all(
                _are_numbers(row, size) and all(math.isfinite(v) for v in row) for row in value):
            self._refuse(key, f"a list of lists of {size} finite numbers", value)
        return tuple(tuple(float(v) for v in row) for row in value)

    def numbers(self, key: str, size: int, default: Any = _REQUIRED) -> tuple[float, ...]:
        """A tuple of `size` numbers, which need not be finite."""
        value = self.take(key, default)
        if value is not default and not _are_numbers(value, size):
            self._refuse(key, f"{size} numbers", value)
        return tuple(value)

    def mapping(self, key: str, default: Any = _REQUIRED) -> Any:
        """A dictionary; `default` may be None."""
        value = self.take(key, default)
        if value is not default and not isinstance(value, Mapping):
            self._refuse(key, "a JSON object", value)
        return value

    def others(self) -> Fields:
        """A copy, by which keys can be checked that stay among the unknown ones."""
        return Fields(self._left, self.where)

    def rest(self) -> dict[str, Any]:
        """What no one asked for: the unknown keys, to be written back as they were."""
        return dict(self._left)

    def _refuse(self, key: str, wanted: str, got: object) -> None:
        raise FormatError(f"{self.where}: '{key}' must be {wanted}, got {_shown(got)}")


def axis(fields: Fields, key: str, default: Any = _REQUIRED) -> tuple[float, ...]:
    """A direction: three finite numbers, not all zero, nor so large that their squares overflow."""
    value = fields.vector(key, 3, default)
    # squares beyond these bounds leave the range of a double
    if not 1e-100 < math.hypot(*value) < 1e100:
        raise FormatError(f"{fields.where}: '{key}' has no length or no sensible one, got {value}")
    return value


def _is_number(value: object) -> bool:
    """Whether it is a number; true and false are numbers to Python, but not to us."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _are_numbers(value: object, size: int | None) -> bool:
    """Whether it is a list of `size` numbers, or of any number of them."""
    return (isinstance(value, Sequence) and not isinstance(value, str) and size in (None, len(value))
            and all(_is_number(v) for v in value))


def _shown(value: object) -> str:
    """A value for a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
