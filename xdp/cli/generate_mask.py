"""Write a mask of the pixels that should not be used, for find_spots and integrate.

Masked are, as you ask for it, the edges of panels, circles, rectangles and polygons, resolutions, and powder rings. The
mask is a file that DIALS reads too. Give it as lookup.mask=pixels.mask, or write experiments that name it
(output.experiments), which all commands heed.

Examples:

  xdp generate_mask imported.expt border=3
  xdp generate_mask imported.expt untrusted.circle=1230,1260,60 untrusted.rectangle=0,1230,1250,1275
  xdp generate_mask imported.expt d_max=40 ice_rings.filter=True output.experiments=masked.expt
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Literal

from xdp.images.masks.options import MaskOptions
from xdp.options import FilePath, Options, option


class MaskOutput(Options):
    """What `xdp generate_mask` writes."""

    mask: FilePath = option(
        "pixels.mask", "File for the mask; with several image sets each gets its number.", file="output")
    experiments: FilePath | None = option(
        None, "File for the experiments with the mask's name in them; None: no file.", file="output", in_place=True)
    compatibility: Literal["dials-3.12"] | None = option(
        None, "Write experiments for DIALS up to 3.12, whose trusted ranges leave out both ends.")
    log: str | None = option(
        "xdp.generate_mask.log", "File for the messages that are also on the screen; None: no file.", file="output")


class _WithOutput(Options):
    output: MaskOutput = option(MaskOutput(), "Files that are written.")


class GenerateMaskOptions(MaskOptions, _WithOutput):
    """Parameters of `xdp generate_mask`."""


def run(args: list[str]) -> int:
    """Write the mask of each image set and, on request, the experiments that name them.

    Parameters
    ----------
    args : list of str
        Words after the command's name.

    Returns
    -------
    int
        The exit status, 0.

    Raises
    ------
    XdpError
        If the experiments hold no images, or a region lies outside of its panel.
    """
    from xdp.cli.file_kinds import READS_IMAGES_OR_MODELS
    from xdp.cli.inputs import read_images
    from xdp.cli.parsing import parse_command
    from xdp.experiment import ExperimentList, write_experiments
    from xdp.files import together
    from xdp.images.masks.generate_mask import generate_mask
    from xdp.images.masks.pickles import write_mask_pickle
    from xdp.logs import log_start, start_log

    command = parse_command(GenerateMaskOptions, args, __doc__, "generate_mask", reads=READS_IMAGES_OR_MODELS)
    options = command.options
    experiments, _ = read_images(command.inputs, "generate_mask")
    log = start_log(options.output.log, command.verbosity)
    log_start("generate_mask", command.changed)
    users = {id(e.imageset): e for e in reversed(list(experiments))}
    first_users = [users[id(imageset)] for imageset in experiments.unique("imageset")]
    masked = {}
    names = name_masks(options.output.mask, len(first_users))
    with together():
        for user, name in zip(first_users, names, strict=True):
            write_mask_pickle(name, generate_mask(user.detector, user.beam, options))
            masked[id(user.imageset)] = dataclasses.replace(user.imageset, mask=os.path.abspath(name))
        if options.output.experiments:
            renamed = ExperimentList((dataclasses.replace(e, imageset=masked[id(e.imageset)]) for e in experiments),
                                     experiments.extra)
            write_experiments(options.output.experiments, renamed, options.output.compatibility)
    for name in names:
        log.info("Saved mask to %s", name)
    if options.output.experiments:
        log.info("Saved experiments to %s", options.output.experiments)
    return 0


def name_masks(name: str, n: int) -> list[str]:
    """Name `n` mask files: the name itself or, of several, with a padded number before its ending.

    Examples
    --------
    >>> name_masks("pixels.mask", 1), name_masks("pixels.mask", 2)
    (['pixels.mask'], ['pixels_1.mask', 'pixels_2.mask'])
    """
    if n == 1:
        return [name]
    path = Path(name)
    return [str(path.with_name(f"{path.stem}_{i + 1:0{len(str(n))}d}{path.suffix}")) for i in range(n)]
