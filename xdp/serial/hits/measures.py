"""The four ways to tell hits from misses, on one shot at a time.

Each measure has ``measure(shot)``. It travels to workers as little more than its options; what depends on the geometry
is made once and kept, and threads share it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from xdp.experiment import Beam, Detector, Panel
from xdp.images.masks.trusted import compute_trusted_limits
from xdp.options import Auto
from xdp.serial.events.shot import Shot, ShotError
from xdp.serial.hits._kernels_radial import PeakRules
from xdp.serial.hits.distl import DistlSpots, DistlWork, compute_p90, count_high_spots, find_distl_spots
from xdp.serial.hits.layout import Assembly, choose_nearest_tiles, plan_assembly
from xdp.serial.hits.options import DistlHitOptions, OwnMissesOptions, Peakfinder8Options, SpotHitOptions
from xdp.serial.hits.own_misses import FEWEST_PEAKS, RunThresholds, ShotRings
from xdp.serial.hits.radial import RingPeaks, find_peaks, measure_rings
from xdp.serial.hits.rings import RingMap, RingMaps

RESOLUTION_SHARE = 0.8
"""The resolution of a shot is that within which this share of its peaks lies, as Cheetah has it."""
CSPAD_TILES, CSPAD_SHAPES = 8, ((185, 194), (185, 391), (185, 388), (194, 185), (391, 185), (388, 185))
"""cctbx.xfel searches the eight ASICs nearest to the beam; panels of these shapes are a CSPAD's."""


class HitCount(NamedTuple):
    """What was found on a shot.

    Attributes
    ----------
    n_peaks : int
        Peaks that count.
    is_hit : bool
    panel, slow, fast : (n,) arrays
        Where they are: pixels, the middle of the first pixel at (0, 0).
    background : float
        Mean of the background, counts; NaN where the measure knows none.
    """

    n_peaks: int
    is_hit: bool
    panel: np.ndarray
    slow: np.ndarray
    fast: np.ndarray
    background: float = float("nan")


def require_models(shot: Shot) -> tuple[Detector, Beam]:
    """Detector and beam of a shot.

    Parameters
    ----------
    shot : Shot

    Returns
    -------
    Detector, Beam

    Raises
    ------
    ShotError
        If one is not known.
    """
    models = shot.experiment
    if models is None or models.detector is None or models.beam is None:
        raise ShotError("no distance", f"{shot.id}: has no geometry; events.geometry=FILE gives detector and beam")
    return models.detector, models.beam


def find_limits(panel: Panel, dtype: np.dtype) -> tuple[float, float]:
    """Lowest and highest good count of a panel; no limits where its trusted range is empty, as where none is known.

    Parameters
    ----------
    panel : Panel
    dtype : dtype
        Of its image.

    Returns
    -------
    low, high : float
    """
    if panel.trusted_range[0] >= panel.trusted_range[1]:
        return -np.inf, np.inf
    return compute_trusted_limits(panel, dtype)


def estimate_shot_resolution(detector: Detector, beam: Beam, found: HitCount) -> float:
    """The spacing d (Å) that 80 % of the peaks are coarser than; NaN without peaks.

    Parameters
    ----------
    detector : Detector
    beam : Beam
    found : HitCount

    Returns
    -------
    float
    """
    if not len(found.panel):
        return float("nan")
    inverse = np.empty(len(found.panel))
    for number in np.unique(found.panel):
        on, panel = found.panel == number, detector[int(number)]
        where = np.stack([(found.fast[on] + 0.5) * panel.pixel_size[0], (found.slow[on] + 0.5) * panel.pixel_size[1],
                          np.ones(on.sum())])
        ray = panel.d_matrix @ where
        ray /= np.linalg.norm(ray, axis=0)
        inverse[on] = np.linalg.norm(ray - beam.unit_s0[:, None], axis=0) / beam.wavelength
    finest = float(np.quantile(inverse, RESOLUTION_SHARE))
    return 1.0 / finest if finest > 0 else float("nan")


class RingMeasure:
    """Peaks above the rings: what the measures of own misses and peakfinder8 share.

    Parameters
    ----------
    sigma : float
        Spreads by which a peak's pixels exceed the mean of their ring.
    rules : PeakRules
    limits : (float, float)
        Distances from the beam that are searched, pixels.
    threshold : float, optional
        Value that a peak's pixels exceed, too; with it no thresholds of the run are needed.
    min_peaks : int, optional
        Fewest peaks of a hit; None: as the thresholds of the run have it.
    """

    def __init__(self, sigma: float, rules: PeakRules, *, limits: tuple[float, float] = (0.0, np.inf),
                 threshold: float | None = None, min_peaks: int | None = None) -> None:
        self.sigma, self.rules, self.threshold, self.min_peaks = sigma, rules, threshold, min_peaks
        self.maps = RingMaps(*limits)
        self.run: RunThresholds | None = None

    @property
    def needs_sample(self) -> bool:
        """Whether thresholds of the run are needed, and are not known yet."""
        return self.threshold is None and self.run is None

    def look(self, shot: Shot) -> tuple[ShotRings, RingMap]:
        """Rings and peaks of a shot by its own background.

        Parameters
        ----------
        shot : Shot

        Returns
        -------
        ShotRings, RingMap
        """
        detector, beam = require_models(shot)
        ring_map = self.maps.find(detector, beam, shot.valid)
        lowest = find_limits(detector[0], shot.image[0].dtype)[0]
        statistics = measure_rings(shot.image, ring_map, factor=self.sigma, lowest=lowest)
        own = statistics.mean + self.sigma * statistics.spread
        if self.threshold is not None:
            own = np.maximum(own, self.threshold)
        if self.run is not None:
            # what is below the final thresholds needs no measuring
            own = self.run.compute(statistics)
        return ShotRings(statistics, find_peaks(shot.image, ring_map, statistics.mean, own, self.rules)), ring_map

    def measure(self, shot: Shot) -> HitCount:
        """Count the peaks of a shot.

        Parameters
        ----------
        shot : Shot

        Returns
        -------
        HitCount
        """
        rings, _ = self.look(shot)
        peaks = rings.peaks
        least = self.min_peaks if self.min_peaks is not None else (
            FEWEST_PEAKS if self.run is None else self.run.min_peaks)
        statistics = rings.statistics
        known = np.isfinite(statistics.mean)
        mean = float(np.average(statistics.mean[known], weights=statistics.n[known])) if known.any() else float("nan")
        return HitCount(len(peaks.ring), len(peaks.ring) >= least, peaks.panel, peaks.slow, peaks.fast, mean)

    def list_peaks(self, shot: Shot) -> RingPeaks:
        """The peaks of a shot with all that was measured of them."""
        return self.look(shot)[0].peaks


def make_own_misses(options: OwnMissesOptions) -> RingMeasure:
    """The measure of a run's own misses.

    Parameters
    ----------
    options : OwnMissesOptions

    Returns
    -------
    RingMeasure
    """
    # signal to noise and the radius of the local background are peakfinder8's defaults
    rules = PeakRules(5.0, options.min_pix_count, options.max_pix_count, 3, np.inf)
    least = None if isinstance(options.min_peaks, Auto) else options.min_peaks
    return RingMeasure(options.sigma, rules, min_peaks=least)


def make_peakfinder8(options: Peakfinder8Options) -> RingMeasure:
    """The measure of peakfinder8.

    Parameters
    ----------
    options : Peakfinder8Options

    Returns
    -------
    RingMeasure
    """
    rules = PeakRules(options.min_snr, options.min_pix_count, options.max_pix_count, options.local_bg_radius, np.inf)
    return RingMeasure(options.min_snr, rules, limits=(options.min_res, options.max_res),
                       threshold=None if isinstance(options.threshold, Auto) else options.threshold,
                       min_peaks=None if isinstance(options.min_peaks, Auto) else options.min_peaks)


class DistlMeasure:
    """Spots by the Spotfinder recipe, counted as mod_hitfind counts them.

    Parameters
    ----------
    options : DistlHitOptions
    saturation : float, optional
        Pixels of this value and more are overloaded; by default those above the trusted range.
    """

    needs_sample = False

    def __init__(self, options: DistlHitOptions, saturation: float | None = None) -> None:
        self.options, self.saturation = options, saturation
        self._reset()

    def _reset(self) -> None:
        """Begin with nothing made."""
        # each thread has its own
        self._own = threading.local()

    def __getstate__(self) -> dict:
        return {"options": self.options, "saturation": self.saturation}

    def __setstate__(self, state: dict) -> None:
        self.options, self.saturation = state["options"], state["saturation"]
        self._reset()

    def plan(self, shot: Shot) -> tuple[Assembly, list[tuple[int, int, int, int]]]:
        """How the panels make one image, and the tiles that are searched.

        Parameters
        ----------
        shot : Shot

        Returns
        -------
        Assembly, list of (slow0, fast0, slow1, fast1)
        """
        detector, beam = require_models(shot)
        known = getattr(self._own, "plan", None)
        # shots of one geometry have the same detector and beam: planning many panels takes milliseconds
        if known is None or known[0] is not detector or known[1] is not beam or known[2] != shot.distance:
            self._own.plan = known = (detector, beam, shot.distance, self._make_plan(detector, beam, shot.distance))
        return known[3]

    def _make_plan(self, detector: Detector, beam: Beam,
                   distance: float | None) -> tuple[Assembly, list[tuple[int, int, int, int]]]:
        """The plan of one geometry."""
        assembly = plan_assembly(detector, beam, distance, self.saturation)
        n_tiles = self.options.n_tiles
        if isinstance(n_tiles, Auto):
            n_tiles = CSPAD_TILES if len(detector) > 1 and detector[0].shape in CSPAD_SHAPES else None
        areas = assembly.areas
        return assembly, areas if n_tiles is None else [areas[i] for i in choose_nearest_tiles(assembly, n_tiles)]

    def _find_work(self, assembly: Assembly) -> DistlWork:
        """This thread's arrays for images of a layout: pixels between its tiles stay 0."""
        known = getattr(self._own, "work", None)
        if known is None or known[0] != (assembly.shape, assembly.tiles):
            self._own.work = known = ((assembly.shape, assembly.tiles), DistlWork(assembly.shape))
        return known[1]

    def find(self, shot: Shot) -> tuple[DistlSpots, np.ndarray, Assembly, list[tuple[int, int, int, int]]]:
        """All spots of a shot, the image they lie in, and how it was put together.

        Parameters
        ----------
        shot : Shot

        Returns
        -------
        DistlSpots, (slow, fast) array, Assembly, list of tiles
            The image is overwritten by the next shot of this thread.
        """
        assembly, tiles = self.plan(shot)
        work = self._find_work(assembly)
        image = assembly.assemble_counts(shot.image, shot.valid, work.image)
        spots = find_distl_spots(image, assembly.geometry, self.options.settings, tiles=tiles, work=work)
        return spots, image, assembly, tiles

    def measure(self, shot: Shot) -> HitCount:
        """Count the spots of a shot that are high enough.

        Parameters
        ----------
        shot : Shot

        Returns
        -------
        HitCount
        """
        spots, image, assembly, tiles = self.find(shot)
        options = self.options
        threshold = -np.inf if options.threshold is None else options.threshold
        restrictive = options.distl_flags == "restrictive"
        p90 = float(compute_p90(image, tiles)) if restrictive else 0.0
        n = count_high_spots(spots, threshold, restrictive=restrictive, p90=p90)
        panel, slow, fast = assembly.locate(spots.slow, spots.fast)
        counts = (spots.height > threshold) & (panel >= 0)
        return HitCount(n, n >= options.distl_min_peaks, panel[counts], slow[counts], fast[counts])


class SpotMeasure:
    """Spots by the dispersion threshold.

    Parameters
    ----------
    options : SpotHitOptions
    """

    needs_sample = False

    def __init__(self, options: SpotHitOptions) -> None:
        self.options = options
        self._reset()

    def _reset(self) -> None:
        """Begin with no thresholds made."""
        self._lock = threading.Lock()
        self._made: tuple[tuple, list] | None = None

    def __getstate__(self) -> dict:
        return {"options": self.options}

    def __setstate__(self, state: dict) -> None:
        self.options = state["options"]
        self._reset()

    def _make_thresholders(self, shot: Shot) -> Sequence:
        """Thresholds of the panels; made anew only where mask or type change."""
        from xdp.spotfinding.threshold.dispersion import Thresholder

        detector, _ = require_models(shot)
        dtype = shot.image[0].dtype
        # a global threshold that is to be estimated: 0, as for data of unknown kind
        settings: Any = self.options.dispersion
        if isinstance(settings.global_threshold, Auto):
            settings = settings.model_copy(update={"global_threshold": 0.0})
        with self._lock:
            known = self._made
            if known is None or known[0][0] is not shot.valid or known[0][1:] != (dtype, detector.panel_shapes):
                made = [Thresholder(panel.shape, None if shot.valid is None else shot.valid[i],
                                    algorithm=self.options.threshold, options=settings,
                                    trusted_range=find_limits(panel, dtype))
                        for i, panel in enumerate(detector)]
                self._made = known = ((shot.valid, dtype, detector.panel_shapes), made)
        return known[1]

    def measure(self, shot: Shot) -> HitCount:
        """Count the spots of a shot.

        Parameters
        ----------
        shot : Shot

        Returns
        -------
        HitCount
        """
        from xdp.spotfinding.spots.filters import is_near_peak
        from xdp.spotfinding.spots.label import Pixels, label_pixels
        from xdp.spotfinding.spots.measure import find_peak_positions, measure_spots

        options = self.options
        found = [t.find(image) for t, image in zip(self._make_thresholders(shot), shot.image, strict=True)]
        pixels = Pixels.concatenate(Pixels.from_index(0, i, strong.index, strong.value, shot.image[i].shape[1])
                                    for i, strong in enumerate(found))
        spots = measure_spots(pixels, label_pixels(*pixels[:4], two_d=True), min_size=options.min_spot_size,
                              max_size=options.max_spot_size).table
        centre = spots["xyzobs.px.value"]
        keep = np.ones(len(centre), bool)
        if options.max_separation is not None and len(centre):
            keep = is_near_peak(find_peak_positions(spots["shoebox"]), centre, options.max_separation)
        n, most = int(keep.sum()), options.maximum_number_of_reflections
        is_hit = n >= options.minimum_number_of_reflections and (most is None or n <= most)
        return HitCount(n, is_hit, spots["panel"][keep].astype(np.int64), centre[keep, 1] - 0.5, centre[keep, 0] - 0.5)


HitMeasure = RingMeasure | DistlMeasure | SpotMeasure
"""Any of the measures."""
