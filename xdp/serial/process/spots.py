"""Spots of a shot in memory: strong pixels, components, measures and filters, as ``xdp find_spots`` has them."""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

import numpy as np

from xdp.errors import XdpError
from xdp.experiment import Experiment
from xdp.options import Auto
from xdp.reflections.table import ReflectionTable
from xdp.serial.process.pixels import PixelRules, ProcessedImage, ShotPixels, make_beam_key
from xdp.spotfinding.options import SpotFinderOptions
from xdp.spotfinding.spots.background_slope import has_flat_background
from xdp.spotfinding.spots.filters import compute_spot_rays, is_near_peak, is_uncrowded
from xdp.spotfinding.spots.label import Pixels, label_pixels
from xdp.spotfinding.spots.measure import find_peak_positions, measure_spots
from xdp.spotfinding.threshold.dispersion import PanelThreshold
from xdp.spotfinding.threshold.global_threshold import estimate_global_threshold
from xdp.spotfinding.threshold.panels import PanelPixels, make_panel_thresholds


class SpotCounts(NamedTuple):
    """How many strong pixels and components a shot has, and how many each filter took away.

    Attributes
    ----------
    strong_pixels, found : int
        Strong pixels, and components of them.
    too_small, too_large, far, sloping, crowded : int
        Components that were dropped by their size, by the distance of peak and centroid, by the slope of the
        background and because they lie in a crowd.
    """

    strong_pixels: int
    found: int
    too_small: int = 0
    too_large: int = 0
    far: int = 0
    sloping: int = 0
    crowded: int = 0


class ShotSpotFinder:
    """Finds the spots of shots. Thresholds are made for the first shot, and again where masks or panels differ.

    Parameters
    ----------
    options : SpotFinderOptions
    lowest, highest : float, optional
        In place of the ends of the detector's trusted range.
    """

    def __init__(self, options: SpotFinderOptions, lowest: float | None = None, highest: float | None = None) -> None:
        self.options = options
        self.pixels = ShotPixels(PixelRules(options.lookup.mask, options.filter, lowest, highest))
        self._reset()

    def _reset(self) -> None:
        """Begin with no thresholds."""
        self._lock = threading.Lock()
        self._made: tuple[tuple, list[PanelThreshold], PanelPixels] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"options": self.options, "pixels": self.pixels}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    def find(self, shot: ProcessedImage) -> tuple[ReflectionTable, SpotCounts]:
        """Find the spots of a shot.

        Parameters
        ----------
        shot : ProcessedImage

        Returns
        -------
        ReflectionTable
            With the columns of ``strong.refl`` and ``imageset_id``; the frame of all spots is 0.
        SpotCounts

        Raises
        ------
        XdpError
            If more than ``max_strong_pixel_fraction`` of the pixels are strong.
        """
        thresholds, mask = self._choose_thresholds(shot)
        found = [t.find(image, None if mask is None else mask[i])
                 for i, (t, image) in enumerate(zip(thresholds, shot.image, strict=True))]
        pixels = Pixels.concatenate(Pixels.from_index(0, i, strong.index, strong.value, shot.image[i].shape[1])
                                    for i, strong in enumerate(found))
        self._check_fraction(pixels.size, sum(image.size for image in shot.image))
        labels = label_pixels(*pixels[:4], two_d=True)
        options = self.options.filter
        measured = measure_spots(pixels, labels, min_size=self._choose_min_size(shot), max_size=options.max_spot_size)
        # in the order of their first pixels, as strong.refl is
        table = measured.table.select(np.argsort(measured.first, kind="stable"))
        n_found = int(labels.max(initial=-1)) + 1
        counts = SpotCounts(int(pixels.size), n_found, measured.n_too_small, measured.n_too_large)
        table, counts = self._filter(shot, table, counts)
        return table.with_columns(imageset_id=np.zeros(len(table), np.int32)), counts

    def _choose_thresholds(self, shot: ProcessedImage) -> tuple[list[PanelThreshold], list[np.ndarray] | None]:
        """The thresholds of a shot's panels, and the mask that holds for this shot alone."""
        pixels = self.pixels.find(shot)
        mask: list[np.ndarray] | None = None
        if shot.is_corrected:
            # a mask that is another one for each shot is no part of the thresholds
            mask, pixels = None if pixels.masks is None else list(pixels.masks), PanelPixels()
        detector, beam = shot.experiment.known.detector, shot.experiment.known.beam
        key = (None if shot.is_corrected else id(pixels), detector.panel_shapes, make_beam_key(beam))
        with self._lock:
            known = self._made
            if known is None or known[0] != key:
                made = make_panel_thresholds(detector, beam, self.options, pixels,
                                             lambda: estimate_global_threshold(self._cut_region(shot.image[0])))
                # pixels are kept with them, so that their id stays their own
                self._made = known = key, made, pixels
        return known[1], mask

    def _cut_region(self, image: np.ndarray) -> np.ndarray:
        """The region of interest of an image."""
        region = self.options.region_of_interest
        return image if region is None else image[region[2]:region[3], region[0]:region[1]]

    def _choose_min_size(self, shot: ProcessedImage) -> int:
        """The fewest pixels of a spot; Auto goes by the kind of sensor, as in ``xdp find_spots``."""
        smallest = self.options.filter.min_spot_size
        if isinstance(smallest, Auto):
            return 3 if shot.experiment.known.detector[0].type == "SENSOR_PAD" else 6
        return smallest or 1

    def _check_fraction(self, n_strong: int, n_pixels: int) -> None:
        """Refuse a shot of which too many pixels are strong."""
        limit = self.options.filter.max_strong_pixel_fraction
        if limit is not None and limit < 1 and n_strong > int(np.ceil(limit * n_pixels)):
            raise XdpError(f"{n_strong} of {n_pixels} pixels are strong, more than max_strong_pixel_fraction={limit:g} "
                           "allows: raise the threshold (gain, sigma_strong, global_threshold)")

    def _filter(self, shot: ProcessedImage, table: ReflectionTable, counts: SpotCounts
                ) -> tuple[ReflectionTable, SpotCounts]:
        """The spots that pass the filters by their surroundings, and how many did not."""
        options = self.options.filter
        if options.max_separation is not None and len(table):
            keep = is_near_peak(find_peak_positions(table["shoebox"]), table["xyzobs.px.value"],
                                options.max_separation)
            table, counts = table.select(keep), counts._replace(far=int(np.count_nonzero(~keep)))
        gradient = options.background_gradient
        if gradient.filter and len(table):
            detector = shot.experiment.known.detector
            keep = has_flat_background(lambda _: list(shot.raw), table["panel"].astype(np.int64), table["bbox"],
                                       shapes=detector.panel_shapes, limits=[p.trusted_range for p in detector],
                                       background_size=gradient.background_size or 0,
                                       gradient_cutoff=gradient.gradient_cutoff or 0.0)
            table, counts = table.select(keep), counts._replace(sloping=int(np.count_nonzero(~keep)))
        if options.spot_density.filter and len(table):
            rays = compute_spot_rays(shot.experiment, table["panel"].astype(np.int64),
                                     table["xyzobs.px.value"][:, :2])
            keep = is_uncrowded(rays, shot.experiment.known.beam.unit_s0)
            table, counts = table.select(keep), counts._replace(crowded=int(np.count_nonzero(~keep)))
        return table, counts


def find_resolutions(experiment: Experiment, spots: ReflectionTable) -> np.ndarray:
    """Find the resolution of each spot of a shot.

    Parameters
    ----------
    experiment : Experiment
    spots : ReflectionTable
        With ``panel`` and ``xyzobs.px.value``.

    Returns
    -------
    (n,) float64
        Å.
    """
    rays = compute_spot_rays(experiment, spots["panel"].astype(np.int64), spots["xyzobs.px.value"][:, :2])
    beam = experiment.known.beam
    unit = rays / np.linalg.norm(rays, axis=1)[:, None]
    # half the scattering angle; a spot in the direct beam itself has no resolution
    sine = np.sqrt(np.maximum(0.5 * (1.0 - unit @ beam.unit_s0), 1e-12))
    return 0.5 * beam.wavelength / sine
