"""What scaling found, as tables: error model, parts of the scales, outliers."""

from __future__ import annotations

import numpy as np

from xdp.report.tables import Report, Table
from xdp.scaling.observations import ObservationGroups
from xdp.scaling.solve import ScaleFit

_WORDS = {"scale": "smooth scale (second differences)", "decay": "B factor (second differences, Å²)",
          "frames": "frames (relative)", "absorption": "absorption, degree "}


def make_report(seen: ObservationGroups, fit: ScaleFit) -> Report:
    """Make the report of a fit.

    Parameters
    ----------
    seen : ObservationGroups
    fit : ScaleFit

    Returns
    -------
    Report
        Facts, and tables of the sweeps and of the spread that each part of the scales has.
    """
    facts = {"observations": len(seen), "reflections": len(seen.unique), "outliers": int(np.count_nonzero(~fit.use)),
             "parameters": fit.model.n_parameters, "rounds": fit.n_rounds}
    errors, rows = fit.error_model, []
    for k in range(int(seen.sweep.max()) + 1):
        mine = seen.sweep == k
        j = k if len(errors.a) > 1 else 0
        scales = fit.scale[mine] if np.any(mine) else np.ones(1)
        rows.append((str(k + 1), str(int(mine.sum())), str(int((mine & ~fit.use).sum())), f"{scales.min():.3f}",
                     f"{scales.max():.3f}", f"{errors.a[j]:.3f}", f"{errors.b[j]:.4f}",
                     f"{errors.i_over_sigma_limit[j]:.1f}"))
    sweeps = Table("sweeps", "Sweeps", {
        "sweep": "sweep", "n": "observations", "outliers": "outliers", "low": "least\nscale", "high": "largest\nscale",
        "a": "a", "b": "b", "limit": "highest\nI/sigma"}, tuple(rows))
    parts = Table("parts", "Spread of the parts of the scales, estimated from the data",
                  {"part": "part", "spread": "standard deviation"},
                  tuple((_name_kind(kind), f"{np.sqrt(v):.2g}") for kind, v in fit.variances.items()))
    return Report(tables=(sweeps, parts), facts=facts)


def _name_kind(kind: str) -> str:
    """A kind of part in words."""
    name = kind.rstrip("0123456789")
    return _WORDS[name] + kind[len(name):]
