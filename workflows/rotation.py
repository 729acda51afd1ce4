"""A rotation series from images to merged intensities, stage by stage. Copy this file and edit it.

    python rotation.py images/*.cbf         your own data, of whatever format
    python rotation.py                      a small simulated series

``xdp.process`` (the command ``xdp process``) does the same in one call, and keeps what is done.
"""

import sys
from pathlib import Path

import xdp

SPACE_GROUP = None  # such as "P43212" where it is known; None: the best of the Bravais settings
THREADS = 2


def images(arguments: list[str]) -> list[str]:
    """Your images, or simulated ones: twenty frames of half a degree."""
    if arguments:
        return arguments
    from xdp.simulation import make_beam, make_crystal, make_detector, make_goniometer, make_scan
    from xdp.simulation.write import write_minicbf_series

    models = make_crystal(orientation=1), make_beam(), make_detector((300, 300)), make_goniometer()
    Path("simulated").mkdir(exist_ok=True)
    simulation = xdp.simulate_rotation(*models, make_scan(20, 0.5), seed=1)
    return [str(path) for path in write_minicbf_series(simulation, "simulated")]


def main() -> None:
    """Images to merged intensities; writes what `xdp`, DIALS and CCP4 read."""
    found = xdp.import_images(images(sys.argv[1:]))
    found = xdp.find_spots(found.experiments, d_min=1.8, nproc=THREADS)
    print(f"{len(found.reflections)} spots on {len(found.experiments)} sequences or stills")

    found = xdp.index(found.experiments, found.reflections, space_group=SPACE_GROUP)
    if SPACE_GROUP is None:
        found = xdp.refine_settings(found.experiments, found.reflections)  # goes on in the best setting
        print(found.report)

    found = xdp.refine(found.experiments, found.reflections)
    print(found.report)

    found = xdp.integrate(found.experiments, found.reflections, {"prediction.d_min": 1.8}, nproc=THREADS)
    print(found.report.tables[-1].text())

    xdp.write_experiments("integrated.expt", found.experiments)
    xdp.write_reflections("integrated.refl", found.reflections)
    written = xdp.export(found.experiments, found.reflections)
    cell = " ".join(f"{value:.3f}" for value in found.experiments[0].crystal.unit_cell)
    print(f"cell {cell}; {written.n_written} reflections in {written.files[0]}")

    if SPACE_GROUP is None:
        found = xdp.find_symmetry(found.experiments, found.reflections)
        print(found.report)
    found = xdp.scale(found.experiments, found.reflections)
    merged = xdp.merge(found.experiments, found.reflections)
    merged.write_mtz("merged.mtz")
    print(merged.table_one.text())


if __name__ == "__main__":
    main()
