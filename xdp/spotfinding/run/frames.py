"""Strong pixels of the frames of one search: reads a frame, applies masks and thresholds.

A :class:`FrameFinder` opens readers and builds masks and thresholds when it is first used, so that it travels to a
worker as little more than the models; after that any number of threads may use it.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xdp.errors import XdpError
from xdp.experiment import Detector
from xdp.images.masked_frames import MaskedFrames
from xdp.spotfinding.noise import BackgroundNoise, judge_noise, measure_background
from xdp.spotfinding.options import SpotFinderOptions
from xdp.spotfinding.run.searches import Search
from xdp.spotfinding.spots.label import Pixels
from xdp.spotfinding.threshold.dispersion import PanelThreshold
from xdp.spotfinding.threshold.global_threshold import estimate_global_threshold
from xdp.spotfinding.threshold.panels import PanelPixels, make_panel_thresholds

if TYPE_CHECKING:
    from xdp.images.reader import Reader

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StrongFrame:
    """What was found on one frame.

    Attributes
    ----------
    pixels : Pixels
        Strong pixels of all panels; their frame is the search's own (:attr:`Search.label_frames`).
    background : float
        Mean of the valid pixels that are not strong, averaged over the panels; NaN where it was not asked for.
    noise : BackgroundNoise or None
        Of the sampled frames (:attr:`Search.sampled`).
    """

    pixels: Pixels
    background: float = float("nan")
    noise: BackgroundNoise | None = None


class FrameFinder:
    """Finds the strong pixels of a search's frames.

    Parameters
    ----------
    search : Search
    options : SpotFinderOptions
    maximum_trusted_value : float, optional
        Used instead of the panels' highest trusted counts.
    """

    def __init__(self, search: Search, options: SpotFinderOptions, maximum_trusted_value: float | None = None):
        self.search = search
        self.options = options
        self.maximum = maximum_trusted_value
        # a scan range of stills may begin beyond the first member, whose images then need not exist
        first = search.members[int(search.member_of[0])] if search.n_frames else search.model
        # stills have a place among their images, but no angle
        self._frames = MaskedFrames(search.model, lookup=options.lookup.mask, filters=options.filter,
                                    use_shadow=search.id_of is None, maximum=maximum_trusted_value, images_of=first)
        self._label_frames, self._sampled = search.label_frames, search.sampled
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.RLock()
        self._readers: dict[int, Reader] = {}
        self._thresholders: list[PanelThreshold] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"search": self.search, "options": self.options, "maximum": self.maximum,
                "_label_frames": self._label_frames, "_sampled": self._sampled, "_frames": self._frames}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    @property
    def detector(self) -> Detector:
        """The detector of all frames."""
        return self.search.model.known.detector

    @property
    def n_pixels(self) -> int:
        """Pixels of a frame, of all panels."""
        return sum(slow * fast for slow, fast in self.detector.panel_shapes)

    def open_reader(self, position: int) -> Reader:
        """The open reader of the member whose images hold frame `position`.

        Parameters
        ----------
        position : int
            In the search, from 0.

        Returns
        -------
        Reader
            Kept open for the frames to come; of single stills at most 64.
        """
        member = int(self.search.member_of[position])
        if member == self.search.member_of[0]:
            return self._frames.reader
        with self._lock:
            if member not in self._readers:
                from xdp.images.reader import open_reader

                if len(self._readers) > 64:  # single stills, each with a reader of its own
                    self._readers.pop(next(iter(self._readers)))
                self._readers[member] = open_reader(self.search.members[member])
            return self._readers[member]

    def read(self, position: int) -> list[np.ndarray]:
        """Read the raw images of a frame.

        Parameters
        ----------
        position : int
            In the search, from 0.

        Returns
        -------
        list of (slow, fast) ndarray
            One a panel.
        """
        return self.open_reader(position).read(int(self.search.frame_of[position]))

    def make_thresholders(self) -> list[PanelThreshold]:
        """Make the thresholds, one a panel. They are made at the first call, by one of the threads, and kept.

        Returns
        -------
        list of PanelThreshold
        """
        # looked at without the lock first: frames are many, and this is asked for each of them
        if self._thresholders is not None:
            return self._thresholders
        with self._lock:
            if self._thresholders is None:
                self._thresholders = self._build()
            return self._thresholders

    def _build(self) -> list[PanelThreshold]:
        reader = self.open_reader(0)
        gains, pedestals = self._frames.corrections
        dtype = np.dtype(reader.dtype)
        pixels = PanelPixels(self._frames.static_mask, [self._frames.find_limits(p, dtype) for p in self.detector],
                             gains, pedestals)
        return make_panel_thresholds(self.detector, self.search.model.known.beam, self.options, pixels,
                                     self._global_threshold)

    def _global_threshold(self) -> float:
        """Estimated from the first panel of the first frame, as DIALS does for Auto."""
        # the first frame decides for the whole search
        image = self.read(0)[0]
        region = self.options.region_of_interest
        if region is not None:
            image = image[region[2]:region[3], region[0]:region[1]]
        value = estimate_global_threshold(image)
        log.info("Setting global_threshold: %d", value)
        return value

    def valid_pixels(self) -> list[np.ndarray] | None:
        """Pixels that may be used on every frame of the search, before the trusted range; None for all."""
        return self._frames.static_mask

    def find_saturation(self) -> np.ndarray | None:
        """Find the highest counts that are not overloaded.

        Returns
        -------
        (n_panels,) float64 or None
            None where counts are not corrected: the trusted range then masks what exceeds it.
        """
        gains, pedestals = self._frames.corrections
        # corrected counts are compared with limits of raw ones: only here can a value exceed them
        if all(g is None for g in gains) and all(p is None for p in pedestals):
            return None
        return np.array([p.trusted_range[1] if self.maximum is None else self.maximum for p in self.detector])

    def find(self, position: int) -> StrongFrame:
        """The strong pixels of one frame.

        Raises
        ------
        XdpError
            If more than ``max_strong_pixel_fraction`` of the pixels are strong.
        """
        images = self.read(position)
        thresholders = self.make_thresholders()
        frame = int(self._label_frames[position])
        shadow = self.find_shadow(position)
        found = [t.find(image, None if shadow is None else shadow[i])
                 for i, (t, image) in enumerate(zip(thresholders, images, strict=True))]
        noise = self._measure_noise(images, shadow) if position in self._sampled else None
        self._check_fraction(position, sum(len(strong.index) for strong in found), images, shadow)
        pixels = Pixels.concatenate(
            Pixels.from_index(frame, i, strong.index, strong.value, images[i].shape[1])
            for i, strong in enumerate(found))
        if not self.options.compute_mean_background:
            return StrongFrame(pixels, noise=noise)
        return StrongFrame(pixels, self._mean_background(images, found, shadow), noise)

    def find_shadow(self, position: int) -> list[np.ndarray] | None:
        """Find the pixels outside the goniometer's shadow at the start of a frame.

        Parameters
        ----------
        position : int
            In the search, from 0.

        Returns
        -------
        list of (slow, fast) bool or None
            One a panel; None: all pixels.
        """
        return self._frames.find_shadow(int(self.search.z_of[position]))

    def _mean_background(self, images: list[np.ndarray], found: list, shadow: list[np.ndarray] | None) -> float:
        means = []
        for i, (thresholder, image) in enumerate(zip(self.make_thresholders(), images, strict=True)):
            usable = thresholder.usable(image, None if shadow is None else shadow[i])
            # the wings of spots below the threshold stay in
            usable.reshape(-1)[found[i].index] = False
            values = thresholder.correct_counts(image)[usable]
            means.append(float(np.mean(values, dtype=np.float64)) if values.size else 0.0)
        return sum(means) / len(means)

    def _measure_noise(self, images: list[np.ndarray], shadow: list[np.ndarray] | None) -> BackgroundNoise:
        thresholders = self.make_thresholders()
        usable = [t.usable(image, None if shadow is None else shadow[i])
                  for i, (t, image) in enumerate(zip(thresholders, images, strict=True))]
        return measure_background([t.correct_counts(image) for t, image in zip(thresholders, images, strict=True)],
                                  usable)

    def _check_fraction(self, position: int, n_strong: int, images: list[np.ndarray],
                        shadow: list[np.ndarray] | None) -> None:
        limit = self.options.filter.max_strong_pixel_fraction
        if limit is None or limit >= 1:
            return
        # of all panels together
        allowed = int(np.ceil(limit * self.n_pixels))
        if n_strong > allowed:
            finding = judge_noise([self._measure_noise(images, shadow)], self.options.threshold.dispersion.gain)
            reason = "" if finding is None else f"; {finding.text}"
            raise XdpError(f"image {self.search.z_of[position] + 1}: {n_strong} strong pixels were found, more than "
                           f"the {allowed} that max_strong_pixel_fraction={limit:g} allows; raise the threshold (gain, "
                           f"sigma_strong, global_threshold) or the fraction{reason}")
