"""A known cell in single shots: how many lattices are right, how often chance is taken for one, and the milliseconds.

Shots of ``stills_dev`` (lysozyme, 30 hits, two of them of two crystals), whole and with a part of their spots; the same
with a cell that is wrong by 6 %; spots whose azimuths are drawn anew, which have no lattice; spot lists of real shots;
and stills of three real crystals. A lattice is right if it is within 1 degree of a crystal's true orientation and its
axes within 2 % of the true ones.

    python benchmarks/serial_indexing.py ../shared/data
    python benchmarks/serial_indexing.py ../shared/data --only thinned false --false-shots 200
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from serial_consensus import TrueShot, is_right, read_hits, thin

import xdp
from xdp.experiment.crystal import Crystal, cell_of
from xdp.indexing.options import KnownSymmetry
from xdp.indexing.shots.cell_vectors import make_cell_vectors
from xdp.indexing.shots.fit import fit_lattice
from xdp.indexing.shots.orientations import search_orientations
from xdp.indexing.shots.shot import ShotLattices, find_shot_lattices
from xdp.indexing.spots import join_sweeps, map_spots
from xdp.indexing.stills import treat_as_stills
from xdp.reflections.table import ReflectionTable
from xdp.simulation.compare import compute_misorientation
from xdp.simulation.models import LYSOZYME_CELL

LYSOZYME = KnownSymmetry(unit_cell=LYSOZYME_CELL, space_group="P43212")
WRONG = KnownSymmetry(unit_cell=tuple(1.06 * v for v in LYSOZYME_CELL[:3]) + LYSOZYME_CELL[3:], space_group="P43212")
# images, options of the spot finder, cell and space group, where the geometry is from
REAL = {
    "thermolysin_cspad": ("*.cbf.gz", {"filter.min_spot_size": 2, "threshold.dispersion.gain": 25.0,
                                       "threshold.dispersion.global_threshold": 100.0},
                          (92.9, 92.9, 130.4, 90.0, 90.0, 120.0), "P6122", None),
    "snase_stills_ccd": ("*.img.bz2", {}, (48.4, 48.4, 63.3, 90.0, 90.0, 90.0), "P4", "refined_experiments.json"),
    "thaumatin_grid_pilatus6m": ("*000[12].cbf.bz2", {}, (57.9, 57.9, 150.5, 90.0, 90.0, 90.0), "P41212", None),
}


def search(shots: Sequence[TrueShot], known: KnownSymmetry = LYSOZYME) -> list[tuple[ShotLattices, float]]:
    """The lattices of each shot, and the processor's seconds."""
    found = []
    for shot in shots:
        begin = time.process_time()
        lattices = find_shot_lattices(shot.experiment, shot.spots, known)
        found.append((lattices, time.process_time() - begin))
    return found


def report(name: str, shots: Sequence[TrueShot], known: KnownSymmetry = LYSOZYME) -> None:
    """Search shots and print how many lattices are right and wrong."""
    results = search(shots, known)
    angles, good, wrong = [], 0, 0
    for shot, (found, _) in zip(shots, results, strict=True):
        right = [x for x in found.lattices if any(is_right(x.crystal, t) for t in shot.crystals)]
        good, wrong = good + bool(right), wrong + len(found.lattices) - len(right)
        angles += [min(compute_misorientation(x.crystal, t) for t in shot.crystals) for x in right]
    middle, most = (np.median(angles), max(angles)) if angles else (np.nan, np.nan)
    print(f"{name}: {good} of {len(shots)} shots right; {len(angles)} lattices right, {wrong} wrong; misorientation "
          f"{middle:.4f} degrees, at most {most:.4f}; {1e3 * np.median([s for _, s in results]):.1f} ms a shot")


def show_whole(hits: Sequence[TrueShot], folder: Path, n_false: int) -> None:
    """All spots, with the right cell and with a wrong one."""
    report("stills_dev", hits)
    report("cell wrong by 6 %", hits, WRONG)


def show_thinned(hits: Sequence[TrueShot], folder: Path, n_false: int) -> None:
    """A part of the spots, with three draws of each kind."""
    for n, false in ((25, 0), (15, 0), (12, 0), (20, 20)):
        for seed in range(3):
            report(f"{n} spots and {false} false ones, seed {seed}", thin(hits, n, false, seed))


def show_false(hits: Sequence[TrueShot], folder: Path, n_false: int) -> None:
    """Shots of nothing but false spots, and how often each probability is given."""
    rng, alarms, lattices, seconds = np.random.default_rng(1), [], 0, []
    for k in range(n_false):
        shot = hits[k % len(hits)]
        n = int(rng.choice([10, 15, 20, 30, 50, 80]))
        only = thin([shot], 1, n, k)[0]
        table = only.spots.select(np.arange(1, len(only.spots)))
        begin = time.process_time()
        found = find_shot_lattices(shot.experiment, table, LYSOZYME)
        seconds.append(time.process_time() - begin)
        lattices += len(found.lattices)
        alarms.append(found.best_false_alarm)
    shares = ", ".join(f"{p:g}: {100.0 * np.mean(np.array(alarms) <= p):.2f} %" for p in (0.03, 0.01, 0.003, 0.001))
    print(f"{n_false} shots of false spots: {lattices} lattices; {1e3 * np.median(seconds):.0f} ms a shot; shots with "
          f"a probability up to {shares}")


def show_lists(hits: Sequence[TrueShot], folder: Path, n_false: int) -> None:
    """Spot lists of real shots, and perfect ones; their first line is the cell."""
    for path in sorted((folder / "indexing_spot_lists").glob("*.txt")):
        lines = path.read_text().splitlines()
        axes = np.array(lines[0].split(), dtype=np.float64).reshape(3, 3)
        points = np.loadtxt(lines[1:])
        # the points lie on the Ewald sphere, |q|^2 = -2 q.s0, which gives the beam
        s0 = np.linalg.lstsq(-2.0 * points, np.sum(points**2, axis=1), rcond=None)[0]
        cell = make_cell_vectors(axes)
        begin = time.process_time()
        found = search_orientations(points, cell)
        seconds = time.process_time() - begin
        rows = np.round(axes @ np.linalg.inv(cell.basis)) @ found.bases[0]
        fitted = fit_lattice(Crystal(*(tuple(map(float, r)) for r in rows)), points, s0, cell=cell_of(axes))
        now = " ".join(f"{v:.2f}" for v in fitted.crystal.unit_cell)
        print(f"{path.stem}: {np.count_nonzero(fitted.probability > 0.5)} of {len(points)} spots, cell {now}, score "
              f"{found.score[0]:.0f}, {1e3 * seconds:.1f} ms")


def read_stills(folder: Path, pattern: str, options: dict, geometry: str | None) -> list[TrueShot]:
    """The shots of a folder of images, with their spots."""
    more = {} if geometry is None else {"reference_geometry": str(folder / geometry)}
    experiments = xdp.import_images([str(p) for p in sorted(folder.glob(pattern))], **more).experiments
    found = xdp.find_spots(experiments, **options)
    stills, table = treat_as_stills(*join_sweeps(experiments, found.reflections))
    return [TrueShot(f"{folder.name} {k}", replace(still, scan=None, goniometer=None),
                     table.select(np.flatnonzero(table["id"] == k)), ()) for k, still in enumerate(stills)]


def show_real(hits: Sequence[TrueShot], folder: Path, n_false: int) -> None:
    """Real stills: how many of the spots are explained."""
    for name, (pattern, options, cell, group, geometry) in REAL.items():
        for shot in read_stills(folder / name, pattern, options, geometry):
            found, seconds = search([shot], KnownSymmetry(unit_cell=cell, space_group=group))[0]
            parts = [f"{x.n_explained} ({x.rmsd_px:.2f} px, {x.false_alarm_probability:.1g})" for x in found.lattices]
            share = 100.0 * sum(x.n_explained for x in found.lattices) / len(shot.spots)
            print(f"{shot.key}: {share:.1f} % of {len(shot.spots)} spots: {', '.join(parts) or found.reason}; "
                  f"{1e3 * seconds:.0f} ms")


def show_speed(hits: Sequence[TrueShot], folder: Path, n_false: int) -> None:
    """Milliseconds of the search alone and of search and refinement together, with 50 to 100 spots."""
    rng, first, both = np.random.default_rng(0), [], []
    cell = make_cell_vectors(np.diag(LYSOZYME_CELL[:3]))
    for _ in range(4):
        for shot in hits:
            thinned = thin([shot], int(rng.integers(50, 101)), 0, int(rng.integers(1000)))[0]
            points = map_shot(thinned)
            begin = time.process_time()
            search_orientations(points, cell)
            first.append(time.process_time() - begin)
            both.append(search([thinned])[0][1])
    print(f"50 to 100 spots, median of {len(first)}: search {1e3 * np.median(first):.1f} ms, search and refinement "
          f"{1e3 * np.median(both):.1f} ms of the processor")


def map_shot(shot: TrueShot) -> np.ndarray:
    """Reciprocal lattice points of a shot's spots."""
    zero = np.zeros(len(shot.spots), dtype=np.int32)
    table: ReflectionTable = shot.spots.with_columns(id=zero, imageset_id=zero)
    return map_spots(xdp.ExperimentList([shot.experiment]), table).points


SHOWN: dict[str, Callable[[Sequence[TrueShot], Path, int], None]] = {
    "whole": show_whole, "thinned": show_thinned, "speed": show_speed, "lists": show_lists, "real": show_real,
    "false": show_false}


def main() -> None:
    """Parse the command line and show the parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the folder of data sets")
    parser.add_argument("--only", nargs="+", choices=list(SHOWN), default=list(SHOWN), help="parts to show")
    parser.add_argument("--false-shots", type=int, default=1000, help="shots of nothing but false spots")
    chosen = parser.parse_args()
    hits = read_hits(chosen.folder / "stills_dev")
    for name in chosen.only:
        SHOWN[name](hits, chosen.folder, chosen.false_shots)


if __name__ == "__main__":
    main()
