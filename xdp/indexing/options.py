"""The parameters of indexing, with the names and defaults that DIALS gave them.

Where a default differs from DIALS' docs/indexing.md says so.
"""

from __future__ import annotations

from typing import Literal

from xdp.options.kinds import SpaceGroup, UnitCell
from xdp.options.model import AUTO, Auto, Options, option

#: Degrees by which a lattice may break a symmetry at most. A tetragonal cell of 79 79 38 Å has 9 settings within 10
#: degrees, 41 within 20, 119 within 30 and 1,078 within 60, each of which is refined: minutes for what no lattice has.
MOST_DEGREES = 20.0


class MaxCellEstimation(Options):
    """How the longest axis is estimated."""

    multiplier: float = option(1.3, "Factor on the estimated longest axis.", ge=0, expert=2)
    # within so many degrees the lattice is sampled evenly, and there are spots enough for neighbours
    step_size: float = option(45.0, "Nearest neighbours are sought in blocks of so many degrees.", gt=0, expert=2)
    nearest_neighbor_percentile: float | None = option(
        None, "Take this quantile of the inverse neighbour distances.", ge=0, le=1, expert=2)
    nn_per_bin: int = option(5, "Number of neighbours for each bin of the histogram.", ge=1)
    max_height_fraction: float = option(0.25, "Bins lower than this fraction of the highest are chance.", ge=0, le=1,
                                        expert=2)
    filter_ice: bool = option(True, "Leave out spots at the resolutions of ice rings.")


class KnownSymmetry(Options):
    """What is known of the crystal beforehand."""

    space_group: SpaceGroup | None = option(None, "The space group.")
    unit_cell: UnitCell | None = option(None, "The unit cell.")
    A_matrix: tuple[float, float, float, float, float, float, float, float, float] | None = option(
        None, "The setting matrix A = U B of the crystal, nine numbers row by row in 1/Å, on the axes of the space "
        "group or of a primitive cell. Indexing starts with this crystal, without a search.")
    relative_length_tolerance: float = option(0.1, "Allowed relative difference of cell lengths.", ge=0, expert=1)
    absolute_angle_tolerance: float = option(5.0, "Allowed difference of cell angles in degrees.", ge=0, expert=1)
    max_delta: float = option(5.0, "Largest angle in degrees by which the lattice may break the symmetry.", ge=0,
                              le=MOST_DEGREES, expert=1)


class Simple(Options):
    """Assignment to the nearest lattice point."""

    # by chance (2 * 0.3)^3, a fifth of random spots, lie within it: the likelihood of cells takes that off
    hkl_tolerance: float = option(0.3, "How far an index may be from a whole number.", ge=0, le=0.5)


class Local(Options):
    """Assignment by the differences between neighbouring spots."""

    # the four numbers of Kabsch's quality of a difference (xdp.indexing.assign.assign_local)
    epsilon: float = option(0.05, "A difference's index may be so far from whole numbers at no cost.", gt=0)
    delta: int = option(8, "Indices of a difference may be so large at no cost.", ge=0)
    l_min: float = option(0.8, "Differences worse than this (0 to 1) join no spots.", ge=0, le=1)
    nearest_neighbours: int = option(20, "Number of neighbours of each spot.", ge=1)


class IndexAssignment(Options):
    """How spots get their indices."""

    method: Literal["simple", "local"] = option(
        "simple", "simple: the nearest lattice point; local: by differences between neighbouring spots, for geometry "
        "that is not well known.", expert=1)
    simple: Simple = option(Simple(), "Assignment to the nearest lattice point.")
    local: Local = option(Local(), "Assignment by neighbours.", expert=1)


class RefinementProtocol(Options):
    """Refinement while indexing."""

    mode: Literal["refine_shells", "repredict_only"] | None = option(
        "refine_shells", "refine_shells: refine in shells of rising resolution; repredict_only or None: keep the "
        "models of the search.", expert=1)
    # a cycle that changes no index is the last one
    n_macro_cycles: int = option(5, "Largest number of cycles of assignment and refinement.", ge=1)
    d_min_step: float | Auto = option(AUTO, "Step in Å from cycle to cycle.", ge=0)
    d_min_start: float | None = option(None, "Resolution of the first cycle in Å.", ge=0)
    d_min_final: float | None = option(None, "Never use spots finer than this, Å.", ge=0)


class MultipleLatticeSearch(Options):
    """More than one crystal in the beam."""

    recycle_unindexed_reflections_cutoff: float = option(
        0.1, "Search again where more than this fraction of the spots is not indexed.", ge=0, le=1)
    minimum_angular_separation: float = option(5.0, "Two lattices differ by at least this angle, degrees.", ge=0)
    max_lattices: int = option(1, "Largest number of lattices.", ge=1)


class ReciprocalSpaceGrid(Options):
    """The grid of the Fourier transform."""

    # memory goes with the cube: 256 take 70 MB in single precision
    n_points: int = option(256, "Points along each edge.", ge=32, expert=1)
    d_min: float | Auto = option(AUTO, "Resolution limit of the spots in the search, Å.", gt=0)


class Fft3d(Options):
    """The three-dimensional Fourier search."""

    b_iso: float | Auto = option(AUTO, "Temperature factor that damps high resolution, Å².", ge=0, expert=2)
    rmsd_cutoff: float = option(15.0, "Peaks are higher than this multiple of the map's rms.", ge=0, expert=1)
    reciprocal_space_grid: ReciprocalSpaceGrid = option(ReciprocalSpaceGrid(), "The grid.")


class Fft1d(Options):
    """One-dimensional Fourier transforms in many directions."""

    characteristic_grid: float | None = option(None, "Distance of the directions, radians; None: 0.029.", gt=0)


class RealSpaceGridSearch(Options):
    """Edges of the known cell in many directions."""

    characteristic_grid: float = option(0.02, "Distance of the directions, radians.", gt=0)
    max_vectors: int = option(30, "Candidate vectors that are combined.", ge=3)


class CandidateSpots(Options):
    """The spots that are matched."""

    limit_resolution_by: Literal["n_spots", "d_min"] = option("n_spots", "A number of spots, or a resolution.")
    d_min: float = option(15.0, "Finest resolution, Å.", gt=0)
    n_spots: int = option(10, "Number of innermost spots.", ge=2)
    d_star_tolerance: float = option(4.0, "Allowed difference in 1/d, in errors of a spot's position.", gt=0)


class LowResSpotMatch(Options):
    """Innermost spots matched to the indices of the known cell."""

    candidate_spots: CandidateSpots = option(CandidateSpots(), "The spots that are matched.")
    max_pairs: int = option(200, "Orientations tried for each spot at most.", ge=1)
    max_triplets: int = option(600, "Orientations kept after a look at all spots at most.", ge=1)


class Stills(Options):
    """Images of crystals that stand still."""

    indexer: Literal["Auto", "stills", "sequences"] = option(
        "Auto", "stills: the rotation of scans is not used; each of their images is a still of its own (with "
        "joint_indexing=False another crystal on each). sequences: stills are searched as scans are; of a known cell "
        "only the likeliest orientation is refined. Auto: each as it is.", expert=1)


class CheckMisindexing(Options):
    """Indices that are all off by the same whole numbers."""

    # DIALS does not check by default; a beam centre off by a lattice spacing refines nearly as well over a narrow wedge
    grid_search_scope: int = option(
        1, "Compare the fit with all indices shifted by up to this much, and correct them where that is better; 0: no "
        "check.", ge=0)


class Indexing(Options):
    """Indexing: the lattice behind the spots."""

    # simulated beam centres up to 3 mm off are found (benchmarks/indexing_stress.py)
    mm_search_scope: float = option(
        4.0, "Where the spots are badly explained, look for the beam centre as far as this, mm; 0: leave it where it "
        "is.", ge=0, expert=1)
    wide_search_binning: float = option(2.0, "Coarseness of that search; smaller is finer.", gt=0, expert=1)
    check_misindexing: CheckMisindexing = option(CheckMisindexing(), "Indices off by an offset.", expert=1)
    min_cell_volume: float = option(25.0, "Smallest cell volume in Å³.", ge=0, expert=1)
    min_cell: float = option(3.0, "Shortest axis in Å.", ge=0, expert=1)
    max_cell: float | Auto = option(AUTO, "Longest axis in Å; Auto: from the spots' nearest neighbours.", ge=0,
                                    expert=1)
    max_cell_estimation: MaxCellEstimation = option(MaxCellEstimation(), "Estimate of the longest axis.", expert=1)
    known_symmetry: KnownSymmetry = option(KnownSymmetry(), "Known cell and space group.")
    index_assignment: IndexAssignment = option(IndexAssignment(), "Assignment of indices.", expert=1)
    refinement_protocol: RefinementProtocol = option(RefinementProtocol(), "Refinement while indexing.")
    multiple_lattice_search: MultipleLatticeSearch = option(MultipleLatticeSearch(), "Several lattices.", expert=1)
    image_range: tuple[int, int] | None = option(None, "Index the spots of these images only, first and last.",
                                                 expert=1)
    joint_indexing: bool = option(True, "Several sweeps are one crystal; False: index each on its own.", expert=1)
    stills: Stills = option(Stills(), "Stills.")
    method: Literal["fft3d", "fft1d", "real_space_grid_search", "low_res_spot_match"] = option(
        "fft3d", "The search for lattice vectors. The last two need the known cell, the last for few spots of a small "
        "cell.")
    nproc: int | Auto | None = option(
        AUTO, "Threads of the three-dimensional Fourier transform; None or Auto: all cores that may be used. All else "
        "runs on one.", ge=1)
    fft1d: Fft1d = option(Fft1d(), "One-dimensional transforms.", expert=1)
    real_space_grid_search: RealSpaceGridSearch = option(RealSpaceGridSearch(), "Known edges.", expert=1)
    low_res_spot_match: LowResSpotMatch = option(LowResSpotMatch(), "Innermost spots matched.", expert=1)
    fft3d: Fft3d = option(Fft3d(), "The Fourier search.", expert=1)


class BeamSearch(Options):
    """Where the beam meets the detector, from the spots alone."""

    max_cell: float | None = option(None, "Longest axis in Å; None: from the spots' nearest neighbours.", gt=0)
    image_range: tuple[int, int] | None = option(None, "Use the spots of these images only, first and last.")
    max_reflections: int | None = option(10000, "Use at most so many spots.", ge=10)
    nproc: int | Auto | None = option(
        AUTO, "Threads of the Fourier transforms; None or Auto: all cores that may be used.", ge=1)
    mm_search_scope: float = option(4.0, "How far from the present beam centre to look, mm.", gt=0)
    wide_search_binning: float = option(2.0, "Coarseness of the search; smaller is finer.", gt=0)
    # each search allows the whole scope again
    # after three or four the shift changes by less than a micrometre; a hundred took 13 s on 20 spots
    n_macro_cycles: int = option(1, "Repeat the search from its result so many times.", ge=1, le=50)
    d_min: float | None = option(None, "Use spots down to this resolution, Å.", ge=0)


class AxisSearch(Options):
    """The rotation axis, from the spots alone."""

    d_max: float | None = option(10.0, "Leave out spots of lower resolution, Å.", gt=0)
    max_two_theta: float | None = option(10.0, "Leave out spots at larger scattering angles, degrees.", gt=0)
    max_sample_size: int = option(2000, "Use at most so many spots, the innermost.", ge=30)
    global_search: bool = option(True, "Search all azimuths; False: only near the present one, or `azimuth`.")
    # azimuths are counted as DIALS does: the axis is (cos a, -sin a, 0)
    azimuth: float | None = option(None, "Start there, degrees clockwise from x; None: the present axis.")
    opposite: bool = option(False, "Start from the opposite azimuth.")
