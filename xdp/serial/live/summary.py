"""How a serial run stands, from its table of shots: counts, rates, failures, cells. Nothing is written, nothing locked.

The table is read as far as it is there: parts are whole or absent, so that any number of readers may look, from any
machine that sees the folder, also after the run was killed.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from xdp.errors import FormatError
from xdp.serial.hits.table import Columns, is_shot_table, iterate_parts

TABLE = "shots.zarr"
"""The table of shots in the folder of a run."""
_RECENT = 60.0
"""Seconds of the rate of the last minute."""
_CELL = ("cell_a", "cell_b", "cell_c", "cell_alpha", "cell_beta", "cell_gamma")
_VERDICTS = ("integrated", "indexed", "not indexed", "hit", "junk", "miss", "failed")
"""How shots end, those that got furthest first."""
_HITS = ("integrated", "indexed", "not indexed", "hit")


def find_shot_table(folder: str | os.PathLike) -> Path | None:
    """Find the table of shots of a run.

    Parameters
    ----------
    folder : path
        Of the run, or the table itself.

    Returns
    -------
    Path or None
    """
    for path in (Path(folder), Path(folder) / TABLE):
        if is_shot_table(path):
            return path
    return None


def summarise_shots(path: str | os.PathLike, now: float | None = None) -> dict[str, Any]:
    """Summarise a table of shots.

    Parameters
    ----------
    path : path
        The table.
    now : float, optional
        Time, seconds since 1970.

    Returns
    -------
    dict
        ``n_shots`` and, by name, ``verdicts``, which add up to it; ``n_hits``, ``n_indexed``, ``n_integrated``,
        ``n_lattices``, ``n_reflections``; ``hit_rate`` and ``indexing_rate`` (percent of shots, of hits);
        ``shots_per_second`` and ``shots_per_second_last_minute``; ``failures``, counted by reason; ``cell``,
        ``cell_spread`` (Å, degrees: medians and robust standard deviations), ``rmsd`` (px), ``resolution`` (Å),
        ``distance`` (mm), ``photon_energy`` (eV): medians; ``age``, seconds since the last part came. What is not known
        is None.
    """
    now = time.time() if now is None else now
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    sums: Counter[str] = Counter()
    values: dict[str, list[np.ndarray]] = {name: [] for name in (*_CELL, "rmsd", "resolution", "distance",
                                                                "photon_energy")}
    for part in _read_present_parts(path):
        counts.update(part["verdict"].tolist())
        reasons.update(reason for reason in part["reason"].tolist() if reason)
        for name in ("n_lattices", "n_integrated"):
            sums[name] += int(part[name].sum()) if name in part else 0
        for name, column in values.items():
            if name in part:
                column.append(part[name][np.isfinite(part[name])])
    n = sum(counts.values())
    hits, indexed = (sum(counts[v] for v in names) for names in (_HITS, _HITS[:2]))
    known = {name: np.concatenate(column) if column else np.zeros(0) for name, column in values.items()}
    medians = {name: _measure(v)[0] for name, v in known.items()}
    # shots without a lattice have no cell
    has_cell = len(known["cell_a"]) > 0
    return {"n_shots": n, "verdicts": {v: counts[v] for v in [*_VERDICTS, *sorted(set(counts) - set(_VERDICTS))]},
            "n_hits": hits, "n_indexed": indexed, "n_integrated": counts["integrated"],
            "n_lattices": sums["n_lattices"], "n_reflections": sums["n_integrated"],
            "hit_rate": 100.0 * hits / n if n else None, "indexing_rate": 100.0 * indexed / hits if hits else None,
            **_measure_rates(path, n, now), "failures": dict(reasons.most_common()),
            "cell": [medians[name] for name in _CELL] if has_cell else None,
            "cell_spread": [_measure(known[name])[1] for name in _CELL] if has_cell else None,
            **{name: medians[name] for name in ("rmsd", "resolution", "distance", "photon_energy")}}


def _read_present_parts(path: str | os.PathLike) -> list[Columns]:
    """The parts that are there. A run that begins anew may take them away meanwhile: then they are read once more."""
    try:
        return list(iterate_parts(path))
    except FormatError:
        return list(iterate_parts(path))


def _measure(values: np.ndarray) -> tuple[float | None, float | None]:
    """Median, and robust standard deviation."""
    if not len(values):
        return None, None
    median = float(np.median(values))
    return median, 1.4826 * float(np.median(np.abs(values - median)))


def _measure_rates(path: str | os.PathLike, n: int, now: float) -> dict[str, float | None]:
    """Shots per second, by the times at which parts came; and the age of the last one."""
    times = []
    for name in sorted(os.listdir(path)) if os.path.isdir(path) else []:
        if name.startswith("part-"):
            times.append(os.stat(os.path.join(path, name)).st_mtime)
    if not times:
        return {"shots_per_second": None, "shots_per_second_last_minute": None, "age": None}
    # the group's own file is written once, when the run begins
    begin = os.stat(os.path.join(path, "zarr.json")).st_mtime
    recent = sum(t > now - _RECENT for t in times) / len(times) * n
    # parts hold about as many shots each
    return {"shots_per_second": n / max(max(times) - begin, 1e-3),
            "shots_per_second_last_minute": recent / min(_RECENT, max(now - begin, 1e-3)),
            "age": max(now - max(times), 0.0)}


def describe_shots(found: dict[str, Any]) -> str:
    """Describe a summary in a few lines.

    Parameters
    ----------
    found : dict
        Of :func:`summarise_shots`.

    Returns
    -------
    str
        With a line break at its end.
    """
    verdicts = ", ".join(f"{count} {name}" for name, count in found["verdicts"].items() if count)
    lines = [f"  shots: {found['n_shots']}" + (f" ({verdicts})" if verdicts else "")]
    if found["n_shots"]:
        lines.append(f"  hits: {found['n_hits']} ({found['hit_rate']:.1f} %); indexed: {found['n_indexed']}" + (
            f" ({found['indexing_rate']:.1f} % of hits)" if found["n_hits"] else "")
            + f"; lattices: {found['n_lattices']}; integrated: {found['n_integrated']}")
    if found["age"] is not None:
        lines.append(f"  rate: {found['shots_per_second']:.1f} shots/s, in the last minute "
                     f"{found['shots_per_second_last_minute']:.1f}; last result {found['age']:.0f} s ago")
    if found["cell"] is not None:
        cell = ", ".join(f"{v:.2f} ± {s:.2f}" for v, s in zip(found["cell"], found["cell_spread"], strict=True))
        rmsd = "" if found["rmsd"] is None else f"; RMSD {found['rmsd']:.2f} px"
        lines.append(f"  cell: {cell}{rmsd}")
    lines += [f"  {count} shots: {reason}" for reason, count in list(found["failures"].items())[:10]]
    return "\n".join(lines) + "\n"
