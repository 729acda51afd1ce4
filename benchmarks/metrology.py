"""Measure refine_metrology: panels moved at random and brought back, time and memory as shots grow, a real set.

    python benchmarks/metrology.py truth [N_SHOTS]      # the real CSPAD models of shared/data, 5 % false spots
    python benchmarks/metrology.py linear 1000 10000    # shots drawn chunk by chunk, 30 spots each
    python benchmarks/metrology.py real                 # LCLS LD91
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

import xdp
from xdp.experiment import Detector, ExperimentList
from xdp.options.named import make_options
from xdp.serial.metrology.draw import draw_panel_shots
from xdp.serial.metrology.fit import ShotSource, Workers, make_turn
from xdp.serial.metrology.halves import compare_detectors
from xdp.serial.metrology.levels import MetrologyState, plan_stages
from xdp.serial.metrology.nodes import Motion, find_groups, find_panel_centre, move_groups
from xdp.serial.metrology.options import RefineMetrologyOptions
from xdp.serial.metrology.refine_metrology import RefinedMetrology, refine_levels, refine_metrology
from xdp.serial.metrology.shots import pack_stills
from xdp.work.store import ResultStore

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
MODELS = DATA / "cspad_300_models" / "cspad_refined_experiments_step6_level2_300.json"
PIXEL = 0.10992  # mm


def disturb(detector: Detector, seed: int = 1) -> Detector:
    """Move quadrants by 3 px in a random direction, sensors by 0.1 to 2 px in plane, both turned by 0.1 degrees."""
    rng = np.random.default_rng(seed)
    for level, low, high in ((1, 3.0, 3.0), (2, 0.1, 2.0)):
        groups = find_groups(detector, level)
        motions = []
        for group in groups:
            angle = rng.uniform(0.0, 2.0 * np.pi)
            size = rng.uniform(low, high) * PIXEL
            shift = np.array([0.0, np.cos(angle), np.sin(angle)]) * size
            turn = make_turn(np.radians(0.1) * rng.normal(size=3) / np.sqrt(3.0))
            motions.append(Motion(turn, group.pivot, group.pivot + shift @ group.axes))
        detector = move_groups(detector, groups, motions)
    return detector


def compare(truth: Detector, found: RefinedMetrology):
    """The refined detector and the truth, at the groups of the last level, and the reflections of each."""
    last = found.levels[-1]
    groups = [g for g in last.groups if g.name not in last.held]
    off = compare_detectors("truth", truth, found.detector, last.covariances, [g.panels for g in groups],
                            np.array([0.0, 0.0, -1.0]), is_distance_free=True)
    used = np.bincount(found.reflections["panel"].astype(np.int64), minlength=len(truth))
    return off, np.array([used[g.panels].sum() for g in groups])


def measure_truth(n_shots: int) -> None:
    """Draw shots of the real models, disturb the panels, refine all and halves, and compare with the truth."""
    models = list(xdp.read_experiments(MODELS))
    truth = models[0].known.detector
    experiments, table = draw_panel_shots(truth, n_shots, models=models, n_spots=100, false_share=0.05, d_min=2.5,
                                          cell_spread=0.001)
    wrong = disturb(truth)
    shots = ExperimentList([replace(e, detector=wrong) for e in experiments])
    begin = time.perf_counter()
    found = refine_metrology(shots, table, split_dataset=True, robust_weights="robust" in sys.argv)
    print(f"{n_shots} shots, {len(table)} spots, all and four halves: {time.perf_counter() - begin:.1f} s")
    off, used = compare(truth, found)
    rich = used >= 1000
    error = np.linalg.norm(off.shifts[:, :2], axis=1) / PIXEL
    print(f"in plane, px: rms {np.sqrt(np.mean(error**2)):.4f}; with 1000 reflections and more ({rich.sum()} of "
          f"{len(rich)} sensors) rms {np.sqrt(np.mean(error[rich] ** 2)):.4f}, most {error[rich].max(initial=0.0):.4f}")
    pulls = off.shifts / off.formal
    print(f"largest pull in plane {np.abs(pulls[:, :2]).max():.2f}; chi square in plane {off.chi_square:.2f}, along "
          f"the normal {np.mean((pulls[:, 2] - np.median(pulls[:, 2])) ** 2):.2f}")
    true = np.sqrt(np.mean(off.shifts[:, :2] ** 2))
    for half in found.halves:
        print(f"{half.name}: disagreement / 2 over the true error "
              f"{np.sqrt(np.mean(half.shifts[:, :2] ** 2)) / 2.0 / true:.2f}; chi square {half.chi_square:.2f}")
    print(found.report.tables[0].text())


def measure_linear(n_shots: int, threads: int) -> None:
    """Draw shots chunk by chunk into files, and refine level 2."""
    models = list(xdp.read_experiments(MODELS))
    truth = models[0].known.detector
    wrong = disturb(truth)
    with tempfile.TemporaryDirectory() as folder:
        store, names, settings, kinds = ResultStore(Path(folder), keeps=False), [], [], None
        for chunk in range((n_shots + 249) // 250):
            n = min(250, n_shots - 250 * chunk)
            shots, table = draw_panel_shots(truth, n, chunk, models=models, n_spots=30, d_min=2.5, cell_spread=0.001)
            packs, kinds = pack_stills(shots, table, wrong, 1e6)
            names.append(f"shots-{chunk:06d}")
            store.save(names[-1], packs[0].to_arrays())
            settings.append(packs[0].settings)
        sizes = [len(s) for s in settings]
        state = MetrologyState(wrong, settings, 1.0, [np.ones(n, bool) for n in sizes], [])
        options = make_options(RefineMetrologyOptions, None, {})
        source = ShotSource(store, tuple(names), kinds)
        begin, used = time.perf_counter(), time.process_time()
        done = refine_levels(source, state, plan_stages(wrong, options, np.array([0.0, 0.0, -1.0])), options,
                             Workers(n_threads=threads))[-1][0]
        wall, cpu = time.perf_counter() - begin, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
    centre = find_panel_centre(done.detector, 0)
    print(f"{n_shots} shots, {threads} threads: {wall:.1f} s, {cpu:.1f} s of processor, {1e3 * cpu / n_shots:.3f} ms a "
          f"shot; at most {peak:.0f} MB; panel 0 at {centre[0].hex()}", flush=True)


def measure_real() -> None:
    """LCLS LD91 with the parameters that come with it, and halves."""
    folder = DATA / "cspad_metrology"
    experiments = xdp.read_experiments(folder / "benchmark_level2d.json")
    table = xdp.read_reflections(folder / "benchmark_level2d.refl")
    named = {"refinement.parameterisation.detector.hierarchy_level": 2, "rmsd_filter.enable": False,
             "refinement.reflections.weighting_strategy.delpsi_constant": 10000,
             "refinement.reflections.outlier.algorithm": "tukey"}
    for split in (False, False, True):
        begin, used = time.perf_counter(), time.process_time()
        found = refine_metrology(experiments, table, named, split_dataset=split)
        print(f"{time.perf_counter() - begin:.2f} s, {time.process_time() - used:.2f} s of processor")
    print(found.levels[-1].rmsds, [half.chi_square for half in found.halves])


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[2:] if word.isdigit()]
    if sys.argv[1:2] == ["truth"]:
        measure_truth(*(numbers or [3000]))
    elif sys.argv[1:2] == ["linear"]:
        for number in numbers or [1000, 10000]:
            measure_linear(number, 2 if "two" in sys.argv else 1)
    else:
        measure_real()
