"""Write a mask of the pixels that should not be used, for find_spots and integrate.

Masked are, as you ask for it, the edges of panels, circles, rectangles and polygons, resolutions, and powder rings. The
mask is a file that DIALS reads too. Give it as lookup.mask=pixels.mask, or write experiments that name it
(output.experiments), which all commands heed. Masks that are given, as files or by combine=, are combined with what is
asked for: a pixel is good where all of them say so. Masks alone are combined without images.

Examples:

  xdp generate_mask imported.expt border=3
  xdp generate_mask imported.expt untrusted.circle=1230,1260,60 untrusted.rectangle=0,1230,1250,1275
  xdp generate_mask imported.expt d_max=40 ice_rings.filter=True output.experiments=masked.expt
  xdp generate_mask imported.expt hot_pixels.pickle border=3
  xdp generate_mask shadow.mask hot_pixels.pickle output.mask=both.mask
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from xdp.images.masks.options import MaskOptions
from xdp.options import FilePath, Options, option

if TYPE_CHECKING:
    from xdp.options.command_line import Command


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

    combine: tuple[FilePath, ...] = option(
        (), "A mask that is combined with what is asked for: a pixel is good where all say so.", multiple=True,
        file="input")


def run(args: list[str]) -> int:
    """Write the mask of each image set and, on request, the experiments that name them.

    Raises
    ------
    XdpError
        If the experiments hold no images, or a region lies outside of its panel.
    """
    from xdp.cli.file_kinds import is_mask_file
    from xdp.cli.inputs import read_images
    from xdp.cli.parsing import parse_command
    from xdp.experiment import ExperimentList, write_experiments
    from xdp.files import together
    from xdp.images.masks.generate_mask import generate_mask
    from xdp.images.masks.pickles import write_mask_pickle
    from xdp.images.masks.static import combine_masks, read_mask
    from xdp.logs import log_start, start_log

    command = parse_command(GenerateMaskOptions, args, __doc__, "generate_mask")
    options = command.options
    given = [*filter(is_mask_file, command.inputs), *options.combine]
    images = [name for name in command.inputs if name not in given]
    if not images and len(given) > 1:
        return _combine_alone(given, options, command)
    experiments, _ = read_images(images, "generate_mask")
    log = start_log(options.output.log, command.verbosity)
    log_start("generate_mask", command.changed)
    users = {id(e.imageset): e for e in reversed(list(experiments))}
    first_users = [users[id(imageset)] for imageset in experiments.unique("imageset")]
    masked = {}
    # All masks and the experiments that name them appear together, or none of them.
    names = name_masks(options.output.mask, len(first_users))
    # Where experiments are written that name a mask already, it must not get lost without a word.
    for own in dict.fromkeys(user.imageset.mask for user in first_users if user.imageset.mask):
        if os.path.abspath(own) not in map(os.path.abspath, given):
            log.info("The experiments name the mask %s, which is not combined: give it, too, if it should be", own)
    with together():
        for user, name in zip(first_users, names, strict=True):
            # Read anew for each image set, which may have a detector of its own size.
            others = [read_mask(path, user.detector.panel_shapes) for path in given]
            mask = combine_masks(generate_mask(user.detector, user.beam, options), *others)
            write_mask_pickle(name, mask or [])
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


def _combine_alone(given: Sequence[str], options: GenerateMaskOptions, command: Command) -> int:
    """Combine masks where there are no images, and so no detector that anything else could be masked on."""
    from xdp.errors import OptionError
    from xdp.images.masks.options import MaskOptions
    from xdp.images.masks.pickles import read_maps, write_mask_pickle
    from xdp.images.masks.static import combine_masks
    from xdp.logs import log_start, start_log

    changed = [name for name in MaskOptions.model_fields if getattr(options, name) != getattr(MaskOptions(), name)]
    if changed or options.output.experiments:
        name = changed[0] if changed else "output.experiments"
        raise OptionError(f"{name} needs a detector: give the images or an .expt file with the masks")
    log = start_log(options.output.log, command.verbosity)
    log_start("generate_mask", command.changed)
    write_mask_pickle(options.output.mask, combine_masks(*map(read_maps, given)) or [])
    log.info("Combined %d masks: %s", len(given), ", ".join(given))
    log.info("Saved mask to %s", options.output.mask)
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
