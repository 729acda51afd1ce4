"""Unknown cells of serial shots: the consensus over shots, against known truth, and the processor's seconds.

Shots of ``stills_dev`` (lysozyme, 30 hits, two of them of two crystals), whole and with a part of their spots; these
with simulated shots of another crystal form; and simulated shots of other cells. Nothing is known but the geometry.
A lattice is right if it is within 1 degree of a crystal's true orientation and its axes within 2 % of the true ones.

    python benchmarks/serial_consensus.py ../shared/data/stills_dev
    python benchmarks/serial_consensus.py ../shared/data/stills_dev --only thinned mixture
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import xdp
from xdp.experiment.crystal import Crystal
from xdp.experiment.experiment import Experiment
from xdp.indexing.lattice.symmetry import find_primitive_change
from xdp.indexing.options import KnownSymmetry
from xdp.indexing.shots.shot import find_shot_lattices
from xdp.reflections.table import ReflectionTable
from xdp.serial.consensus.candidates import pool_shot
from xdp.serial.consensus.find import Consensus, find_consensus
from xdp.serial.consensus.form_lattices import find_form_lattices
from xdp.serial.consensus.placement import find_nearest_rotation
from xdp.serial.consensus.pool import merge_pools
from xdp.simulation.models import LYSOZYME_CELL
from xdp.simulation.options import SimulationOptions
from xdp.simulation.spot_lists import draw_crystal
from xdp.simulation.still_spots import make_still_spots
from xdp.simulation.stills import simulate_stills

P21 = (50.0, 65.0, 90.0, 90.0, 105.0, 90.0)
OTHERS = {
    "aP": (42.0, 55.0, 71.0, 82.0, 104.0, 95.0), "mC": (90.0, 45.0, 60.0, 90.0, 112.0, 90.0),
    "oI": (60.0, 80.0, 110.0, 90.0, 90.0, 90.0), "hP": (62.0, 62.0, 110.0, 90.0, 90.0, 120.0),
    "hR": (80.0, 80.0, 130.0, 90.0, 90.0, 120.0), "cP": (68.0,) * 3 + (90.0,) * 3, "cF": (140.0,) * 3 + (90.0,) * 3,
    "oP": (45.0, 60.0, 250.0, 90.0, 90.0, 90.0), "tP": (78.0, 78.0, 250.0, 90.0, 90.0, 90.0),
}


@dataclass(frozen=True)
class TrueShot:
    """A shot: its models, its spots, and the crystals in it."""

    key: str
    experiment: Experiment
    spots: ReflectionTable
    crystals: tuple[Crystal, ...]


def read_hits(folder: Path) -> list[TrueShot]:
    """The hits of stills_dev, with spots as ``xdp find_spots`` finds them by default."""
    truth = json.loads((folder / "truth.json").read_text())
    experiments = xdp.import_images([str(folder / "stills_dev.h5")]).experiments
    spots = xdp.find_spots(experiments).reflections
    shots = []
    for shot in truth["shots"]:
        if shot["kind"] != "hit":
            continue
        axes = [np.linalg.inv(np.reshape(c["A"], (3, 3))) for c in shot["crystals"]]
        crystals = tuple(Crystal(*(tuple(map(float, row)) for row in a), " P 4nw 2abw") for a in axes)
        rows = np.flatnonzero(spots["id"] == shot["index"])
        shots.append(TrueShot(f"hit {shot['index']:02d}", experiments[shot["index"]], spots.select(rows), crystals))
    return shots


def thin(shots: Sequence[TrueShot], n: int, n_false: int, seed: int) -> list[TrueShot]:
    """The shots with `n` random spots each, and `n_false` more whose azimuths are drawn anew."""
    rng, thinned = np.random.default_rng(seed), []
    for shot in shots:
        rows = np.sort(rng.choice(len(shot.spots), min(n, len(shot.spots)), replace=False))
        table = shot.spots.select(rows)
        if n_false:
            panel, beam = shot.experiment.known.detector[0], np.array([402.7, 396.2])
            away = shot.spots["xyzobs.px.value"][rng.choice(len(shot.spots), 4 * n_false), :2] - beam
            angle = rng.uniform(0.0, 2.0 * np.pi, len(away))
            xy = beam + np.linalg.norm(away, axis=1)[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
            xy = xy[np.all((xy > 0.0) & (xy < panel.image_size), axis=1)][:n_false]
            other = table.select(np.resize(np.arange(len(table)), len(xy)))
            place = np.column_stack([xy, other["xyzobs.px.value"][:, 2]])
            table = ReflectionTable.concatenate([table, other.with_columns(**{"xyzobs.px.value": place})])
        thinned.append(replace(shot, spots=table))
    return thinned


def draw_other_form(like: Experiment, n: int) -> list[TrueShot]:
    """Simulated shots of a P21 crystal with the models of `like`: spots of 40 photons and more."""
    shots = []
    for seed in range(n):
        crystal = draw_crystal("mP", P21, 1000 + seed)
        options = SimulationOptions(sigma_m=0.05, photons=300.0)
        truth = simulate_stills([crystal], like.known.beam, like.known.detector, options=options, seed=seed).truth
        photons, rng = truth["intensity.sum.value"], np.random.default_rng(seed)
        rows = np.flatnonzero(photons > 40.0)
        xyz = truth["xyzcal.px"][rows] * [1.0, 1.0, 0.0] + [0.0, 0.0, 0.5]
        # of some tens of photons, over a spot of one pixel's width
        xyz[:, :2] += rng.normal(size=(len(rows), 2)) * (1.0 / np.sqrt(photons[rows]))[:, None]
        zero = np.zeros(len(rows), dtype=np.int32)
        spots = ReflectionTable({
            "id": zero, "imageset_id": zero, "panel": np.zeros(len(rows), dtype=np.uint64),
            "flags": np.full(len(rows), 32, dtype=np.uint64), "xyzobs.px.value": xyz,
            "xyzobs.px.variance": np.full((len(rows), 3), 0.04)})
        shots.append(TrueShot(f"P21 {seed:02d}", like, spots, (crystal,)))
    return shots


def is_right(crystal: Crystal, truth: Crystal) -> bool:
    """Whether a lattice is that of a crystal: 1 degree and 2 %."""
    first, second = (find_primitive_change(c.space_group) @ c.real_space_matrix for c in (crystal, truth))
    change = second @ np.linalg.inv(first)
    if abs(abs(np.linalg.det(np.round(change))) - 1.0) > 0.5:
        return False
    same = np.round(change) @ first
    turn = find_nearest_rotation(np.linalg.inv(same) @ second)
    degrees = np.degrees(np.arccos(np.clip((np.trace(turn) - 1.0) / 2.0, -1.0, 1.0)))
    lengths = np.linalg.norm(same, axis=1) / np.linalg.norm(second, axis=1)
    return bool(degrees < 1.0 and np.abs(lengths - 1.0).max() < 0.02)


def solve(shots: Sequence[TrueShot], n_pooled: int | None = None) -> tuple[Consensus, float, float]:
    """The consensus of the first shots, and the seconds of a pooled shot and of the rest."""
    begin = time.process_time()
    pooled = [pool_shot(s.spots, s.experiment, key=s.key) for s in shots[:n_pooled]]
    middle = time.process_time()
    found = find_consensus(merge_pools(pooled))
    return found, (middle - begin) / len(pooled), time.process_time() - middle


def describe(found: Consensus, truths: Sequence[Sequence[float]]) -> str:
    """The forms, with their errors against the true cells."""
    lines = []
    for form in found.forms:
        off = [np.abs(np.sort(form.unit_cell[:3]) / np.sort(t[:3]) - 1.0).max() for t in truths]
        cell = " ".join(f"{v:.2f}" for v in form.unit_cell)
        error = " ".join(f"{v:.3f}" for v in form.error)
        lines.append(f"{form.lattice} {cell} (+- {error}), {len(form.shots)} shots, {100.0 * min(off):.3f} % off")
    return "; ".join(lines) or "no form"


def count(shots: Sequence[TrueShot], found: Consensus) -> str:
    """How many shots have a right lattice, how many lattices are right and wrong, and the milliseconds of a shot."""
    forms = [KnownSymmetry(unit_cell=f.unit_cell, space_group=f.space_group) for f in found.forms]
    good = right = wrong = 0
    seconds = []
    for shot in shots:
        begin = time.process_time()
        crystals = [x.crystal for x in find_form_lattices(shot.experiment, shot.spots, forms).found.lattices]
        seconds.append(time.process_time() - begin)
        hits = [any(is_right(c, t) for t in shot.crystals) for c in crystals]
        good, right, wrong = good + any(hits), right + sum(hits), wrong + len(hits) - sum(hits)
    return (f"{good} of {len(shots)} shots right; {right} lattices right, {wrong} wrong; "
            f"{1e3 * float(np.median(seconds)):.0f} ms a shot")


def report(name: str, shots: Sequence[TrueShot], truths: Sequence[Sequence[float]], n_pooled: int | None = None
           ) -> Consensus:
    """Solve shots and print what came of it."""
    found, pooling, rest = solve(shots, n_pooled)
    print(f"{name}: {describe(found, truths)}; {count(shots, found) if found.forms else ''}; "
          f"pooling {1e3 * pooling:.0f} ms a shot, consensus {rest:.2f} s", flush=True)
    return found


def show_whole(hits: Sequence[TrueShot]) -> None:
    """All spots: 15 hits pooled, 30 indexed; the order; and what a shot costs with the cell known beforehand."""
    found = report("15 hits pooled, 30 indexed", hits, [LYSOZYME_CELL], 15)
    shots = [pool_shot(s.spots, s.experiment, key=s.key) for s in hits]
    one = find_consensus(merge_pools(shots))
    other = find_consensus(merge_pools([merge_pools(shots[20:]), *shots[9::-1], merge_pools(shots[10:20])]))
    print(f"another order, other groups: {'the same' if one == other else 'DIFFERENT'}", flush=True)
    known, begin = KnownSymmetry(unit_cell=LYSOZYME_CELL, space_group="P43212"), time.process_time()
    for shot in hits:
        find_shot_lattices(shot.experiment, shot.spots, known)
    middle = time.process_time()
    forms = [KnownSymmetry(unit_cell=f.unit_cell, space_group=f.space_group) for f in found.forms]
    for shot in hits:
        find_form_lattices(shot.experiment, shot.spots, forms)
    print(f"a shot: {1e3 * (middle - begin) / len(hits):.1f} ms with the known cell, "
          f"{1e3 * (time.process_time() - middle) / len(hits):.1f} ms with the consensus", flush=True)


def show_thinned(hits: Sequence[TrueShot], seeds: int) -> None:
    """A part of the spots of each hit."""
    for n, n_false in ((25, 0), (15, 0), (20, 20)):
        for seed in range(1, seeds + 1):
            report(f"{n} spots and {n_false} false ones, seed {seed}", thin(hits, n, n_false, seed), [LYSOZYME_CELL])


def show_mixture(hits: Sequence[TrueShot], seeds: int) -> None:
    """Lysozyme and a simulated P21 form, all spots and thinned ones."""
    other = draw_other_form(hits[0].experiment, 15)
    report("with 15 shots of P21", [*hits, *other], [LYSOZYME_CELL, P21])
    report("with 4 shots of P21", [*hits, *other[:4]], [LYSOZYME_CELL, P21])
    for seed in range(1, seeds + 1):
        report(f"with 15 shots of P21, 25 spots each, seed {seed}", thin([*hits, *other], 25, 0, seed),
               [LYSOZYME_CELL, P21])


def show_others(n_spots: Sequence[int]) -> None:
    """Simulated shots of other cells: 20 shots each, a tenth of whose spots are spurious."""
    for lattice, cell in OTHERS.items():
        for n in n_spots:
            shots = []
            for seed in range(20):
                crystal = draw_crystal(lattice, cell, seed)
                experiment, spots = make_still_spots(n, n // 10, seed, crystals=[crystal])
                shots.append(TrueShot(f"{seed:02d}", replace(experiment, crystal=None), spots, (crystal,)))
            text = " ".join(f"{v:g}" for v in cell)
            report(f"{lattice} {text}, {n} spots", shots, [cell])


def main() -> None:
    """Print the figures that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="stills_dev")
    parser.add_argument("--only", nargs="+", choices=("whole", "thinned", "mixture", "others"))
    parser.add_argument("--seeds", type=int, default=2, help="draws of thinned shots (2)")
    parser.add_argument("--spots", type=int, nargs="+", default=[30, 100], help="spots of simulated shots (30 100)")
    args = parser.parse_args()
    parts = args.only or ("whole", "thinned", "mixture", "others")
    hits = read_hits(args.folder) if set(parts) - {"others"} else []
    if "whole" in parts:
        show_whole(hits)
    if "thinned" in parts:
        show_thinned(hits, args.seeds)
    if "mixture" in parts:
        show_mixture(hits, args.seeds)
    if "others" in parts:
        show_others(args.spots)


if __name__ == "__main__":
    main()
