"""Parameters of `xdp process`: those of all its stages, under the stages' names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, TypeVar

from xdp.errors import OptionError
from xdp.exporting.options import ExportOptions
from xdp.images.importing.options import ImportOptions
from xdp.indexing.command_options import IndexOptions, RefineSettingsOptions
from xdp.integration.options import IntegrateOptions, IntegrationMpOptions
from xdp.merging.options import MergeOptions
from xdp.options.kinds import FilePath, SpaceGroup, UnitCell
from xdp.options.model import Options, option
from xdp.options.tree import Definition, build_tree
from xdp.refinement.command_options import RefineOptions
from xdp.scaling.options import ScaleOptions
from xdp.spotfinding.options import FindSpotsOptions
from xdp.symmetry.options import SymmetryOptions
from xdp.work.options import ClusterOptions, WorkerOptions

Model = TypeVar("Model", bound=Options)


class ProcessOutput(Options):
    """What `xdp process` writes beside the files of its stages."""

    directory: FilePath | None = option(None, "The folder of all files; None: the current one.", file="folder")
    log: str | None = option(
        "xdp.process.log", "File for the messages that are also on the screen; None: no file.", file="output")
    summary: str | None = option("xdp.process.json", "The summary as JSON.", file="output")


class LateStages(Options):
    """Which stages follow integration."""

    symmetry: bool = option(
        True, "Find the Laue group and the space group from the intensities, unless space_group is given.")
    scale: bool = option(True, "Scale the integrated intensities, and merge them.")


class ProcessOptions(Options):
    """Parameters of `xdp process`."""

    space_group: SpaceGroup | None = option(
        None, "The space group, if it is known; None: the most symmetric Bravais setting that fits.")
    unit_cell: UnitCell | None = option(None, "The cell, if it is known.")
    resume: bool = option(True, "Skip stages whose inputs, parameters and files are as an earlier run left them.")
    mp: WorkerOptions = option(WorkerOptions(), "Where and how the work of all stages runs.")
    cluster: ClusterOptions = option(ClusterOptions(), "The batch system, for mp.method other than none.")
    output: ProcessOutput = option(ProcessOutput(), "Files.")
    stages: LateStages = option(LateStages(), "What follows integration.")
    import_: ImportOptions = option(ImportOptions(), "As of xdp import.", expert=1)
    find_spots: FindSpotsOptions = option(FindSpotsOptions(), "As of xdp find_spots.", expert=1)
    index: IndexOptions = option(IndexOptions(), "As of xdp index.", expert=1)
    refine_bravais_settings: RefineSettingsOptions = option(
        RefineSettingsOptions(), "As of xdp refine_bravais_settings.", expert=1)
    refine: RefineOptions = option(RefineOptions(), "As of xdp refine.", expert=1)
    integrate: IntegrateOptions = option(IntegrateOptions(), "As of xdp integrate.", expert=1)
    export: ExportOptions = option(ExportOptions(), "As of xdp export.", expert=1)
    symmetry: SymmetryOptions = option(SymmetryOptions(), "As of xdp symmetry.", expert=1)
    scale: ScaleOptions = option(ScaleOptions(), "As of xdp scale.", expert=1)
    merge: MergeOptions = option(MergeOptions(), "As of xdp merge.", expert=1)


def settle_options(options: ProcessOptions) -> ProcessOptions:
    """The stages' parameters as they are used: symmetry and workers handed on, all files in the output folder.

    Raises
    ------
    OptionError
        If a stage is given other symmetry or workers of its own.
    """
    stage_mps = ((options.find_spots.spotfinder.mp, type(options.find_spots.spotfinder.mp)(), "find_spots.spotfinder"),
                 (options.integrate.integration.mp, IntegrationMpOptions(), "integrate.integration"))
    # One pool of workers serves all stages: another choice in a stage could not be heeded.
    for mp, default, path in stage_mps:
        for name in WorkerOptions.model_fields:
            if getattr(mp, name) != getattr(default, name):
                raise OptionError(f"{path}.mp.{name}: all stages share their workers; write mp.{name}=...")
    for stage in ("find_spots", "integrate"):
        if getattr(options, stage).cluster != ClusterOptions():
            raise OptionError(f"{stage}.cluster: all stages share their workers; write cluster....=...")
    workers = {name: getattr(options.mp, name) for name in WorkerOptions.model_fields}
    known = _known_symmetry(options)
    changes: dict[str, Any] = {
        "find_spots": _replace_nested(options.find_spots, "spotfinder.mp", workers),
        "integrate": _replace_nested(options.integrate, "integration.mp", workers),
        "index": _replace_nested(options.index, "indexing.known_symmetry", known)}
    return _place_outputs(options.model_copy(update=changes), options.output.directory)


def _known_symmetry(options: ProcessOptions) -> dict[str, Any]:
    """What is told of the crystal's symmetry; the stage's own words must not say otherwise."""
    own, told = options.index.indexing.known_symmetry, {}
    for name in ("space_group", "unit_cell"):
        ours, theirs = getattr(options, name), getattr(own, name)
        if ours is not None and theirs is not None and ours != theirs:
            raise OptionError(f"{name}={ours} and index.indexing.known_symmetry.{name}={theirs}: give one of them")
        if ours is not None:
            told[name] = ours
    return told


def _replace_nested(model: Model, path: str, changes: dict[str, Any]) -> Model:
    """A copy with fields of a nested model changed."""
    name, _, rest = path.partition(".")
    inner = getattr(model, name)
    changed = _replace_nested(inner, rest, changes) if rest else inner.model_copy(update=changes)
    return model.model_copy(update={name: changed})


def settle_for_inputs(options: ProcessOptions, inputs: Sequence[str]) -> ProcessOptions:
    """Settle the parameters for some inputs: an ``.expt`` file is not imported anew, so that none is written.

    Parameters
    ----------
    options : ProcessOptions
        As the user gave them.
    inputs : sequence of str

    Returns
    -------
    ProcessOptions
        As of :func:`settle_options`.
    """
    options = settle_options(options)
    # An image set that is imported already: its file is an input, and must not be an output too.
    if len(inputs) == 1 and inputs[0].endswith((".expt", ".json")):
        return options.model_copy(update={"import_": _replace_nested(options.import_, "output", {"experiments": None})})
    return options


#: The stages whose files are named by their parameters.
_STAGES = ("import_", "find_spots", "index", "refine_bravais_settings", "refine", "integrate", "export", "symmetry",
           "scale", "merge")


def _place_outputs(options: ProcessOptions, folder: str | None) -> ProcessOptions:
    """All names of files put into a folder, unless they are absolute."""
    # Names first: Auto stands for a name that depends on the data, here it does not.
    options = options.model_copy(update={"export": _name_exports(options.export)})
    folder = folder or ""
    bravais = options.refine_bravais_settings
    directory = os.path.join(folder, bravais.output.directory or "") or "."
    changes: dict[str, Any] = {"refine_bravais_settings": _replace_nested(bravais, "output", {"directory": directory})}
    for stage in _STAGES:
        changes[stage] = _move_outputs(changes.get(stage, getattr(options, stage)), folder)
    return options.model_copy(update={**changes, "output": _move_outputs(options.output, folder)})


def _move_outputs(model: Model, folder: str) -> Model:
    """A copy of a model whose outputs lie in a folder, unless their names are absolute."""
    changes: dict[str, Any] = {}
    for node in build_tree(type(model)).children:
        value = getattr(model, node.attribute)
        if isinstance(value, Options):
            changes[node.attribute] = _move_outputs(value, folder)
        elif isinstance(node, Definition) and node.file == "output" and isinstance(value, str):
            # Where the folder is a field of its own, the name is joined to it later.
            is_whole = "{directory}" not in (node.names or "")
            changes[node.attribute] = os.path.join(folder, value) if is_whole else value
    return model.model_copy(update=changes)


def _name_exports(export: ExportOptions) -> ExportOptions:
    """With the names that Auto stands for: what is exported here is not scaled."""
    for scope, name in (("mtz", "integrated.mtz"), ("mmcif", "integrated.cif")):
        if not isinstance(getattr(export, scope).hklout, str):
            export = _replace_nested(export, scope, {"hklout": name})
    return export
