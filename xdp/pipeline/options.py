"""Parameters of `xdp process`: those of all its stages, under the stages' names."""

from __future__ import annotations

import os
from typing import Any, TypeVar

from xdp.errors import OptionError
from xdp.exporting.options import ExportOptions
from xdp.images.importing.options import ImportOptions
from xdp.indexing.command_options import BravaisOptions, IndexOptions
from xdp.integration.options import IntegrateOptions, IntegrationMpOptions
from xdp.options.kinds import FilePath, SpaceGroup, UnitCell
from xdp.options.model import Options, option
from xdp.refinement.command_options import RefineOptions
from xdp.spotfinding.options import FindSpotsOptions
from xdp.work.options import ClusterOptions, WorkerOptions

Model = TypeVar("Model", bound=Options)


class ProcessOutput(Options):
    """What `xdp process` writes beside the files of its stages."""

    directory: FilePath | None = option(None, "The folder of all files; None: the current one.")
    log: str | None = option("xdp.process.log", "File for the messages that are also on the screen; None: no file.")
    summary: str | None = option("xdp.process.json", "The summary as JSON.")


class ProcessOptions(Options):
    """Parameters of `xdp process`."""

    space_group: SpaceGroup | None = option(
        None, "The space group, if it is known; None: the most symmetric Bravais setting that fits.")
    unit_cell: UnitCell | None = option(None, "The cell, if it is known.")
    resume: bool = option(True, "Skip stages whose inputs, parameters and files are as an earlier run left them.")
    mp: WorkerOptions = option(WorkerOptions(), "Where and how the work of all stages runs.")
    cluster: ClusterOptions = option(ClusterOptions(), "The batch system, for mp.method other than none.")
    output: ProcessOutput = option(ProcessOutput(), "Files.")
    import_: ImportOptions = option(ImportOptions(), "As of xdp import.", expert=1)
    find_spots: FindSpotsOptions = option(FindSpotsOptions(), "As of xdp find_spots.", expert=1)
    index: IndexOptions = option(IndexOptions(), "As of xdp index.", expert=1)
    refine_bravais_settings: BravaisOptions = option(
        BravaisOptions(), "As of xdp refine_bravais_settings.", expert=1)
    refine: RefineOptions = option(RefineOptions(), "As of xdp refine.", expert=1)
    integrate: IntegrateOptions = option(IntegrateOptions(), "As of xdp integrate.", expert=1)
    export: ExportOptions = option(ExportOptions(), "As of xdp export.", expert=1)


def settled(options: ProcessOptions) -> ProcessOptions:
    """The stages' parameters as they are used: symmetry and workers handed on, all files in the output folder.

    Raises
    ------
    OptionError
        If a stage is given other symmetry or workers of its own.
    """
    stage_mps = ((options.find_spots.spotfinder.mp, type(options.find_spots.spotfinder.mp)(), "find_spots.spotfinder"),
                 (options.integrate.integration.mp, IntegrationMpOptions(), "integrate.integration"))
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
        "find_spots": _with(options.find_spots, "spotfinder.mp", workers),
        "integrate": _with(options.integrate, "integration.mp", workers),
        "index": _with(options.index, "indexing.known_symmetry", known)}
    return _placed(options.model_copy(update=changes), options.output.directory)


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


def _with(model: Model, path: str, changes: dict[str, Any]) -> Model:
    """A copy with fields of a nested model changed."""
    name, _, rest = path.partition(".")
    inner = getattr(model, name)
    return model.model_copy(update={name: _with(inner, rest, changes) if rest else inner.model_copy(update=changes)})


#: The fields that name files, of each stage.
_FILES: dict[str, dict[str, tuple[str, ...]]] = {
    "import_": {"output": ("experiments", "log")},
    "find_spots": {"output": ("experiments", "reflections", "log"), "spotfinder": ("hot_mask_prefix",)},
    "index": {"output": ("experiments", "reflections", "log")},
    "refine_bravais_settings": {"output": ("log",)},
    "refine": {"output": ("experiments", "reflections", "log")},
    "integrate": {"output": ("experiments", "reflections", "phil", "log", "report")},
    "export": {"output": ("log",), "mtz": ("hklout",), "xds_ascii": ("hklout",), "mmcif": ("hklout",),
               "shelx": ("hklout", "ins"), "json_": ("filename",)},
    "output": {"": ("log", "summary")},
}


def _placed(options: ProcessOptions, folder: str | None) -> ProcessOptions:
    """All names of files put into a folder, unless they are absolute."""
    options = options.model_copy(update={"export": _named_exports(options.export)})
    folder = folder or ""
    bravais = options.refine_bravais_settings
    directory = os.path.join(folder, bravais.output.directory or "") or "."
    changes: dict[str, Any] = {"refine_bravais_settings": _with(bravais, "output", {"directory": directory})}
    for stage, scopes in _FILES.items():
        model = changes.get(stage, getattr(options, stage))
        for path, names in scopes.items():
            inner = model
            for part in filter(None, path.split(".")):
                inner = getattr(inner, part)
            moved = {n: os.path.join(folder, v) for n in names if isinstance(v := getattr(inner, n), str)}
            model = _with(model, path, moved) if path else model.model_copy(update=moved)
        changes[stage] = model
    return options.model_copy(update=changes)


def _named_exports(export: ExportOptions) -> ExportOptions:
    """With the names that Auto stands for: what is exported here is not scaled."""
    for scope, name in (("mtz", "integrated.mtz"), ("mmcif", "integrated.cif")):
        if not isinstance(getattr(export, scope).hklout, str):
            export = _with(export, scope, {"hklout": name})
    return export
