"""The files of a refinement of panels."""

from __future__ import annotations

import logging

import numpy as np

from xdp.errors import XdpError
from xdp.experiment.detector import Detector
from xdp.experiment.experiment import ExperimentList
from xdp.experiment.io import write_experiments
from xdp.files import atomic_output, together
from xdp.images.geometry_files.definition import write_definition
from xdp.images.geometry_files.lcls import convert_detector_to_lcls, write_lcls_geometry
from xdp.images.geometry_files.write_crystfel import convert_detector, write_crystfel_geometry
from xdp.options import scope_text
from xdp.reflections.flags import Flag
from xdp.reflections.refl import write_reflections
from xdp.reflections.table import ReflectionTable
from xdp.serial.metrology.levels import RefinedLevel
from xdp.serial.metrology.options import RefineMetrologyOptions
from xdp.serial.metrology.refine_metrology import RefinedMetrology

logger = logging.getLogger(__name__)


def name_outputs(tag: str, stages: list[str]) -> dict[str, str]:
    """Name the files of a refinement.

    Parameters
    ----------
    tag : str
        What names begin with.
    stages : list of str
        Names of the levels.

    Examples
    --------
    >>> name_outputs("cspad", ["level0"])["level0.experiments"]
    'cspad_refined_level0.expt'
    """
    names = {"combined.experiments": f"{tag}_combined.expt", "combined.reflections": f"{tag}_combined.refl",
             "report": f"{tag}_metrology.json", "lcls": f"0-end.data.{tag}"}
    for stage in stages:
        names |= {f"{stage}.experiments": f"{tag}_refined_{stage}.expt",
                  f"{stage}.reflections": f"{tag}_refined_{stage}.refl",
                  f"{stage}.definition": f"{tag}_refined_detector_{stage}.def",
                  f"{stage}.geometry": f"{tag}_refined_detector_{stage}.geom",
                  f"{stage}.parameters": f"{tag}_refine_{stage}.phil"}
    return names


def write_combined(experiments: ExperimentList, reflections: ReflectionTable, tag: str) -> None:
    """Write all shots that were read, in one pair of files.

    Parameters
    ----------
    experiments : ExperimentList
        The shots.
    reflections : ReflectionTable
        Theirs.
    tag : str
        What names begin with.
    """
    names = name_outputs(tag, [])
    with together():
        write_reflections(names["combined.reflections"], reflections)
        write_experiments(names["combined.experiments"], experiments)


def write_metrology(result: RefinedMetrology, options: RefineMetrologyOptions, tag: str) -> list[str]:
    """Write what was refined: all files, or none.

    Parameters
    ----------
    result : RefinedMetrology
        Of all levels, and with halves of these.
    options : RefineMetrologyOptions
        What is wanted.
    tag : str
        What names begin with; those of the halves with TAG_1 and TAG_2.

    Returns
    -------
    list of str
        Files that were written.
    """
    with together():
        written = _write_part(result, options, tag)
        for number, part in enumerate(result.parts, 1):
            written += _write_part(part, options, f"{tag}_{number}")
    return written


def _write_part(result: RefinedMetrology, options: RefineMetrologyOptions, tag: str) -> list[str]:
    """Write the result of all shots, or of a half."""
    stages = [level.name for level in result.levels]
    names, written = name_outputs(tag, stages), []
    # dials.refine leaves out what it did not use, and so does the program before this one
    table = result.reflections
    if not options.output.include_unused_reflections:
        table = table.select(table.flags(Flag.USED_IN_REFINEMENT))
    # geometry files of each level; models and reflections of the last one alone
    for level in result.levels:
        written += _write_level(level, result, options, names)
    last = stages[-1]
    write_reflections(names[f"{last}.reflections"], table)
    write_experiments(names[f"{last}.experiments"], result.experiments)
    written += [names[f"{last}.experiments"], names[f"{last}.reflections"]]
    # the LCLS format holds some kinds of segments only
    if options.output_lcls_geometry:
        try:
            geometry, lost = convert_detector_to_lcls(result.detector)
        except XdpError as error:
            logger.info("%s is not written: %s", names["lcls"], error)
        else:
            write_lcls_geometry(names["lcls"], geometry)
            written.append(names["lcls"])
            _log_losses(names["lcls"], lost)
    result.report.write(names["report"])
    return [*written, names["report"]]


def _write_level(level: RefinedLevel, result: RefinedMetrology, options: RefineMetrologyOptions,
                 names: dict[str, str]) -> list[str]:
    """The detector of a level as .def and .geom, and the parameters it was refined with."""
    written = []
    beam = result.experiments[0].known.beam
    geometry, lost = convert_detector(level.after, beam)
    path = names[f"{level.name}.geometry"]
    write_crystfel_geometry(path, geometry)
    _log_losses(path, lost)
    written.append(path)
    path = names[f"{level.name}.definition"]
    try:
        lost = write_definition(path, _check_depth(level.after), beam)
    except XdpError as error:
        logger.info("%s is not written: %s", path, error)
    else:
        _log_losses(path, lost)
        written.append(path)
    # what xdp refine_metrology takes to repeat this level alone
    path = names[f"{level.name}.parameters"]
    detector = options.refinement.parameterisation.detector.model_copy(update={"hierarchy_level": level.level})
    shown = options.model_copy(update={"refinement": options.refinement.model_copy(update={
        "parameterisation": options.refinement.parameterisation.model_copy(update={"detector": detector})})})
    with atomic_output(path) as part:
        part.write_text(scope_text(shown), encoding="utf-8")
    return [*written, path]


def _check_depth(detector: Detector) -> Detector:
    """The detector, if its values are finite: a file of nothing but NaN helps nobody."""
    if not all(np.isfinite(detector.d_matrix(i)).all() for i in range(len(detector))):
        raise XdpError("the refined detector has places that are not finite")
    return detector


def _log_losses(path: str, lost: list[str]) -> None:
    for line in lost:
        logger.info("%s: %s", path, line)
