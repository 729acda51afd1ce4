"""What became of the panels, as tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xdp.experiment.detector import Detector
from xdp.experiment.experiment import ExperimentList
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable
from xdp.report.tables import Report, Table
from xdp.serial.metrology._kernels_spot import N_GROUP
from xdp.serial.metrology.halves import MOST_RATIO, Disagreement
from xdp.serial.metrology.levels import NAMES, RefinedLevel
from xdp.serial.metrology.nodes import find_panel_centre

_RINGS = 10          # of equal numbers of reflections, in the table by radius: a choice
_MOST_DIRECTIONS = 10  # undetermined directions that are listed
_SHARE = 0.3         # of the largest element of a direction, above which a parameter is named


def make_metrology_report(experiments: ExperimentList, reflections: ReflectionTable, levels: Sequence[RefinedLevel],
                          halves: Sequence[Disagreement]) -> Report:
    """Make the report of a refinement of panels.

    Parameters
    ----------
    experiments : ExperimentList
        The refined shots.
    reflections : ReflectionTable
        With their predictions.
    levels : sequence of RefinedLevel
        What became of each level.
    halves : sequence of Disagreement
        How halves disagree.
    """
    tables = [_make_level_table(levels), *_make_direction_tables(levels),
              _make_panel_table(levels, experiments, reflections), _make_radius_table(experiments, reflections)]
    facts: dict[str, object] = {
        "shots": len(experiments), "gauge": "the mean turn about the beam is held; beam directions stay"}
    for half in halves:
        facts[half.name] = (f"chi square in plane {half.chi_square:.2f} for each degree of freedom; disagreement / "
                            f"formal error {half.ratio:.2f}")
        if not 1.0 / MOST_RATIO <= half.ratio <= MOST_RATIO:
            facts[f"{half.name}, warning"] = (
                f"disagreement and formal errors differ by more than a factor of {MOST_RATIO}: do not trust the formal "
                "errors")
        tables.append(_make_half_table(half, experiments[0].known.detector))
    return Report(tuple(tables), facts=facts)


def _make_level_table(levels: Sequence[RefinedLevel]) -> Table:
    """Residuals before and after each level."""
    rows = []
    for level in levels:
        (x0, y0, _), (x1, y1, psi) = level.rmsds
        rows.append((level.name, str(level.n_shots), str(int(level.fit.sums.loss[4])), f"{x0:.4f}", f"{x1:.4f}",
                     f"{y0:.4f}", f"{y1:.4f}", f"{np.degrees(psi):.4f}", str(len(level.fit.modes.values)),
                     str(len(level.fit.modes.undetermined))))
    heads = {"level": "level", "shots": "shots", "n": "reflections", "x0": "RMSD x\nbefore (mm)",
             "x1": "\nafter", "y0": "RMSD y\nbefore (mm)", "y1": "\nafter", "psi": "delta psi\n(deg)",
             "moved": "directions\nmoved", "undetermined": "\nundetermined"}
    return Table("levels", "Levels", heads, tuple(rows))


def _make_direction_tables(levels: Sequence[RefinedLevel]) -> list[Table]:
    """Directions that were not moved."""
    rows = []
    for level in levels:
        for found in level.fit.modes.undetermined[:_MOST_DIRECTIONS]:
            # the parameters that make up most of the direction
            large = np.flatnonzero(np.abs(found.direction) > _SHARE)
            names = [f"{level.groups[k // N_GROUP].name} {NAMES[k % N_GROUP]}" if k < len(found.direction) - 1
                     else "energy" for k in large]
            rows.append((level.name, f"{found.eigenvalue:.2e}", f"{found.move:.2f}", ", ".join(names[:4])))
    if not rows:
        return []
    heads = {"level": "level", "eigenvalue": "eigenvalue", "move": "error would move spots\nby (their sigma)",
             "parameters": "parameters"}
    return [Table("undetermined", "Directions that the data do not determine: not moved", heads, tuple(rows))]


def _make_panel_table(levels: Sequence[RefinedLevel], experiments: ExperimentList, reflections: ReflectionTable
                      ) -> Table:
    """Each panel's shift, with its formal error, and its residuals."""
    before, after = levels[0].before, experiments[0].known.detector
    covariances = levels[-1].covariances
    used = reflections.flags(Flag.USED_IN_REFINEMENT)
    residuals = (reflections["xyzcal.mm"] - reflections["xyzobs.mm.value"])[:, :2]
    panel = reflections["panel"].astype(np.int64)
    rows = []
    for i in range(len(after)):
        shift, axes = _compute_shift(before, after, i)
        error = np.sqrt(np.maximum(np.diag(axes @ covariances[i, :3, :3] @ axes.T), 0.0))
        # residuals of what was used; outliers would swamp them
        here = used & (panel == i)
        n = int(np.count_nonzero(here))
        rms = np.sqrt(np.mean(residuals[here] ** 2, axis=0)) if n else np.zeros(2)
        rows.append((str(i), after[i].name, str(n), *(f"{v:.4f}" for pair in zip(shift, error, strict=True)
                                                       for v in pair), *(f"{v:.4f}" for v in rms)))
    heads = {"panel": "panel", "name": "name", "n": "reflections", "fast": "fast\n(mm)", "fast_esd": "\n+-",
             "slow": "slow\n(mm)", "slow_esd": "\n+-", "normal": "normal\n(mm)", "normal_esd": "\n+-",
             "x": "RMSD x\n(mm)", "y": "RMSD y\n(mm)"}
    return Table("panels", "Shifts of the panels' middles, along their own axes", heads, tuple(rows))


def _compute_shift(before: Detector, after: Detector, panel: int) -> tuple[np.ndarray, np.ndarray]:
    """The shift (3,) of a panel's middle along its axes, mm, and these axes (rows)."""
    d = before.d_matrix(panel)
    axes = np.stack([d[:, 0], d[:, 1], np.cross(d[:, 0], d[:, 1])])
    return axes @ (find_panel_centre(after, panel) - find_panel_centre(before, panel)), axes


def _make_radius_table(experiments: ExperimentList, reflections: ReflectionTable) -> Table:
    """Residuals by distance from the beam: along the radius, and across it."""
    used = np.flatnonzero(reflections.flags(Flag.USED_IN_REFINEMENT))
    detector = experiments[0].known.detector
    beam = np.asarray(experiments[0].known.beam.unit_s0)
    panel = reflections["panel"][used].astype(np.int64)
    observed, predicted = (reflections[name][used, :2] for name in ("xyzobs.mm.value", "xyzcal.mm"))
    frames = np.array([detector.d_matrix(i) for i in range(len(detector))])[panel]
    point = np.einsum("nij,nj->ni", frames[:, :, :2], observed) + frames[:, :, 2]
    # relative to the direct beam through the sample, at the origin
    across = point - np.outer(point @ beam, beam)
    radius = np.linalg.norm(across, axis=1)
    unit = across / np.maximum(radius, 1e-12)[:, None]
    shift = np.einsum("nij,nj->ni", frames[:, :, :2], predicted - observed)
    radial = np.einsum("ni,ni->n", shift, unit)
    tangential = np.einsum("ni,ni->n", shift, np.cross(beam, unit))
    rows = []
    # rings of equal numbers: those of equal width are empty outside
    for part in np.array_split(np.argsort(radius, kind="stable"), min(_RINGS, max(len(radius), 1))):
        if len(part):
            rows.append((f"{radius[part].min():.1f}", f"{radius[part].max():.1f}", str(len(part)),
                         f"{radial[part].mean():.4f}", *(f"{np.sqrt(np.mean(v[part] ** 2)):.4f}"
                                                         for v in (radial, tangential))))
    heads = {"from": "from\n(mm)", "to": "to\n(mm)", "n": "reflections", "mean": "mean radial\n(mm)",
             "radial": "RMSD radial\n(mm)", "tangential": "tangential\n(mm)"}
    return Table("radius", "Residuals by distance from the beam", heads, tuple(rows))


def _make_half_table(half: Disagreement, detector: Detector) -> Table:
    """The disagreement of two halves, group by group."""
    rows = tuple((str(int(p)), detector[int(p)].name, *(f"{v:.4f}" for pair in zip(s[:2], f[:2], strict=True)
                                                        for v in pair))
                 for p, s, f in zip(half.panels, half.shifts, half.formal, strict=True))
    heads = {"panel": "first panel", "name": "name", "fast": "fast\n(mm)", "fast_esd": "\nformal", "slow": "slow\n(mm)",
             "slow_esd": "\nformal"}
    return Table(f"halves {half.name}", f"Disagreement of {half.name}, gauge taken out", heads, rows)
