"""Say how many counts a photon makes, from how much the background scatters about its mean.

Photons that are counted one by one have a variance equal to their mean: gain 1, as on Pilatus and Eiger. A CCD makes
several counts of a photon. Give its gain to find_spots (gain=): with one that is too low noise comes out as spots, with
one that is too high weak spots are lost.

Examples:

  xdp estimate_gain imported.expt
  xdp estimate_gain imported.expt max_images=10 output.gain_map=gain.pickle
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdp.options import FilePath, Options, option

if TYPE_CHECKING:
    from xdp.experiment import Experiment
    from xdp.spotfinding.gain import GainEstimate


class GainOutput(Options):
    """What `xdp estimate_gain` writes."""

    gain_map: FilePath | None = option(
        None, "File for a map of that gain, which lookup.gain of xdp import takes; None: no file.", file="output")


class EstimateGainOptions(Options):
    """Parameters of `xdp estimate_gain`."""

    kernel_size: tuple[int, int] = option((10, 10), "Half widths of the window around a pixel, in pixels.", ge=1)
    max_images: int = option(1, "Report a gain for each image, up to this many, and their average.", ge=1)
    output: GainOutput = option(GainOutput(), "Files that are written.")


def run(args: list[str]) -> int:
    """Log the quartiles of the window's variance-to-mean ratios and the gain of each image; write a map on request.

    Raises
    ------
    XdpError
        If several image sets are given, or an image cannot be read.
    """
    import numpy as np

    from xdp.cli.file_kinds import READS_IMAGES_OR_MODELS
    from xdp.cli.inputs import read_images
    from xdp.cli.parsing import parse_command
    from xdp.errors import XdpError
    from xdp.images.masks.pickles import write_map_pickle
    from xdp.logs import start_log

    command = parse_command(EstimateGainOptions, args, __doc__, "estimate_gain", reads=READS_IMAGES_OR_MODELS)
    options = command.options
    experiments, _ = read_images(command.inputs, "estimate_gain")
    if len(experiments.unique("imageset")) > 1:
        raise XdpError(f"estimate_gain takes one image set at a time, got {len(experiments.unique('imageset'))}")
    log = start_log(None, command.verbosity)
    # One at a time: the log grows while the images are read.
    gains = []
    for estimate in estimate_gains(experiments[0], options):
        log.info("q1, q2, q3: %.2f, %.2f, %.2f", estimate.q1, estimate.q2, estimate.q3)
        log.info("Estimated gain: %.2f", estimate.gain)
        gains.append(estimate.gain)
    if len(gains) > 1:
        log.info("Average gain: %.2f +/- %.2f", np.mean(gains), np.std(gains, ddof=1))
    if options.output.gain_map:
        # The gain of the first image on all pixels, as DIALS writes it.
        shapes = experiments[0].known.detector.panel_shapes
        write_map_pickle(options.output.gain_map, [np.full(shape, gains[0]) for shape in shapes])
        log.info("Saved gain map to %s", options.output.gain_map)
    return 0


def estimate_gains(experiment: Experiment, options: EstimateGainOptions) -> list[GainEstimate]:
    """Estimate the gain of each of the first images.

    Parameters
    ----------
    experiment : Experiment
        Its masks and trusted ranges say which pixels count.
    options : EstimateGainOptions
        ``max_images`` and the window's half widths.

    Returns
    -------
    list of GainEstimate
        One for each image, in order.
    """
    from xdp.images.masks.trusted import find_usable_pixels
    from xdp.images.reader import open_reader
    from xdp.spotfinding.gain import estimate_gain

    reader = open_reader(experiment)
    result = []
    for frame in range(min(options.max_images, reader.n_frames)):
        # Counts as they are read: masks and trusted ranges are applied, no gain or pedestal.
        images = reader.read(frame)
        result.append(estimate_gain(images, find_usable_pixels(experiment, reader, images), options.kernel_size))
    return result
