"""Indexes and integrates one shot of a chain by the stages that xdp has."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Mapping
from typing import Any

from xdp.errors import OptionError, XdpError
from xdp.experiment import ExperimentList, write_experiments
from xdp.reflections.refl import write_reflections
from xdp.serial.chain.keys import KeyReport
from xdp.serial.events.shot import Shot

log = logging.getLogger(__name__)

STAGES = ("spotfinder", "indexing", "refinement", "integration", "profile", "prediction", "geometry", "output", "mp")
"""Scopes of a PHIL file that belong to the stages of xdp."""
LABELIT = {"target_cell": "indexing.known_symmetry.unit_cell", "known_setting": "", "target_space_group":
           "indexing.known_symmetry.space_group"}
"""Names of the original's indexing program, and what they are here."""


def index_shot(shot: Shot, folder: str, prefix: str, targets: Mapping[str, str], report: KeyReport) -> str | None:
    """Find spots, index and integrate a shot; write ``<prefix><long time>_00000.refl`` and ``.expt``.

    The image is read from its file: dark and gain of the chain do not enter.

    Parameters
    ----------
    shot : Shot
        With the experiment that names its file.
    folder, prefix : str
        Of the files that are written.
    targets : mapping of str to str
        Definitions of the PHIL file; those of the stages are used.
    report : KeyReport
        Gets what is not used.

    Returns
    -------
    str or None
        The file of intensities; None where the shot could not be indexed.
    """
    import xdp

    if shot.experiment is None or shot.experiment.imageset is None:
        return None
    experiments = ExperimentList([dataclasses.replace(shot.experiment, identifier=f"shot-{shot.index}")])
    try:
        spots = xdp.find_spots(experiments, **_select(targets, xdp.FindSpotsOptions, report))
        found = xdp.index(spots.experiments, spots.reflections, **_select(targets, xdp.IndexOptions, report))
        done = xdp.integrate(found.experiments, found.reflections, **_select(targets, xdp.IntegrateOptions, report))
    except OptionError:
        raise
    except XdpError as error:
        log.debug("%s: %s", shot.id, error)
        return None
    os.makedirs(folder, exist_ok=True)
    base = os.path.join(folder, f"{prefix}{shot.timestamp or f'{shot.index:017d}'}_00000")
    write_experiments(f"{base}.expt", done.experiments)
    write_reflections(f"{base}.refl", done.reflections)
    return f"{base}.refl"


def _select(targets: Mapping[str, str], model: type, report: KeyReport) -> dict[str, Any]:
    """The definitions of a PHIL file that a stage has."""
    from xdp.options.paths import resolve
    from xdp.options.tree import build_tree

    tree, out = build_tree(model), {}
    for path, value in targets.items():
        name = LABELIT.get(path, path)
        if not name or path.startswith("distl.") or value == "None":
            continue
        try:
            resolve(tree, name)
        except XdpError:
            if path.split(".")[0] not in STAGES and path not in LABELIT:
                report.notes.append(f"{path} of the PHIL file is not used: xdp has no such parameter")
            continue
        out[name] = value.replace(" ", ",")
    return out
