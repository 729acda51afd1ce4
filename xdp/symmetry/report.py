"""The tables that `xdp symmetry` prints and writes."""

from __future__ import annotations

from typing import Any

import numpy as np

from xdp.intensities.lattice import LatticeGroup
from xdp.report.tables import Report, Table
from xdp.symmetry.absences import AxialReflections
from xdp.symmetry.data_sets import DataSets
from xdp.symmetry.laue_group import GroupPosterior
from xdp.symmetry.verdict import SymmetryVerdict

_MOST_ROWS = 40
"""Axial reflections that are listed; the first on each axis decide."""


def make_symmetry_report(verdict: SymmetryVerdict, lattice: LatticeGroup, posterior: GroupPosterior,
                         axial: AxialReflections, sets: DataSets) -> Report:
    """Make the report of a search for symmetry.

    Parameters
    ----------
    verdict : SymmetryVerdict
    lattice : LatticeGroup
    posterior : GroupPosterior
    axial : AxialReflections
    sets : DataSets

    Returns
    -------
    Report
    """
    tables = [_list_elements(lattice, posterior), _list_groups(verdict), _list_axial(axial)]
    facts = _list_facts(verdict)
    if len(sets.changes) > 1:
        tables.append(_list_sets(sets))
        facts["data sets set aside"] = {str(k): reason for k, reason in sorted(sets.excluded.items())}
    return Report(tuple(tables), facts=facts)


def _list_facts(verdict: SymmetryVerdict) -> dict[str, Any]:
    """What is decided, in single facts."""
    facts: dict[str, Any] = {
        "Laue group": verdict.laue_class, "probability": round(verdict.probability, 4),
        "decided": verdict.is_decided, "alternatives": {name: round(p, 6) for name, p in verdict.alternatives},
        "twin probability": round(verdict.twin_probability, 4), "twin fraction": round(verdict.twin_fraction, 3),
        "space groups": list(verdict.space_groups), "space group decided": verdict.is_space_group_decided,
        "space group probability": round(verdict.space_group_probability, 4), "space group written": verdict.written,
        "cell": [round(v, 4) for v in verdict.cell], "advice": list(verdict.advice)}
    if verdict.change_of_basis is not None:
        facts["change of basis"] = np.round(verdict.change_of_basis, 6).tolist()
    if verdict.translation is not None:
        facts["pseudo-translation"] = [round(float(v), 3) for v in verdict.translation.vector]
        facts["Patterson peak"] = round(verdict.translation.height, 3)
    return facts


def _list_elements(lattice: LatticeGroup, posterior: GroupPosterior) -> Table:
    """The rotations of the lattice."""
    rows = []
    for delta, score, p in zip(lattice.deltas, posterior.scores, posterior.element, strict=True):
        rows.append((str(score.order), " ".join(map(str, score.axis)), f"{delta:.2f}", str(score.n_pairs),
                     f"{score.correlation:.3f}", f"{min(score.error, 9.999):.3f}", f"{p:.3f}"))
    columns = {"order": "Order", "axis": "Axis", "delta": "Misses\n(deg)", "pairs": "Pairs", "cc": "CC", "sigma":
               "Error", "probability": "Probability"}
    return Table("elements", "Rotations of the lattice, on its primitive axes", columns, tuple(rows))


def _list_groups(verdict: SymmetryVerdict) -> Table:
    """The likely groups of rotations."""
    rows = tuple((name, f"{p:.4f}") for name, p in verdict.alternatives)
    return Table("groups", "Laue groups, as space groups without screw axes",
                 {"group": "Group", "probability": "Probability"}, rows)


def _list_sets(sets: DataSets) -> Table:
    """How each data set is indexed."""
    rows = []
    for k, (change, p) in enumerate(zip(sets.changes, sets.confidence, strict=True)):
        text = "" if change is None else " ".join(f"{v:g}" for v in np.round(change, 3).ravel() + 0.0)
        rows.append((str(k), f"{p:.3f}", text, "set aside" if change is None else ""))
    return Table("sets", "Data sets: common axes in terms of their own, by row", {
        "set": "Experiment", "probability": "Probability", "change": "Change of axes", "note": ""}, tuple(rows))


def _list_axial(axial: AxialReflections) -> Table:
    """The reflections that tell space groups apart."""
    # axes before zones, low indices first
    order = np.lexsort((*np.abs(axial.hkl).T[::-1], np.count_nonzero(axial.hkl, axis=1)))[:_MOST_ROWS]
    rows = tuple((" ".join(map(str, axial.hkl[k])), f"{axial.e2[k]:.3f}", f"{axial.significance[k]:.1f}")
                 for k in order)
    return Table("axial", "Measured reflections on axes and in zones", {"hkl": "Index", "e2": "E^2", "significance":
                                                                     "I/sigma"}, rows)


def describe_verdict(verdict: SymmetryVerdict) -> list[str]:
    """Say what was found in a few lines.

    Parameters
    ----------
    verdict : SymmetryVerdict

    Returns
    -------
    list of str
    """
    lines = []
    if verdict.translation is not None:
        vector = ", ".join(f"{v:.3f}" for v in verdict.translation.vector)
        lines.append(f"Pseudo-translation ({vector}), Patterson peak {100 * verdict.translation.height:.0f} % of the "
                     "origin; its effect was taken out")
    if verdict.is_decided:
        lines.append(f"Laue group of {verdict.laue_class}, probability {verdict.probability:.3f}")
    else:
        names = " or ".join(f"{name} ({p:.2f})" for name, p in verdict.alternatives)
        lines.append(f"Laue group undecided: {names}. Written: {verdict.laue_class}, which all of them contain")
    names = " or ".join(verdict.space_groups)
    open_text = "" if verdict.is_space_group_decided else "Space group open: "
    lines.append(f"{open_text or 'Space group '}{names}. Written: {verdict.written}, cell "
                 + ", ".join(f"{v:.2f}" for v in verdict.cell))
    return [*lines, *verdict.advice]
