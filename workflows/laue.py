"""Pump-probe Laue data from images to on/off ratios, without indexing. Copy this file and edit it.

    python laue.py scan1/scan1.log          your own data: the Lauecollect log, its images beside it
    python laue.py                          a small simulated scan
"""

import sys
from pathlib import Path

import numpy as np

import xdp
from xdp.simulation.laue import LaueScan, simulate_laue, write_laue_scan


def images(arguments: list[str]) -> Path:
    """The file of images: imported from a log, or simulated."""
    if arguments:
        return xdp.import_laue(arguments).output
    path = Path("simulated__mccd.h5")
    write_laue_scan(path, simulate_laue(LaueScan(shape=(192, 192), n_spots=15)))
    return path


def main() -> None:
    """Find the spots, and tell how much the laser changes them."""
    options = xdp.LaueSpotsOptions(
        method="maxgroup",    # or n_removed (any data), kruskal (many frames at each angle)
        cutoff=4.0,           # lower: weaker spots, more noise
        sync="blocks",        # one mask for all frames at an angle, so that spots can be compared
        table="spots.csv",
        png=("avg", "std", "frame:0"),
        overwrite=True,
    )
    found = xdp.find_laue_spots(images(sys.argv[1:]), options)
    for warning in found.warnings:
        print("warning:", warning)
    print(f"{len(found.spots['I'])} spots on {len(found.counts)} masks; see {found.output} and spots.csv")
    ratios = found.ratios
    strong = ratios["I_off"] > 20 * ratios["sigma_off"]
    weight = 1 / ratios["sigma_ratio"][strong] ** 2
    mean = np.sum(weight * ratios["ratio"][strong]) / weight.sum()
    print(f"mean on/off ratio of {strong.sum()} strong pairs: {mean:.4f} +- {weight.sum() ** -0.5:.4f}")


if __name__ == "__main__":
    main()
