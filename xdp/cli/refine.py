"""Refine beam, detector, goniometer and crystals against the centroids of the indexed spots.

First with a crystal that stands still in its frame, then with one that changes smoothly over the scan.

Examples:

    xdp refine indexed.expt indexed.refl
    xdp refine indexed.expt indexed.refl scan_varying=False
    xdp refine indexed.expt indexed.refl detector.fix=distance
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xdp.refinement.refiner import Refined


def run(args: list[str]) -> int:
    """Parse, refine, write refined.expt and refined.refl."""
    from xdp.cli.inputs import read_pairs
    from xdp.cli.logs import start_log
    from xdp.cli.stages import RefineOptions
    from xdp.experiment.io import write_experiments
    from xdp.options.command_line import parse_command
    from xdp.refinement.refiner import refine
    from xdp.reflections.refl import write_refl

    command = parse_command(RefineOptions, args, __doc__, "refine")
    options = command.options
    log = start_log(options.output.log, command.verbosity)
    if command.changed:
        log.info("The following parameters have been modified:\n\n%s", command.changed)
    experiments, reflections = read_pairs(command.inputs, "refine")
    result = refine(experiments, reflections, options.refinement)
    _report(result)
    write_experiments(options.output.experiments, result.experiments)
    write_refl(options.output.reflections, result.reflections)
    log.info("Saved refined experiments to %s and reflections to %s", options.output.experiments,
             options.output.reflections)
    return 0


def _report(result: Refined) -> None:
    """The path of the minimisation, the RMSDs of each experiment, and the cells."""
    import logging

    import numpy as np

    log = logging.getLogger("xdp")
    log.info("\nRefinement steps:\n  step    nref   RMSD_X (mm)   RMSD_Y (mm)   RMSD_Phi (deg)")
    for step in result.steps:
        log.info("%6d %7d %13.6f %13.6f %16.6f", step.iteration, step.n_reflections, step.rms[0], step.rms[1],
                 np.degrees(step.rms[2]))
    log.info("%s\n\nRMSDs by experiment:\n   exp   RMSD_X (px)   RMSD_Y (px)   RMSD_Z (images)", result.reason)
    for number, (experiment, rms) in enumerate(zip(result.experiments, result.rmsds, strict=True)):
        px = rms[:2] / np.asarray(experiment.detector[0].pixel_size)
        z = 0.0 if experiment.is_still else np.degrees(rms[2]) / abs(experiment.scan.oscillation[1])
        log.info("%6d %13.5f %13.5f %17.5f", number, px[0], px[1], z)
    for crystal in result.experiments.unique("crystal"):
        log.info("Unit cell: %s", " ".join(f"{v:.4f}" for v in crystal.unit_cell))
