"""The bridge between option models and PHIL text: scopes generated, command lines and .phil files parsed."""

from xdp.options.kinds import FilePath, SpaceGroup, UnitCell
from xdp.options.model import AUTO, Auto, Options, option
from xdp.options.reader import parse, parse_phil
from xdp.options.text import changed_text, scope_text

__all__ = [
    "AUTO",
    "Auto",
    "FilePath",
    "Options",
    "SpaceGroup",
    "UnitCell",
    "changed_text",
    "option",
    "parse",
    "parse_phil",
    "scope_text",
]
