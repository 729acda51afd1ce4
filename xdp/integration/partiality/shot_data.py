"""What a table of a shot's integrated reflections tells about partialities: intensities, and positions of spots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xdp.experiment.experiment import Experiment
from xdp.experiment.pixels import px_to_s1
from xdp.integration.partiality.shot_equations import ShotIntensities, ShotPositions
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable

if TYPE_CHECKING:
    from xdp.integration.partiality.reference import ReferenceIntensities

SPOT_SIGNIFICANCE = 5.0
"""Intensity over its standard deviation from which a centroid is used as a position. A choice: that of a spot finder's
faintest spots."""


def choose_usable_rows(experiment: Experiment, table: ReflectionTable) -> np.ndarray:
    """Choose the reflections whose intensities tell something: summed, without bad pixels, not extinct by symmetry.

    Parameters
    ----------
    experiment : Experiment
        With a crystal.
    table : ReflectionTable
        Its integrated reflections.

    Returns
    -------
    (n,) bool
    """
    good = table.any_flags(Flag.INTEGRATED) & ~table.flags(Flag.FOREGROUND_INCLUDES_BAD_PIXELS)
    group = experiment.known.crystal.space_group.operations()
    absent = group.systematic_absences(np.ascontiguousarray(table["miller_index"], np.int32))
    return good & ~np.asarray(absent, bool)


def compute_corrections(table: ReflectionTable) -> np.ndarray:
    """Compute the factors (n,) that correct sums for polarisation and the sensor's efficiency: ``lp / qe``."""
    factor = np.ones(len(table)) if "lp" not in table else np.asarray(table["lp"], np.float64)
    return factor / table["qe"] if "qe" in table else factor


def gather_intensities(experiment: Experiment, table: ReflectionTable, reference: ReferenceIntensities | None = None
                       ) -> ShotIntensities:
    """Gather the intensities of one crystal.

    Parameters
    ----------
    experiment : Experiment
        With a crystal.
    table : ReflectionTable
        Its integrated reflections, those to be used.
    reference : ReferenceIntensities, optional
        What full intensities are expected; without it only the multiplicities epsilon are.

    Returns
    -------
    ShotIntensities
    """
    hkl, factor = table["miller_index"], compute_corrections(table)
    # no counts at all have no variance; one count less or more would not have been a surprise
    variance = np.maximum(table["intensity.sum.variance"], 1.0) * factor**2
    if reference is None:
        group = experiment.known.crystal.space_group.operations()
        found = np.ascontiguousarray(hkl, np.int32)
        expected = np.asarray(group.epsilon_factor_without_centering_array(found), np.float64)
        spread = np.full(len(hkl), np.inf)
    else:
        expected, spread = reference.expect(hkl)
    return ShotIntensities(hkl, table["intensity.sum.value"] * factor, variance, expected, spread)


def gather_positions(experiment: Experiment, table: ReflectionTable) -> ShotPositions:
    """Gather the positions of the reflections that are strong enough.

    Parameters
    ----------
    experiment : Experiment
        With beam and detector.
    table : ReflectionTable
        Integrated reflections, or indexed spots.

    Returns
    -------
    ShotPositions
    """
    sigma = np.sqrt(np.maximum(table["intensity.sum.variance"], 1.0))
    rows = np.flatnonzero(table["intensity.sum.value"] > SPOT_SIGNIFICANCE * sigma)
    panel, xy = table["panel"][rows].astype(np.int64), table["xyzobs.px.value"][rows, :2]
    detector, beam = experiment.known.detector, experiment.known.beam
    rays = np.zeros((len(rows), 3))
    for i in np.unique(panel).tolist():
        on_panel = panel == i
        rays[on_panel] = px_to_s1(detector, beam, i, xy[on_panel])
    rays /= np.maximum(np.linalg.norm(rays, axis=1, keepdims=True), 1e-12)
    first = detector[0]
    return ShotPositions(table["miller_index"][rows], rays,
                         float(min(first.pixel_size)) / max(abs(float(first.distance)), 1e-6))
