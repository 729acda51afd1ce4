"""Every parameter of indexing does something: a list of all, with what each changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from parameter_tables import leaves, nested_options

from xdp.errors import XdpError
from xdp.experiment.detector import SIMPLE
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.indexing.index import choose_max_cell, index_sweeps
from xdp.indexing.options import BeamSearch, Indexing
from xdp.indexing.search.beam_search import optimise_beam_position
from xdp.indexing.search.lattice_search import find_likely_shifts, search_lattice
from xdp.indexing.search.trial import find_candidates
from xdp.indexing.spots import ReciprocalSpots, load_spots
from xdp.reflections.table import ReflectionTable
from xdp.simulation.models import make_beam, make_detector, make_goniometer, make_scan
from xdp.simulation.spot_lists import draw_crystal, shift_experiment, simulate_spot_list

CELL, TRIGONAL = (42.0, 55.0, 71.0, 90.0, 90.0, 90.0), (60.0, 60.0, 60.6, 90.0, 90.0, 91.0)
SMALL = (9.0, 9.1, 9.2, 90.0, 90.0, 90.0)
SYMMETRY, PROTOCOL, SEVERAL = "known_symmetry.", "refinement_protocol.", "multiple_lattice_search."
ESTIMATE, MATCH = "max_cell_estimation.", "low_res_spot_match."
KNOWN = {SYMMETRY + "unit_cell": CELL, SYMMETRY + "space_group": "P212121"}
TINY = {"method": "low_res_spot_match", SYMMETRY + "unit_cell": SMALL, SYMMETRY + "space_group": "P222"}
LOCAL = {"index_assignment.method": "local"}
NO_SEARCH = {"mm_search_scope": 0.0}
GRID = {"fft3d.reciprocal_space_grid.n_points": 128}  # an eighth of the default's points: enough for these cells


# --- data ------------------------------------------------------------------------------------------------------------

def sweep(width: float = 30.0) -> Experiment:
    """A sweep of 0.5 degree images on a small detector without parallax."""
    detector = make_detector((981, 831), distance=180.0, gaps=False)
    panel = replace(detector[0], px_mm_strategy=SIMPLE)
    return Experiment(beam=make_beam(), detector=replace(detector, panels=(panel,)), goniometer=make_goniometer(),
                      scan=make_scan(int(2 * width), 0.5))


@cache
def data(name: str) -> tuple[ExperimentList, ReflectionTable]:
    """Simulated spots by the name of their trouble: none, shifted, far, two, distorted, tiny, rough, pair."""
    experiment = sweep()
    seeds = {"two": (1, 2, 3), "pair": (1, 2)}.get(name, (1,))
    is_small = name in ("tiny", "rough", "pair")
    cell = SMALL if is_small else {"distorted": TRIGONAL}.get(name, CELL)
    crystals = [replace(experiment, crystal=draw_crystal("aP" if name == "distorted" else "oP", cell, s))
                for s in seeds]
    d_min, n = (1.0, 60) if is_small else (2.5, 400)
    spots = simulate_spot_list(crystals, np.random.default_rng(5), n_spots=n * len(seeds), d_min=d_min,
                               spurious=0.0 if is_small else 0.2, sigma_px=6.0 if name == "rough" else 0.2)
    if name == "rough":  # errors larger than they say
        spots.table["xyzobs.px.variance"] = np.full((len(spots.table), 3), 0.04)
    shift = {"shifted": (0.9, -0.6), "far": (3.2, -2.6)}.get(name)
    wrong = shift_experiment(experiment, shift) if shift else experiment
    return ExperimentList([wrong]), spots.table


# --- what is looked at -----------------------------------------------------------------------------------------------

def result(name: str, options: Indexing) -> np.ndarray:
    """All that indexing gives, as numbers; the error's length where it fails."""
    try:
        found = index_sweeps(*data(name), options)
    except XdpError as error:
        return np.array([float(len(str(error)))])
    table = found.reflections
    models = [np.concatenate([e.crystal.A, np.array(e.detector[0].origin)], axis=None) for e in found.experiments]
    return np.concatenate([[len(table), len(models)], table["id"], table["miller_index"].ravel(),
                           table["flags"].astype(float), *models])


def candidates(name: str, options: Indexing) -> np.ndarray:
    """The candidate lattice vectors of the spots."""
    sweeps, table = data(name)
    return find_candidates(load_spots(sweeps, table).points, 90.0, options).vectors


def longest(name: str, options: Indexing) -> np.ndarray:
    """The longest axis to look for."""
    return np.array([choose_max_cell(load_spots(*data(name)), options)])


def cells(name: str, options: Indexing) -> np.ndarray:
    """The cells that a search finds with the geometry as it is (where nothing fits, it would try others for long)."""
    sweeps, table = data(name)
    found = search_lattice(sweeps, load_spots(sweeps, table), 90.0, options, may_change=False)
    return np.concatenate([[found.n_vectors], *(c.basis.ravel() for c in found.cells)])


def centres(name: str, options: Indexing) -> np.ndarray:
    """The beam centres that a search would try, mm."""
    sweeps, table = data(name)
    return np.concatenate([shift.mm for shift in find_likely_shifts(sweeps, load_spots(sweeps, table), 90.0, options)])


def on_ice(name: str, options: Indexing) -> np.ndarray:
    """The longest axis where half of the spots are an ice ring."""
    sweeps, table = data(name)
    spots = load_spots(sweeps, table)
    points, rng = spots.points.copy(), np.random.default_rng(1)
    ring = rng.normal(size=points[::2].shape)
    points[::2] = ring / np.linalg.norm(ring, axis=1)[:, None] / 3.669
    return np.array([choose_max_cell(ReciprocalSpots(spots.table.with_columns(rlp=points)), options)])


Probe = Callable[[str, Indexing], np.ndarray]

#: For each parameter: another value, what is looked at, on which data, and the settings under which it is compared.
CASES: dict[str, tuple[Any, Probe, str, dict[str, Any]]] = {
    # on axes that no search would choose
    SYMMETRY + "A_matrix": (tuple(draw_crystal("oP", CELL, 1).A[:, [1, 2, 0]].ravel().tolist()), result, "none", {}),
    "mm_search_scope": (0.0, result, "shifted", {}),
    "wide_search_binning": (1.0, centres, "shifted", {}),
    # indices grown from neighbour to neighbour leave the origin to be found
    "check_misindexing.grid_search_scope": (0, result, "far", NO_SEARCH | LOCAL),
    "min_cell_volume": (5e5, result, "none", NO_SEARCH),
    "min_cell": (50.0, candidates, "none", {}),
    "max_cell": (45.0, result, "none", NO_SEARCH),
    ESTIMATE + "multiplier": (2.0, longest, "none", {}),
    ESTIMATE + "step_size": (5.0, longest, "none", {}),
    ESTIMATE + "nearest_neighbor_percentile": (0.5, longest, "none", {}),
    ESTIMATE + "nn_per_bin": (30, longest, "none", {}),
    ESTIMATE + "max_height_fraction": (0.8, longest, "none", {}),
    ESTIMATE + "filter_ice": (False, on_ice, "none", {}),
    SYMMETRY + "space_group": ("P212121", result, "none", {}),
    SYMMETRY + "unit_cell": ((71.0, 42.0, 55.0, 90.0, 90.0, 90.0), result, "none", {}),
    SYMMETRY + "relative_length_tolerance": (0.3, result, "none", KNOWN | {
        SYMMETRY + "unit_cell": (50.0, 65.0, 85.0, 90.0, 90.0, 90.0)}),
    SYMMETRY + "absolute_angle_tolerance": (0.5, result, "distorted", {
        SYMMETRY + "unit_cell": (60.0, 60.0, 60.6, 90.0, 90.0, 93.0)}),
    SYMMETRY + "max_delta": (0.2, result, "distorted", {SYMMETRY + "space_group": "P4"}),
    "index_assignment.method": ("local", result, "none", {}),
    "index_assignment.simple.hkl_tolerance": (0.05, result, "none", {}),
    "index_assignment.local.epsilon": (0.01, result, "none", LOCAL),
    "index_assignment.local.delta": (0, result, "none", LOCAL),
    "index_assignment.local.l_min": (0.05, result, "none", LOCAL),
    "index_assignment.local.nearest_neighbours": (3, result, "none", LOCAL),
    PROTOCOL + "mode": ("repredict_only", result, "none", {}),
    PROTOCOL + "n_macro_cycles": (1, result, "none", {}),
    PROTOCOL + "d_min_step": (2.0, result, "none", {PROTOCOL + "d_min_start": 6.0, PROTOCOL + "n_macro_cycles": 2}),
    PROTOCOL + "d_min_start": (6.0, result, "none", {PROTOCOL + "n_macro_cycles": 2}),
    PROTOCOL + "d_min_final": (4.0, result, "none", {}),
    SEVERAL + "recycle_unindexed_reflections_cutoff": (0.9, result, "two", {SEVERAL + "max_lattices": 2}),
    SEVERAL + "minimum_angular_separation": (179.0, result, "two", {SEVERAL + "max_lattices": 2}),
    SEVERAL + "max_lattices": (2, result, "two", {}),
    "image_range": ((1, 30), result, "none", {}),
    "method": ("fft1d", candidates, "none", {}),
    "fft1d.characteristic_grid": (0.05, candidates, "none", {"method": "fft1d"}),
    "real_space_grid_search.characteristic_grid": (0.04, candidates, "none",
                                                   KNOWN | {"method": "real_space_grid_search"}),
    "real_space_grid_search.max_vectors": (5, candidates, "none", KNOWN | {"method": "real_space_grid_search"}),
    # no spot is that far inside
    MATCH + "candidate_spots.limit_resolution_by": ("d_min", cells, "tiny", TINY | {
        MATCH + "candidate_spots.d_min": 15.0}),
    MATCH + "candidate_spots.d_min": (15.0, cells, "tiny", TINY | {
        MATCH + "candidate_spots.limit_resolution_by": "d_min", MATCH + "candidate_spots.d_min": 3.0}),
    MATCH + "candidate_spots.n_spots": (3, cells, "tiny", TINY),
    MATCH + "candidate_spots.d_star_tolerance": (100.0, cells, "rough", TINY | {MATCH + "candidate_spots.n_spots": 3}),
    MATCH + "max_pairs": (1, cells, "tiny", TINY),
    MATCH + "max_triplets": (1, cells, "pair", TINY),
    "fft3d.b_iso": (500.0, candidates, "none", {}),
    "fft3d.rmsd_cutoff": (200.0, candidates, "none", {}),
    "fft3d.reciprocal_space_grid.n_points": (96, candidates, "none", {}),
    "fft3d.reciprocal_space_grid.d_min": (6.0, candidates, "none", {}),
}

#: Parameters whose effect other tests show: test_indexer.py.
ELSEWHERE = {"joint_indexing", "nproc", "stills.indexer"}  # the last in test_stills

BEAM_CASES: dict[str, Any] = {
    "max_cell": 45.0, "image_range": (1, 20), "max_reflections": 60, "mm_search_scope": 0.5,
    "wide_search_binning": 9.0, "n_macro_cycles": 2, "d_min": 4.0}


@cache
def probe_once(probe: Callable, name: str, settings: tuple[tuple[str, Any], ...]) -> np.ndarray:
    """What many parameters are compared with, computed once."""
    return probe(name, nested_options(Indexing, dict(settings)))


def test_no_parameter_is_without_a_test():
    assert leaves(Indexing) == CASES.keys() | ELSEWHERE
    assert leaves(BeamSearch) == BEAM_CASES.keys() | {"nproc"}


@pytest.mark.parametrize("path", CASES)
def test_parameter_changes_the_result(path: str):
    value, probe, name, settings = CASES[path]
    settings = GRID | settings
    base = probe_once(probe, name, tuple(settings.items()))
    other = probe(name, nested_options(Indexing, settings | {path: value}))
    assert base.shape != other.shape or not np.allclose(base, other, rtol=1e-9, atol=0)


@cache
def beam_found(name: str | None = None) -> tuple:
    """Where the beam search ends, and how good that is, with the other value of a parameter or with none changed."""
    settings = {} if name is None else {name: BEAM_CASES[name]}
    shift = optimise_beam_position(*data("shifted"), BeamSearch.model_validate(settings))[1]
    return shift.mm, shift.score


@pytest.mark.parametrize("name", BEAM_CASES)
def test_parameter_of_the_beam_search_changes_its_result(name: str):
    assert beam_found() != beam_found(name)
