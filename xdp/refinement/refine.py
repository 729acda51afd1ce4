"""Refine all models of a list of experiments against their indexed reflections."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from xdp.errors import XdpError
from xdp.experiment.experiment import ExperimentList
from xdp.options.model import Auto
from xdp.options.named import make_options
from xdp.prediction.completion import complete_table
from xdp.refinement.command_options import RefineOptions
from xdp.refinement.equations.restraints import resolve_targets
from xdp.refinement.options import Parameterisation, Refinement
from xdp.refinement.parameters.setup import list_unknown_names
from xdp.refinement.result import Refined
from xdp.refinement.selection import add_mm_positions
from xdp.refinement.stages import refine_static, vary_models
from xdp.refinement.unused_inputs import log_unused_models
from xdp.reflections.flags import Flag
from xdp.reflections.sound import keep_sound_rows
from xdp.reflections.table import ReflectionTable
from xdp.work.progress import Progress, no_progress

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger(__name__)


def refine(experiments: ExperimentList, reflections: ReflectionTable,
           options: RefineOptions | Mapping[str, Any] | None = None, *, client: Client | None = None,
           progress: Progress | None = None, **named: Any) -> Refined:
    """Refine beam, detector, goniometer and crystals so that predicted centroids fall on observed ones.

    Outliers are set aside, and all parameters refined together: first with models that stand still, then with crystals
    that change smoothly over the scan, if that explains the observations better. See :func:`refine_models` for the
    steps.

    Parameters
    ----------
    experiments : ExperimentList
        Each with a crystal.
    reflections : ReflectionTable
        Indexed reflections.
    options : RefineOptions or dict, optional
        The parameters of ``xdp refine``. No file is written.
    client : distributed.Client, optional
        Its workers compute the normal equations, which pays for very many experiments; by default this process.
    progress : callable, optional
        Shows when refinement is done.
    **named
        Parameters by name, laid over `options`: ``scan_varying=False``.

    Returns
    -------
    Refined
        With ``experiments``, ``reflections`` and ``report``.

    Raises
    ------
    XdpError
        If reflections or models do not serve, too few reflections are left, or a parameter or an experiment that the
        options name is not there.

    Examples
    --------
    >>> import xdp
    >>> from xdp.simulation import make_spots
    >>> experiments, spots = make_spots()
    >>> found = xdp.index(experiments, spots)
    >>> refined = xdp.refine(found.experiments, found.reflections, scan_varying=False)
    >>> bool(refined.rmsds[0, 0] < 0.1)  # mm
    True
    """
    chosen = make_options(RefineOptions, options, named)
    for line in chosen.refinement.list_unused():
        logger.info("%s", line)
    reflections = complete_table(experiments, reflections)
    log_unused_models(experiments, reflections)
    _check_names(experiments, chosen.refinement.parameterisation)
    with (progress or no_progress)(1, "refinement") as advance:
        refined = refine_models(experiments, reflections, chosen.refinement,
                                n_static_macrocycles=chosen.n_static_macrocycles, client=client)
        advance(1)
    return refined


def refine_models(experiments: ExperimentList, reflections: ReflectionTable, options: Refinement | None = None, *,
                  n_static_macrocycles: int = 1, client: Client | None = None) -> Refined:
    """Refine models as :func:`refine` does, with the option model that the algorithm looks at.

    Reflections that say nothing are set aside: unindexed ones, those next to the spindle and at the ends of the scan.
    Then outliers are. All parameters are refined together, first with models that stand still. Unless
    ``scan_varying=False``, each sweep of a crystal that several share then gets its own copy of it: orientations are
    refined for each, the cell for all of them, from a fit that outliers do not spoil. Last, crystals change smoothly
    over the scan, and so do beam and detector if the options say so.

    With ``scan_varying=Auto`` either change is kept only if it explains the observations better than its parameters
    alone would (Schwarz's criterion). A slow turn of the crystal in its own frame imitates turns of the detector and
    the beam. In these directions beam and detector stay where the static stage left them
    (:func:`xdp.refinement.equations.restraints.make_prior`).

    Parameters
    ----------
    experiments : ExperimentList
        Each with a crystal.
    reflections : ReflectionTable
        Columns ``id``, ``panel``, ``miller_index``, ``xyzobs.px.value``, ``xyzobs.px.variance`` and ``flags``.
    options : Refinement, optional
        The parameters of refinement.
    n_static_macrocycles : int
        How often the static stage is run, each time with a new choice of outliers.
    client : distributed.Client, optional
        Its workers compute the normal equations of many experiments; the sums are the same without.

    Returns
    -------
    Refined

    Raises
    ------
    XdpError
        If there are too few reflections, or nothing to refine.
    """
    reflections = keep_sound_rows(reflections)
    _check_input(experiments, reflections)
    options = resolve_targets(experiments, options or Refinement())
    table = add_mm_positions(experiments, reflections)
    for _ in range(n_static_macrocycles):
        last = refine_static(experiments, table, options, client)
        experiments, table = last.result.experiments, last.result.reflections
    if not _wants_scan_varying(experiments, options.parameterisation):
        return last.result
    return vary_models(last, options, client).result


def _check_names(experiments: ExperimentList, options: Parameterisation) -> None:
    """Stop with a message if the options name parameters or experiments that there are not."""
    if any(e.crystal is None for e in experiments):
        return  # an error of its own
    for line in list_unknown_names(experiments, options):
        raise XdpError(f"refinement: {line}")
    for tie in options.crystal.unit_cell.restraints.tie_to_target:
        if tie.id and max(tie.id) >= len(experiments):
            raise XdpError(f"refinement: tie_to_target.id={max(tie.id)}, but there are {len(experiments)} experiments, "
                           "counted from 0")


def _check_input(experiments: ExperimentList, reflections: ReflectionTable) -> None:
    """Stop with a message if models or reflections do not serve."""
    if not len(experiments):
        raise XdpError("refinement: there are no experiments")
    if any(e.crystal is None for e in experiments):
        raise XdpError("refinement needs a crystal in every experiment: index first")
    needed = ("id", "panel", "miller_index", "xyzobs.px.value", "xyzobs.px.variance", "flags")
    missing = [name for name in needed if name not in reflections]
    if missing:
        raise XdpError(f"refinement: the reflections have no column {missing[0]}; give those of xdp index")
    if not np.any(reflections.flags(Flag.INDEXED) & (reflections["id"] >= 0)):
        raise XdpError(f"refinement: none of {len(reflections)} reflections is indexed; index first")
    largest, allowed = int(reflections["panel"].max(initial=0)), min(len(e.known.detector) for e in experiments)
    if largest >= allowed:
        raise XdpError(f"refinement: a reflection is on panel {largest}, but the detector has {allowed}: models and "
                       "reflections do not belong together")


def _wants_scan_varying(experiments: ExperimentList, options: Parameterisation) -> bool:
    """Whether models may vary over the scan: as the options say, or with Auto if any experiment is a scan."""
    turns = any(not e.is_still and e.known.scan.n_frames > 1 for e in experiments)
    if options.scan_varying is True and not turns:
        raise XdpError("refinement: scan_varying=True needs a scan of several images that rotates")
    return turns if isinstance(options.scan_varying, Auto) else bool(options.scan_varying)
