"""Draw a rotation series."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import erf

from xdp.experiment.beam import Beam
from xdp.experiment.crystal import Crystal
from xdp.experiment.detector import Detector
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.experiment.goniometer import Goniometer
from xdp.experiment.scan import Scan
from xdp.prediction.reflections import predict_rotation
from xdp.reflections.table import ReflectionTable
from xdp.simulation.background import expect_background
from xdp.simulation.images import Simulation, make_defects
from xdp.simulation.options import SimulationOptions
from xdp.simulation.spots import (
    Spots,
    compute_axis_component,
    compute_lorentz,
    compute_polarisation,
    draw_panel_slices,
    draw_panel_spots,
)
from xdp.simulation.spread import bound_rotation_width, compute_spot_covariances, slice_reflections, widens_spots
from xdp.simulation.strength import FrameScales, list_lattices, make_frame_scales
from xdp.simulation.structures.structure import draw_intensities

_REACH = 4.0
"""Standard deviations of the mosaic spread beyond which a reflection records nothing: 6e-5 of it is lost."""
_LEAST_ZETA = 0.05
"""Reflections nearer to the rotation axis are left out, as integration does with ``min_zeta``."""


class _DrawnSeries(NamedTuple):
    """A series to draw: its models, its reflections, and how each is spread and cut.

    ``frames`` (n, 2) is the half-open range in which a reflection's lattice stands as it was predicted; ``covariances``
    (n, 3, 3), rad², is None for plain Gaussians of sigma_b and sigma_m.
    """

    experiment: Experiment
    truth: ReflectionTable
    frames: np.ndarray
    covariances: np.ndarray | None
    scales: FrameScales
    options: SimulationOptions


def simulate_rotation(crystal: Crystal | Sequence[Crystal], beam: Beam, detector: Detector, goniometer: Goniometer,
                      scan: Scan, *, options: SimulationOptions | None = None, seed: int = 0,
                      identifier: str = "simulated") -> Simulation:
    """Draw what a detector counts while a crystal turns.

    1. Predict all reflections of the scan, and of its surroundings as far as mosaicity reaches in.
    2. Give each an expected number of photons: random structure times fall-off times LP times ``options.photons``.
    3. Draw each as a Gaussian in Kabsch's frame, integrated over pixels and frames, spread by the sensor's depth. With
       mosaic rotations, a width of the lattice points, a bandwidth or a divergence, each reflection has a Gaussian of
       its own, which moves on the detector while the crystal turns (:mod:`xdp.simulation.spread`).
    4. Add background; count (Poisson); mark gaps, spoil some pixels.

    Parameters
    ----------
    crystal
        The true crystal, or several that lie in the beam together.
    beam, detector, goniometer, scan
        The true models; gaps are the panels' mask rectangles.
    options
        Physics and defects.
    seed
        Of counting noise, defects and the jitter of the beam; the structure has its own seed.
    identifier
        Of the experiment; further crystals get it with a number.

    Returns
    -------
    Simulation
        Its truth has the columns of :func:`xdp.prediction.reflections.predict_rotation`, with the crystal's number as
        ``id``, and ``intensity.true`` (structure and fall-off, times ``options.photons``), ``lp``, ``photons``
        (expected, of the full reflection: their product), ``partiality`` (part of the rotation inside the scan, or on
        this side of a slip), ``scale`` (of the frames that record the reflection), ``intensity.sum.value`` (photons
        expected inside scan and panel, gaps included), ``zeta``. A reflection beside a slip of the crystal has two
        rows, one for each orientation.

    Notes
    -----
    Reflections within 3 degrees of the rotation axis (|zeta| < 0.05), which take many frames to pass, are left out, as
    programs leave them out. Absorption and radiation damage are not simulated. The experiment of a crystal that slips
    has the orientation before the slip.

    Examples
    --------
    >>> import xdp
    >>> from xdp.simulation import make_beam, make_crystal, make_detector, make_goniometer, make_scan
    >>> models = make_crystal(), make_beam(), make_detector((100, 80)), make_goniometer(), make_scan(3)
    >>> simulation = xdp.simulate_rotation(*models, seed=1)
    >>> simulation.stack().shape  # frame, panel, slow, fast
    (3, 1, 80, 100)
    """
    options = options or SimulationOptions()
    crystals = [crystal] if isinstance(crystal, Crystal) else list(crystal)
    experiments = [Experiment(f"{identifier}-{n}" if n else identifier, beam, detector, goniometer, scan, one)
                   for n, one in enumerate(crystals)]
    series = _predict_series(experiments, options, make_frame_scales(scan.n_frames, options, seed))
    truth = series.truth
    by_panel = [_draw_spots(series, index) for index in range(len(detector))]
    # what falls beside the panel is lost to sums, not to the truth of the full reflection
    recorded = np.zeros(len(truth))
    for spots in by_panel:
        recorded[spots.rows] = spots.compute_recorded_part()
    truth["intensity.sum.value"] = truth["photons"] * truth["partiality"] * truth["scale"] * recorded
    expectation = _make_expectation if series.covariances is None else _make_wide_expectation
    return Simulation(ExperimentList(experiments), truth, scan.n_frames,
                      make_defects(detector, options.hot_pixels, options.dead_pixels, seed), seed,
                      expectation(series, by_panel))


def compute_frame_fractions(truth: ReflectionTable, scan: Scan, first: float | np.ndarray, last: float | np.ndarray,
                            sigma_m: float | np.ndarray) -> np.ndarray:
    r"""Compute the part of each reflection's rotation profile between two frame coordinates.

    .. math::

        \frac12 \left[\operatorname{erf}\frac{\zeta (\varphi_\text{last} - \varphi)}{\sqrt 2\, \sigma_m}
        - \operatorname{erf}\frac{\zeta (\varphi_\text{first} - \varphi)}{\sqrt 2\, \sigma_m}\right]

    Parameters
    ----------
    truth : ReflectionTable
        With ``xyzcal.mm`` and ``zeta``.
    scan : Scan
    first, last : float or (n,) float64
        Frame coordinates.
    sigma_m : float or (n,) float64
        Radians.

    Returns
    -------
    (n,) float64
        From 0 to 1.
    """
    # the sign of zeta says from which side a point comes, which does not matter here
    scale = np.abs(truth["zeta"]) / (np.sqrt(2.0) * sigma_m)
    ends = np.sort(np.deg2rad(np.stack([scan.angle(first), scan.angle(last)])), axis=0)
    return 0.5 * np.diff(erf((ends.reshape(2, -1) - truth["xyzcal.mm"][:, 2]) * scale), axis=0)[0]


def _predict_series(experiments: list[Experiment], options: SimulationOptions, scales: FrameScales) -> _DrawnSeries:
    """Predict the reflections of all crystals, before and after a slip, with their widths and photons."""
    parts = [_predict_truth(experiment, number, frames, options)
             for number, whole in enumerate(experiments) for experiment, frames in list_lattices(whole, options)]
    truth = parts[0][0] if len(parts) == 1 else ReflectionTable.concatenate([part[0] for part in parts])
    frames = np.concatenate([np.tile(np.array(part[1]), (len(part[0]), 1)) for part in parts])
    covariances = np.concatenate([part[2] for part in parts]) if widens_spots(options) else None
    series = _DrawnSeries(experiments[0], truth, frames, covariances, scales, options)
    truth["scale"] = np.ones(len(truth)) if scales.is_constant else _weigh_scales(series)
    return series


def _predict_truth(experiment: Experiment, number: int, frames: tuple[int, int], options: SimulationOptions
                   ) -> tuple[ReflectionTable, tuple[int, int], np.ndarray]:
    """Predict the reflections that reach into a range of frames, with their expected photons and covariances."""
    is_wide = widens_spots(options)
    widest = bound_rotation_width(experiment, options) if is_wide else options.sigma_m
    # a reflection lasts longer by 1 / zeta
    margin = min(_REACH * widest / _LEAST_ZETA, 90.0)
    truth = predict_rotation(experiment, options.d_min, margin=margin)
    axis = experiment.known.goniometer.rotation_axis_lab
    beam = experiment.known.beam
    truth["zeta"] = compute_axis_component(truth["s1"], beam, axis)
    truth = truth.select(np.abs(truth["zeta"]) >= _LEAST_ZETA)
    covariances = (compute_spot_covariances(experiment, truth["s1"], truth["xyzcal.mm"][:, 2], options) if is_wide
                   else np.full((len(truth), 3, 3), np.deg2rad(options.sigma_m) ** 2))
    truth["partiality"] = compute_frame_fractions(
        truth, experiment.known.scan, *frames,
        np.sqrt(covariances[:, 2, 2]) if is_wide else np.deg2rad(options.sigma_m))
    reaches = truth["partiality"] > 1e-5
    truth, covariances = truth.select(reaches), covariances[reaches]
    if number:
        truth["id"] = np.full(len(truth), number, np.int32)
        truth.identifiers = {number: experiment.identifier}
    truth["intensity.true"] = options.photons * draw_intensities(
        experiment.known.crystal, truth["miller_index"], wilson_b=options.wilson_b, seed=options.structure_seed)
    truth["lp"] = compute_lorentz(truth["s1"], beam, axis) * compute_polarisation(truth["s1"], beam)
    truth["photons"] = truth["intensity.true"] * truth["lp"]
    return truth, frames, covariances


def _compute_fractions(series: _DrawnSeries, frame: int) -> np.ndarray:
    """Compute which part of each reflection a frame records."""
    # a lattice that has slipped records nothing more
    first, last = np.clip([[frame], [frame + 1]], series.frames[:, 0], series.frames[:, 1])
    sigma_m = (np.deg2rad(series.options.sigma_m) if series.covariances is None
               else np.sqrt(series.covariances[:, 2, 2]))
    return compute_frame_fractions(series.truth, series.experiment.known.scan, first, last, sigma_m)


def _weigh_scales(series: _DrawnSeries) -> np.ndarray:
    """Compute the mean scale of the frames that record each reflection."""
    start = series.experiment.known.scan.array_range[0]
    total = np.zeros(len(series.truth))
    for number, scale in enumerate(series.scales.spots):
        total += scale * _compute_fractions(series, start + number)
    return total / series.truth["partiality"]


def _draw_spots(series: _DrawnSeries, index: int) -> Spots:
    """Draw the whole spots of one panel."""
    known, options = series.experiment.known, series.options
    rows = np.flatnonzero(series.truth["panel"] == index)
    xy_mm = series.truth["xyzcal.mm"][rows, :2]
    if series.covariances is None:
        return draw_panel_spots(known.detector, known.beam, index, rows, xy_mm, sigma_b=np.deg2rad(options.sigma_b),
                                parallax=options.parallax)
    return draw_panel_slices(known.detector, known.beam, index, rows, xy_mm, shifts=np.zeros((len(rows), 2)),
                             covariances=series.covariances[rows, :2, :2], parallax=options.parallax)


def _draw_floor(series: _DrawnSeries) -> list[np.ndarray]:
    """Draw the background of all panels."""
    known = series.experiment.known
    return [expect_background(known.detector, known.beam, i, series.options.background)
            for i in range(len(known.detector))]


def _make_expectation(series: _DrawnSeries, by_panel: list[Spots]) -> Callable[[int], list[np.ndarray]]:
    """Make the function that gives the expected counts of a frame, of spots that are alike on all frames."""
    floor = _draw_floor(series)
    start = series.experiment.known.scan.array_range[0]

    def expected(frame: int) -> list[np.ndarray]:
        fractions = _compute_fractions(series, start + frame)
        # most reflections are not on this frame: weight 0 costs nothing
        weights = np.where(fractions > 1e-6, fractions * series.truth["photons"], 0.0) * series.scales.spots[frame]
        images = [panel * series.scales.beam[frame] for panel in floor]
        for image, spots in zip(images, by_panel, strict=True):
            spots.draw_on(image, weights[spots.rows])
        return images

    return expected


def _make_wide_expectation(series: _DrawnSeries, by_panel: list[Spots]) -> Callable[[int], list[np.ndarray]]:
    """Make the function that gives the expected counts of a frame, of spots that move while the crystal turns."""
    assert series.covariances is not None
    covariances, truth, options = series.covariances, series.truth, series.options
    known, floor = series.experiment.known, _draw_floor(series)
    start = known.scan.array_range[0]

    def expected(frame: int) -> list[np.ndarray]:
        limits = np.clip([[start + frame], [start + frame + 1]], series.frames[:, 0], series.frames[:, 1])
        turned = np.deg2rad(known.scan.angle(limits)) - truth["xyzcal.mm"][:, 2]
        # e3 has the sign of zeta: the drift goes the other way for reflections that leave the sphere
        slices = slice_reflections(covariances, (turned * truth["zeta"]).T)
        weights = slices.fractions * truth["photons"][slices.rows] * series.scales.spots[frame]
        images = [panel * series.scales.beam[frame] for panel in floor]
        for index, image in enumerate(images):
            mine = np.flatnonzero(truth["panel"][slices.rows] == index)
            rows = slices.rows[mine]
            draw_panel_slices(known.detector, known.beam, index, rows, truth["xyzcal.mm"][rows, :2],
                              shifts=slices.shifts[mine], covariances=slices.covariances[mine],
                              parallax=options.parallax).draw_on(image, weights[mine])
        return images

    return expected
