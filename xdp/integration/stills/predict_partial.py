"""Reflections of a still that a model of partialities predicts."""

from __future__ import annotations

import numpy as np

from xdp.experiment.experiment import Experiment
from xdp.experiment.extent import max_resolution
from xdp.integration.partiality.model import PartialityModel, compute_excitation
from xdp.prediction.near_sphere import list_indices_near_sphere
from xdp.prediction.options import PredictionOptions
from xdp.prediction.reflections import intersect_detector, make_prediction_table
from xdp.reflections.table import ReflectionTable


def predict_partial(experiment: Experiment, model: PartialityModel, options: PredictionOptions, *,
                    n_sigma: float = 3.5) -> ReflectionTable:
    """Predict the reflections within some standard deviations of the Ewald sphere.

    Parameters
    ----------
    experiment : Experiment
        A still, with crystal, beam and detector.
    model : PartialityModel
        Widths of lattice points along the normal of the sphere.
    options : PredictionOptions
        ``d_min``, by default that of the detector's corner, and ``d_max``.
    n_sigma : float, default 3.5
        How many standard deviations.

    Returns
    -------
    ReflectionTable
        As of :func:`xdp.prediction.reflections.predict_stills`, rays through the middles of spots; with
        ``delpsical.rad``, the angle from the sphere seen from the origin, above 0 inside.
    """
    known = experiment.known
    s0 = np.asarray(known.beam.s0)
    d_min = options.d_min or max_resolution(known.detector, known.beam)
    constant, slope = model.bound_distance(s0, 1.0 / d_min, n_sigma)
    hkl = list_indices_near_sphere(known.crystal, s0, d_min, options.d_max, constant=constant, slope=slope)
    excitation = compute_excitation(known.crystal.A, s0, hkl)
    near = np.flatnonzero(excitation.epsilon**2 <= n_sigma**2 * model.compute_variances(excitation, s0))
    rays = model.compute_rays(excitation, s0)[near]
    panel, xy_mm = intersect_detector(known.detector, rays)
    rows = np.flatnonzero(panel >= 0)
    chosen = near[rows]
    table = make_prediction_table(experiment, hkl[chosen], np.zeros(len(rows)), rays[rows], panel[rows], xy_mm[rows])
    angle = -excitation.epsilon[chosen] / np.maximum(excitation.across[chosen], 1e-12)
    return table.with_columns(**{"delpsical.rad": angle, "entering": np.zeros(len(rows), bool)})
