"""The frames of a sweep as integration sees them: counts, and which of them may be used."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xdp.errors import OptionError, XdpError
from xdp.images.corrections import correct_counts, read_corrections
from xdp.images.masks.static import combine_masks, read_mask, read_static_mask
from xdp.images.masks.trusted import compute_trusted_limits
from xdp.integration.plan.sweeps import Sweep

if TYPE_CHECKING:
    from xdp.images.reader import Reader

_EVERYWHERE = np.zeros((0, 0), bool)


def excluded_images(sweeps: Sequence[Sweep], numbers: Sequence[int] | None) -> tuple[int, ...]:
    """The images that a parameter ``exclude_images`` leaves out of each sweep, counted from 0.

    Raises
    ------
    OptionError
        If no sweep has an image of some number, or no image is left.
    """
    numbers = tuple(numbers or ())
    longest = max(sweep.n_frames for sweep in sweeps)
    beside = [number for number in numbers if not 0 <= number < longest]
    if beside:
        raise OptionError(f"exclude_images={beside[0]}: images are counted from 0 to {longest - 1} here")
    if len(set(numbers)) == longest:
        raise OptionError("exclude_images leaves no image")
    return numbers


class PanelFrame(NamedTuple):
    """One panel of one frame: counts (slow, fast), good pixels (none: all), limits of trusted counts."""

    image: np.ndarray
    valid: np.ndarray
    low: float
    high: float


class FrameSource:
    """Reads the frames of one sweep.

    Opens images and builds masks when it is first used, so that it travels to a worker as little more than the
    models; after that any number of threads may use it.

    Parameters
    ----------
    sweep : Sweep
    lookup : str, optional
        A mask file that holds besides that of the image set.
    dynamic : bool
        Mask the goniometer's shadow where it is known.
    excluded : collection of int
        Images (numbers as in DIALS: frames from 0 of the image set) of which nothing is used.
    """

    def __init__(self, sweep: Sweep, *, lookup: str | None = None, dynamic: bool = True,
                 excluded: Sequence[int] = ()):
        self.sweep = sweep
        self.lookup = lookup
        self.dynamic = dynamic
        self.excluded = frozenset(excluded)
        self.__setstate__(self.__getstate__())

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("sweep", "lookup", "dynamic", "excluded")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.RLock()
        self._ready: tuple | None = None
        self._neighbour: Reader | None = None

    def share(self, reader: Reader) -> None:
        """Use the file that a reader has open if it is this sweep's too, instead of opening it anew."""
        self._neighbour = reader

    @property
    def reader(self) -> Reader:
        """The open reader of the images."""
        return self._prepared()[0]

    @property
    def static_mask(self) -> list[np.ndarray] | None:
        """Pixels that may be used on all frames, one (slow, fast) bool array a panel; None: all."""
        return self._prepared()[1]

    def is_excluded(self, z: int) -> bool:
        """Whether nothing of frame `z` is to be used."""
        return z - self.sweep.first in self.excluded

    def read(self, z: int) -> list[PanelFrame] | None:
        """Frame `z` (array index), panel by panel; None for an excluded one.

        Raises
        ------
        XdpError
            If the image is missing or damaged.
        """
        if self.is_excluded(z):
            return None
        reader, static, gains, pedestals, shape = self._prepared()
        try:
            images = reader.read(z - self.sweep.first)
        except IndexError as error:
            raise XdpError(f"image {z + 1} is not there: {error}; has the file changed since import?") from error
        shadow = self._shadow(shape, z)
        return [self._panel(i, image, static, shadow, gains[i], pedestals[i]) for i, image in enumerate(images)]

    def _panel(self, i: int, image: np.ndarray, static: Any, shadow: Any, gain: Any, pedestal: Any) -> PanelFrame:
        panel = self.sweep.model.known.detector[i]
        low, high = compute_trusted_limits(panel, image.dtype)
        valid = _EVERYWHERE if static is None else static[i]
        if shadow is not None:
            valid = shadow[i] if static is None else valid & shadow[i]
        if gain is None and pedestal is None:
            return PanelFrame(image, valid, low, high)
        trusted = image >= low
        if len(valid):
            trusted &= valid
        limit = correct_counts(np.float64(high), gain, pedestal)
        if np.ndim(limit):  # maps: the highest good count is another one for each pixel
            trusted &= image <= high
        return PanelFrame(correct_counts(image, gain, pedestal), trusted, -np.inf, float(np.max(limit)))

    def _shadow(self, shape: Any, z: int) -> list[np.ndarray] | None:
        model = self.sweep.model
        if shape is None or model.scan is None:
            return None
        from xdp.experiment.shadow import shadow_masks

        return shadow_masks(shape, model.known.goniometer, model.known.detector, float(model.scan.angle(z)))

    def _prepared(self) -> tuple:
        """Reader, static mask, gains, pedestals and the goniometer's shape, made once."""
        if self._ready is None:
            with self._lock:
                if self._ready is None:
                    self._ready = self._prepare()
        return self._ready

    def _prepare(self) -> tuple:
        from xdp.experiment.shadow import known_shape
        from xdp.images.reader import open_reader

        model = self.sweep.model
        reader = open_reader(model)
        if self._neighbour is not None:
            reader.share_file(self._neighbour)
            self._neighbour = None
        if reader.n_frames < self.sweep.n_frames:
            raise XdpError(f"image set {self.sweep.number}: the scan has {self.sweep.n_frames} images, "
                           f"{reader.n_frames} are there")
        shapes = model.known.detector.panel_shapes
        lookup = read_mask(self.lookup, shapes) if self.lookup else None
        static = combine_masks(read_static_mask(model, reader), lookup)
        return reader, static, *read_corrections(model), known_shape(model) if self.dynamic else None
