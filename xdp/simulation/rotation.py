"""Draw a rotation series."""

from __future__ import annotations

from collections.abc import Callable

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
from xdp.simulation.spots import Spots, compute_axis_component, compute_lorentz, compute_polarisation, draw_panel_spots
from xdp.simulation.structure import draw_intensities

_REACH = 4.0
"""Standard deviations of the mosaic spread beyond which a reflection records nothing: 6e-5 of it is lost."""
_LEAST_ZETA = 0.05
"""Reflections nearer to the rotation axis are left out, as integration does with ``min_zeta``."""


def simulate_rotation(crystal: Crystal, beam: Beam, detector: Detector, goniometer: Goniometer, scan: Scan, *,
                      options: SimulationOptions | None = None, seed: int = 0, identifier: str = "simulated"
                      ) -> Simulation:
    """Draw what a detector counts while a crystal turns.

    1. Predict all reflections of the scan, and of its surroundings as far as mosaicity reaches in.
    2. Give each an expected number of photons: random structure times fall-off times LP times ``options.photons``.
    3. Draw each as a Gaussian in Kabsch's frame, integrated over pixels and frames, spread by the sensor's depth.
    4. Add background; count (Poisson); mark gaps, spoil some pixels.

    Parameters
    ----------
    crystal, beam, detector, goniometer, scan
        The true models; gaps are the panels' mask rectangles.
    options
        Physics and defects.
    seed
        Of counting noise and defects; the structure has its own seed.
    identifier
        Of the experiment.

    Returns
    -------
    Simulation
        Its truth has the columns of :func:`xdp.prediction.reflections.predict_rotation` and ``intensity.true``
        (structure and fall-off, times ``options.photons``), ``lp``, ``photons`` (expected, of the full reflection:
        their product), ``partiality`` (part of the rotation inside the scan), ``intensity.sum.value`` (photons expected
        inside scan and panel, gaps included), ``zeta``.

    Notes
    -----
    Reflections within 3 degrees of the rotation axis (|zeta| < 0.05), which take many frames to pass, are left out, as
    programs leave them out. The beam is monochromatic and parallel; absorption and radiation damage are not simulated.

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
    experiment = Experiment(identifier, beam, detector, goniometer, scan, crystal)
    truth = _predict_truth(experiment, options)
    by_panel = [_draw_spots(experiment, truth, index, options) for index in range(len(detector))]
    # what falls beside the panel is lost to sums, not to the truth of the full reflection
    recorded = np.zeros(len(truth))
    for spots in by_panel:
        recorded[spots.rows] = spots.compute_recorded_part()
    truth["intensity.sum.value"] = truth["photons"] * truth["partiality"] * recorded
    return Simulation(ExperimentList([experiment]), truth, scan.n_frames,
                      make_defects(detector, options.hot_pixels, options.dead_pixels, seed), seed,
                      _make_expectation(experiment, truth, by_panel, options))


def compute_frame_fractions(truth: ReflectionTable, scan: Scan, first: float, last: float,
                            sigma_m: float) -> np.ndarray:
    r"""Compute the part of each reflection's rotation profile between two frame coordinates.

    .. math::

        \frac12 \left[\operatorname{erf}\frac{\zeta (\varphi_\text{last} - \varphi)}{\sqrt 2\, \sigma_m}
        - \operatorname{erf}\frac{\zeta (\varphi_\text{first} - \varphi)}{\sqrt 2\, \sigma_m}\right]

    Parameters
    ----------
    truth : ReflectionTable
        With ``xyzcal.mm`` and ``zeta``.
    scan : Scan
    first, last : float
        Frame coordinates.
    sigma_m : float
        Radians.

    Returns
    -------
    (n,) float64
        From 0 to 1.
    """
    # the sign of zeta says from which side a point comes, which does not matter here
    scale = np.abs(truth["zeta"]) / (np.sqrt(2.0) * sigma_m)
    ends = np.sort(np.deg2rad([scan.angle(first), scan.angle(last)]))
    return 0.5 * np.diff(erf((ends[:, None] - truth["xyzcal.mm"][:, 2]) * scale), axis=0)[0]


def _predict_truth(experiment: Experiment, options: SimulationOptions) -> ReflectionTable:
    """Predict the reflections that reach into the scan, with their expected photons."""
    sigma_m = np.deg2rad(options.sigma_m)
    # a reflection lasts longer by 1 / zeta
    margin = min(_REACH * options.sigma_m / _LEAST_ZETA, 90.0)
    truth = predict_rotation(experiment, options.d_min, margin=margin)
    axis = experiment.known.goniometer.rotation_axis_lab
    truth["zeta"] = compute_axis_component(truth["s1"], experiment.known.beam, axis)
    truth["partiality"] = compute_frame_fractions(truth, experiment.known.scan, *experiment.known.scan.array_range,
                                                  sigma_m)
    truth = truth.select((np.abs(truth["zeta"]) >= _LEAST_ZETA) & (truth["partiality"] > 1e-5))
    truth["intensity.true"] = options.photons * draw_intensities(
        experiment.known.crystal, truth["miller_index"], wilson_b=options.wilson_b, seed=options.structure_seed)
    beam = experiment.known.beam
    truth["lp"] = compute_lorentz(truth["s1"], beam, axis) * compute_polarisation(truth["s1"], beam)
    truth["photons"] = truth["intensity.true"] * truth["lp"]
    return truth


def _draw_spots(experiment: Experiment, truth: ReflectionTable, index: int, options: SimulationOptions) -> Spots:
    """Draw the spots of one panel."""
    rows = np.flatnonzero(truth["panel"] == index)
    return draw_panel_spots(experiment.known.detector, experiment.known.beam, index, rows, truth["xyzcal.mm"][rows, :2],
                            sigma_b=np.deg2rad(options.sigma_b), parallax=options.parallax)


def _make_expectation(experiment: Experiment, truth: ReflectionTable, by_panel: list[Spots], options: SimulationOptions
                      ) -> Callable[[int], list[np.ndarray]]:
    """Make the function that gives the expected counts of a frame."""
    known = experiment.known
    floor = [expect_background(known.detector, known.beam, i, options.background) for i in range(len(by_panel))]
    start = known.scan.array_range[0]
    sigma_m = np.deg2rad(options.sigma_m)

    def expected(frame: int) -> list[np.ndarray]:
        fractions = compute_frame_fractions(truth, known.scan, start + frame, start + frame + 1, sigma_m)
        # most reflections are not on this frame: weight 0 costs nothing
        weights = np.where(fractions > 1e-6, fractions * truth["photons"], 0.0)
        images = [panel.copy() for panel in floor]
        for image, spots in zip(images, by_panel, strict=True):
            spots.draw_on(image, weights[spots.rows])
        return images

    return expected
