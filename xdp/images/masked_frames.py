"""The frames of an experiment with what may be used of them: masks, shadow, trusted range, gain and pedestal."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xdp.images.corrections import correct_counts, read_corrections
from xdp.images.masks.static import combine_masks, read_mask, read_static_mask
from xdp.images.masks.trusted import compute_trusted_limits

if TYPE_CHECKING:
    from xdp.experiment import Experiment, Panel
    from xdp.images.masks.options import MaskOptions
    from xdp.images.reader import Reader

# Stands for a mask that is True everywhere: kernels take an array, and None would make them another type.
_EVERYWHERE = np.zeros((0, 0), bool)


class PanelFrame(NamedTuple):
    """One panel of one frame.

    Attributes
    ----------
    image : (slow, fast) array
        Counts: raw ones as they are stored, or float64 where gain or pedestal are corrected for.
    valid : (slow, fast) bool
        Good pixels; of shape (0, 0) where all are good.
    low, high : float
        Limits of good counts, both included, in the units of `image`.
    """

    image: np.ndarray
    valid: np.ndarray
    low: float
    high: float


class MaskedFrames:
    """Reads the frames of an experiment and says which of their pixels may be used.

    Files are opened and masks built when they are first asked for, so that the object travels to a worker as little
    more than the models; after that any number of threads may use it.

    Parameters
    ----------
    experiment : Experiment
        Its models, masks, gain and pedestal hold for all frames.
    lookup : str, optional
        A mask file that holds besides that of the image set.
    filters : MaskOptions, optional
        What else is masked on all frames: borders, shapes, resolution ranges, powder rings.
    use_shadow : bool, default True
        Whether the shadow of the goniometer is masked where its shape is known.
    maximum : float, optional
        Used instead of the panels' highest trusted counts.
    images_of : Experiment, optional
        Whose files are read; by default those of `experiment`.
    """

    def __init__(self, experiment: Experiment, *, lookup: str | None = None, filters: MaskOptions | None = None,
                 use_shadow: bool = True, maximum: float | None = None, images_of: Experiment | None = None) -> None:
        self.experiment = experiment
        self.lookup = lookup
        self.filters = filters
        self.use_shadow = use_shadow
        self.maximum = maximum
        self._images_of = images_of or experiment
        self._reset()

    def _reset(self) -> None:
        """Begin with nothing opened."""
        # Reentrant: building the mask asks for the reader.
        self._lock = threading.RLock()
        self._made: dict[str, Any] = {}
        self._neighbour: Reader | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_lock", "_made", "_neighbour")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    def _make_once(self, name: str, make: Callable[[], Any]) -> Any:
        """What `make` gives, made at the first call; the lock is taken only then."""
        if name not in self._made:
            with self._lock:
                if name not in self._made:
                    self._made[name] = make()
        return self._made[name]

    def share_file(self, reader: Reader) -> None:
        """Use the file that another reader has open, if it is the same, instead of opening it anew.

        Parameters
        ----------
        reader : Reader
            Of an experiment on frames of the same file; without effect once frames have been read.
        """
        self._neighbour = reader

    @property
    def reader(self) -> Reader:
        """The open reader of the images."""
        return self._make_once("reader", self._open_reader)

    def _open_reader(self) -> Reader:
        """Open the reader, on the file that a neighbour has open where it is the same."""
        from xdp.images.reader import open_reader

        reader = open_reader(self._images_of)
        # Once is enough: the other reader need not be kept alive.
        if self._neighbour is not None:
            reader.share_file(self._neighbour)
            self._neighbour = None
        return reader

    @property
    def static_mask(self) -> list[np.ndarray] | None:
        """Pixels that are good on all frames, one (slow, fast) bool array a panel; None: all."""
        return self._make_once("static_mask", self._build_mask)

    def _build_mask(self) -> list[np.ndarray] | None:
        """Build the static mask of all files and parameters."""
        model = self.experiment
        lookup = read_mask(self.lookup, model.known.detector.panel_shapes) if self.lookup else None
        masks = [read_static_mask(model, self.reader), lookup]
        if self.filters is not None:
            from xdp.images.masks.generate_mask import generate_mask

            masks.append(generate_mask(model.known.detector, model.known.beam, self.filters))
        return combine_masks(*masks)

    @property
    def corrections(self) -> tuple[list, list]:
        """Gain and pedestal of each panel, as :func:`xdp.images.corrections.read_corrections` gives them."""
        return self._make_once("corrections", lambda: read_corrections(self.experiment))

    def find_limits(self, panel: Panel, dtype: np.dtype) -> tuple[float, float]:
        """Find the lowest and the highest good raw count of a panel, both included.

        Parameters
        ----------
        panel : Panel
            Of the detector.
        dtype : dtype
            Of its images.

        Returns
        -------
        low, high : float
        """
        return compute_trusted_limits(panel, dtype, self.maximum)

    def find_shadow(self, z: int) -> list[np.ndarray] | None:
        """Find the pixels outside the shadow of the goniometer at the start of a frame.

        Parameters
        ----------
        z : int
            Array index of the frame, from which its angle follows.

        Returns
        -------
        list of (slow, fast) bool, or None
            One a panel, True outside the shadow; None where all are.
        """
        model = self.experiment
        if not self.use_shadow or model.scan is None:
            return None
        from xdp.experiment import shadow

        shape = self._make_once("shape", lambda: shadow.known_shape(model))
        if shape is None:
            return None
        angle = float(model.scan.angle(z))
        # most frames of most sweeps have none, and a mask of the frame's own costs more than its threshold
        if not shadow.hides_pixels(shape, model.known.goniometer, model.known.detector, angle):
            return None
        return shadow.shadow_masks(shape, model.known.goniometer, model.known.detector, angle)

    def read(self, index: int, z: int) -> list[PanelFrame]:
        """Read a frame, panel by panel, with the masks, gain and pedestal that hold for it.

        Parameters
        ----------
        index : int
            Its place among the images, from 0.
        z : int
            Its array index.

        Returns
        -------
        list of PanelFrame
            One a panel.

        Raises
        ------
        FormatError
            If the image is missing or damaged.
        IndexError
            If there are fewer images.
        """
        images = self.reader.read(index)
        shadow = self.find_shadow(z)
        return [self._mask_panel(i, image, None if shadow is None else shadow[i]) for i, image in enumerate(images)]

    def _mask_panel(self, i: int, image: np.ndarray, shadow: np.ndarray | None) -> PanelFrame:
        """The image of panel `i` with what is valid on it."""
        static = self.static_mask
        gain, pedestal = (values[i] for values in self.corrections)
        low, high = self.find_limits(self.experiment.known.detector[i], image.dtype)
        valid = _EVERYWHERE if static is None else static[i]
        if shadow is not None:
            valid = shadow if static is None else valid & shadow
        return mask_panel(image, valid, (low, high), gain, pedestal)


def mask_panel(image: np.ndarray, valid: np.ndarray | None, limits: tuple[float, float], gain: Any = None,
               pedestal: Any = None) -> PanelFrame:
    """Say what is valid on the raw image of a panel, and correct it for gain and pedestal.

    Parameters
    ----------
    image : (slow, fast) array
        Raw counts.
    valid : (slow, fast) bool, or None
        Pixels that may be used whatever their counts; None, or of shape (0, 0): all.
    limits : (float, float)
        Lowest and highest good raw count, both included.
    gain, pedestal : number, (slow, fast) array or None
        As of :func:`xdp.images.corrections.read_corrections`.

    Returns
    -------
    PanelFrame

    Examples
    --------
    >>> frame = mask_panel(np.array([[-1, 4, 9]]), None, (0, 8), gain=2.0)
    >>> frame.image.tolist(), frame.valid.tolist(), frame.high
    ([[-0.5, 2.0, 4.5]], [[False, True, True]], 4.0)
    """
    low, high = limits
    valid = _EVERYWHERE if valid is None else valid
    if gain is None and pedestal is None:
        return PanelFrame(image, valid, low, high)
    # The trusted range is one of raw counts. Pixels below it are masked here; overloads stay pixels above `high`,
    # since they are counted.
    trusted = image >= low
    if len(valid):
        trusted &= valid
    limit = correct_counts(np.asarray(high, np.float64), gain, pedestal)
    if np.ndim(limit):
        # Maps: the highest good count is another one for each pixel, so that no one number can tell overloads
        trusted &= image <= high
    return PanelFrame(correct_counts(image, gain, pedestal), trusted, -np.inf, float(np.max(limit)))
