"""Find the spots on images and write them to strong.refl, which goes on to xdp index.

A pixel is strong if it stands out of the background around it. Strong pixels that touch make a spot: on one image, and
for rotation data from image to image as well. Each spot gets a position and an intensity; spots that are too small, too
large or of an odd shape are dropped, as the filters say. Give the images, or the imported.expt of xdp import.

Examples:

  xdp find_spots lyso_00*.cbf
  xdp find_spots "lyso_####.cbf"
  xdp find_spots imported.expt
  xdp find_spots imported.expt output.reflections=low.refl d_min=3 nproc=4
  xdp find_spots imported.expt scan_range=1,100 scan_range=201,300 d_min=1.5
"""

from __future__ import annotations


def run(args: list[str]) -> int:
    """Find the spots, on workers if the parameters ask for them, and write the table as its chunks are finished.

    Raises
    ------
    XdpError
        If images cannot be read, or too many of their pixels are strong.
    """
    from xdp.cli.file_kinds import READS_IMAGES_OR_MODELS
    from xdp.cli.inputs import read_images
    from xdp.cli.parsing import parse_command
    from xdp.cli.working import run_command_work
    from xdp.logs import log_start, start_log
    from xdp.spotfinding.find import find_spots_to_file
    from xdp.spotfinding.options import FindSpotsOptions

    command = parse_command(FindSpotsOptions, args, __doc__, "find_spots", reads=READS_IMAGES_OR_MODELS)
    options = command.options
    experiments, are_models = read_images(command.inputs, "find_spots")
    log = start_log(options.output.log, command.verbosity)
    log_start("find_spots", command.changed)
    if options.spotfinder.filter.use_trusted_range:
        log.info("use_trusted_range=True: the trusted range always masks bad pixels, as in DIALS 3.12")
    with run_command_work("find_spots", options.output.reflections, options.spotfinder.mp, options.cluster) as work:
        found = find_spots_to_file(experiments, options, client=work.client, progress=work.progress,
                                   with_identifiers=are_models or options.output.experiments is not None)
    log.info("\n%s\nSaved %d reflections to %s", "-" * 80, found.n_spots, options.output.reflections)
    for name, pixels in zip(found.hot_masks, found.hot, strict=True):
        log.info("%d pixels may be hot; the mask that leaves them out is %s", sum(map(len, pixels)), name)
    if options.output.experiments:
        log.info("Saved experiments to %s", options.output.experiments)
    return 0
