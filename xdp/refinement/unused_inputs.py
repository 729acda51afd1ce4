"""What refinement is given and does not use: each kind is named in one line of the log."""

from __future__ import annotations

import logging

import numpy as np

from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable
from xdp.reflections.unused import list_unknown_columns, name_experiments

logger = logging.getLogger(__name__)


def find_unused_models(experiments: ExperimentList, reflections: ReflectionTable) -> list[str]:
    """Find the models and columns that refinement does not use.

    Parameters
    ----------
    experiments : ExperimentList
        With crystals.
    reflections : ReflectionTable
        With ``id`` and ``flags``.

    Returns
    -------
    list of str
        A sentence for each kind: models along the scan, maps of distortions, models of profiles and scales,
        experiments without indexed reflections, columns of unknown names.
    """
    n, lines = len(experiments), []
    varying = [k for k, e in enumerate(experiments) if _has_scan_points(e)]
    if varying:
        lines.append(f"Models along the scan are not used: refinement starts from the static ones"
                     f"{name_experiments(varying, n)}")
    maps = [k for k, e in enumerate(experiments) if e.imageset is not None and (e.imageset.dx or e.imageset.dy)]
    if maps:
        lines.append(f"Maps of distortions (dx, dy) are not applied{name_experiments(maps, n)}")
    older = [k for k, e in enumerate(experiments) if e.profile or e.scaling_model]
    if older:
        lines.append("Models of profiles and scales are not used, and stay as they were before refinement"
                     f"{name_experiments(older, n)}")
    if {"id", "flags"} <= set(reflections):
        used = set(np.unique(reflections["id"][reflections.flags(Flag.INDEXED)]).tolist())
        idle = [k for k in range(n) if k not in used]
        if idle and len(idle) < n:
            lines.append(f"Experiments without indexed reflections do not count{name_experiments(idle, n)}")
    unknown = list_unknown_columns(reflections)
    if unknown:
        lines.append(f"Columns of the reflections that are not used: {', '.join(unknown)}")
    return lines


def _has_scan_points(experiment: Experiment) -> bool:
    """Whether a model of an experiment is given along the scan."""
    crystal, beam, goniometer = experiment.crystal, experiment.beam, experiment.goniometer
    return bool((crystal and crystal.A_at_scan_points) or (beam and beam.extra.get("s0_at_scan_points"))
                or (goniometer and goniometer.extra.get("setting_rotation_at_scan_points")))


def log_unused_models(experiments: ExperimentList, reflections: ReflectionTable) -> None:
    """Log the lines of :func:`find_unused_models`.

    Parameters
    ----------
    experiments : ExperimentList
    reflections : ReflectionTable
    """
    for line in find_unused_models(experiments, reflections):
        logger.info("%s", line)
