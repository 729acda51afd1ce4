"""What a run of the pipeline came to, line by line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from xdp.merging.table_one import TableOne
from xdp.pipeline.sweeps import list_sweep_rows

#: So many experiments are told one by one.
#: Experiments; of more the medians are told: a table of a hundred rows hides the rest. A choice, nothing was measured.
_FEW = 4

Facts = Mapping[str, Mapping[str, Any]]


def describe_stage(name: str, facts: Mapping[str, Any]) -> str:
    """Say in a few words what a stage found.

    Parameters
    ----------
    name : str
        The stage.
    facts : mapping
        As the stage gave them.
    """
    return _WORDS[name](facts)


def list_summary_rows(facts: Facts) -> list[tuple[str, str]]:
    """List the summary as pairs of an item and its value.

    Parameters
    ----------
    facts : mapping of str to mapping
        What each stage found, by its name.
    """
    found, index, refined = facts["import"], facts["index"], facts["refine"]
    integrated = facts["integrate"]
    rows = [("frames", f"{found['frames']}"), ("spots", f"{facts['find_spots']['spots']}"),
            ("indexed", _indexed(index))]
    if index["lattices"] > 1:
        rows.append(("lattices", str(index["lattices"])))
    # Of several sweeps the table of sweeps has cells and RMSDs, each beside its images.
    has_table = bool(list_sweep_rows(facts))
    rows += [] if has_table else [("cell (Å, °)", refined["cell"])]
    rows.append(("space group", _space_group(facts)))
    rows += [] if has_table else _rmsd_rows(refined["rmsds"])
    widths = {name: integrated.get(name) for name in ("sigma_b", "sigma_m") if integrated.get(name)}
    if widths and not has_table:  # of stills there is no sigma_m
        rows.append((f"{', '.join(widths)} (°)", ", ".join(f"{v:.4f}" for v in widths.values())))
    rows.append(("integrated", f"{integrated['integrated']}"))
    if integrated["integrated"]:
        rows += _intensity_rows(integrated)
    rows.append(("exported", f"{facts['export']['written']} to {', '.join(facts['export']['files'])}"))
    return rows + [(name, describe_stage(stage, facts[stage])) for stage, name in _LATE.items() if stage in facts]


def format_run_summary(facts: Facts) -> str:
    """Write the summary as lines: items with their values and, of several sweeps, a row for each."""
    rows = list_summary_rows(facts)
    width = max(len(item) for item, _ in rows) + 2
    lines = [f"  {item:<{width}}{value}" for item, value in rows]
    table = list_sweep_rows(facts)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines += ["", *("  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in table)] if table else []
    if table_one := facts.get("merge", {}).get("table_one"):
        lines += ["", "Table 1 (the outer shell in brackets):",
                  *(f"  {line}" for line in TableOne(tuple(map(tuple, table_one))).text().splitlines())]
    return "\n".join(lines)


def _rmsd_rows(rmsds: Sequence[Sequence[float]]) -> list[tuple[str, str]]:
    """RMSDs of a few experiments, or the medians of many."""
    label = "RMSD x, y (px), z (frames)"
    if len(rmsds) > _FEW:
        middle = [median(column) for column in zip(*rmsds, strict=True)]
        return [(f"{label}, median of {len(rmsds)}", ", ".join(f"{v:.3f}" for v in middle))]
    return [(f"{label} of {i}" if len(rmsds) > 1 else label, ", ".join(f"{v:.3f}" for v in rms))
            for i, rms in enumerate(rmsds)]


def _indexed(index: Mapping[str, Any]) -> str:
    return f"{index['indexed']} ({100.0 * index['indexed'] / max(index['spots'], 1):.1f} %)"


def _space_group(facts: Facts) -> str:
    """The group, and whether only its lattice is known: reflections alone tell the lattice, intensities the rest."""
    group = facts["refine"]["space_group"]
    lattice = facts.get("refine_bravais_settings", {}).get("lattice")
    return f"{group} (lowest of the lattice {lattice})" if lattice else group


def _intensity_rows(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Counts and I/sigma."""
    # Resolution limits of the outermost shell, Å.
    low, high = facts["outer"]
    rows = [("summed, fitted", f"{facts['summed']}, {facts['fitted']}"), ("resolution (Å)", f"{facts['d_min']:.2f}")]
    for kind, name in (("sum", "summed"), ("prf", "fitted")):
        overall, outer = facts[f"i_over_sigma_{kind}"]
        if kind == "sum" or facts["fitted"]:
            rows.append((f"I/sigma {name}", f"{overall:.2f} overall, {outer:.2f} in {low:.2f}-{high:.2f} Å"))
    return rows


def _describe_symmetry(found: Mapping[str, Any]) -> str:
    """The groups, and how sure they are."""
    if "problem" in found:
        return f"no result: {found['problem']}"
    sure = "" if found["decided"] else ", undecided"
    return f"{' or '.join(found['space_groups'])} (Laue group of {found['laue_group']}, probability " \
           f"{found['probability']:.3f}{sure})"


def _describe_scaling(found: Mapping[str, Any]) -> str:
    """The error model of the first sweep, and outliers."""
    if "problem" in found:
        return f"no result: {found['problem']}"
    return f"{found['scaled']} reflections, {found['outliers']} outliers, highest I/sigma " \
           f"{max(found['highest_i_over_sigma']):.1f}"


def _describe_merging(found: Mapping[str, Any]) -> str:
    """How many, and how well they agree."""
    if "problem" in found:
        return f"no result: {found['problem']}"
    known = {name: found.get(name) for name in ("r_meas", "cc_half")}
    agreement = ", ".join(f"{label} {known[name]:.3f}" for name, label in (("r_meas", "Rmeas"), ("cc_half", "CC1/2"))
                          if known[name] is not None)
    return f"{found['merged']} reflections to {', '.join(found['files'])}" + (f"; {agreement}" if agreement else "")


_LATE = {"symmetry": "symmetry", "scale": "scaled", "merge": "merged"}
"""What the summary calls the stages after integration."""

_WORDS = {
    "import": lambda f: f"{f['frames']} frames: {f['sweeps']} sweep{'s' if f['sweeps'] != 1 else ''}"
                        + (f", {f['stills']} stills" if f["stills"] else ""),
    "find_spots": lambda f: f"{f['spots']} spots",
    "index": lambda f: f"{_indexed(f)} indexed" + (f", {f['lattices']} lattices" if f["lattices"] > 1 else ""),
    "refine_bravais_settings": lambda f: f"{f['lattice']} by {f['operator']}" if f["lattice"] else "setting kept",
    "refine": lambda f: f"cell {f['cell']}" + (f" (the first of {len(f['rmsds'])} experiments)"
                                               if len(f.get("rmsds", ())) > 1 else ""),
    "integrate": lambda f: f"{f['integrated']} reflections",
    "export": lambda f: f"{f['written']} reflections to {', '.join(f['files'])}",
    "symmetry": _describe_symmetry, "scale": _describe_scaling, "merge": _describe_merging,
}
