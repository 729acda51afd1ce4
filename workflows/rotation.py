"""A rotation series from images to integrated intensities, stage by stage. Copy this file and edit it.

    python rotation.py images/*.cbf         your own data, of whatever format
    python rotation.py                      a small simulated series

`xdp.pipeline.process` (the command `xdp process`) does the same in one call, and keeps what is done.
"""

import sys
from pathlib import Path

from xdp.experiment import write_experiments
from xdp.exporting.mtz import write_mtz
from xdp.images.importing.import_images import import_images
from xdp.indexing.index import index
from xdp.indexing.options import Indexing
from xdp.indexing.refine_settings import refine_settings
from xdp.indexing.reindex import reindex_reflections
from xdp.integration.integrate import integrate
from xdp.integration.options import IntegrateOptions
from xdp.integration.results.report import integration_report
from xdp.refinement.refine import refine
from xdp.reflections import write_refl
from xdp.simulation import make_beam, make_crystal, make_detector, make_goniometer, make_scan, simulate_rotation
from xdp.simulation.write import write_minicbf_series
from xdp.spotfinding.find import find_spots
from xdp.spotfinding.options import FindSpotsOptions, SpotFinderOptions

SPACE_GROUP = None  # such as "P43212" where it is known; None: the best of the Bravais settings
THREADS = 2


def images(arguments: list[str]) -> list[str]:
    """Your images, or simulated ones: twenty frames of half a degree."""
    if arguments:
        return arguments
    models = make_crystal(orientation=1), make_beam(), make_detector((300, 300)), make_goniometer()
    Path("simulated").mkdir(exist_ok=True)
    simulation = simulate_rotation(*models, make_scan(20, 0.5), seed=1)
    return [str(path) for path in write_minicbf_series(simulation, "simulated")]


def main() -> None:
    """Import, find spots, index, choose the symmetry, refine, integrate; write what `xdp`, DIALS and CCP4 read."""
    experiments = import_images(images(sys.argv[1:]))
    spots = find_spots(experiments, FindSpotsOptions(
        spotfinder=SpotFinderOptions(mp={"nproc": THREADS}, filter={"d_min": 1.8})))
    print(f"{len(spots)} spots on {len(experiments)} sequences or stills")

    indexed = index(experiments, spots, Indexing(known_symmetry={"space_group": SPACE_GROUP}))
    models, reflections = indexed.experiments, indexed.reflections
    if SPACE_GROUP is None:
        solutions = refine_settings(models, reflections)  # highest symmetry first
        for solution in solutions:
            print("*" if solution.recommended else " ", solution.setting.lattice, f"rmsd {solution.rmsd:.4f} mm")
        best = next(solution for solution in solutions if solution.recommended)
        models, reflections = best.experiments, reindex_reflections(reflections, best.setting.transform)

    refined = refine(models, reflections)
    cell = " ".join(f"{value:.3f}" for value in refined.experiments[0].crystal.unit_cell)
    print(f"cell {cell}; {refined.reason}")

    options = IntegrateOptions(integration={"mp": {"nproc": THREADS}}, prediction={"d_min": 1.8})
    found = integrate(refined.experiments, refined.reflections, options)
    print(integration_report(found.experiments, found.table, 10).tables[-1].text())

    write_experiments("integrated.expt", found.experiments)
    write_refl("integrated.refl", found.table)
    n = write_mtz("integrated.mtz", found.experiments, found.table)
    print(f"cell {cell}; {n} reflections in integrated.mtz")


if __name__ == "__main__":
    main()
