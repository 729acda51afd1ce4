"""Print what is in experiment, reflection and image files.

Experiments: identifier, detector panels with axes, distance and sensor, resolution limits, beam and beam centre, scan,
goniometer, crystal. Reflections: each column's range, flags on request, rows on request. Image files are read for
their headers, as `xdp import` reads them.

Examples:

  xdp show imported.expt
  xdp show refined.expt show_scan_varying=True
  xdp show strong.refl show_flags=True
  xdp show indexed.expt indexed.refl show_centroids=True max_reflections=20
  xdp show image_00*.cbf image_statistics.show_raw=True
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from xdp.options.model import Options, option

if TYPE_CHECKING:
    from xdp.experiment import ExperimentList
    from xdp.reflections import ReflectionTable


class ImageStatistics(Options):
    """Numbers about the images themselves."""

    show_raw: bool = option(False, "Print least, greatest, median and quartile counts of each raw image.")


class ShowOptions(Options):
    """Parameters of `xdp show`."""

    show_scan_varying: bool = option(False, "Print how the crystal changes over the scan, frame by frame.")
    show_shared_models: bool = option(False, "Print which experiments share which models.")
    show_all_reflection_data: bool = option(False, "Print each reflection, all columns.")
    show_intensities: bool = option(False, "Print each reflection's intensities.")
    show_centroids: bool = option(False, "Print each reflection's centroids.")
    show_profile_fit: bool = option(False, "Print each reflection's index and resolution.")
    show_flags: bool = option(False, "Print how many reflections have each flag.")
    show_identifiers: bool = option(False, "Print the experiment identifiers of a reflection table.")
    image_statistics: ImageStatistics = option(ImageStatistics(), "Statistics of images.")
    max_reflections: int | None = option(None, "Print at most so many reflections.", ge=0)


def run(args: list[str]) -> int:
    """Print the models of .expt files or image headers, then the tables of .refl files.

    Raises
    ------
    XdpError
        If no file is given, or one cannot be read.
    """
    from xdp.cli.file_kinds import READS_ALL, is_reflection_file
    from xdp.cli.parsing import parse_command
    from xdp.errors import XdpError

    command = parse_command(ShowOptions, args, __doc__, "show", reads=READS_ALL)
    if not command.inputs:
        raise XdpError("show needs .expt, .refl or image files; xdp show -h shows examples")
    tables = [name for name in command.inputs if is_reflection_file(name)]
    others = [name for name in command.inputs if name not in tables]
    # Models first, whatever the order of the words: tables refer to them.
    if others:
        _show_experiments(_read_experiments(others), command.options)
    for name in tables:
        from xdp.reflections.refl import read_reflections

        _show_reflections(read_reflections(name), command.options)
    return 0


def _read_experiments(names: list[str]) -> ExperimentList:
    """From .expt files where these are given, else from the headers of images."""
    from xdp.cli.file_kinds import is_experiment_file
    from xdp.experiment import ExperimentList, read_experiments

    models = [name for name in names if is_experiment_file(name)]
    images = [name for name in names if name not in models]
    # Files first, then images, each as a part of one list, so that experiments are counted through.
    lists = [read_experiments(name) for name in models]
    if images:
        from xdp.cli.inputs import read_headers

        lists.append(read_headers(images, "show"))
    return ExperimentList([experiment for part in lists for experiment in part])


def _show_experiments(experiments: ExperimentList, options: ShowOptions) -> None:
    from xdp.report.experiment_text import describe_experiments, describe_sharing

    _write(describe_experiments(experiments, scan_varying=options.show_scan_varying))
    # Reads every image: only where it is asked for.
    if options.image_statistics.show_raw:
        from xdp.report.image_text import describe_images

        for line in describe_images(experiments):
            _write(line)
    # A single experiment shares with nobody.
    if options.show_shared_models and len(experiments) > 1:
        _write("\n" + describe_sharing(experiments))


def _show_reflections(table: ReflectionTable, options: ShowOptions) -> None:
    from xdp.report import reflection_text as text

    _write(text.describe_reflections(table))
    if options.show_flags and "flags" in table:
        _write(text.describe_flags(table))
    if options.show_identifiers:
        _write(text.describe_identifiers(table))
    names = text.choose_columns(table, intensities=options.show_intensities, profiles=options.show_profile_fit,
                                  centroids=options.show_centroids, all_data=options.show_all_reflection_data)
    if names:
        _write(text.describe_rows(table, names, options.max_reflections))


def _write(text: str) -> None:
    sys.stdout.write(text + "\n")
