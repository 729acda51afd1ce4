"""A rotation series from images to refined models. Copy this file and edit it.

    python rotation.py images/*.cbf         your own data, of whatever format
    python rotation.py                      a small simulated series
"""

import sys
from pathlib import Path

from xdp.experiment import ExperimentList, write_experiments
from xdp.images.importing import import_images
from xdp.indexing.indexer import index
from xdp.indexing.options import Indexing
from xdp.indexing.reindexing import reindex_reflections
from xdp.indexing.settings import Solution, refine_settings
from xdp.refinement.refiner import refine
from xdp.reflections import Flag, ReflectionTable, write_refl
from xdp.simulation import make_beam, make_crystal, make_detector, make_goniometer, make_scan, simulate_rotation
from xdp.simulation.write import write_minicbf_series
from xdp.spotfinding.graph import find_spots
from xdp.spotfinding.options import FindSpotsOptions, SpotFinderOptions

SPACE_GROUP = None  # such as "P43212" where it is known; None: the best of the Bravais settings


def images(arguments: list[str]) -> list[str]:
    """Your images, or simulated ones: twenty frames of half a degree."""
    if arguments:
        return arguments
    models = make_crystal(orientation=1), make_beam(), make_detector((300, 300)), make_goniometer()
    Path("simulated").mkdir(exist_ok=True)
    simulation = simulate_rotation(*models, make_scan(20, 0.5), seed=1)
    return [str(path) for path in write_minicbf_series(simulation, "simulated")]


def best_setting(experiments: ExperimentList, spots: ReflectionTable) -> Solution:
    """The most symmetric of the recommended Bravais settings; the first row of the table has the highest symmetry."""
    solutions = refine_settings(experiments, spots)
    for solution in solutions:
        mark = "*" if solution.recommended else " "
        print(f"{mark} {solution.setting.lattice}  rmsd {solution.rmsd:.4f} mm  by {solution.setting.operator}")
    return next(solution for solution in solutions if solution.recommended)


def main() -> None:
    """Import, find spots, index, choose the symmetry, refine, write the files that `xdp` and DIALS read."""
    experiments = import_images(images(sys.argv[1:]))
    options = FindSpotsOptions(spotfinder=SpotFinderOptions(mp={"nproc": 2}, filter={"d_min": 1.8}))
    spots = find_spots(experiments, options)
    print(f"{len(spots)} spots on {len(experiments)} sequences or stills")

    indexed = index(experiments, spots, Indexing(known_symmetry={"space_group": SPACE_GROUP}))
    models, reflections = indexed.experiments, indexed.reflections
    if SPACE_GROUP is None:
        solution = best_setting(models, reflections)
        models, reflections = solution.experiments, reindex_reflections(reflections, solution.setting.transform)

    refined = refine(models, reflections)
    used = refined.reflections.flags(Flag.USED_IN_REFINEMENT).sum()
    cell = " ".join(f"{value:.3f}" for value in refined.experiments[0].crystal.unit_cell)
    print(f"cell {cell}; {used} reflections used; {refined.reason}")

    write_experiments("refined.expt", refined.experiments)
    write_refl("refined.refl", refined.reflections)


if __name__ == "__main__":
    main()
