"""What a report says of a data set: its stage, its facts, the verdict and the plots."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import xdp
from xdp.display import format_value
from xdp.experiment.cell_errors import cell_text
from xdp.experiment.experiment import ExperimentList
from xdp.experiment.extent import beam_centre
from xdp.plot.catalogue import BUILDERS, build_plot
from xdp.plot.data import Plot
from xdp.plot.residuals import compute_spot_residuals
from xdp.plot.tables import find_resolution, find_rows_with_index
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable
from xdp.report.page.findings import Finding, find_faults

#: Headings of the groups of plots, by the module that makes them.
_SECTIONS = {"spots": "Spots", "residuals": "Residuals", "models": "Crystals", "intensities": "Intensities and "
"profiles",
             "merged": "Scaling and merging"}


@dataclass(frozen=True)
class ReportContents:
    """All that a page shows of one data set.

    Attributes
    ----------
    title : str
        What it is.
    files : tuple of str
        Names of the files.
    stage : str
        "models", "spots", "indexed", "refined", "integrated" or "scaled".
    facts : tuple of (str, str)
        Name and value.
    findings : tuple of Finding
        The verdict, worst first.
    sections : tuple of (str, tuple of Plot)
        Headings with their plots.
    """

    title: str
    files: tuple[str, ...]
    stage: str
    facts: tuple[tuple[str, str], ...]
    findings: tuple[Finding, ...]
    sections: tuple[tuple[str, tuple[Plot, ...]], ...]

    @property
    def plots(self) -> list[Plot]:
        """All plots in order."""
        return [plot for _, plots in self.sections for plot in plots]

    def to_dict(self) -> dict[str, Any]:
        """Give all of it in JSON's types."""
        return {"format": "xdp report", "version": 1, "xdp": xdp.__version__, "title": self.title,
                "files": list(self.files), "stage": self.stage, "facts": [list(fact) for fact in self.facts],
                "verdict": [finding.to_dict() for finding in self.findings],
                "plots": [plot.to_dict() for plot in self.plots]}


def build_contents(experiments: ExperimentList | None, table: ReflectionTable | None, files: Iterable[str] = ()
                   ) -> ReportContents:
    """Gather what a report says of a data set.

    Parameters
    ----------
    experiments : ExperimentList or None
    table : ReflectionTable or None
    files : iterable of str
        Where they are from, for the title.

    Returns
    -------
    ReportContents
    """
    files = tuple(files)
    stage = find_stage(experiments, table)
    # Predictions that were never found or integrated have centroids of zero, which no plot should count.
    sections = []
    for module, heading in _SECTIONS.items():
        if module == "residuals" and stage in ("integrated", "scaled"):
            shown = _select_strong(table)
        elif module == "spots" and stage in ("integrated", "scaled"):
            continue
        else:
            shown = table
        plots = [build_plot(name, shown, experiments) for name, home in BUILDERS.items() if home == module]
        if found := tuple(plot for plot in plots if plot is not None):
            sections.append((heading, found))
    # A line may only link to a plot that the page has.
    names = {plot.name for _, plots in sections for plot in plots}
    findings = tuple(f if f.plot in names else Finding(f.check, f.severity, f.text)
                     for f in find_faults(table, experiments))
    title = ", ".join(Path(name).name for name in files) or "Data set"
    return ReportContents(title, files, stage, tuple(_list_facts(experiments, table)), findings, tuple(sections))


def _select_strong(table: ReflectionTable | None) -> ReflectionTable | None:
    """Of integrated reflections those whose centroids say something: with I above three sigmas."""
    if table is None or "intensity.sum.variance" not in table:
        return table
    sigma = np.sqrt(np.maximum(table["intensity.sum.variance"], 0.0))
    rows = np.flatnonzero((sigma > 0) & (table["intensity.sum.value"] > 3.0 * sigma))
    wanted = [name for name in table if isinstance(table[name], np.ndarray)]
    part = ReflectionTable({name: table[name][rows] for name in wanted})
    return part if len(part) else None


def find_stage(experiments: ExperimentList | None, table: ReflectionTable | None) -> str:
    """Say from which stage data are, by what the table has.

    Parameters
    ----------
    experiments : ExperimentList or None
    table : ReflectionTable or None

    Returns
    -------
    str
        "models", "spots", "indexed", "refined", "integrated" or "scaled".
    """
    # From the last stage back: later tables keep the columns of earlier ones.
    if table is None:
        return "models"
    if "inverse_scale_factor" in table:
        return "scaled"
    if "flags" in table and "intensity.sum.value" in table and table.any_flags(Flag.INTEGRATED).any():
        return "integrated"
    if not find_rows_with_index(table).any():
        return "spots"
    has_esds = any(e.crystal is not None and e.crystal.extra.get("B_covariance") for e in experiments or ())
    return "refined" if has_esds else "indexed"


def _list_facts(experiments: ExperimentList | None, table: ReflectionTable | None) -> Iterable[tuple[str, str]]:
    """Name and value of what sums a data set up."""
    if experiments is not None and len(experiments):
        yield from _list_model_facts(experiments)
    if table is None:
        return
    yield "reflections", str(len(table))
    if not len(table):
        return
    has_index = find_rows_with_index(table)
    if has_index.any():
        yield "with an index", f"{int(has_index.sum())} ({100 * has_index.mean():.1f} %)"
    d = find_resolution(table, experiments)
    if d is not None and (good := np.isfinite(d) & (d > 0)).any():
        yield "resolution", f"{d[good].max():.2f} to {d[good].min():.2f} Å"
    residual = compute_spot_residuals(table) if "n_signal" in table else None
    if residual is not None:
        rmsd = np.sqrt(np.nanmean(residual**2, axis=0))
        yield "rmsds x, y, z", f"{rmsd[0]:.3f} px, {rmsd[1]:.3f} px, {rmsd[2]:.3f} frames"


def _list_model_facts(experiments: ExperimentList) -> Iterable[tuple[str, str]]:
    """Facts of the models; of several experiments, of the first."""
    # Experiments of a run share their models; where they do not, xdp show prints each.
    first = experiments[0]
    yield "experiments", str(len(experiments))
    if first.scan is not None and not first.scan.is_still:
        start, end = first.scan.image_range
        width = first.scan.oscillation[1]
        yield "scan", f"images {start} to {end}, {format_value(float(width))}° each"
    if first.beam is not None:
        yield "wavelength", f"{first.beam.wavelength:.5f} Å"
    if first.detector is not None:
        n = len(first.detector)
        yield "detector", f"{n} panel{'s' if n > 1 else ''}, {first.detector[0].distance:.2f} mm away"
        hit = beam_centre(first.detector, first.beam) if first.beam is not None else None
        if hit is not None:
            yield "beam centre", f"{hit[1][0]:.2f}, {hit[1][1]:.2f} mm on panel {hit[0]}"
    crystals = [e.crystal for e in experiments if e.crystal is not None]
    if crystals:
        yield "space group", crystals[0].space_group.xhm()
        yield "cell", cell_text(crystals[0])
