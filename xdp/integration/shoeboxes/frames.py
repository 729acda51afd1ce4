"""The frames of a sweep as integration sees them: counts, and which of them may be used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xdp.errors import OptionError, XdpError
from xdp.images.masked_frames import MaskedFrames, PanelFrame
from xdp.integration.plan.sweeps import Sweep

if TYPE_CHECKING:
    from xdp.images.reader import Reader


def check_excluded_images(sweeps: Sequence[Sweep], numbers: Sequence[int] | None) -> tuple[int, ...]:
    """The images that a parameter ``exclude_images`` leaves out of each sweep.

    Parameters
    ----------
    sweeps : sequence of Sweep
    numbers : sequence of int or None
        Images, counted from 0.

    Returns
    -------
    tuple of int

    Raises
    ------
    OptionError
        If no sweep has an image of some number, or no image is left.
    """
    # Sweeps differ in length: a number must be an image of one of them at least.
    numbers = tuple(numbers or ())
    longest = max(sweep.n_frames for sweep in sweeps)
    beside = [number for number in numbers if not 0 <= number < longest]
    if beside:
        raise OptionError(f"exclude_images={beside[0]}: images are counted from 0 to {longest - 1} here")
    if len(set(numbers)) == longest:
        raise OptionError("exclude_images leaves no image")
    return numbers


class FrameSource:
    """Reads the frames of one sweep.

    Parameters
    ----------
    sweep : Sweep
    lookup : str, optional
        A mask file that holds besides that of the image set.
    dynamic : bool, default True
        Whether the goniometer's shadow is masked where it is known.
    excluded : collection of int
        Images (numbers as in DIALS: frames from 0 of the image set) of which nothing is used.
    """

    def __init__(self, sweep: Sweep, *, lookup: str | None = None, dynamic: bool = True,
                 excluded: Sequence[int] = ()):
        self.sweep = sweep
        self.excluded = frozenset(excluded)
        # Opened when the first frame is read: a source travels to workers with its models only.
        self.frames = MaskedFrames(sweep.model, lookup=lookup, use_shadow=dynamic)
        self._ahead: dict[int, list[PanelFrame]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_ahead": {}}  # images do not travel to workers

    def _open_frames(self) -> MaskedFrames:
        """The frames, opened; an error if there are fewer images than the scan has."""
        n_frames = self.frames.reader.n_frames
        if n_frames < self.sweep.n_frames:
            raise XdpError(f"image set {self.sweep.number}: the scan has {self.sweep.n_frames} images, "
                           f"{n_frames} are there")
        return self.frames

    @property
    def reader(self) -> Reader:
        """The open reader of the images."""
        return self._open_frames().reader

    @property
    def static_mask(self) -> list[np.ndarray] | None:
        """Pixels that may be used on all frames, one (slow, fast) bool array a panel; None: all."""
        return self._open_frames().static_mask

    def is_excluded(self, z: int) -> bool:
        """Whether nothing of frame `z` (array index of the scan) is to be used."""
        return z - self.sweep.first in self.excluded

    def read(self, z: int) -> list[PanelFrame] | None:
        """Read frame `z` (array index), panel by panel; None for an excluded one.

        Raises
        ------
        XdpError
            If the image is missing or damaged.
        """
        if self.is_excluded(z):
            return None
        ahead = self._ahead.pop(z, None)
        if ahead is not None:
            return ahead
        frames = self._open_frames()
        try:
            return frames.read(z - self.sweep.first, z)
        except IndexError as error:
            raise XdpError(f"image {z + 1} is not there: {error}; has the file changed since import?") from error

    def read_ahead(self, z: int) -> list[PanelFrame] | None:
        """Read frame `z` to look at it, and keep it in memory until :meth:`read` is asked for it.

        Parameters
        ----------
        z : int
            Array index.

        Raises
        ------
        XdpError
            If the image is missing or damaged.
        """
        found = self.read(z)
        if found is not None:
            self._ahead[z] = found
        return found
