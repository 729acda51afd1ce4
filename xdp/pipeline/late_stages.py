"""The stages after integration: symmetry, scaling, merging. Data that cannot be merged are integrated all the same.

A few frames integrate well, and have no two reflections to compare. Such a stage says why it has no result, the stages
that need it are left out, and the run has succeeded.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from xdp.errors import XdpError
from xdp.experiment import ExperimentList
from xdp.pipeline.options import ProcessOptions
from xdp.pipeline.stages import (
    WITHOUT_LOG,
    PipelineStage,
    StageResult,
    list_pair,
    load_pair,
    select_parameters,
    write_pair,
)
from xdp.reflections.table import ReflectionTable
from xdp.work.resources import Resources

logger = logging.getLogger(__name__)

PROBLEM = "problem"
"""Where the facts of a stage without result say why."""


def list_late_stages(options: ProcessOptions, integrated: ExperimentList) -> tuple[PipelineStage, ...]:
    """List the stages that follow integration.

    Parameters
    ----------
    options : ProcessOptions
    integrated : ExperimentList
        Stills are neither scaled nor merged; the symmetry of several crystals is not sought, since their axes may be
        chosen differently.

    Returns
    -------
    tuple of PipelineStage
    """
    if not len(integrated) or any(experiment.is_still for experiment in integrated):
        return ()
    is_known = options.index.indexing.known_symmetry.space_group is not None
    chosen = []
    if options.stages.symmetry and not is_known and len(integrated.unique("crystal")) == 1:
        chosen.append(SYMMETRY)
    return (*chosen, SCALE, MERGE) if options.stages.scale else tuple(chosen)


def _attempt(name: str, work: Callable[[], StageResult]) -> StageResult:
    """Do a stage, or say why it has no result."""
    try:
        return work()
    except XdpError as error:
        logger.warning("%s: no result, the integrated reflections are kept: %s", name, error)
        return StageResult(ExperimentList(), ReflectionTable(), {PROBLEM: str(error)})


def _find_symmetry(before: Any, options: ProcessOptions, resources: Resources) -> StageResult:
    def work() -> StageResult:
        from xdp.symmetry.find import find_symmetry

        integrated = before.done
        found = find_symmetry(integrated.experiments, integrated.reflections, options.symmetry)
        write_pair(options.symmetry.output, found.experiments, found.reflections)
        if options.symmetry.output.json_ is not None:
            found.report.write(options.symmetry.output.json_)
        verdict = found.verdict
        facts = {"laue_group": verdict.laue_class, "probability": verdict.probability,
                 "decided": verdict.is_decided, "space_groups": list(verdict.space_groups),
                 "space_group": verdict.written, "advice": list(verdict.advice)}
        return StageResult(found.experiments, found.reflections, facts, found)

    return _attempt("symmetry", work)


def _scale(before: Any, options: ProcessOptions, resources: Resources) -> StageResult:
    def work() -> StageResult:
        from xdp.scaling.scale import scale

        found = scale(before.done.experiments, before.done.reflections, options.scale)
        write_pair(options.scale.output, found.experiments, found.reflections)
        if options.scale.output.json_ is not None:
            found.report.write(options.scale.output.json_)
        errors = found.fit.error_model
        facts = {"scaled": int(found.fit.use.sum()), "outliers": int((~found.fit.use).sum()),
                 "a": list(map(float, errors.a)), "b": list(map(float, errors.b)),
                 "highest_i_over_sigma": list(map(float, errors.i_over_sigma_limit))}
        return StageResult(found.experiments, found.reflections, facts, found)

    return _attempt("scale", work)


def _merge(before: Any, options: ProcessOptions, resources: Resources) -> StageResult:
    def work() -> StageResult:
        from xdp.files import together
        from xdp.merging.merge import merge, write_merged

        found = merge(before.done.experiments, before.done.reflections, options.merge)
        with together():
            files = write_merged(options.merge, found)
        facts = {"merged": len(found.hkl), "files": list(files), "table_one": [list(r) for r in found.table_one.rows],
                 "warnings": found.diagnostics.list_warnings(), **found.shells[-1].to_dict()}
        return StageResult(found.experiments, found.reflections, facts, found)

    return _attempt("merge", work)


def _list_merged_files(options: ProcessOptions) -> tuple[str, ...]:
    output = options.merge.output
    named = (output.mtz, output.mmcif, output.scalepack, output.shelx, output.table_one, output.json_)
    return tuple(path for path in named if path is not None)


SYMMETRY = PipelineStage("symmetry", select_parameters("symmetry", WITHOUT_LOG),
                         lambda o: list_pair(o.symmetry.output), _find_symmetry,
                         lambda _, o: load_pair(o.symmetry.output))
SCALE = PipelineStage("scale", select_parameters("scale", WITHOUT_LOG), lambda o: list_pair(o.scale.output), _scale,
                      lambda _, o: load_pair(o.scale.output))
MERGE = PipelineStage("merge", select_parameters("merge", WITHOUT_LOG, ["free_flags.reference"]), _list_merged_files,
                      _merge, lambda *_: StageResult(ExperimentList(), ReflectionTable(), {}))
