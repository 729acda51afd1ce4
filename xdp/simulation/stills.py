"""Draw still shots."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xdp.experiment.beam import Beam
from xdp.experiment.crystal import Crystal
from xdp.experiment.detector import Detector
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.prediction.reflections import intersect_detector, make_prediction_table, predict_stills
from xdp.reflections.table import ReflectionTable
from xdp.simulation.background import expect_background
from xdp.simulation.images import Simulation, make_defects
from xdp.simulation.mosaic_domains import DomainOptions, sum_domains
from xdp.simulation.options import SimulationOptions
from xdp.simulation.spots import Spots, compute_polarisation, draw_panel_spots
from xdp.simulation.structures.structure import draw_intensities

_REACH = 4.0
"""Standard deviations of the mosaic spread: farther off the sphere a reflection has below exp(-8) of its photons."""


def simulate_stills(shots: Sequence[Crystal | Sequence[Crystal] | None], beam: Beam, detector: Detector, *,
                    options: SimulationOptions | None = None, seed: int = 0) -> Simulation:
    r"""Draw what a detector counts in single shots of crystals at rest.

    A reflection's photons are those of a rotation series times its partiality
    :math:`\exp\left(-\Delta\psi^2 / (2 \sigma_m^2)\right)`. With ``point_size`` above 0, mosaic domains are summed
    instead (:func:`~xdp.simulation.mosaic_domains.sum_domains`): then ``eta`` and ``bandwidth`` count, sigma_m does
    not.

    Parameters
    ----------
    shots
        What is in the beam in each shot: a crystal, several, or None.
    beam, detector
        The true models.
    options
        Physics and defects.
    seed
        Of counting noise and defects.

    Returns
    -------
    Simulation
        One experiment a crystal. The truth has the columns of :func:`xdp.prediction.reflections.predict_stills`, with
        the shot's number plus 0.5 as frame coordinate and the experiment as ``id``, and ``intensity.true``, ``lp`` (the
        polarisation factor), ``photons``, ``partiality``, ``intensity.sum.value`` as for rotation.
    """
    options = options or SimulationOptions()
    floor = [expect_background(detector, beam, i, options.background) for i in range(len(detector))]
    experiments: list[Experiment] = []
    # shot by shot: spots are drawn once, and images made of them when they are asked for
    tables: list[ReflectionTable] = []
    drawn: list[list[tuple[ReflectionTable, list[Spots]]]] = []
    for number, crystals in enumerate(shots):
        drawn.append([])
        for crystal in _as_list(crystals):
            experiment = Experiment(f"shot-{number}-{len(drawn[-1])}", beam, detector, crystal=crystal)
            table, spots = _draw_shot(experiment, len(experiments), number, options)
            experiments.append(experiment)
            tables.append(table)
            drawn[-1].append((table, spots))

    def expected(frame: int) -> list[np.ndarray]:
        images = [panel.copy() for panel in floor]  # the floor is the same for all shots
        for table, by_panel in drawn[frame]:
            for image, spots in zip(images, by_panel, strict=True):
                spots.draw_on(image, (table["photons"] * table["partiality"])[spots.rows])
        return images

    defects = make_defects(detector, options.hot_pixels, options.dead_pixels, seed)
    return Simulation(ExperimentList(experiments), ReflectionTable.concatenate(tables), len(shots), defects, seed,
                      expected)


def _draw_shot(experiment: Experiment, number: int, shot: int, options: SimulationOptions
               ) -> tuple[ReflectionTable, list[Spots]]:
    """Predict the reflections of one crystal in one shot, and draw their spots."""
    table = _predict_domains(experiment, options) if options.point_size > 0.0 else predict_stills(
        experiment, options.d_min, max_delta_psi=_REACH * options.sigma_m)
    table.identifiers = {number: experiment.identifier}
    table["id"] = np.full(len(table), number, np.int32)
    # the frame coordinate tells the shots of a stack apart
    xyz = table["xyzcal.px"].copy()
    xyz[:, 2] = shot + 0.5
    table["xyzcal.px"] = xyz
    table["intensity.true"] = options.photons * draw_intensities(
        experiment.known.crystal, table["miller_index"], wilson_b=options.wilson_b, seed=options.structure_seed)
    table["lp"] = compute_polarisation(table["s1"], experiment.known.beam)
    table["photons"] = table["intensity.true"] * table["lp"]
    if "partiality" not in table:
        table["partiality"] = np.exp(-0.5 * (table["delpsical.rad"] / np.deg2rad(options.sigma_m)) ** 2)
    by_panel, recorded = [], np.zeros(len(table))
    for index in range(len(experiment.known.detector)):
        rows = np.flatnonzero(table["panel"] == index)
        spots = draw_panel_spots(experiment.known.detector, experiment.known.beam, index, rows,
                                 table["xyzcal.mm"][rows, :2],
                                 sigma_b=np.deg2rad(options.sigma_b), parallax=options.parallax)
        by_panel.append(spots)
        recorded[rows] = spots.compute_recorded_part()
    table["intensity.sum.value"] = table["photons"] * table["partiality"] * recorded
    return table, by_panel


def _predict_domains(experiment: Experiment, options: SimulationOptions) -> ReflectionTable:
    """Predict the reflections that mosaic domains record, with their partialities and the rays to their middles."""
    known = experiment.known
    # the limit is of the angle; the lowest orders are the widest in it
    longest = float(np.linalg.norm(known.crystal.real_space_matrix, axis=1).max())
    angle = options.eta + np.rad2deg(options.point_size * longest) + np.rad2deg(options.bandwidth)
    table = predict_stills(experiment, options.d_min, max_delta_psi=_REACH * angle)
    domains = DomainOptions(options.point_size, options.eta, options.bandwidth)
    found = sum_domains(known.crystal, known.beam, table["miller_index"], domains)
    rows = np.flatnonzero(found.partiality > np.exp(-0.5 * _REACH**2))
    panel, xy_mm = intersect_detector(known.detector, found.ray[rows])
    rows, xy_mm, panel = rows[panel >= 0], xy_mm[panel >= 0], panel[panel >= 0]
    hkl = table["miller_index"][rows]
    out = make_prediction_table(experiment, hkl, np.zeros(len(rows)), found.ray[rows], panel, xy_mm)
    return out.with_columns(**{"delpsical.rad": table["delpsical.rad"][rows], "partiality": found.partiality[rows]})


def _as_list(crystals: Crystal | Sequence[Crystal] | None) -> list[Crystal]:
    """Give the crystals of one shot as a list."""
    if crystals is None:
        return []
    return [crystals] if isinstance(crystals, Crystal) else list(crystals)
