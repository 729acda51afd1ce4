"""What an image format is.

A format is a class that recognises a file by its first bytes, gives the models its header states, and decodes its
images. :mod:`xdp.images.formats.find` lists the built-in ones and asks them. A site adds its own through an entry
point.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

if TYPE_CHECKING:
    from xdp.experiment import Beam, Detector, Goniometer, Scan


GIVEN = "given"
"""Name among a format's ``params`` for the quantities that somebody else gives; never part of an .expt file."""

EVERYTHING = frozenset({"wavelength", "distance", "beam_centre", "pixel_size", "trusted_range", "material", "thickness",
                        "oscillation", "images"})
"""The quantities that can be given where a header lacks them; "images": somebody else checks that all are there."""


# No header says about what a 2theta arm turns. That of Diamond I19, whose files with tables of axes do, turns about +x;
# so do those that dxtbx knows.
ARM_AXIS = (1.0, 0.0, 0.0)
# Degrees: encoders of arms that stand at 0 state a little less or more. A choice; at 200 mm it is a fifth of a pixel.
SMALLEST_TURN = 0.01


def describe_turn(name: str, angle: float, more: str = "") -> str:
    """Describe a detector that was turned as most 2theta arms turn.

    Parameters
    ----------
    name : str
        What the header calls the angle.
    angle : float
        Degrees.
    more : str
        What else is assumed, if anything.

    Examples
    --------
    >>> describe_turn("2theta", 20.0).partition(";")[0]
    '2theta is 20 degrees: the detector is turned about +x, as most arms turn'
    """
    return (f"{name} is {angle:g} degrees: the detector is turned about +x, as most arms turn{more}; if its place is "
            "another, give geometry.detector.panel (fast_axis, slow_axis, origin)")


@dataclass(frozen=True)
class Models:
    """What a file's header states about the experiment; None where it states nothing."""

    beam: Beam | None = None
    detector: Detector | None = None
    goniometer: Goniometer | None = None
    scan: Scan | None = None


class Format(ABC):
    """An open image file: one image, or a stack of them.

    Subclasses read no more than the header when they are made; they are thread-safe, since frames are read by many
    threads at once, and cheap to make anew, since a template of single-image files makes one for each frame.

    Attributes
    ----------
    name : str
        The format's name for messages, such as ``miniCBF``.
    is_stack : bool
        Whether one file holds many images (HDF5, zarr, NPY): such a file is a sequence of its own.
    overload_is_trusted : bool
        Whether the highest trusted count is the number in the header itself (which DIALS 3.12 still left out).
    path : str
        The file.
    params : dict
        The ``params`` of the experiment's image set, such as ``multi_panel``; a format takes what it knows of them.
    notes : list of str
        What whoever imports the file should know: what its header has and is not used, or what is assumed; without
        the file's name.
    missing : str
        Why a stack has fewer images than its header announces; empty where it has all, or nobody knows.
    """

    name: ClassVar[str]
    is_stack: ClassVar[bool] = False
    overload_is_trusted: ClassVar[bool] = True

    def __init__(self, path: str | os.PathLike, params: Mapping[str, Any] | None = None) -> None:
        self.path = os.fspath(path)
        self.params = dict(params or {})
        self.notes: list[str] = []
        self.missing = ""

    @property
    def given(self) -> frozenset[str]:
        """Quantities of :data:`EVERYTHING` that the header may lack, since the user gives them or nobody asks."""
        return frozenset(self.params.get(GIVEN, ()))

    @classmethod
    @abstractmethod
    def understands(cls, path: str, head: bytes) -> bool:
        """Whether a file is of this format.

        Parameters
        ----------
        path : str
            The file or folder.
        head : bytes
            Its first 64 KiB, decompressed; empty for a folder.

        Returns
        -------
        bool
        """

    @property
    def n_images(self) -> int:
        """How many images the file holds."""
        return 1

    @abstractmethod
    def models(self, index: int = 0) -> Models:
        """Read the models of one image.

        Parameters
        ----------
        index : int
            Image in the file, from 0.

        Returns
        -------
        Models
            The scan is that of this image alone, or None for a still; each is None where the header states nothing.

        Raises
        ------
        FormatError
            If the header is damaged.
        """

    @abstractmethod
    def raw(self, index: int = 0) -> list[np.ndarray]:
        """Read the pixels of one image.

        Parameters
        ----------
        index : int
            Image in the file, from 0.

        Returns
        -------
        list of (slow, fast) array
            One C-contiguous array a panel, integer or float32.

        Raises
        ------
        FormatError
            If the file is truncated or damaged.
        """

    def stack_models(self) -> Models:
        """Read the models of a whole stack.

        Returns
        -------
        Models
            Those of its first image, with the scan over all images.
        """
        return self.models(0)

    def frame_angles(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Tell the start and width of each image of a stack's scan, where the file states them one by one.

        Returns
        -------
        starts, widths : (n_images,) float64
            Degrees, about the axis of the goniometer that :meth:`stack_models` gives; None instead of both where the
            scan says it all.
        """
        return None

    def list_sources(self) -> frozenset[tuple[str, str]]:
        """List the files and data sets in which a stack's pixels lie, to tell two names of the same images.

        Returns
        -------
        frozenset of (file, data set)
            Files without links; empty where the format does not know.
        """
        return frozenset()

    def static_mask(self) -> list[np.ndarray] | None:
        """Read which pixels are valid in every image.

        Returns
        -------
        list of (slow, fast) bool, or None
            One a panel, True where the pixel is valid; None where all are.
        """
        return None

    def frame_mask(self, index: int) -> list[np.ndarray] | None:
        """Read which pixels are valid in one image, where the file has a mask for each.

        Parameters
        ----------
        index : int
            Image in the file, from 0.

        Returns
        -------
        list of (slow, fast) bool, or None
            One a panel, True where the pixel is valid, besides those of :meth:`static_mask`; None where the file has
            no such masks.
        """
        return None

    def goniometer_shadow(self, angles: Sequence[float]) -> list[np.ndarray] | None:
        """Compute which pixels the goniometer does not shadow.

        Parameters
        ----------
        angles : sequence of float
            Degrees, one for each axis, from the crystal outwards.

        Returns
        -------
        list of (slow, fast) bool, or None
            One a panel, True where the pixel is not shadowed; None where the format does not know.
        """
        return None
