"""Laue spots against a simulated truth: recall, precision, bias of intensities, on/off ratios; one line a method.

    python benchmarks/laue_truth.py [--seed 0] [--size 256]

Bias is the mean of (I - true) / true over spots with I/sigma > 20, the truth being the mean counts above the background
in the very pixels that were integrated; its standard error stands beside it.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from xdp.laue.find import LaueSpots, find_laue_spots
from xdp.laue.options import LaueSpotsOptions
from xdp.simulation.laue import LaueScan, LaueSimulation, draw_spot_image, simulate_laue, write_laue_scan


@dataclass(frozen=True)
class Score:
    """How well the spots of one run agree with the truth."""

    recall: float
    precision: float
    bias: tuple[float, float]
    bias_corrected: tuple[float, float]
    pull_width: float
    ratio_pull: tuple[float, float]
    ratio_error: float

    def __str__(self) -> str:
        numbers = (self.recall, self.precision, 100 * self.bias[0], 100 * self.bias[1], 100 * self.bias_corrected[0],
                   100 * self.bias_corrected[1], self.pull_width, *self.ratio_pull, 100 * self.ratio_error)
        return ("{:7.3f} {:9.3f}   {:+6.2f} +- {:4.2f} %   {:+6.2f} +- {:4.2f} %   {:5.2f}   {:+5.2f} {:5.2f}   "
                "{:+6.2f} %").format(*numbers)


def score(found: LaueSpots, scan: LaueSimulation, min_significance: float = 5.0) -> Score:
    """Compare one run with its truth; spots weaker than `min_significance` are not asked for."""
    spots = found.spots
    with h5py.File(found.output) as file:
        pixels = file["spots/pixel_list"][()]
    shape = scan.images.shape[1:]
    true = np.empty(len(spots["I"]))
    matched = np.zeros(len(true), bool)
    asked = hit = 0
    index = np.round(scan.angle).astype(int)
    for frame in range(len(scan.images)):
        rows = np.flatnonzero(spots["frame"] == frame)
        image = draw_spot_image(scan.spots, int(index[frame]), bool(scan.laser[frame]), shape, scan.width).ravel()
        for row in rows:
            begin, end = spots["pixel_list_BE"][row]
            true[row] = image[pixels[begin:end]].sum()
        of_angle = np.flatnonzero(scan.spots["angle_index"] == index[frame])
        places = np.stack([scan.spots["x"][of_angle], scan.spots["y"][of_angle]], axis=1)
        distance = np.hypot(*(places[:, None] - spots["XY"][rows][None]).transpose(2, 0, 1))
        matched[rows] = (distance < 4).any(axis=0) if len(of_angle) else False
        strong = significance(scan, of_angle, frame) > min_significance
        asked += int(strong.sum())
        hit += int(((distance < 4).any(axis=1) & strong).sum()) if len(rows) else 0
    sigma = spots["sigma_I"]
    use = matched & (true > 20 * sigma)
    pull = (spots["I_corrected"] - true)[use] / sigma[use]
    ratio_pull, ratio_error = ratio_scores(found, true)
    return Score(hit / max(asked, 1), float(matched.mean()), relative(spots["I"][use], true[use]),
                 relative(spots["I_corrected"][use], true[use]), float(np.std(pull)), ratio_pull, ratio_error)


def significance(scan: LaueSimulation, spots: np.ndarray, frame: int) -> np.ndarray:
    """The peak of each spot in one frame over the background's standard deviation there."""
    x, y = (np.round(scan.spots[name][spots]).astype(int) for name in ("x", "y"))
    counts = scan.spots["intensity"][spots] * (1 + scan.spots["response"][spots] * scan.laser[frame])
    return counts / (2 * np.pi * scan.width**2) / np.sqrt(scan.background[x, y])


def relative(values: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """Sum of the differences over the sum of the truth, and its standard error from their scatter."""
    difference = (values - true) / true
    return float(difference.mean()), float(difference.std() / np.sqrt(max(len(true), 1)))


def ratio_scores(found: LaueSpots, true: np.ndarray) -> tuple[tuple[float, float], float]:
    """Mean and width of (ratio - true) / sigma over strong spots, and the mean relative error of the ratio."""
    if found.ratios is None:
        return (np.nan, np.nan), np.nan
    spots, table = found.spots, found.ratios
    row = {(frame, label): i for i, (frame, label) in enumerate(zip(spots["frame"], spots["label"], strict=True))}
    off = true[[row[key] for key in zip(table["frame_off"], table["label"], strict=True)]]
    on = true[[row[key] for key in zip(table["frame_on"], table["label"], strict=True)]]
    use = off > 20 * table["sigma_off"]
    pull = (table["ratio"][use] - on[use] / off[use]) / table["sigma_ratio"][use]
    return (float(pull.mean()), float(pull.std())), float(np.mean(table["ratio"][use] / (on[use] / off[use]) - 1))


DESIGNS = {
    "36 angles x 10 frames, background 100": {},
    "36 angles x 10 frames, background 8": {"background": 8.0, "intensity": 800.0},
    "36 angles x 10 frames, weak spots": {"intensity": 800.0},
    "90 angles x 4 frames": {"n_angles": 90, "n_repeats": 2},
    "12 angles x 30 frames, spots on 3 of 12 angles": {"n_angles": 12, "n_repeats": 15, "n_shared": 20},
    "10 angles x 2 frames": {"n_angles": 10, "n_repeats": 1},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=256)
    arguments = parser.parse_args()
    print("method       recall precision   bias of I          bias of I_corrected   pull   ratio pull     ratio bias")
    for title, changes in DESIGNS.items():
        print(title)
        scan = simulate_laue(LaueScan(shape=(arguments.size,) * 2, n_spots=30, seed=arguments.seed, **changes))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "scan__mccd.h5"
            write_laue_scan(path, scan, compression=None)
            for method in ("n_removed", "kruskal", "maxgroup"):
                options = LaueSpotsOptions(method=method, sync="blocks", output=str(Path(folder) / f"{method}.h5"))
                found = find_laue_spots(path, options)
                print(f"{method:10s} {score(found, scan)}" + ("   !" if found.warnings else ""))


if __name__ == "__main__":
    main()
