"""Read the headers of images, group them to sequences and stills, and write their experiments.

Examples:

  xdp import image_*.cbf

  xdp import template=image_####.cbf image_range=1,900

  xdp import /data/images/

  xdp import master.h5 mosflm_beam_centre=100.5,120.3

  xdp import image_####.cbf reference_geometry=refined.expt

  xdp import stack.tif geometry.beam.wavelength=0.98 geometry.detector.panel.pixel_size=0.1,0.1 \\
      geometry.detector.panel.image_size=2048,2048 geometry.detector.panel.trusted_range=0,65535 \\
      geometry.detector.panel.origin=-100,100,-200 geometry.detector.panel.slow_axis=0,-1,0
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import xdp
from xdp.cli.file_kinds import READS_IMAGES
from xdp.cli.parsing import parse_command
from xdp.experiment import write_experiments
from xdp.images.importing.import_images import import_images
from xdp.images.importing.options import ImportOptions
from xdp.logs import start_log

logger = logging.getLogger(__name__)


def run(args: list[str]) -> int:
    """Read headers, log the counts of images and sweeps, and write the experiments.

    Raises
    ------
    XdpError
        If a file is no image, or its geometry is not known.
    """
    command = parse_command(ImportOptions, args, __doc__ or "", "import", reads=READS_IMAGES)
    options, output = command.options, command.options.output
    start_log(output.log, command.verbosity)
    logger.info("xdp %s import", xdp.__version__)
    if command.changed:
        logger.info("These parameters have been modified:\n\n%s", command.changed)
    found = import_images(command.inputs, options)
    experiments = found.experiments
    for line in format_counts(found.report.facts):
        logger.info("%s", line)
    if output.experiments is not None:
        write_experiments(output.experiments, experiments, output.compatibility, compact=output.compact)
        logger.info("Wrote experiments to %s", output.experiments)
    return 0


def format_counts(counts: Mapping[str, int]) -> list[str]:
    """Say how many images, sequences and stills there are, line by line, as programs read it that watch DIALS.

    Parameters
    ----------
    counts : mapping of str to int
        As :func:`xdp.images.importing.import_images.count_images` gives them.
    """
    return [f"  num images: {counts['images']}", "  sequences:", f"    still:    {counts['sequences of stills']}",
            f"    sweep:    {counts['sweeps']}", f"  num stills: {counts['stills']}"]
