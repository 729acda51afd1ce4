"""The profile model of Kabsch (2010): a Gaussian in the reflection's own frame, the same for all reflections.

Its width is sigma_b across (divergence of the diffracted beam) and sigma_m along the rotation (mosaicity).

References
----------
W. Kabsch, Acta Cryst. D66, 133 (2010), section 3.1, doi:10.1107/S0907444909047374.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from xdp.errors import FormatError, OptionError, XdpError
from xdp.experiment.experiment import Experiment
from xdp.integration.profiles.mosaic.estimate import estimate_spread, make_even_spread
from xdp.integration.profiles.mosaic.reflecting_range import ReflectingRange, estimate_range
from xdp.integration.profiles.mosaic.spread import MosaicSpread
from xdp.integration.profiles.options import GaussianRSOptions, ParametersOptions
from xdp.integration.profiles.spot_spread import (
    compute_divergence_variances,
    compute_lab_points,
    estimate_sigma_m,
    measure_spot_frames,
)
from xdp.prediction.predict import compute_zeta
from xdp.reflections.flags import Flag, MaskCode
from xdp.reflections.table import ReflectionTable

log = logging.getLogger(__name__)

PRIOR_SPOTS = 5.0
"""What the prior is worth, in spots, where there are next to none; nothing where there are ``min_spots.overall``. A
choice: five spots of the crystal at hand outweigh what is usual."""
PRIOR_SIGMA_M = np.deg2rad(0.1)
"""The mosaicity to expect, rad: a usual value of frozen crystals. The divergence to expect is the angle of a pixel."""
ENOUGH_SPOTS = 10_000
"""With more, the model is made of those that refinement used, topped up evenly to this number. As in DIALS."""
_SMOOTHING = 51
"""Frames over which widths that vary are smoothed. As in DIALS."""
_N_SIGMA = float(ParametersOptions().n_sigma or 0.0)
"""The default, by which a value that the user gave is recognised."""


@dataclass(frozen=True)
class GaussianRSModel:
    """Widths of the reflections' profiles.

    Attributes
    ----------
    n_sigma : float
        How many sigmas the foreground reaches.
    sigma_b, sigma_m : float64 () or (n_frames,)
        Radians; one for all frames, or one a frame. sigma_m is 0 for stills.
    prior_weight : float
        Share of the prior in both, 0 to 1; more than 0 where there were too few spots.
    spread : MosaicSpread or None
        How the widths differ from one reflection to another; None: they do not.
    reach : ReflectingRange or None
        How sigma_m differs from one reflection to another; None: it does not.
    """

    n_sigma: float
    sigma_b: np.ndarray
    sigma_m: np.ndarray
    prior_weight: float = 0.0
    spread: MosaicSpread | None = None
    reach: ReflectingRange | None = None

    def __post_init__(self) -> None:
        # numbers become arrays without dimensions, so that one type serves for both kinds of model
        sigma_b, sigma_m = np.asarray(self.sigma_b, np.float64), np.asarray(self.sigma_m, np.float64)
        object.__setattr__(self, "sigma_b", sigma_b)
        object.__setattr__(self, "sigma_m", sigma_m)
        if sigma_b.shape != sigma_m.shape or sigma_b.ndim > 1 or not sigma_b.size:
            raise ValueError(f"sigma_b and sigma_m must be numbers or as many each, got {sigma_b.shape} and "
                             f"{sigma_m.shape}")
        if not (self.n_sigma > 0.0 and np.all(sigma_b > 0.0) and np.all(sigma_m >= 0.0)):
            raise ValueError(f"n_sigma and sigma_b must be above 0, sigma_m not below, got {self.n_sigma}, {sigma_b} "
                             f"and {sigma_m}")

    @property
    def is_scan_varying(self) -> bool:
        """Whether the widths change from frame to frame."""
        return self.sigma_b.ndim == 1

    @property
    def has_prior(self) -> bool:
        """Whether a prior had to help, for want of spots."""
        return self.prior_weight > 0.0

    def compute_widths(self, experiment: Experiment, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The widths at some places of the scan.

        Parameters
        ----------
        experiment : Experiment
            With a scan, if the widths vary.
        z : (n,) float64
            Frame coordinates; beyond the scan those of its ends hold.

        Returns
        -------
        sigma_b, sigma_m : (n,) float64
            In rad.
        """
        if not self.is_scan_varying:
            return np.full(len(z), self.sigma_b), np.full(len(z), self.sigma_m)
        # reflections are predicted somewhat beyond the scan, where no width has been estimated
        first = experiment.known.scan.array_range[0]
        frame = np.clip(np.floor(z).astype(np.int64) - first, 0, len(self.sigma_b) - 1)
        return self.sigma_b[frame], self.sigma_m[frame]

    def compute_axis_widths(self, experiment: Experiment, table: ReflectionTable) -> np.ndarray:
        """The widths of reflections along e1 and e2 of Kabsch's frame.

        Parameters
        ----------
        experiment : Experiment
        table : ReflectionTable
            With ``xyzcal.px``; ``s1`` and ``panel`` where widths differ between reflections.

        Returns
        -------
        (n, 2) float64
            In rad, each as sigma_b: a radius of two coordinates, root 2 times the standard deviation of one. Pixels are
            included.
        """
        sigma_b = self.compute_widths(experiment, table["xyzcal.px"][:, 2])[0]
        if self.spread is None:
            return np.stack([sigma_b, sigma_b], axis=1)
        rays = self.spread.describe(experiment, table)
        widths = np.sqrt(2.0 * (self.spread.compute_variances(rays) + rays.pixel)) * self.spread.scale
        # all terms follow a model that varies with the scan
        return widths * (sigma_b / np.sqrt(np.mean(np.square(self.sigma_b))))[:, None]

    def compute_sigma_m(self, experiment: Experiment, table: ReflectionTable) -> np.ndarray:
        """The mosaicity that makes the reflecting range of each reflection.

        Parameters
        ----------
        experiment : Experiment
        table : ReflectionTable
            With ``xyzcal.px``; ``s1`` and ``panel`` where it differs between reflections.

        Returns
        -------
        (n,) float64
            In rad.
        """
        sigma_m = self.compute_widths(experiment, table["xyzcal.px"][:, 2])[1]
        if self.reach is not None:
            sigma_m = sigma_m * self.reach.compute_factor(experiment, table)
        if self.spread is None or not self.spread.along[1] > 0.0:
            return sigma_m
        return sigma_m * np.sqrt(self.spread.compute_range_factor(self.spread.describe(experiment, table)))

    @classmethod
    def from_dict(cls, source: Mapping[str, Any], where: str = "profile") -> GaussianRSModel:
        """The model of a dictionary in DIALS' form (degrees); `where` begins error messages.

        Raises
        ------
        FormatError
            If it is no such model, or a width is not positive.

        Examples
        --------
        >>> source = {"__id__": "gaussian_rs", "n_sigma": 3.0, "sigma_b": 0.05, "sigma_m": 0.1}
        >>> model = GaussianRSModel.from_dict(source)
        >>> model.is_scan_varying, round(float(model.sigma_m), 6)
        (False, 0.001745)
        """
        kind = source.get("__id__")
        if kind != "gaussian_rs":
            raise FormatError(f"{where}: '__id__' must be 'gaussian_rs', got {kind!r}")
        try:
            sigma_b, sigma_m = (np.deg2rad(np.asarray(source[key], np.float64)) for key in ("sigma_b", "sigma_m"))
            mosaic = source.get("mosaic")
            reach = source.get("reflecting_range")
            return cls(float(source["n_sigma"]), sigma_b, sigma_m,
                       spread=None if mosaic is None else MosaicSpread.from_dict(mosaic),
                       reach=None if reach is None else ReflectingRange.from_dict(reach))
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(f"{where}: n_sigma, sigma_b and sigma_m must be positive numbers: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """Write the model as a dictionary in DIALS' form (degrees), as experiments hold it.

        Returns
        -------
        dict
            ``__id__``, ``n_sigma``, ``sigma_b``, ``sigma_m``: numbers, or lists with one for each frame. ``mosaic``,
            which DIALS does not read, where widths differ between reflections.
        """
        out = {"__id__": "gaussian_rs", "n_sigma": float(self.n_sigma),
               "sigma_b": np.rad2deg(self.sigma_b).tolist(), "sigma_m": np.rad2deg(self.sigma_m).tolist()}
        if self.spread is not None:
            out["mosaic"] = self.spread.to_dict()
        if self.reach is not None:
            out["reflecting_range"] = self.reach.to_dict()
        return out


def reuse_model(profile: Mapping[str, Any] | None, options: GaussianRSOptions | None = None) -> GaussianRSModel:
    """The model that an experiment has, with widths that `options` give in place of its own.

    Parameters
    ----------
    profile : mapping or None
        The model in DIALS' form, as of :meth:`GaussianRSModel.to_dict`.
    options : GaussianRSOptions, optional
        Their ``parameters`` replace the model's sigma_b and sigma_m, and its ``n_sigma`` unless theirs is the default.

    Raises
    ------
    XdpError
        If a width is neither in the experiment nor given.
    """
    parameters = (options or GaussianRSOptions()).parameters
    old = None if profile is None else GaussianRSModel.from_dict(profile)
    widths = []
    for name in ("sigma_b", "sigma_m"):
        given = getattr(parameters, name)
        if given is None and old is None:
            raise XdpError(f"no profile model: give reference spots with shoeboxes, or profile.gaussian_rs.parameters."
                           f"{name}")
        widths.append(getattr(old, name) if given is None else np.deg2rad(given))
    # an option that was not given has its default: the model's own value must not yield to that
    n_sigma = parameters.n_sigma or _N_SIGMA
    if old is not None and n_sigma == _N_SIGMA:
        n_sigma = old.n_sigma
    sigma_b, sigma_m = np.broadcast_arrays(*widths)
    # a width that is given is that of all reflections
    has_spread = old is not None and parameters.sigma_b is None and (options or GaussianRSOptions()).mosaic.enable
    has_reach = old is not None and has_spread and parameters.sigma_m is None
    return GaussianRSModel(n_sigma, sigma_b, sigma_m, spread=old.spread if old is not None and has_spread else None,
                           reach=old.reach if old is not None and has_reach else None)


def make_model(experiment: Experiment, spots: ReflectionTable | None, options: GaussianRSOptions, *,
               create: bool = True) -> GaussianRSModel:
    """The model of an experiment: that of its `spots`, else the one it has.

    Parameters
    ----------
    experiment : Experiment
        With its ``profile``, where it has one.
    spots : ReflectionTable or None
        As for :func:`estimate_model`. Shoeboxes of integrated reflections do not serve: a model has already said what
        is background in them, and how far they reach.
    options : GaussianRSOptions
    create : bool
        False: the experiment's model is used again.

    Returns
    -------
    GaussianRSModel

    Raises
    ------
    XdpError
        If there is neither.
    """
    if spots is None or "shoebox" not in spots:
        why = "there are no reference spots" if spots is None else "the reference spots have no shoeboxes"
    elif not create:
        why = "create_profile_model=False"
    elif not has_found_shoeboxes(spots):
        why = "the shoeboxes are those of integrated reflections"
        log.info("Shoeboxes are those of integrated reflections: the profile model that is there is used again")
    else:
        return estimate_model(experiment, spots, options)
    given = options.parameters
    if experiment.profile is None and (given.sigma_b is None or (given.sigma_m is None and not experiment.is_still)):
        raise XdpError(f"there is no profile model, and {why}: give refined.refl with shoeboxes, or "
                       "profile.gaussian_rs.parameters.sigma_b and sigma_m")
    # a still has no rotation to be spread over
    if experiment.is_still:
        given = given.model_copy(update={"sigma_m": 0.0})
    return reuse_model(experiment.profile, options.model_copy(update={"parameters": given}))


def has_found_shoeboxes(spots: ReflectionTable) -> bool:
    """Whether the shoeboxes of spots are those that a spot finder made, of which profile models are learned.

    Parameters
    ----------
    spots : ReflectionTable

    Returns
    -------
    bool
        False without shoeboxes, and for those of integrated reflections, which have background pixels.
    """
    background = np.uint8(MaskCode.BACKGROUND | MaskCode.BACKGROUND_USED)
    return "shoebox" in spots and not np.any(spots["shoebox"].mask & background)


def estimate_model(experiment: Experiment, table: ReflectionTable, options: GaussianRSOptions | None = None
             ) -> GaussianRSModel:
    """Make the model of reference spots.

    sigma_b is the root of the mean, over spots, of the variance of the rays to its pixels about the predicted ray (or
    about its centroid, ``centroid_definition=com``), weighted with the counts. sigma_m is the most likely one given the
    frames on which spots were seen, and (extended) how their counts are shared among them. For stills it is 0.

    With fewer spots than both ``min_spots.overall`` and, times the degrees, ``min_spots.per_degree``, the widths
    shrink towards a prior (geometric mean, weight ``m / (n + m)`` with ``m = 5 (1 - n / overall)``), with a warning:
    the angle of a pixel for sigma_b, 0.1 degrees for sigma_m.

    Parameters
    ----------
    experiment : Experiment
        With beam, detector and crystal; for rotation data also goniometer and scan.
    table : ReflectionTable
        Spots matched with predictions: ``shoebox`` with the pixels as found, ``s1``, ``xyzcal.mm``, ``miller_index``
        as predicted, ``xyzobs.px.value``, ``flags``.
    options : GaussianRSOptions, optional

    Returns
    -------
    GaussianRSModel

    Raises
    ------
    OptionError
        If only one of sigma_b and sigma_m is given.
    XdpError
        If there are no spots.
    """
    options = options or GaussianRSOptions()
    given = options.parameters
    n_sigma = given.n_sigma or _N_SIGMA
    if (given.sigma_b is None) != (given.sigma_m is None):
        raise OptionError("profile.gaussian_rs.parameters: sigma_b and sigma_m must both be given, or none")
    if given.sigma_b is not None and given.sigma_m is not None:
        return GaussianRSModel(n_sigma, np.deg2rad(given.sigma_b), np.deg2rad(given.sigma_m))
    if not len(table):
        raise XdpError("no reference spots: a profile model cannot be made; give profile.gaussian_rs.parameters."
                       "sigma_b and sigma_m")
    # rotation and stills differ by zeta alone: without it there is no sigma_m
    zeta = None if experiment.is_still else compute_zeta(experiment, table)
    chosen = _choose_rows(table, zeta, options.filter.min_zeta or 0.0)
    log.info("sigma_b and sigma_m are estimated from %d of %d reference spots", len(chosen), len(table))
    spots = table.select(chosen)
    if zeta is None or not options.scan_varying:
        sigma_b, sigma_m = _estimate_static_widths(experiment, spots, None if zeta is None else zeta[chosen], options)
    else:
        sigma_b, sigma_m = _estimate_varying_widths(experiment, spots, zeta[chosen], options)
    weight = _compute_prior_weight(experiment, len(table), options)
    if weight > 0.0:
        sigma_b = _shrink_to_prior(sigma_b, _compute_pixel_angle(experiment, table), weight)
        sigma_m = sigma_m if experiment.is_still else _shrink_to_prior(sigma_m, PRIOR_SIGMA_M, weight)
    # also NaN, of spots without counts
    if not np.all(sigma_b > 0.0):
        raise XdpError("no reference spot has counts: a profile model cannot be made")
    log.info(" sigma b: %f degrees", np.rad2deg(np.sqrt(np.mean(np.square(sigma_b)))))
    log.info(" sigma m: %f degrees", np.rad2deg(np.sqrt(np.mean(np.square(sigma_m)))))
    spread = None
    if options.mosaic.enable:
        spread = estimate_spread(experiment, spots, float(np.mean(np.square(sigma_b))), options.mosaic)
    reach = None
    if options.mosaic.enable and zeta is not None:
        reach = estimate_range(experiment, spots, zeta[chosen], float(np.sqrt(np.mean(np.square(sigma_m)))),
                               basic=options.sigma_m_algorithm == "basic",
                               least_significance=options.mosaic.least_significance,
                               dispersion=0.0 if spread is None else 0.25 * spread.radial,
                               by_direction=options.mosaic.anisotropic)
    if reach is not None and spread is None:
        # a grid of its own for each reflection needs a width across for each, though it is the same
        spread = make_even_spread(experiment, spots, float(np.mean(np.square(sigma_b))))
    return GaussianRSModel(n_sigma, sigma_b, sigma_m, weight, spread, reach)


def _choose_rows(table: ReflectionTable, zeta: np.ndarray | None, min_zeta: float) -> np.ndarray:
    """Choose the spots that the widths are measured on: with zeta large enough, and no more than needed."""
    rows = np.arange(len(table))
    if zeta is None:
        return rows
    if len(table) >= ENOUGH_SPOTS:
        used = table.flags(Flag.USED_IN_REFINEMENT)
        rows, others = rows[used], rows[~used]
        if len(rows) < ENOUGH_SPOTS:
            rows = np.concatenate([rows, others[::len(others) // (ENOUGH_SPOTS - len(rows))]])
    # near the rotation axis a spot lasts for many frames, and errors of its angle are multiplied
    return rows[np.abs(zeta[rows]) >= min_zeta]


def _get_centres(experiment: Experiment, spots: ReflectionTable, options: GaussianRSOptions) -> np.ndarray:
    """Get the directions (n, 3) from which the pixels' angles are counted."""
    if options.centroid_definition == "com":
        return compute_lab_points(experiment, spots["shoebox"].panel, spots["xyzobs.px.value"][:, :2])
    return spots["s1"]


def _estimate_static_widths(experiment: Experiment, spots: ReflectionTable, zeta: np.ndarray | None,
                            options: GaussianRSOptions) -> tuple[np.ndarray, np.ndarray]:
    """Estimate sigma_b and sigma_m, rad, of all frames together; NaN where no spot has counts."""
    seen = measure_spot_frames(experiment, spots, _get_centres(experiment, spots, options))
    variances = compute_divergence_variances(*(np.bincount(seen.spot, column) for column in (seen.total, seen.moment)))
    sigma_b = np.asarray(np.sqrt(variances.mean()) if len(variances) else np.nan)
    if zeta is None:
        return sigma_b, np.asarray(0.0)
    if not np.any(seen.own > 0.0):
        return sigma_b, np.asarray(np.nan)
    basic = options.sigma_m_algorithm == "basic"
    sigma_m = estimate_sigma_m(experiment, seen, spots["xyzcal.mm"][:, 2], zeta, basic=basic)
    return sigma_b, np.asarray(sigma_m)


def _estimate_varying_widths(experiment: Experiment, spots: ReflectionTable, zeta: np.ndarray,
                             options: GaussianRSOptions) -> tuple[np.ndarray, np.ndarray]:
    """Estimate sigma_b and sigma_m of each frame, rad (n_frames,), from the parts of spots on it, smoothed.

    A spot's part on one frame says how likely a mosaicity makes it seen there, but nothing of how counts are shared
    among frames: basic and extended are the same here.
    """
    seen = measure_spot_frames(experiment, spots, _get_centres(experiment, spots, options))
    first, n_frames = experiment.known.scan.array_range[0], experiment.known.scan.n_frames
    squares_b, squares_m = np.full((2, n_frames), np.nan)
    for i in range(n_frames):
        # spots are cut into their parts on single frames: each part is measured as if it were a spot
        here = seen.select(seen.frame == first + i)
        variances = compute_divergence_variances(here.total, here.moment)
        if len(variances):
            squares_b[i] = variances.mean()
        if np.any(here.own > 0.0):
            squares_m[i] = estimate_sigma_m(experiment, here, spots["xyzcal.mm"][:, 2], zeta, basic=True) ** 2
    # variances are smoothed, not widths: they are what spots estimate without bias
    return np.sqrt(_smooth(squares_b)), np.sqrt(_smooth(squares_m))


def _smooth(values: np.ndarray) -> np.ndarray:
    """Convolve values with a Gaussian of 51 points and sigma 25/3; gaps are interpolated, ends continued."""
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return values
    values = np.interp(np.arange(len(values)), known, values[known])
    half = _SMOOTHING // 2
    weights = np.exp(-0.5 * np.square(np.arange(-half, half + 1) / (half / 3.0)))
    return np.convolve(np.pad(values, half, mode="edge"), weights / weights.sum(), mode="valid")


def _compute_prior_weight(experiment: Experiment, n_spots: int, options: GaussianRSOptions) -> float:
    """Compute the weight of the prior; warn where it is not 0."""
    overall, per_degree = options.min_spots.overall or 0, options.min_spots.per_degree or 0
    if n_spots >= overall:
        return 0.0
    rate = ""
    if not experiment.is_still:
        degrees = experiment.known.scan.n_frames * abs(experiment.known.scan.oscillation[1])
        if n_spots >= per_degree * degrees:
            return 0.0
        rate = f" or {per_degree} per degree"
    # the prior fades out, so that one spot more or less never changes the widths by a jump
    strength = PRIOR_SPOTS * (1.0 - n_spots / overall)
    weight = strength / (n_spots + strength)
    log.warning("%d reference spots are few for a profile model (%d%s are wanted): sigma_b and sigma_m are drawn "
                "towards usual values, which count for %.0f %%", n_spots, overall, rate, 100.0 * weight)
    return weight


def _compute_pixel_angle(experiment: Experiment, table: ReflectionTable) -> float:
    """Compute the angle that a pixel subtends, rad, averaged over the spots' places."""
    distance = np.linalg.norm(compute_lab_points(experiment, table["panel"], table["xyzobs.px.value"][:, :2]), axis=1)
    size = np.array([np.sqrt(np.prod(panel.pixel_size)) for panel in experiment.known.detector])
    return float(np.mean(size[table["panel"].astype(np.int64)] / distance))


def _shrink_to_prior(sigma: np.ndarray, prior: float, weight: float) -> np.ndarray:
    """Average widths with the prior, as geometric means; where a width is unknown, take the prior."""
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.exp((1.0 - weight) * np.log(sigma) + weight * np.log(prior))
    return np.where(np.isfinite(sigma) & (sigma > 0.0), mean, prior)


