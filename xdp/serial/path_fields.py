"""Fields in the names of files: ``{experiment!l}_avg-r{run:04d}``, as cctbx.xfel has them."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from typing import Any

from xdp.errors import OptionError

#: Fields that a name may have; those that are numbers are -1 where they are not known.
FIELDS: dict[str, int | str] = {
    "chunk": -1, "epoch": -1, "experiment": "", "expNum": -1, "instrument": "", "iso8601": "", "jobName": "",
    "jobNameSub": "", "run": -1, "seqno": -1, "stream": -1, "subprocess": -1, "user": "",
}


class _FieldFormatter(string.Formatter):
    """Formats fields by their names alone: nothing of an object can be reached through them."""

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, str]:
        """The value of a field."""
        if field_name not in kwargs:
            raise OptionError(f"{{{field_name}}} is no field of a file name; known are "
                              f"{', '.join('{' + name + '}' for name in FIELDS)}")
        return kwargs[field_name], field_name

    def convert_field(self, value: Any, conversion: str | None) -> Any:
        """!l and !u: lower and upper case."""
        if conversion in ("l", "u"):
            return str(value).lower() if conversion == "l" else str(value).upper()
        return super().convert_field(value, conversion)


def fill_path_fields(text: str, values: Mapping[str, Any]) -> str:
    """Fill the fields of a name.

    Parameters
    ----------
    text : str
        With fields in braces, formats as of :meth:`str.format`, ``!l`` and ``!u`` for lower and upper case; ``{{`` and
        ``}}`` are braces.
    values : mapping
        Of the fields that are known; None stands for unknown.

    Returns
    -------
    str

    Raises
    ------
    OptionError
        If there is no such field, or its format does not fit.

    Examples
    --------
    >>> fill_path_fields("{experiment!l}_avg-r{run:04d}", {"experiment": "CXI49812", "run": 69})
    'cxi49812_avg-r0069'
    """
    known = FIELDS | {name: value for name, value in values.items() if value is not None}
    try:
        return _FieldFormatter().vformat(text, (), known)
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise OptionError(f"{text!r} is no name with fields: {error}") from None
