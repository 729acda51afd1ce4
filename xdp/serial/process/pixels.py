"""What may be used of a shot's pixels: masks, trusted range, gain and pedestal, and thresholds made for them.

Shots of a run share nearly all of this. It is made for the first shot, and made again only where a shot differs.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xdp.images.corrections import read_corrections
from xdp.images.masked_frames import PanelFrame, mask_panel
from xdp.images.masks.generate_mask import generate_mask
from xdp.images.masks.static import combine_masks, read_mask
from xdp.images.masks.trusted import compute_trusted_limits
from xdp.spotfinding.threshold.panels import PanelPixels

if TYPE_CHECKING:
    from xdp.experiment import Beam, Detector, Experiment
    from xdp.images.masks.options import MaskOptions

Masks = list[np.ndarray] | None
"""Pixels that may be used, one (slow, fast) bool array a panel; None: all."""


@dataclass(frozen=True)
class ProcessedImage:
    """The pixels of a shot, raw and corrected.

    Attributes
    ----------
    experiment : Experiment
        With beam and detector.
    raw : sequence of (slow, fast) array
        As they were read.
    image : sequence of (slow, fast) array
        Behind dark, common mode and gain of the run; the same objects as `raw` where there is none of these.
    valid : list of (slow, fast) bool, or None
        Pixels that the files and the calibration allow.
    """

    experiment: Experiment
    raw: Sequence[np.ndarray]
    image: Sequence[np.ndarray]
    valid: Masks

    @property
    def is_corrected(self) -> bool:
        """Whether the images are no longer the raw counts."""
        return self.image is not self.raw


@dataclass(frozen=True)
class PixelRules:
    """What decides which pixels are used, besides the files' own masks.

    Attributes
    ----------
    lookup : str or None
        A mask file.
    filters : MaskOptions or None
        Borders, regions, resolution ranges and powder rings that are masked.
    lowest, highest : float or None
        In place of the ends of the detector's trusted range.
    """

    lookup: str | None = None
    filters: MaskOptions | None = None
    lowest: float | None = None
    highest: float | None = None

    def find_limits(self, detector: Detector, raw: Sequence[np.ndarray]) -> list[tuple[float, float]]:
        """Find the lowest and the highest good raw count of each panel.

        Parameters
        ----------
        detector : Detector
        raw : sequence of (slow, fast) array
            Their type bounds the limits.

        Returns
        -------
        list of (float, float)
        """
        limits = [compute_trusted_limits(panel, image.dtype, self.highest)
                  for panel, image in zip(detector, raw, strict=True)]
        if self.lowest is None:
            return limits
        # counts without a sign have none below 0, whatever is asked for
        least = 0.0 if raw[0].dtype.kind == "u" else -np.inf
        return [(max(float(self.lowest), least), high) for _, high in limits]

    @property
    def needs_beam(self) -> bool:
        """Whether masks depend on the wavelength."""
        filters = self.filters
        return filters is not None and bool(filters.d_min or filters.d_max or filters.resolution_range
                                            or filters.ice_rings.filter)


class ShotPixels:
    """Masks, limits and corrections of shots, kept from shot to shot. Threads may share it.

    Parameters
    ----------
    rules : PixelRules
    """

    def __init__(self, rules: PixelRules) -> None:
        self.rules = rules
        self._reset()

    def _reset(self) -> None:
        """Begin with nothing made."""
        self._lock = threading.Lock()
        self._made: tuple[Experiment, Masks, PanelPixels] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"rules": self.rules}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    def find(self, shot: ProcessedImage) -> PanelPixels:
        """Find what may be used of a shot's pixels.

        Parameters
        ----------
        shot : ProcessedImage

        Returns
        -------
        PanelPixels
            The same object for shots that do not differ. Of corrected shots it has no limits and no gains: the mask
            holds for this shot alone, and overloads are left out in it.

        Raises
        ------
        XdpError
            If a mask cannot be read, or is of other panels.
        """
        with self._lock:
            known = self._made
            if known is None or not self._is_same(known[0], known[1], shot):
                known = shot.experiment, shot.valid, self._make(shot)
                self._made = known
        pixels = known[2]
        if not shot.is_corrected:
            return pixels
        assert pixels.limits is not None
        trusted = [(raw >= low) & (raw <= high) for raw, (low, high) in zip(shot.raw, pixels.limits, strict=True)]
        return PanelPixels(combine_masks(pixels.masks, shot.valid, trusted))

    def _is_same(self, experiment: Experiment, valid: Masks, shot: ProcessedImage) -> bool:
        """Whether what was made for one shot serves another."""
        own = shot.experiment
        if experiment.detector is not own.detector and experiment.detector != own.detector:
            return False
        if self.rules.needs_beam and experiment.beam != own.beam:
            return False
        before, now = experiment.imageset, own.imageset
        names = ("mask", "gain", "pedestal")
        if any(getattr(before, name, None) != getattr(now, name, None) for name in names):
            return False
        return shot.is_corrected or _are_equal(valid, shot.valid)

    def _make(self, shot: ProcessedImage) -> PanelPixels:
        """Make masks and limits for a shot and those like it."""
        experiment = shot.experiment
        detector, beam = experiment.known.detector, experiment.known.beam
        lookup = read_mask(self.rules.lookup, detector.panel_shapes) if self.rules.lookup else None
        drawn = None if self.rules.filters is None else generate_mask(detector, beam, self.rules.filters)
        own = None if shot.is_corrected else shot.valid
        gains, pedestals = read_corrections(experiment)
        return PanelPixels(combine_masks(own, lookup, drawn), self.rules.find_limits(detector, shot.raw), gains,
                           pedestals)

    def read_frame(self, shot: ProcessedImage) -> list[PanelFrame]:
        """Give the frame of a shot as integration takes it.

        Parameters
        ----------
        shot : ProcessedImage

        Returns
        -------
        list of PanelFrame
            One a panel.
        """
        pixels = self.find(shot)
        frames = []
        for i, image in enumerate(shot.image):
            limits = (-np.inf, np.inf) if pixels.limits is None else pixels.limits[i]
            frames.append(mask_panel(image, None if pixels.masks is None else pixels.masks[i], limits,
                                     None if pixels.gains is None else pixels.gains[i],
                                     None if pixels.pedestals is None else pixels.pedestals[i]))
        return frames


def _are_equal(first: Masks, second: Masks) -> bool:
    """Whether two masks are the same pixel by pixel."""
    if first is second:
        return True
    if first is None or second is None or len(first) != len(second):
        return False
    return all(a is b or np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def has_panel_models(experiment: Experiment | None) -> bool:
    """Whether an experiment has the models without which no spot can be placed.

    Parameters
    ----------
    experiment : Experiment or None
    """
    return experiment is not None and experiment.detector is not None and experiment.beam is not None


def make_beam_key(beam: Beam) -> tuple[float, ...]:
    """Make a key of what thresholds by rings depend on: where the beam goes, not its energy.

    Parameters
    ----------
    beam : Beam
    """
    return tuple(float(v) for v in beam.unit_s0)
