"""What merging of stills found, as a table of its lattices and as numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from xdp.merging.stills.merge_stills import StillsRun
from xdp.report.tables import Table


def make_lattice_table(run: StillsRun) -> Table:
    """Make the table of lattices.

    Parameters
    ----------
    run : StillsRun

    Returns
    -------
    Table
        For each its scale, B (Å²), indexing, agreement with the others, and why it was set aside, if it was.
    """
    columns = {"lattice": "lattice", "scale": "scale", "b": "B (A^2)", "indexing": "indexing",
               "probability": "probability", "correlation": "CC with\nothers", "agreement": "log\nlikelihood",
               "delta_cc_half": "delta\nCC1/2", "n_common": "common", "set_aside": "set aside"}
    found, indexing = run.agreement, run.indexing
    rows = []
    for k in range(len(run.experiments)):
        counts = k not in run.set_aside
        # without an ambiguity there is one choice, which is right
        choice = (0, 1.0) if indexing is None else (int(indexing.choice[k]), float(indexing.probability[k]))
        rows.append((run.name_lattice(k), f"{np.exp(run.scales.log_scale[k]):.4g}" if counts else "-",
                     f"{run.scales.b_factor[k]:.2f}" if counts else "-", str(choice[0]), f"{choice[1]:.4f}",
                     f"{found.correlation[k]:.3f}" if np.isfinite(found.correlation[k]) else "-",
                     f"{found.agreement[k]:.1f}", f"{found.delta_cc_half[k]:.6f}", str(int(found.n_common[k])),
                     run.set_aside.get(k, "")))
    return Table("lattices", "Lattices", columns, tuple(rows))


def summarise_stills(run: StillsRun) -> dict[str, Any]:
    """Summarise a run in numbers.

    Parameters
    ----------
    run : StillsRun

    Returns
    -------
    dict of str to number or str
    """
    n = len(run.experiments)
    return {"method": run.method, "n_lattices": n - len(run.set_aside), "n_set_aside": len(run.set_aside),
            "n_shots": len({run.shots[k] for k in range(n) if k not in run.set_aside}),
            "n_reindexed": 0 if run.indexing is None else int(np.count_nonzero(run.indexing.choice)),
            "error_model": run.model.to_dict()}
