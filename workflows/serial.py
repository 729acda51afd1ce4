"""Shots of a serial run to merged intensities. Copy this file and edit it.

    python serial.py run0069.cxi geometry.geom      your own shots: files, folders, lists of events
    python serial.py                                a few simulated shots
"""

import sys

import numpy as np

import xdp

CELL = None  # such as (79.3, 79.3, 37.8, 90, 90, 90); None: the first hits together tell it
SPACE_GROUP = "P43212"
THREADS = 2


def simulate() -> tuple[str, str]:
    """Six shots, of which four have a crystal, as shots.npy with shots.expt."""
    from xdp.simulation import make_beam, make_crystal, make_detector, simulate_stills

    crystals = [make_crystal(orientation=seed) if seed % 3 else None for seed in range(6)]
    shots = simulate_stills(crystals, make_beam(), make_detector((420, 400), distance=70.0, gaps=False), seed=1)
    np.save("shots.npy", shots.stack()[:, 0])
    xdp.write_experiments("shots.expt", [xdp.Experiment(beam=make_beam(), detector=shots.experiments[0].detector)])
    return "shots.npy", "shots.expt"


def main() -> None:
    """Shots to intensities, with a row for each shot; `xdp stills_process` does the same and writes all files."""
    shots, geometry = sys.argv[1:3] if len(sys.argv) > 2 else simulate()
    found = xdp.stills_process(shots, space_group=SPACE_GROUP, unit_cell=CELL,
                               **{"events.geometry": geometry, "mp.nproc": THREADS})
    print(found.report)
    xdp.write_experiments("integrated.expt", found.experiments)
    xdp.write_reflections("integrated.refl", found.reflections)
    print(f"{len(found.reflections)} reflections of {len(found.experiments)} crystals in integrated.refl")
    merged = xdp.merge(found.experiments, found.reflections)
    print(merged.report.tables[0])
    merged.write_mtz("merged.mtz")


if __name__ == "__main__":
    main()
