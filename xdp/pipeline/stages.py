"""The stages of the pipeline, each as: what it depends on, its files, how it is done, how its result is read back."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xdp.errors import XdpError
from xdp.experiment import ExperimentList, read_experiments, write_experiments
from xdp.experiment.io import experiments_to_dict
from xdp.files import together
from xdp.pipeline import sweeps
from xdp.pipeline.options import ProcessOptions
from xdp.reflections.flags import Flag
from xdp.reflections.refl import read_reflections, write_reflections
from xdp.reflections.table import ReflectionTable
from xdp.work.keys import stamp_file
from xdp.work.resources import Resources

if TYPE_CHECKING:

    from xdp.images.importing.options import ImportOptions

#: Names of setting files that refine_bravais_settings does not get from here: the chosen setting goes on.
_CHOSEN = "reindexed"


@dataclass(frozen=True)
class StageResult:
    """What a stage gave.

    Attributes
    ----------
    experiments, reflections
        Models and reflections as they go to the next stage.
    facts : dict
        What is worth telling, in JSON's types.
    result : object
        What the stage's own verb returned, for reports.
    """

    experiments: ExperimentList
    reflections: ReflectionTable
    facts: dict[str, Any]
    result: Any = None


@dataclass(frozen=True)
class PipelineStage:
    """A stage: ``parameters`` gives what its result depends on, ``files`` what it writes."""

    name: str
    parameters: Callable[[ProcessOptions], Any]
    files: Callable[[ProcessOptions], tuple[str, ...]]
    do: Callable[[Any, ProcessOptions, Resources], StageResult]
    load: Callable[[Any, ProcessOptions], StageResult]


# ---- import


def import_stage(inputs: Sequence[str], options: ImportOptions, keep: str | None = None) -> StageResult:
    """Read headers and write the experiments.

    Parameters
    ----------
    inputs : sequence of str
        Images, templates, folders.
    options : ImportOptions
    keep : str, optional
        An .expt file of an earlier run: where it holds the same images and models, it stays as it is.
    """
    from xdp.experiment.io import write_experiments
    from xdp.images.importing.import_images import import_images

    experiments = import_images(inputs, options).experiments
    old = None if keep is None else read_experiments(keep)
    if old is not None and list_content(old) == list_content(experiments):
        experiments = old
    else:
        output = options.output
        assert output.experiments is not None
        write_experiments(output.experiments, experiments, output.compatibility, compact=output.compact)
    return _describe_import(experiments)


def read_import(path: str) -> StageResult:
    """Experiments that were imported before."""
    return _describe_import(read_experiments(path))


def _describe_import(experiments: ExperimentList) -> StageResult:
    n_frames = sum(1 if e.scan is None else e.scan.n_frames for e in experiments)
    stills = sum(e.is_still for e in experiments)
    facts = {"frames": n_frames, "sweeps": len(experiments) - stills, "stills": stills}
    if sweeps.has_sweeps(experiments):
        facts["sweeps_by_images"] = sweeps.name_sweeps(experiments)
    return StageResult(experiments, ReflectionTable(), facts, experiments)


def list_content(experiments: ExperimentList) -> list[Any]:
    """List models and images of experiments without their identifiers, with the stamps of the images' files.

    Returns
    -------
    list
        In JSON's types: two are equal if the images and all models are.
    """
    source = experiments_to_dict(experiments)
    for entry in source["experiment"]:
        entry.pop("identifier", None)
    # They are keyed by the identifiers.
    for scan in source.get("scan", []):
        scan.pop("valid_image_ranges", None)
    return [source, list_stamps(experiments)]


def list_stamps(experiments: ExperimentList) -> list[list]:
    """Path, size and time of change of each file of images, and of those that mask or correct them."""
    from xdp.images.stamps import list_image_files

    files: dict[str, None] = {}
    for experiment in experiments:
        if experiment.imageset is not None:
            files |= dict.fromkeys(list_image_files(experiment))
    return [stamp_file(file) for file in files]


def list_import_stamps(experiments: ExperimentList, options: ImportOptions) -> list[list]:
    """The stamps of all files that import reads: those of :func:`list_stamps`, and where the geometry is taken from."""
    reference = options.input.reference_geometry
    return [*list_stamps(experiments), *([] if reference is None else [stamp_file(reference)])]


def are_files(words: Sequence[str]) -> bool:
    """Whether each word is the name of one file."""
    return bool(words) and all(os.path.isfile(word) for word in words)


# ---- find_spots


def _find_spots(before: Any, options: ProcessOptions, resources: Resources) -> StageResult:
    from xdp.spotfinding.find import find_spots_to_file

    own = options.find_spots
    found = find_spots_to_file(before.done.experiments, own, client=resources.client, progress=resources.progress)
    table = read_reflections(own.output.reflections)
    facts = {"spots": found.n_spots, **_by_images(found.experiments, lambda: sweeps.count_spots(
        found.experiments, table))}
    return StageResult(found.experiments, table, facts, found)


def _load_spots(before: Any, options: ProcessOptions) -> StageResult:
    own = options.find_spots.output
    experiments = read_experiments(own.experiments) if own.experiments else before.done.experiments
    return StageResult(experiments, read_reflections(own.reflections), {})


# ---- index


def _index(before: Any, options: ProcessOptions, resources: Resources) -> StageResult:
    from xdp.indexing.index import index

    own, spots = options.index, before.done
    # Said here, with where to look: indexing knows only that there are too few.
    if not len(spots.reflections):
        raise XdpError("no spots were found: look at the images, and at find_spots.spotfinder.threshold")
    result = index(spots.experiments, spots.reflections, own)
    write_pair(own.output, result.experiments, result.reflections)
    n, n_indexed = len(result.reflections), int((result.reflections["id"] >= 0).sum())
    lattices = len(result.experiments.unique("crystal"))
    facts = {"spots": n, "indexed": n_indexed, "lattices": lattices, **_by_images(
        spots.experiments, lambda: sweeps.count_indexed(spots.experiments, result.experiments, result.reflections))}
    return StageResult(result.experiments, result.reflections, facts, result)


# ---- refine_bravais_settings


def _bravais(before: Any, options: ProcessOptions, resources: Resources) -> StageResult:
    from xdp.indexing.refine_settings import choose_setting, refine_settings
    from xdp.indexing.reindex import reindex_reflections

    indexed, own = before.done, options.refine_bravais_settings
    experiments, table = indexed.experiments, indexed.reflections
    solutions = []
    # Settings of several crystals would have to be chosen together.
    if len(experiments.unique("crystal")) == 1:
        solutions = list(refine_settings(experiments, table, own).solutions)
    chosen = choose_setting(solutions) if solutions else None
    if chosen is not None:
        experiments, table = chosen.experiments, reindex_reflections(table, chosen.setting.transform)
    expt, refl = _chosen_files(options)
    with together():
        write_experiments(expt, experiments)
        write_reflections(refl, table)
    crystal = experiments[0].crystal
    facts = {"lattice": None if chosen is None else chosen.setting.lattice,
             "operator": None if chosen is None else chosen.setting.operator,
             "space_group": crystal.space_group.short_name()}
    return StageResult(experiments, table, facts, solutions)


def _chosen_files(options: ProcessOptions) -> tuple[str, str]:
    output = options.refine_bravais_settings.output
    stem = Path(output.directory or ".") / f"{output.prefix or ''}{_CHOSEN}"
    return f"{stem}.expt", f"{stem}.refl"


# ---- refine


def _refine(before: Any, options: ProcessOptions, resources: Resources) -> StageResult:
    from xdp.experiment.cell_errors import cell_text
    from xdp.refinement.refine import refine

    own, indexed = options.refine, before.done
    result = refine(indexed.experiments, indexed.reflections, own)
    # Flagged by the refinement: outliers and reflections near the axis are not.
    used = result.reflections.flags(Flag.USED_IN_REFINEMENT)
    table = result.reflections if own.output.include_unused_reflections else result.reflections.select(used)
    write_pair(own.output, result.experiments, table)
    crystal = result.experiments[0].known.crystal
    facts = {"used": int(used.sum()), "cell": cell_text(crystal), "unit_cell": list(crystal.unit_cell),
             "space_group": crystal.space_group.short_name(), "rmsds": result.rmsds_in_pixels(),
             "scan_varying": bool(crystal.A_at_scan_points),
             **_by_images(result.experiments, lambda: sweeps.describe_refinement(result))}
    return StageResult(result.experiments, table, facts, result)


# ---- integrate


def _integrate(before: Any, options: ProcessOptions, resources: Resources) -> StageResult:
    from xdp.integration.integrate import integrate_to_file
    from xdp.options.text import changed_text, write_changes

    own, refined = options.integrate, before.done
    if own.output.phil is not None:
        write_changes(own.output.phil, changed_text(own))
    found = integrate_to_file(refined.experiments, refined.reflections, own, client=resources.client,
                              progress=resources.progress)
    facts = _integrated_facts(found.experiments, found.reflections)
    return StageResult(found.experiments, found.reflections, facts, found)


def _integrated_facts(experiments: ExperimentList, table: ReflectionTable) -> dict[str, Any]:
    """Profile model, counts, and I/sigma overall and in the outermost of ten shells."""
    from xdp.integration.results.statistics import compute_statistics

    profile = experiments[0].profile or {}
    facts: dict[str, Any] = {name: _mean(profile.get(name)) for name in ("sigma_b", "sigma_m")}
    if not len(table):
        return {**facts, "integrated": 0}
    facts |= _by_images(experiments, lambda: sweeps.describe_intensities(experiments, table))
    # Ten shells, as the integration's own log has them.
    found = compute_statistics(experiments[0], table, 10)
    overall, outer = found.overall, found.high
    facts |= {"integrated": overall["n_integrated"], "summed": overall["n_summed"], "fitted": overall["n_fitted"],
              "d_min": overall["dmin"], "outer": [outer["dmax"], outer["dmin"]]}
    for kind in ("sum", "prf"):
        facts[f"i_over_sigma_{kind}"] = [overall[f"ios_{kind}"], outer[f"ios_{kind}"]]
    return facts


def _by_images(experiments: ExperimentList, describe: Callable[[], sweeps.SweepFacts]) -> dict[str, Any]:
    """The facts of a stage sweep by sweep, where there are several."""
    return {"sweeps_by_images": describe()} if sweeps.has_sweeps(experiments) else {}


def _mean(value: Any) -> float | None:
    """A width that may vary over the scan, as one number (degrees)."""
    return None if value is None else float(np.mean(value))


# ---- export


def _export(before: Any, options: ProcessOptions, resources: Resources) -> StageResult:
    from xdp.exporting.export import export

    integrated = before.done
    found = export(integrated.experiments, integrated.reflections, options.export)
    facts = {"written": found.n_written, "files": list(found.files)}
    return StageResult(integrated.experiments, integrated.reflections, facts, found)


def _export_files(options: ProcessOptions) -> tuple[str, ...]:
    from xdp.exporting.export import export_files

    return export_files(options.export)


# ---- all


def write_pair(output: Any, experiments: ExperimentList, table: ReflectionTable) -> None:
    """Write models and reflections, both or none.

    Parameters
    ----------
    output : Options
        With the names ``experiments`` and ``reflections``.
    experiments : ExperimentList
    table : ReflectionTable
    """
    with together():
        write_experiments(output.experiments, experiments)
        write_reflections(output.reflections, table)


def load_pair(output: Any) -> StageResult:
    """Models and reflections as :func:`write_pair` has written them."""
    return StageResult(read_experiments(output.experiments), read_reflections(output.reflections), {})


def _load_bravais(before: Any, options: ProcessOptions) -> StageResult:
    expt, refl = _chosen_files(options)
    return StageResult(read_experiments(expt), read_reflections(refl), {})


def list_pair(output: Any) -> tuple[str, str]:
    """The files of :func:`write_pair`."""
    return output.experiments, output.reflections


def _integrate_files(options: ProcessOptions) -> tuple[str, ...]:
    output = options.integrate.output
    return (*list_pair(output), *filter(None, (output.report,)))


def select_parameters(name: str, leave_out: dict[str, Any], reads: Sequence[str] = ()
                      ) -> Callable[[ProcessOptions], Any]:
    """Say which parameters of a stage its result depends on.

    Parameters
    ----------
    name : str
        The stage.
    leave_out : dict
        Parameters that change nothing in its files, as pydantic's ``exclude``.
    reads : sequence of str
        Paths of parameters that name files which the stage reads: they come with the files' stamps.

    Returns
    -------
    callable
        Gives the parameters of the stage in JSON's types.
    """
    def parameters(options: ProcessOptions) -> Any:
        own = getattr(options, name)
        files = [functools.reduce(getattr, path.split("."), own) for path in reads]
        return [own.model_dump(mode="json", exclude=leave_out), [file and stamp_file(file) for file in files]]

    return parameters


WITHOUT_LOG: dict[str, Any] = {"output": {"log"}}
"""What changes nothing in the files of most stages."""

STAGES = (
    PipelineStage("find_spots", select_parameters(
        "find_spots", {**WITHOUT_LOG, "cluster": True, "spotfinder": {"mp"}}, ["spotfinder.lookup.mask"]),
        lambda o: tuple(f for f in (o.find_spots.output.reflections, o.find_spots.output.experiments) if f),
        _find_spots, _load_spots),
    PipelineStage("index", select_parameters("index", {**WITHOUT_LOG, "indexing": {"nproc"}}),
                  lambda o: list_pair(o.index.output), _index, lambda _, o: load_pair(o.index.output)),
    PipelineStage("refine_bravais_settings", select_parameters("refine_bravais_settings", WITHOUT_LOG), _chosen_files,
                  _bravais, _load_bravais),
    PipelineStage("refine", select_parameters("refine", WITHOUT_LOG), lambda o: list_pair(o.refine.output), _refine,
                  lambda _, o: load_pair(o.refine.output)),
    PipelineStage("integrate", select_parameters(
        "integrate", {**WITHOUT_LOG, "cluster": True, "integration": {"mp"}},
        ["integration.lookup.mask", "integration.background.gmodel.model"]),
        _integrate_files, _integrate, lambda _, o: load_pair(o.integrate.output)),
    PipelineStage("export", select_parameters("export", {"output": True}), _export_files, _export,
                  lambda *_: StageResult(ExperimentList(), ReflectionTable(), {})),
)
"""From spots to the export of integrated reflections, in their order."""
