"""The reflections of an experiment, by the predictor that suits its models."""

from __future__ import annotations

import logging

import numpy as np

from xdp.errors import OptionError, XdpError
from xdp.experiment.experiment import Experiment
from xdp.experiment.extent import max_resolution
from xdp.prediction.indices import list_lattice_indices
from xdp.prediction.kabsch import compute_signed_zeta
from xdp.prediction.near_sphere import convert_turn_to_distance, list_indices_near_sphere
from xdp.prediction.options import PredictionOptions
from xdp.prediction.reflections import predict_rotation, predict_stills
from xdp.prediction.scan_varying import has_varying_models, pad_frames, predict_scan_varying
from xdp.reflections.table import ReflectionTable

log = logging.getLogger(__name__)

STILL_DELTA_PSI = 0.0015
"""Radians (0.086 degrees) that a still's reflection may lie off the Ewald sphere where its mosaicity is not known."""


def predict(experiment: Experiment, options: PredictionOptions | None = None, *, index: int = 0) -> ReflectionTable:
    """Predict all reflections of an experiment that meet its detector.

    A crystal (or beam) with models for all borders of the frames is followed from frame to frame, unless
    ``force_static``; other rotating crystals turn as they are; stills are taken near the Ewald sphere. What screw axes
    or glide planes extinguish is predicted too; what the centring extinguishes is not.

    Parameters
    ----------
    experiment
        With a crystal.
    options
        Resolution limits, margin, padding.
    index
        Number of the experiment in its list: the column ``id``.

    Returns
    -------
    ReflectionTable
        ``miller_index``, ``entering``, ``panel``, ``s1`` (Å⁻¹), ``xyzcal.mm`` (mm, mm, rad), ``xyzcal.px`` (px, px,
        frame), ``d`` (Å), ``flags`` (predicted), ``id``, and ``zeta`` or, for stills, ``delpsical.rad``; ordered by
        angle, then by index.

    Raises
    ------
    XdpError
        If the experiment has no crystal.
    OptionError
        If d_min is finer than the wavelength allows, or coarser than d_max.
    """
    options = options or PredictionOptions()
    if experiment.crystal is None:
        raise XdpError(f"experiment {index} has no crystal: nothing can be predicted; index it first")
    _check_limits(experiment, options)
    # stills have no angle at which a point passes the sphere: those close to it are taken
    if experiment.is_still:
        table = _predict_stills(experiment, options)
    else:
        if has_varying_models(experiment) and not options.force_static:
            table = predict_scan_varying(experiment, options.d_min, d_max=options.d_max, margin=options.margin or 0,
                                         padding=options.padding or 0.0)
            how = "scan-varying"
        else:
            table, how = _predict_static(experiment, options), "static"
        table["zeta"] = compute_zeta(experiment, table)
        log.info("Predicting with a %s crystal", how)
    table["id"] = np.full(len(table), index, np.int32)
    identifiers = {index: experiment.identifier} if experiment.identifier else {}
    log.info("Predicted %d reflections for experiment %d", len(table), index)
    return ReflectionTable(dict(table.items()), identifiers, len(table))


def compute_zeta(experiment: Experiment, table: ReflectionTable) -> np.ndarray:
    """Compute zeta of reflections, for the beam and axis as they are without scan-varying models.

    Parameters
    ----------
    experiment : Experiment
        With beam and goniometer.
    table : ReflectionTable
        With ``s1``.

    Returns
    -------
    (n,) float64
        From -1 to 1.
    """
    return compute_signed_zeta(table["s1"], experiment.known.beam.s0, experiment.known.goniometer.rotation_axis_lab)


def _check_limits(experiment: Experiment, options: PredictionOptions) -> None:
    """Raise OptionError for resolution limits that make no sense."""
    wavelength = experiment.known.beam.wavelength
    if options.d_min is not None and options.d_min < 0.5 * wavelength:
        raise OptionError(f"prediction.d_min={options.d_min:g} is not possible with wavelength {wavelength:g} Å: "
                          f"{0.5 * wavelength:g} Å is the limit")
    if options.d_min is not None and options.d_max is not None and options.d_max < options.d_min:
        raise OptionError(f"prediction.d_max={options.d_max:g} must not lie below prediction.d_min={options.d_min:g}")


def _list_indices(experiment: Experiment, options: PredictionOptions) -> np.ndarray:
    """List the indices within the resolution limits, (n, 3)."""
    d_min = options.d_min or max_resolution(experiment.known.detector, experiment.known.beam)
    return list_lattice_indices(experiment.known.crystal, d_min, options.d_max)


def _predict_static(experiment: Experiment, options: PredictionOptions) -> ReflectionTable:
    """Predict with the static models, in as many whole frames as the padding is rounded to."""
    padding = options.padding or 0.0
    table = predict_rotation(experiment, indices=_list_indices(experiment, options), margin=padding)
    # as scan-varying prediction does, which knows whole frames only
    first, last = pad_frames(experiment, padding)
    z = table["xyzcal.px"][:, 2]
    return table.select((z > first) & (z < last))


def _predict_stills(experiment: Experiment, options: PredictionOptions) -> ReflectionTable:
    """Predict the reflections near the Ewald sphere: within the crystal's own limit if it has one.

    The limit is ``d / domain size + half mosaicity / 2``, equation 16 of Sauter et al., Acta Cryst. D70, 3299 (2014),
    doi:10.1107/S1399004714024134.
    """
    crystal = experiment.known.crystal
    mosaicity, size = (crystal.extra.get(key) for key in ("ML_half_mosaicity_deg", "ML_domain_size_ang"))
    if mosaicity is None or size is None:
        constant, turn = 0.0, STILL_DELTA_PSI
    else:
        constant, turn = 1.0 / float(size), np.deg2rad(float(mosaicity)) / 2.0
    d_min = options.d_min or max_resolution(experiment.known.detector, experiment.known.beam)
    # twice the limit, as angles and distances compare only roughly; the exact angle decides in the last line
    near = list_indices_near_sphere(crystal, experiment.known.beam.s0, d_min, options.d_max, constant=2.0 * constant,
                                    slope=2.0 * convert_turn_to_distance(turn))
    table = predict_stills(experiment, max_delta_psi=180.0, indices=near)
    return table.select(np.abs(table["delpsical.rad"]) < constant * table["d"] + turn)
