"""The ellipsoid model of one crystal in one still, from its strong spots."""

from __future__ import annotations

import logging
from dataclasses import replace

from xdp.errors import XdpError
from xdp.experiment.experiment import Experiment
from xdp.integration.profiles.ellipsoid.options import EllipsoidOptions
from xdp.integration.profiles.ellipsoid.refine import refine_ellipsoid
from xdp.integration.profiles.ellipsoid.shape import EllipsoidModel
from xdp.integration.profiles.ellipsoid.spots import (
    CutBoxes,
    FitBackground,
    choose_spots,
    measure_divergence,
    observe_spots,
)
from xdp.reflections.table import ReflectionTable

log = logging.getLogger(__name__)


def fit_ellipsoid(experiment: Experiment, spots: ReflectionTable, options: EllipsoidOptions, cut: CutBoxes,
                  fit_background: FitBackground) -> tuple[Experiment, EllipsoidModel]:
    """Refine mosaicity, orientation and cell against strong spots.

    1. Spots are indexed, and those far from their predictions left out.
    2. Their counts above background, centroids and shapes are measured in the image.
    3. Covariance and crystal are refined in turn (``refinement.n_cycles``).

    All of that ``refinement.n_macro_cycles`` times.

    Parameters
    ----------
    experiment : Experiment
        A still, with a crystal.
    spots : ReflectionTable
        Its indexed spots, with ``shoebox``.
    options : EllipsoidOptions
        What is refined, and how often.
    cut, fit_background : callable
        How boxes are cut out of the image and their background is fitted; see
        :func:`xdp.integration.profiles.ellipsoid.spots.observe_spots`.

    Returns
    -------
    The experiment with the new crystal and its ``profile``, and the model.

    Raises
    ------
    XdpError
        If the spots do not serve.
    """
    if "shoebox" not in spots:
        raise XdpError("the reference spots have no shoeboxes, of which an ellipsoid model is made: find spots with "
                       "output.shoeboxes=True")
    experiment, model = _run_cycle(experiment, None, spots, options, cut, fit_background)
    for _ in range((options.refinement.n_macro_cycles or 1) - 1):
        experiment, model = _run_cycle(experiment, model, spots, options, cut, fit_background)
    return replace(experiment, profile=model.to_dict()), model


def _run_cycle(experiment: Experiment, model: EllipsoidModel | None, spots: ReflectionTable, options: EllipsoidOptions,
               cut: CutBoxes, fit_background: FitBackground) -> tuple[Experiment, EllipsoidModel]:
    """Measure the spots by the models as they are, and refine both; without a model start from a sphere."""
    # a better crystal predicts better, so that spots are chosen anew each time
    chosen, n_reindexed = choose_spots(experiment, spots, options)
    if n_reindexed:
        log.debug("reindexed %d of %d spots", n_reindexed, len(spots))
    sigma = measure_divergence(experiment, chosen)
    observed = observe_spots(experiment, chosen, sigma, cut, fit_background)
    if model is None:
        # to start with, points as large as the spots look: a sphere
        model = EllipsoidModel.make_isotropic(options.rlp_mosaicity.model, sigma * observed.radius)
    crystal, model = refine_ellipsoid(observed, experiment.known.crystal, model, options)
    return replace(experiment, crystal=crystal), model
