"""Mask images to remove unwanted pixels.

Makes a mask of pixels that are not to be used in spot finding and integration: a border, simple shapes, resolution
limits and ranges, ice rings. The mask is written as DIALS writes it; spot finding takes it by lookup.mask=pixels.mask.

Examples:

  xdp generate_mask imported.expt border=5
  xdp generate_mask imported.expt untrusted.rectangle=50,100,50,100 untrusted.circle=200,200,100
  xdp generate_mask imported.expt d_max=20.0 output.experiments=masked.expt
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

    mask: FilePath = option("pixels.mask", "Name of output mask file; with several image sets a number is added.")
    experiments: FilePath | None = option(
        None, "If this is set, a copy of the experiments that names the masks is written to this file.")
    compatibility: Literal["dials-3.12"] | None = option(
        None, "Write experiments for DIALS up to 3.12, whose trusted ranges leave out both ends.")
    log: str | None = option("xdp.generate_mask.log", "The log filename.")


class _WithOutput(Options):
    output: MaskOutput = option(MaskOutput(), "Output files.")


class GenerateMaskOptions(MaskOptions, _WithOutput):
    """Parameters of `xdp generate_mask`."""


def run(args: list[str]) -> int:
    """Run the command with its arguments; the exit status."""
    from xdp.cli.inputs import read_images
    from xdp.experiment import ExperimentList, write_experiments
    from xdp.images.masks.pickles import write_mask_pickle
    from xdp.images.masks.pixel_masks import generate_mask
    from xdp.logs import log_start, start_log
    from xdp.options.command_line import parse_command

    command = parse_command(GenerateMaskOptions, args, __doc__, "generate_mask")
    options = command.options
    experiments, _ = read_images(command.inputs, "generate_mask")
    log = start_log(options.output.log, command.verbosity)
    log_start("generate_mask", command.changed)
    users = {id(e.imageset): e for e in reversed(list(experiments))}
    first_users = [users[id(imageset)] for imageset in experiments.unique("imageset")]
    masked = {}
    for user, name in zip(first_users, mask_names(options.output.mask, len(first_users)), strict=True):
        write_mask_pickle(name, generate_mask(user.detector, user.beam, options))
        log.info("Saved mask to %s", name)
        masked[id(user.imageset)] = dataclasses.replace(user.imageset, mask=os.path.abspath(name))
    if options.output.experiments:
        renamed = ExperimentList((dataclasses.replace(e, imageset=masked[id(e.imageset)]) for e in experiments),
                                 experiments.extra)
        write_experiments(options.output.experiments, renamed, options.output.compatibility)
        log.info("Saved experiments to %s", options.output.experiments)
    return 0


def mask_names(name: str, n: int) -> list[str]:
    """Names of `n` mask files: the name itself, or, where there are several, with a padded number before its ending."""
    if n == 1:
        return [name]
    path = Path(name)
    return [str(path.with_name(f"{path.stem}_{i + 1:0{len(str(n))}d}{path.suffix}")) for i in range(n)]
