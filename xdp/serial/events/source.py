"""Where shots come from: one class a kind, with one interface."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from xdp.serial.events.shot import Shot

if TYPE_CHECKING:
    from xdp.serial.events.context import RunContext


class Source(ABC):
    """Shots in order: those of a stack, of many files with one image each, or of a stream.

    A source travels to workers as little more than names. Any number of threads may read it.
    """

    @property
    @abstractmethod
    def n_shots(self) -> int:
        """How many shots there are now; a file that is still being written may have more later."""

    @abstractmethod
    def get_id(self, index: int) -> str:
        """Get the name of a shot, without reading it.

        Parameters
        ----------
        index : int
            In this source, from 0.

        Returns
        -------
        str
            As CrystFEL has it: ``run.cxi //12``.
        """

    @abstractmethod
    def read(self, index: int) -> Shot:
        """Read a shot.

        Parameters
        ----------
        index : int
            In this source, from 0; that of the shot among all events is set by who calls.

        Returns
        -------
        Shot

        Raises
        ------
        Exception
            Of any kind; :class:`~xdp.serial.events.events.Events` makes the shot's failure of it.
        """

    def refresh(self) -> None:  # noqa: B027  most sources do not grow
        """Look again how many shots there are."""


class OneImageFiles(Source):
    """Files that have one image each, in order; none is opened before its turn.

    Parameters
    ----------
    files : sequence of str
        In order.
    context : RunContext
        Of the run.
    """

    def __init__(self, files: Sequence[str], context: RunContext) -> None:
        self.files = tuple(files)
        self.context = context

    @property
    def n_shots(self) -> int:
        """Number of files."""
        return len(self.files)

    def get_id(self, index: int) -> str:
        """Get the file's name."""
        return self.files[index]
