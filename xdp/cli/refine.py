"""Refine beam, detector, goniometer and crystals against the centroids of the indexed spots.

First with a crystal that stands still in its frame, then with one that changes smoothly over the scan; that is kept
where it explains the observations better (scan_varying=True keeps it in any case).

Examples:

    xdp refine indexed.expt indexed.refl
    xdp refine indexed.expt indexed.refl scan_varying=False
    xdp refine indexed.expt indexed.refl detector.fix=distance
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from logging import Logger

    from xdp.experiment.crystal import Crystal
    from xdp.refinement.result import Refined

#: Rows of the table of parameters; stills have some thousands. A choice: it fills one screen.
_MOST_PARAMETERS = 60


def run(args: list[str]) -> int:
    """Refine, log steps, parameters, RMSDs and cells, and write both files together.

    Raises
    ------
    XdpError
        If the models have no crystal, or too few reflections are indexed.
    """
    from xdp.cli.file_kinds import READS_PAIRS
    from xdp.cli.inputs import read_pairs
    from xdp.cli.parsing import parse_command
    from xdp.experiment.io import write_experiments
    from xdp.files import together
    from xdp.logs import start_log
    from xdp.refinement.command_options import RefineOptions
    from xdp.refinement.refine import refine
    from xdp.reflections.flags import Flag
    from xdp.reflections.refl import write_reflections

    command = parse_command(RefineOptions, args, __doc__, "refine", reads=READS_PAIRS)
    options = command.options
    log = start_log(options.output.log, command.verbosity)
    if command.changed:
        log.info("These parameters have been modified:\n\n%s", command.changed)
    experiments, reflections = read_pairs(command.inputs, "refine", command.options.input)
    result = refine(experiments, reflections, options)
    log_refinement(result)
    table = result.reflections
    if not options.output.include_unused_reflections:
        table = table.select(table.flags(Flag.USED_IN_REFINEMENT))
    # Both or none: experiments of one run beside reflections of another fit to nothing.
    with together():
        write_reflections(options.output.reflections, table)
        write_experiments(options.output.experiments, result.experiments)
    log.info("Saved refined experiments to %s and reflections to %s", options.output.experiments,
             options.output.reflections)
    return 0


def log_refinement(result: Refined) -> None:
    """Log the path of the minimisation, the parameters, the RMSDs of each experiment, and the cells.

    Parameters
    ----------
    result : Refined
        Shifts are in mm and mrad, those of cells relative, in units of 1e-3.
    """
    import logging

    import numpy as np

    from xdp.experiment.cell_errors import cell_text

    log = logging.getLogger("xdp")
    log.info("\nRefinement steps:\n  step    nref   RMSD_X (mm)   RMSD_Y (mm)   RMSD_Phi (deg)")
    for step in result.steps:
        log.info("%6d %7d %13.6f %13.6f %16.6f", step.iteration, step.n_reflections, step.rms[0], step.rms[1],
                 np.degrees(step.rms[2]))
    log.info("%s", result.reason)
    _report_parameters(result, log)
    log.info("\nRMSDs by experiment:\n   exp   RMSD_X (px)   RMSD_Y (px)   RMSD_Z (images)")
    for number, (x, y, z) in enumerate(result.rmsds_in_pixels()):
        log.info("%6d %13.5f %13.5f %17.5f", number, x, y, z)
    for crystal in result.experiments.unique("crystal"):
        log.info("Unit cell: %s", cell_text(crystal))
        if crystal.A_at_scan_points:
            _report_drift(crystal, log)


def _report_parameters(result: Refined, log: Logger) -> None:
    """How far each parameter has moved, with its standard uncertainty; of large problems the first ones."""
    shown = list(zip(result.names, result.values, result.esds, strict=True))[:_MOST_PARAMETERS]
    log.info("\nParameter          shift        esd  (mm, mrad, relative change in 1e-3)")
    for name, value, esd in shown:
        log.info("%-14s %9.4f %10.4f", name, value, esd)
    if len(shown) < len(result.names):
        log.info("... and %d more", len(result.names) - len(shown))


def _report_drift(crystal: Crystal, log: Logger) -> None:
    """The cell at both ends of the scan, and how far the crystal has turned between them."""
    import numpy as np

    from xdp.refinement.parameters.metric import cell_from_b

    # A setting matrix for each border between images.
    points = np.asarray(crystal.A_at_scan_points).reshape(-1, 3, 3)
    first, last = cell_from_b(points[[0, -1]])
    turn = points[-1] @ np.linalg.inv(points[0])
    angle = np.degrees(0.5 * np.linalg.norm(turn - turn.T) / np.sqrt(2.0))  # the antisymmetric part is the sine
    log.info("  over the scan: %s -> %s, turned by %.4f deg", " ".join(f"{v:.4f}" for v in first),
             " ".join(f"{v:.4f}" for v in last), angle)
