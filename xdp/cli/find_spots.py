"""Find strong spots on images and write strong.refl.

Strong pixels are found on each image and joined to spots: in three dimensions for rotation data, image by image for
stills. Centroids and intensities are measured, and spots filtered as the parameters say. The result, strong.refl,
goes on to indexing. Images may be given directly, or as the imported.expt that `xdp import` writes.

Examples:

  xdp find_spots image1.cbf
  xdp find_spots imager_00*.cbf
  xdp find_spots imported.expt
  xdp find_spots imported.expt output.reflections=strong.refl nproc=4
  xdp find_spots imported.expt scan_range=1,100 scan_range=201,300 d_min=1.5
"""

from __future__ import annotations

import logging

from xdp.cli.logs import log_start, start_log
from xdp.errors import XdpError
from xdp.experiment import ExperimentList, write_experiments
from xdp.options.command_line import parse_command
from xdp.spotfinding.options import FindSpotsOptions

log = logging.getLogger("xdp.cli.find_spots")


def run(args: list[str]) -> int:
    """Run the command with its arguments; the exit status."""
    from xdp.spotfinding.graph import find_spots_to_file

    command = parse_command(FindSpotsOptions, args, __doc__, "find_spots")
    options = command.options
    if not command.inputs:
        raise XdpError("find_spots needs images or an imported.expt; xdp find_spots -h shows examples")
    experiments, are_from_file = read_inputs(command.inputs)
    start_log(options.output.log, command.verbosity)
    log_start("find_spots", command.changed)
    if options.spotfinder.filter.use_trusted_range:
        log.info("use_trusted_range=True: the trusted range always masks bad pixels, as in DIALS 3.12")
    keep = are_from_file or options.output.experiments is not None
    found = find_spots_to_file(experiments, options, with_identifiers=keep)
    log.info("\n%s", "-" * 80)
    log.info("Saved %d reflections to %s", found.n_spots, options.output.reflections)
    return 0


def read_inputs(inputs: list[str]) -> tuple[ExperimentList, bool]:
    """Experiments from .expt files or, else, imported from images; and whether they came from files."""
    from xdp.experiment import read_experiments

    files = [name for name in inputs if name.endswith((".expt", ".json"))]
    if len(files) == len(inputs):
        return ExperimentList([e for name in files for e in read_experiments(name)]), True
    raise XdpError("images directly: not yet")


_ = write_experiments
