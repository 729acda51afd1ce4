"""What refinement gives, and its report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from xdp.display import Displayed
from xdp.experiment.experiment import ExperimentList
from xdp.refinement.equations.engine import Step
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable
from xdp.report.tables import Report, Table

_MOST_SHOWN = 10  # cells that a report of very many crystals shows


@dataclass(frozen=True, repr=False)
class Refined(Displayed):
    """What refinement gives.

    Attributes
    ----------
    experiments : ExperimentList
        With the refined models.
    reflections : ReflectionTable
        With new ``xyzcal.*``, ``s1``, ``entering`` and flags.
    steps : tuple of Step
        The path of the last minimisation.
    rmsds : (n_experiments, 3)
        In mm, mm and radians, of the reflections that were used.
    names : list of str
        The parameters of the last minimisation.
    values, esds : (n_parameters,)
        Their shifts and standard uncertainties, in mm, milliradian or thousandths.
    reason : str
        Why it stopped.
    """

    experiments: ExperimentList
    reflections: ReflectionTable
    steps: tuple[Step, ...]
    rmsds: np.ndarray
    names: list[str]
    values: np.ndarray
    esds: np.ndarray
    reason: str

    @property
    def report(self) -> Report:
        """Cells, how many reflections were used, and the RMSDs of each experiment."""
        return Report((self._rmsd_table(),), facts=dict(self._facts()))

    def rmsds_in_pixels(self) -> list[list[float]]:
        """RMSDs of each experiment in pixels (fast, slow) and images (0 for stills)."""
        rows = []
        for experiment, rms in zip(self.experiments, self.rmsds, strict=True):
            known = experiment.known
            px = rms[:2] / np.asarray(known.detector[0].pixel_size)
            z = 0.0 if experiment.is_still else np.degrees(rms[2]) / abs(known.scan.oscillation[1])
            rows.append([float(px[0]), float(px[1]), float(z)])
        return rows

    def _facts(self) -> list[tuple[str, Any]]:
        used = int(np.count_nonzero(self.reflections.flags(Flag.USED_IN_REFINEMENT)))
        crystals = self.experiments.unique("crystal")[:_MOST_SHOWN]
        return [("reflections used", used), *((f"cell {i + 1}", c.unit_cell) for i, c in enumerate(crystals)),
                ("stopped because", self.reason)]

    def _rmsd_table(self) -> Table:
        rows = tuple((str(i), *(f"{value:.5f}" for value in row)) for i, row in enumerate(self.rmsds_in_pixels()))
        heads = {"experiment": "experiment", "x": "RMSD x (px)", "y": "RMSD y (px)", "z": "RMSD z (images)"}
        return Table("rmsds", "RMSDs of observed and predicted centroids", heads, rows)
