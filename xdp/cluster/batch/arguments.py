"""The words of a command as they must read in another folder: inputs by their whole paths, outputs as they stand."""

from __future__ import annotations

import glob
import importlib
import os
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from xdp.options.paths import resolve
from xdp.options.reader import INPUT_NAMES, is_parameter
from xdp.options.syntax import parse_text
from xdp.options.tree import build_tree
from xdp.options.words import quote_text, read_value

#: The parameters of each command that has some; those of the others are left alone.
MODELS = {
    "demo": "xdp.simulation.options:DemoOptions",
    "process": "xdp.pipeline.options:ProcessOptions",
    "import": "xdp.images.importing.options:ImportOptions",
    "find_spots": "xdp.spotfinding.options:FindSpotsOptions",
    "find_hot_pixels": "xdp.cli.find_hot_pixels:FindHotPixelsOptions",
    "estimate_gain": "xdp.cli.estimate_gain:EstimateGainOptions",
    "generate_mask": "xdp.cli.generate_mask:GenerateMaskOptions",
    "show": "xdp.cli.show:ShowOptions",
    "report": "xdp.report.page.options:ReportOptions",
    "search_beam_position": "xdp.indexing.command_options:SearchBeamOptions",
    "find_rotation_axis": "xdp.indexing.command_options:RotationAxisOptions",
    "index": "xdp.indexing.command_options:IndexOptions",
    "refine": "xdp.refinement.command_options:RefineOptions",
    "refine_bravais_settings": "xdp.indexing.command_options:RefineSettingsOptions",
    "integrate": "xdp.integration.options:IntegrateOptions",
    "model_background": "xdp.integration.background.model_options:ModelBackgroundOptions",
    "reindex": "xdp.indexing.command_options:ReindexOptions",
    "symmetry": "xdp.symmetry.options:SymmetryOptions",
    "cosym": "xdp.symmetry.cosym_options:CosymOptions",
    "scale": "xdp.scaling.options:ScaleOptions",
    "compute_delta_cchalf": "xdp.merging.delta.options:DeltaCcHalfOptions",
    "estimate_resolution": "xdp.merging.resolution.options:ResolutionOptions",
    "merge": "xdp.merging.options:MergeOptions",
    "export": "xdp.exporting.options:ExportOptions",
    "convert_geometry": "xdp.images.geometry_files.convert:ConvertGeometryOptions",
    "average": "xdp.serial.calibration.options:AverageOptions",
    "find_hits": "xdp.serial.hits.options:FindHitsOptions",
    "refine_metrology": "xdp.serial.metrology.options:RefineMetrologyOptions",
    "stills_process": "xdp.serial.process.options:StillsProcessOptions",
    "xtc_process": "xdp.serial.process.lcls.options:XtcProcessOptions",
    "pyana": "xdp.serial.chain.options:ChainOptions",
    "laue_import": "xdp.laue.options:LaueImportOptions",
    "laue_spots": "xdp.laue.options:LaueSpotsOptions",
    "convert": "xdp.images.zarr.options:ConvertOptions",
    "export_images": "xdp.pictures.options:ExportImagesOptions",
    "plan": "xdp.spotfinding.plan_options:PlanOptions",
}

_VALUED = ("-e", "--expert-level", "-a", "--attributes-level", "-o", "--output", "--cluster")
"""Dashed options whose value is the next word, and is no input; laue_spots has its own, each with a value."""
_BARE = ("-h", "-hh", "--help", "--show-config", "-v", "--verbose", "--version")
"""Dashed options of laue_spots without a value."""


def make_paths_whole(args: Sequence[str]) -> list[str]:
    """The words of a command with the inputs that exist by their whole paths: a job runs in a folder of its own.

    Inputs are files, templates (``image_####.cbf``), patterns (``*.cbf``) and parameters that name what is read.
    Outputs, numbers, choices and all that names nothing stay as they are.

    Parameters
    ----------
    args : sequence of str
        A command of ``xdp`` and its arguments.

    Raises
    ------
    OptionError
        If the command has no such parameter.
    """
    if not args or (name := args[0].replace("-", "_")) not in MODELS:
        return list(args)
    words, previous = [args[0]], ""
    for word in args[1:]:
        words.append(_rewrite_word(name, word, previous))
        previous = word
    return words


def list_input_words(args: Sequence[str]) -> list[str]:
    """List the words of a command that name inputs: no options, no values of options, no parameters.

    Parameters
    ----------
    args : sequence of str
        A command of ``xdp`` and its arguments.

    Examples
    --------
    >>> list_input_words(["laue_spots", "-o", "out.h5", "--dilate=1", "scan.h5", "n_angles=3"])
    ['scan.h5']
    """
    name = args[0].replace("-", "_")
    return [word for previous, word in pairwise(args)
            if not _is_value(name, previous) and not (word.startswith("-") and len(word) > 1)
            and not is_parameter(word)]


def load_model(command: str) -> Any:
    """The option model of a command in `MODELS`."""
    module, _, name = MODELS[command].partition(":")
    return getattr(importlib.import_module(module), name)


def _rewrite_word(command: str, word: str, previous: str) -> str:
    """One word, that follows `previous`."""
    if _is_value(command, previous) or (word.startswith("-") and len(word) > 1):
        return word
    if is_parameter(word):
        return _rewrite_parameter(command, word)
    return make_path_whole(word)


def _is_value(command: str, option: str) -> bool:
    """Whether a word after `option` is that option's value."""
    if command != "laue_spots":
        return option in _VALUED
    single = not option.startswith("--")
    return (option.startswith("-") and option not in (*_BARE, "--phil") and "=" not in option
            and (len(option) == 2 if single else len(option) > 2))


def _rewrite_parameter(command: str, word: str) -> str:
    """A parameter, with the whole path where it names what is read; several in one word stay as they are."""
    found = [item for source in parse_text(word, repr(word)) for item in source.definitions()]
    if len(found) == 1 and found[0][0] in INPUT_NAMES and "{" not in word:
        name, _, value = word.partition("=")
        return f"{name}={make_path_whole(value)}"
    nodes = [resolve(build_tree(load_model(command)), typed) for typed, _ in found]
    # only a single plain name=value can be written anew; in blocks users write whole paths, as the docs say
    name, _, _ = word.partition("=")
    if len(found) != 1 or "{" in name or nodes[0].file != "input":
        return word
    value = read_value(nodes[0], found[0][1])
    if not isinstance(value, str) or (whole := make_path_whole(value)) == value:  # None is no file
        return word
    return f"{name}={whole if re.fullmatch(r'[A-Za-z0-9_./@%+:,#*?-]+', whole) else quote_text(whole)}"


def make_path_whole(name: str) -> str:
    """A file, template or pattern by its whole path, if something of that name is there."""
    if not name or os.path.isabs(name) or name.startswith("~"):
        return name
    # what names nothing is left alone: it may be a number, a choice, or a file that the command makes
    exists = os.path.exists(name) or bool(glob.glob(name.replace("#", "[0-9]")))
    return os.path.abspath(name) if exists else name
