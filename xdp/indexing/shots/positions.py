"""Where the spots of a lattice are expected on the detector, and how far they are from there."""

from __future__ import annotations

import numpy as np

from xdp.experiment.crystal import Crystal
from xdp.experiment.experiment import Experiment
from xdp.prediction.centroids import centroids_to_px
from xdp.prediction.reflections import turn_onto_sphere


def predict_on_panels(experiment: Experiment, crystal: Crystal, miller_index: np.ndarray, panel: np.ndarray
                      ) -> tuple[np.ndarray, np.ndarray]:
    """Predict where reflections of a still meet the panels on which their spots were seen.

    Parameters
    ----------
    experiment : Experiment
        With beam and detector.
    crystal : Crystal
        The lattice.
    miller_index : (n, 3) int
        Reflections.
    panel : (n,) int
        The panel of each.

    Returns
    -------
    xy : (n, 2)
        Fast, slow, px.
    delta_psi : (n,)
        The turn that brings each point onto the Ewald sphere, radians.
    """
    s1, delta_psi = turn_onto_sphere(miller_index @ crystal.A.T, experiment.known.beam.s0)
    mm = np.zeros((len(panel), 3))
    for k in np.unique(panel):
        rows = np.flatnonzero(panel == k)
        on = s1[rows] @ np.linalg.inv(experiment.known.detector.d_matrix(int(k))).T
        mm[rows, :2] = on[:, :2] / on[:, 2:]
    return centroids_to_px(experiment, panel, mm)[:, :2], delta_psi
