"""How far the predictions of refined models are from the truth of simulated data, beside dials.refine.

    python benchmarks/refine_truth.py INDEXED.expt INDEXED.refl [--set ../shared/data/rot_dev] [--halves 10]

Both programs refine the same indexed files with models that stand still. Compared are the reflections that both and the
truth predict, away from the spindle. How much the figures owe to chance is shown by halves of the reflections, drawn at
random and refined by xdp: the scatter of all of them is 1/sqrt(2) of that.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from xdp.cli.inputs import read_pairs
from xdp.experiment.experiment import Experiment
from xdp.experiment.io import read_experiments
from xdp.images.importing.import_images import import_images
from xdp.prediction.reflections import predict_rotation
from xdp.refinement.options import Refinement
from xdp.refinement.refine import refine_models

Positions = dict[tuple[int, int, int, bool], np.ndarray]
STATIC = Refinement.model_validate({"parameterisation": {"scan_varying": False}})
LEAST_ZETA = 0.1


def predicted(experiment: Experiment, to_true: np.ndarray, d_min: float) -> Positions:
    """Positions (px, px, frame) by the Miller index that the truth has, and entering; none next to the spindle."""
    crystal = replace(experiment.known.crystal, A_at_scan_points=None)
    table = predict_rotation(replace(experiment, crystal=crystal), d_min)
    normal = np.cross(table["s1"], experiment.known.beam.s0)
    axis = experiment.known.goniometer.rotation_axis_lab
    far = np.abs(normal @ axis) > LEAST_ZETA * np.linalg.norm(normal, axis=1)
    table = table.select(np.flatnonzero(far))
    hkl = np.rint(table["miller_index"] @ to_true.T).astype(int).tolist()
    return {(*h, bool(e)): x for h, e, x in zip(hkl, table["entering"], table["xyzcal.px"], strict=True)}


def setting_of(experiment: Experiment, true_a: np.ndarray) -> np.ndarray:
    """The matrix of integers that takes the model's Miller indices to the truth's."""
    exact = np.linalg.inv(true_a) @ experiment.known.crystal.A
    whole = np.rint(exact)
    if np.abs(exact - whole).max() > 0.05 or round(abs(np.linalg.det(whole))) != 1:
        raise SystemExit("the model's lattice is not that of the truth")
    return whole


def with_setting(experiment: Experiment, a: np.ndarray) -> Experiment:
    """The experiment with a crystal of setting `a`."""
    first, second, third = (tuple(map(float, row)) for row in np.linalg.inv(a))
    crystal = replace(experiment.known.crystal, real_space_a=first, real_space_b=second, real_space_c=third)
    return replace(experiment, crystal=crystal)


def rmsd(one: Positions, truth: Positions, keys: set) -> np.ndarray:
    """Root mean square distance over some reflections, px, px, frames."""
    return np.sqrt(np.mean([(one[key] - truth[key]) ** 2 for key in keys], axis=0))


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiments", type=Path)
    parser.add_argument("reflections", type=Path)
    parser.add_argument("--set", type=Path, default=Path(__file__).parents[2] / "shared/data/rot_dev")
    parser.add_argument("--d-min", type=float, default=1.5)
    parser.add_argument("--halves", type=int, default=10)
    given = parser.parse_args()
    true_a = np.array(json.loads((given.set / "truth.json").read_text())["A0_at_phi_0"])
    models, table = read_pairs([str(given.experiments), str(given.reflections)], "refine")
    found = {"xdp": refine_models(models, table, STATIC).experiments[0]}
    if shutil.which("dials.refine"):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["dials.refine", given.experiments.resolve(), given.reflections.resolve(),
                            "scan_varying=False"], cwd=folder, check=True, capture_output=True)
            found["dials"] = read_experiments(Path(folder) / "refined.expt")[0]
    as_made = import_images(sorted(given.set.glob("cbf/*.cbf*"))).experiments[0]  # headers hold the true geometry
    crystal = found["xdp"].known.crystal
    truth = predicted(with_setting(replace(as_made, crystal=crystal), true_a), np.eye(3), given.d_min)
    positions = {name: predicted(e, setting_of(e, true_a), given.d_min) for name, e in found.items()}
    common = set.intersection(set(truth), *map(set, positions.values()))
    print(f"{len(common)} reflections; RMSD of x, y (px), z (frames)")
    for name, own in positions.items():
        print(f"{name:<8}", rmsd(own, truth, common).round(5))
    rng, halves = np.random.default_rng(0), []
    for _ in range(given.halves):
        rows = np.sort(rng.choice(len(table), len(table) // 2, replace=False))
        e = refine_models(models, table.select(rows), STATIC).experiments[0]
        own = predicted(e, setting_of(e, true_a), given.d_min)
        halves.append(rmsd(own, truth, common & set(own)))
    if halves:
        print(f"{'chance':<8}", (np.std(halves, axis=0) / np.sqrt(2)).round(5))


if __name__ == "__main__":
    main()
