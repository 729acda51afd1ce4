"""Merged intensities of dials.scale and dials.merge against the true structure, from each program's integration."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gemmi
import numpy as np
from truth_statistics import collect_rows, correlate, load_truth

from xdp.experiment.io import read_experiments
from xdp.reflections.refl import read_reflections


def compare_merged(folder: Path, call: Callable[[list[str], Path], float]) -> dict[str, Any]:
    """Scale and merge the results of both programs to the same resolution; CC with the truth, all and outer shell."""
    limit = float(np.quantile(load_truth(folder)["d"], 0.005))
    found, halves = {}, {}
    for program, source in (("xdp", folder), ("dials", folder / "dials")):
        place = folder / f"scaled_{program}"
        place.mkdir(exist_ok=True)
        files = [str(source / "integrated.expt"), str(source / "integrated.refl")]
        call(["dials.scale", *files, f"d_min={limit:.3f}", "output.html=None", "output.json=scale.json"], place)
        call(["dials.merge", "scaled.expt", "scaled.refl", "output.html=None", "output.mtz=merged.mtz",
              "truncate=False", "wavelength_tolerance=0.01"], place)
        found[program] = merged_figures(place / "merged.mtz", folder, source)
        halves[program] = read_half_correlations(place / "scale.json")
    common = set(found["xdp"]) & set(found["dials"])
    return {program: summarise(each, common) | halves[program] for program, each in found.items()}


def read_half_correlations(path: Path) -> dict[str, float]:
    """CC1/2 of dials.scale: of all reflections, and the mean of the finest five of its twenty shells."""
    report = json.loads(path.read_text())
    overall = next(row for row in report["scaling_tables"]["overall"] if row[0].startswith("<strong>CC<sub>½"))
    return {"half": float(overall[1]), "half_outer": float(np.mean(report["resolution_plots"]["cc_one_half"]["data"][0][
        "y"][-5:]))}


def merged_figures(path: Path, folder: Path, source: Path) -> dict[tuple[int, ...], tuple[float, float, float]]:
    """Merged intensity, true intensity and d by index of the asymmetric unit, in the integration's own setting."""
    truth = load_truth(folder)
    table = read_reflections(source / "integrated.refl")
    rows = collect_rows(table, "prf", truth)
    group = read_experiments(source / "integrated.expt")[0].known.crystal.space_group
    asu, operations = gemmi.ReciprocalAsu(group), group.operations()
    true: dict[tuple[int, ...], tuple[float, float]] = {}
    for hkl, value, d in zip(table["miller_index"][rows["row"]].tolist(), rows["structure"], rows["d"], strict=True):
        true[tuple(asu.to_asu(hkl, operations)[0])] = (float(value), float(d))
    mtz = gemmi.read_mtz_file(str(path))
    intensities = mtz.column_with_label("IMEAN").array
    found = {}
    for hkl, value in zip(mtz.make_miller_array().tolist(), intensities, strict=True):
        key = tuple(asu.to_asu(hkl, operations)[0])
        if key in true and np.isfinite(value):
            found[key] = (float(value), *true[key])
    return found


def summarise(found: dict[tuple[int, ...], tuple[float, float, float]], common: set) -> dict[str, float]:
    """CC with the truth of all common reflections, of the outer tenth and of the weak third."""
    merged, true, d = np.array([found[key] for key in sorted(common)]).T
    outer, weak = d < np.quantile(d, 0.1), true < np.quantile(true, 1 / 3)
    return {"n": len(d), "cc": correlate(merged, true), "outer": correlate(merged[outer], true[outer]),
            "weak": correlate(merged[weak], true[weak])}
