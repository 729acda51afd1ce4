"""The background under reflections, from the pixels around them: every algorithm and model of DIALS.

Used are pixels with mask bits VALID and BACKGROUND, as a rule without OVERLAPPED; they get BACKGROUND_USED. Where the
background cannot be estimated, the reflection has failed and its background stays as it was.

References
----------
E. Cantoni, E. Ronchetti, J. Am. Stat. Assoc. 96, 1022 (2001), doi:10.1198/016214501753209004, on robust generalised
linear models; J. M. Parkhurst et al., J. Appl. Cryst. 49, 1912 (2016), doi:10.1107/S1600576716013595, on their use
for backgrounds; J. M. Parkhurst et al., IUCrJ 4, 626 (2017), doi:10.1107/S2052252517010259, on global models;
A. G. W. Leslie, Acta Cryst. D55, 1696 (1999), doi:10.1107/S090744499900846X, on rejection from a plane.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xdp.errors import OptionError
from xdp.integration.background.options import BackgroundOptions, GlmOptions, OutlierOptions, SimpleOptions
from xdp.reflections.shoeboxes import Shoeboxes

if TYPE_CHECKING:
    from xdp.experiment.experiment import Experiment
    from xdp.integration.background._kernels_pixels import BackgroundPixels
    from xdp.integration.background.global_model import GlobalModel

#: The numbers by which kernels know the algorithms (`_kernels_outliers`); here as well, so that no kernel is loaded.
REJECTORS = {"null": 0, "nsigma": 1, "truncated": 2, "normal": 3, "plane": 4, "tukey": 5}


@dataclass(frozen=True)
class BackgroundResult:
    """What :func:`fit_background` found, besides what it wrote into the boxes.

    Attributes
    ----------
    columns : dict of str to (n,) float64
        DIALS' columns: ``background.mean`` always but for null; ``background.mse`` and ``background.dispersion``
        (variance / mean of used pixels) for simple; ``background.scale`` for gmodel.
    failed : (n,) bool
        Where there is no background.
    """

    columns: dict[str, np.ndarray]
    failed: np.ndarray


def resolve_algorithm(experiments: Iterable[Experiment], options: BackgroundOptions | None = None) -> str:
    """The algorithm that Auto means: glm where counts are photons, else simple.

    They are taken for photons where every panel is a PAD of gain 1, and no pedestal or map of gains is taken off: what
    is left is not whole, and may be below 0.
    """
    options = options or BackgroundOptions()
    if options.algorithm != "Auto":
        return options.algorithm
    return "glm" if all(map(_counts_photons, experiments)) else "simple"


def _counts_photons(experiment: Experiment) -> bool:
    """Whether the counts of an experiment are those of photons."""
    images = experiment.imageset
    if images is not None and (images.gain or images.pedestal):
        return False
    return all(panel.gain == 1.0 and panel.pedestal == 0.0 and "PAD" in panel.type
               for panel in experiment.known.detector)


def fit_background(boxes: Shoeboxes, options: BackgroundOptions | None = None, *, algorithm: str | None = None,
                   model: GlobalModel | None = None) -> BackgroundResult:
    """Estimate the background of shoeboxes; writes `boxes.background` and the bit BACKGROUND_USED of `boxes.mask`.

    Parameters
    ----------
    boxes : Shoeboxes
        With counts, and masks with VALID, BACKGROUND and OVERLAPPED set.
    options : BackgroundOptions, optional
        Without them the defaults.
    algorithm : str, optional
        What Auto means (see :func:`resolve_algorithm`); wanted where `options` say Auto.
    model : GlobalModel, optional
        For gmodel, in place of the file that `options` name.

    Raises
    ------
    OptionError
        If the algorithm is Auto still, or gmodel has no model.
    """
    options = options or BackgroundOptions()
    chosen = algorithm or options.algorithm
    if chosen == "glm":
        return _fit_glm(boxes, options.glm)
    if chosen == "median":
        return _fit_constant(boxes, per_frame=False, tuning=0.0, min_pixels=1)
    if chosen == "simple":
        return _fit_simple(boxes, options.simple)
    if chosen == "gmodel":
        from xdp.integration.background.global_model import fit_global_model

        return BackgroundResult(*fit_global_model(boxes, options.gmodel, model))
    if chosen == "null":
        boxes.background[:] = 0.0
        return BackgroundResult({}, np.zeros(len(boxes), bool))
    raise OptionError(f"background.algorithm must be glm, gmodel, median, null or simple here, got {chosen}; "
                      "say which, or ask resolve_algorithm what Auto means")


def _get_pixels(boxes: Shoeboxes) -> BackgroundPixels:
    """The pixels of shoeboxes as the kernels of the background take them; what these write is in the boxes."""
    from xdp.integration.background._kernels_pixels import BackgroundPixels

    return BackgroundPixels(boxes.bbox, boxes.offsets, boxes.data, boxes.mask, boxes.background)


def _fit_glm(boxes: Shoeboxes, options: GlmOptions) -> BackgroundResult:
    """Robust Poisson regression; a tuning constant of None makes it an ordinary one."""
    surface = options.model.algorithm
    tuning = math.inf if options.robust.tuning_constant is None else float(options.robust.tuning_constant)
    fit = _fit_loglinear if surface.startswith("loglinear") else _fit_constant
    return fit(boxes, per_frame=surface.endswith("2d"), tuning=tuning, min_pixels=options.min_pixels or 1)


def _fit_constant(boxes: Shoeboxes, per_frame: bool, tuning: float, min_pixels: int) -> BackgroundResult:
    # Each kernel is imported where it is used: to load a compiled one takes start-up time.
    from xdp.integration.background._kernels_constant import fit_constant

    failed, mean = np.zeros(len(boxes), bool), np.zeros(len(boxes))
    fit_constant(_get_pixels(boxes), per_frame, tuning, min_pixels, failed, mean)
    return BackgroundResult({"background.mean": mean}, failed)


def _fit_loglinear(boxes: Shoeboxes, per_frame: bool, tuning: float, min_pixels: int) -> BackgroundResult:
    from xdp.integration.background._kernels_loglinear import fit_loglinear

    failed, mean = np.zeros(len(boxes), bool), np.zeros(len(boxes))
    fit_loglinear(_get_pixels(boxes), per_frame, tuning, min_pixels, failed, mean)
    return BackgroundResult({"background.mean": mean}, failed)


def _fit_simple(boxes: Shoeboxes, options: SimpleOptions) -> BackgroundResult:
    """Rejection of outliers, then least squares."""
    from xdp.integration.background._kernels_outliers import Rejection
    from xdp.integration.background._kernels_simple import fit_simple

    rejector, surface = options.outlier.algorithm, options.model.algorithm
    lower, upper = _get_limits(options.outlier)
    # The algorithm normal has a minimum of its own, which holds for the fit as well, as in DIALS.
    least = options.outlier.normal.min_pixels or 1
    min_pixels = least if rejector == "normal" else options.min_pixels or 1
    n_par = {"constant2d": 1, "constant3d": 1, "linear2d": 3, "linear3d": 4}[surface]
    failed, statistics = np.zeros(len(boxes), bool), np.zeros((len(boxes), 3))
    rejection = Rejection(REJECTORS[rejector], lower, upper, least, _compute_expected_sigmas(boxes, rejector))
    fit_simple(_get_pixels(boxes), rejection, n_par, surface.endswith("2d"), min_pixels, failed, statistics)
    # DIALS keeps the residuals and the dispersion in single precision.
    mse, dispersion = statistics[:, 1:].astype(np.float32).astype(float).T
    return BackgroundResult({"background.mean": statistics[:, 0].copy(), "background.mse": mse.copy(),
                             "background.dispersion": dispersion.copy()}, failed)


def _get_limits(options: OutlierOptions) -> tuple[float, float]:
    """The two numbers of the algorithm; None rejects nothing on its side."""
    if options.algorithm == "plane":
        given, nothing = (options.plane.fraction, options.plane.n_sigma), (1.0, math.inf)
    elif options.algorithm == "truncated":
        given, nothing = (options.truncated.lower, options.truncated.upper), (0.0, 0.0)
    else:
        sides = options.tukey if options.algorithm == "tukey" else options.nsigma
        given, nothing = (sides.lower, sides.upper), (math.inf, math.inf)
    lower, upper = (b if a is None else a for a, b in zip(given, nothing, strict=True))
    return float(lower), float(upper)


def _compute_expected_sigmas(boxes: Shoeboxes, rejector: str) -> np.ndarray:
    """How far, in standard deviations, the highest of n normal values is expected: sqrt(2) erfinv(1 - 1/n), by n."""
    if rejector != "normal":
        return np.zeros(1)
    from scipy.special import erfinv

    n = np.arange(1, int(np.diff(boxes.offsets).max(initial=0)) + 1)
    return np.concatenate([[0.0], math.sqrt(2.0) * erfinv(1.0 - 1.0 / n)])
