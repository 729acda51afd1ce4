"""The tables of docs/truth.md from the figures that truth.py keeps."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

from truth_sets import SETS
from truth_statistics import BINS, list_failures

NAMES = {"sum": "sums", "prf": "fits"}


def print_tables(folder: Path) -> None:
    """Print all tables of the sets that have figures."""
    results = {name: json.loads(path.read_text()) for name in SETS if (path := folder / name / "result.json").exists()}
    for table in (shell_table, pull_table, program_table, merged_table, model_table):
        print("\n".join(table(results)), end="\n\n")
    for name, result in results.items():
        for kind, figures in result["xdp"].items():
            if failures := list_failures(figures):
                print(f"off: {name} {NAMES[kind]}: {'; '.join(failures)}")


def head_of(*columns: str) -> list[str]:
    """The first two lines of a table."""
    return [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]


def shell_table(results: dict[str, Any]) -> list[str]:
    """I/true by shells of equally many reflections, from coarse to fine, with the error of the last digits."""
    lines = head_of("set", "", "n", "CC", "weak third", "scale", "coarse", "2", "3", "4", "5", "fine")
    for name, result in results.items():
        for kind, label in NAMES.items():
            f = result["xdp"][kind]
            if "cc" not in f:
                continue
            shells = " | ".join(f"{s['ratio']:.3f} ({round(1000 * s['error'])})" for s in reversed(f["shells"]))
            lines.append(f"| {name} | {label} | {f['n']} | {f['cc']:.5f} | {f['weak']:.4f} | {f['scale']:.3f} | "
                         f"{shells} |")
    return lines


def pull_table(results: dict[str, Any]) -> list[str]:
    """Width and median of pulls by true I/sigma, and b."""
    bins = [f"{max(low, 0):g} to {high:g}" for low, high in itertools.pairwise(BINS)]
    lines = head_of("set", "", *bins, "b above 25")
    for name, result in results.items():
        for kind, label in NAMES.items():
            f = result["xdp"][kind]
            if "cc" not in f:
                continue
            pulls = " | ".join(f"{p['width']:.2f}, {p['median']:+.2f}" if p else "" for p in f["pulls"])
            lines.append(f"| {name} | {label} | {pulls} | {'' if f['b'] is None else format(f['b'], '.4f')} |")
    return lines


def program_table(results: dict[str, Any]) -> list[str]:
    """Both programs on common reflections: CC, weak third, the ratios of the shells, b."""
    lines = head_of("set", "", "n", "CC xdp", "CC DIALS", "weak xdp", "weak DIALS", "I/true xdp, coarse to fine",
                    "DIALS", "b xdp", "b DIALS")
    for name, result in results.items():
        for kind, label in NAMES.items():
            if kind not in result.get("programs", {}):
                continue
            each = result["programs"][kind]
            ours, theirs, error = each["xdp"], each["dials"], each["difference"]
            ratios = [" ".join(f"{s['ratio']:.3f}" for s in reversed(f["shells"])) for f in (ours, theirs)]
            b = ["" if f["b"] is None else f"{f['b']:.4f}" for f in (ours, theirs)]
            lines.append(
                f"| {name} | {label} | {ours['n']} | {ours['cc']:.5f} | {theirs['cc']:.5f} ± {error['cc'][1]:.5f} | "
                f"{ours['weak']:.4f} | {theirs['weak']:.4f} ± {error['weak'][1]:.4f} | {ratios[0]} | {ratios[1]} | "
                f"{b[0]} | {b[1]} |")
    return lines


def merged_table(results: dict[str, Any]) -> list[str]:
    """What dials.scale and dials.merge make of the intensities of both programs."""
    lines = head_of("set", "n", "CC xdp", "CC DIALS", "outer tenth xdp", "DIALS", "weak third xdp", "DIALS",
                    "CC1/2 xdp", "DIALS", "outer xdp", "DIALS")
    for name, result in results.items():
        if "merged" not in result:
            continue
        ours, theirs = result["merged"]["xdp"], result["merged"]["dials"]
        cells = " | ".join(f"{f[key]:.4f}" for key in ("cc", "outer", "weak", "half", "half_outer")
                           for f in (ours, theirs))
        lines.append(f"| {name} | {ours['n']} | {cells} |")
    return lines


def model_table(results: dict[str, Any]) -> list[str]:
    """What the profile models say of the physics, beside the truth."""
    lines = head_of("set", "drawn", "found")
    for name, result in results.items():
        drawn = {key: value for key, value in result["physics"].items()
                 if key in ("sigma_b", "sigma_m", "eta", "eta_axes", "point_size", "bandwidth", "divergence")}
        model = (result["profile"] or [{}])[0]
        found = {key: value for key, value in model.items() if key not in ("__id__", "n_sigma")}
        lines.append(f"| {name} | {describe(drawn)} | {describe(found)} |")
    return lines


def describe(values: dict[str, Any]) -> str:
    """Names and numbers of a dictionary on one line, four digits each."""
    def show(value: Any) -> str:
        if isinstance(value, dict):
            return describe(value)
        if isinstance(value, (list, tuple)):
            return "/".join(map(show, value[:6]))
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    return ", ".join(f"{key} {show(value)}" for key, value in values.items())
