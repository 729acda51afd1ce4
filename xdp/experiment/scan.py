"""The scan: which frames, at which angles and times."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np

from xdp.display import Displayed
from xdp.errors import FormatError
from xdp.experiment._fields import Fields

#: A scan of more images is taken for a damaged file (a choice): lists as long as the scan would be made.
_MOST_IMAGES = 10_000_000


@dataclass(frozen=True, repr=False)
class Scan(Displayed):
    """Frames of a series.

    Parameters
    ----------
    image_range
        First and last image number, both inclusive, as in the file names.
    oscillation
        Angle at the start of the first image, and width of an image; degrees. Width 0: stills.
    exposure_time, epochs
        Seconds, one an image.
    batch_offset
        Added to image numbers to make batch numbers.
    valid_image_ranges
        Per experiment identifier: ranges of images in use.
    extra
        Unknown keys of the file, written back as they were.
    """

    image_range: tuple[int, ...]
    oscillation: tuple[float, ...] = (0.0, 0.0)
    exposure_time: tuple[float, ...] = ()
    epochs: tuple[float, ...] = ()
    batch_offset: int = 0
    valid_image_ranges: dict[str, Any] = field(default_factory=dict, hash=False)
    extra: dict[str, Any] = field(default_factory=dict, hash=False)

    def _facts(self) -> list[tuple[str, Any]]:
        start, width = self.oscillation
        return [("images", f"{self.image_range[0]} to {self.image_range[1]}"),
                ("oscillation", f"{width:.6g}° from {start:.6g}°")]

    @property
    def n_frames(self) -> int:
        """Number of images."""
        return self.image_range[1] - self.image_range[0] + 1

    @property
    def array_range(self) -> tuple[int, int]:
        """The z coordinate (frames) at which the scan begins and ends: image 1 covers 0 to 1."""
        return self.image_range[0] - 1, self.image_range[1]

    @property
    def is_still(self) -> bool:
        """Whether the crystal stands still during an image (width of an image below 1e-7 degrees)."""
        return abs(self.oscillation[1]) < 1e-7

    @overload
    def angle(self, z: float) -> float: ...

    @overload
    def angle(self, z: np.ndarray) -> np.ndarray: ...

    def angle(self, z: np.ndarray | float) -> np.ndarray | float:
        """Rotation angle at a frame coordinate.

        Parameters
        ----------
        z : float or array
            Frame coordinate, see :attr:`array_range`.

        Returns
        -------
        float or array
            Degrees.

        Examples
        --------
        >>> float(Scan((1, 10), (30.0, 0.5)).angle(2.0))
        31.0
        """
        return self.oscillation[0] + (np.asarray(z) - self.array_range[0]) * self.oscillation[1]

    @overload
    def frame_coordinate(self, angle: float) -> float: ...

    @overload
    def frame_coordinate(self, angle: np.ndarray) -> np.ndarray: ...

    def frame_coordinate(self, angle: np.ndarray | float) -> np.ndarray | float:
        """Frame coordinate at which a rotation angle is reached.

        Parameters
        ----------
        angle : float or array
            Degrees; no full turn is added or taken off.

        Returns
        -------
        float or array

        Raises
        ------
        ValueError
            If the crystal stands still.
        """
        if self.oscillation[1] == 0.0:
            raise ValueError("a still has no frame coordinate for an angle")
        return self.array_range[0] + (np.asarray(angle) - self.oscillation[0]) / self.oscillation[1]

    @classmethod
    def from_dict(cls, source: dict[str, Any], where: str = "scan") -> Scan:
        """The scan of a dictionary in DIALS' form: of 3.12 and before, or with ``properties`` as later ones write it.

        Raises
        ------
        FormatError
            If the range of images makes no sense; the message begins with `where`.
        """
        fields = Fields(source, where)
        image_range = fields.integers("image_range", 2)
        if image_range[1] < image_range[0]:
            raise FormatError(f"{where}: 'image_range' must rise, got {image_range}")
        n_frames = image_range[1] - image_range[0] + 1
        if n_frames > _MOST_IMAGES:
            raise FormatError(f"{where}: 'image_range' must hold at most {_MOST_IMAGES} images, got {image_range}")
        properties = fields.mapping("properties", None)
        values = fields if properties is None else Fields(properties, f"{where}, properties")
        # some files have one number for all images
        exposure = values.take("exposure_time", ())
        times = Fields({"exposure_time": exposure if isinstance(exposure, list | tuple) else [exposure]}, where)
        scan = cls(
            image_range=image_range,
            oscillation=_oscillation(values, n_frames, properties is not None),
            exposure_time=_padded(times.vector("exposure_time", None), n_frames),
            epochs=values.vector("epochs", None, ()),
            batch_offset=fields.integer("batch_offset", 0),
            valid_image_ranges=dict(fields.mapping("valid_image_ranges", {})),
        )
        extra = fields.rest()
        if properties is not None and values.rest():
            extra["properties"] = values.rest()
        scan.extra.update(extra)  # a new dictionary of the new scan, nobody else's
        return scan

    def to_dict(self) -> dict[str, Any]:
        """The scan as a dictionary in DIALS' form of 3.12, which later versions read too.

        Where the scan was read from a file with ``properties``, these are in it as well.
        """
        n = self.n_frames
        # DIALS writes one number an image of each, even where nothing is known.
        times = {"exposure_time": list(self.exposure_time) or [0.0] * n, "epochs": list(self.epochs) or [0.0] * n}
        result = {
            "image_range": list(self.image_range),
            "batch_offset": self.batch_offset,
            "oscillation": list(self.oscillation),
            **times,
            "valid_image_ranges": self.valid_image_ranges,
        } | self.extra
        if "properties" in self.extra:  # later DIALS reads all from there, if it reads anything from there
            starts = [self.oscillation[0] + i * self.oscillation[1] for i in range(n)]
            width = {"oscillation_width": [self.oscillation[1]]} if n == 1 else {}
            result["properties"] = {"oscillation": starts, **width, **times, **self.extra["properties"]}
        return result


def _oscillation(values: Fields, n_frames: int, is_list: bool) -> tuple[float, ...]:
    """Start and width in degrees; later DIALS gives the start of each image, and the width of a single one."""
    if not is_list:
        return values.vector("oscillation", 2, (0.0, 0.0))
    starts = values.vector("oscillation", None, ())
    width = values.vector("oscillation_width", None, ())
    if not starts:
        return 0.0, 0.0
    # The width is not stored; images of a scan are equally wide, so that two starts tell it.
    if n_frames > 1 and len(starts) > 1:
        return starts[0], starts[1] - starts[0]
    return starts[0], width[0] if width else 0.0


def _padded(times: tuple[float, ...], n_frames: int) -> tuple[float, ...]:
    """One exposure time given for many images holds for all of them."""
    return times + times[-1:] * (n_frames - len(times)) if times else ()
