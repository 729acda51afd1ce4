"""The errors a user can meet: one line that says what was wanted, what came, and what to do.

Commands print the message of an :class:`XdpError` without a traceback and exit with status 1; every other
exception is a defect of ours and keeps its traceback.
"""


class XdpError(Exception):
    """Something outside the program is not as it must be; the message is for the user."""


class FormatError(XdpError):
    """A file is damaged, of another format than it claims, or inconsistent; the message names the file."""


class NoGeometryError(FormatError):
    """The header of an image does not say where the detector stands, and nobody else does."""


class OptionError(XdpError):
    """A parameter is unknown, ill-typed or out of bounds; the message says which and what would fit."""


class UnknownParameterError(OptionError):
    """A name is that of no parameter; `typed` is the name."""

    def __init__(self, message: str, typed: str = "") -> None:
        super().__init__(message)
        self.typed = typed


class ColumnError(XdpError, KeyError):
    """A reflection table lacks a column that is needed; the message names it."""

    __str__ = Exception.__str__  # that of KeyError puts the message in quotes


class DiskError(XdpError):
    """A disk takes no more: it is full, or the user's share of it, or it fails; the message names the file."""
