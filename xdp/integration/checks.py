"""Checks of an integration before it begins: what would stop it half-way, or at its end, is refused at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from xdp.errors import OptionError, XdpError
from xdp.experiment import Experiment
from xdp.integration.options import IntegrateOptions, OutputOptions, SignificanceOptions


def check_inputs(options: IntegrateOptions, experiments: Sequence[Experiment]) -> None:
    """Check the files and texts that options name.

    Parameters
    ----------
    options : IntegrateOptions
    experiments : sequence of Experiment
        The background model must have an image of the size of each of their panels.

    Raises
    ------
    OptionError
        If there is no background model or one of another detector, a selection of shoeboxes cannot be read or
        names no column, or the filter by significance has no shells.
    XdpError
        If a file cannot be read.
    """
    # imported here: most runs use neither
    if options.integration.debug.select is not None:
        from xdp.integration.results.debug import check_selection

        check_selection(options, are_stills=all(experiment.is_still for experiment in experiments))
    if options.integration.background.algorithm == "gmodel":
        _check_background_model(options, experiments)
    if options.significance_filter.enable:
        count_shells(options.significance_filter)


def count_shells(options: SignificanceOptions) -> int:
    """Number of resolution shells of the filter by significance: 20 where ``n_bins`` is None.

    Raises
    ------
    OptionError
        If it is below 1.

    Examples
    --------
    >>> count_shells(SignificanceOptions(n_bins=None))
    20
    """
    n_bins = options.n_bins or 20
    if n_bins < 1:
        raise OptionError(f"significance_filter.n_bins must be at least 1, got {n_bins}")
    return n_bins


def check_output_names(output: OutputOptions) -> None:
    """Check the names of output files that are written only at the end.

    Parameters
    ----------
    output : OutputOptions

    Raises
    ------
    OptionError
        If the report has no ending that says its format.
    XdpError
        If a folder does not exist.
    """
    from xdp.report.tables import check_report_name

    if output.report is not None:
        check_report_name(output.report)
    # the work folder is made beside output.reflections, so that this one is checked by making it
    for name in (output.experiments, output.report):
        if name is not None and not Path(name).absolute().parent.is_dir():
            raise XdpError(f"{name}: cannot write into {Path(name).parent}: there is no such folder")


def _check_background_model(options: IntegrateOptions, experiments: Sequence[Experiment]) -> None:
    """Read the model of the background, and compare its images with the panels."""
    from xdp.integration.background.global_model import fit_global_model, read_model
    from xdp.reflections.shoeboxes import Shoeboxes

    gmodel = options.integration.background.gmodel
    fit_global_model(Shoeboxes.empty(), gmodel)  # of no boxes: it reads the model, or says which one is wanted
    if gmodel.model is None:
        return
    shapes = [panel.shape for panel in read_model(gmodel.model).panels]
    for i, experiment in enumerate(experiments):
        wanted = [tuple(shape) for shape in experiment.known.detector.panel_shapes]
        if shapes != wanted:
            raise OptionError(f"background.gmodel.model={gmodel.model}: its images are {_list_shapes(shapes)}, the "
                              f"panels of experiment {i} are {_list_shapes(wanted)} (slow x fast); make a model of "
                              "these images with xdp model_background")


def _list_shapes(shapes: Sequence[tuple[int, ...]]) -> str:
    """Write shapes in a few words: three at most."""
    text = ", ".join(" x ".join(map(str, shape)) for shape in shapes[:3])
    return f"{text} ... ({len(shapes)} in all)" if len(shapes) > 3 else text
