"""Write an image stack as a zarr 3 store with its experiment.

The store is a folder. xdp reads it like any other image file, and zarr opens its array `counts`
(frame, panel, slow, fast). Several frames share one file; an interrupted conversion goes on where it was.

Examples:

  xdp convert master.h5 -o out.zarr
  xdp convert imported.expt -o out.zarr nproc=4
  xdp convert image_####.cbf -o out.zarr frames_per_shard=50 compression.name=lz4
"""

from __future__ import annotations

import logging
import os

from xdp.cli.file_kinds import READS_IMAGES_OR_MODELS
from xdp.cli.parsing import parse_command
from xdp.cli.progress import draw_progress
from xdp.errors import OptionError
from xdp.images.zarr.options import ConvertOptions
from xdp.logs import log_start, start_log

log = logging.getLogger("xdp.cli.convert")


def run(args: list[str]) -> int:
    """Write the images as a zarr store, with progress on a terminal.

    Raises
    ------
    XdpError
        If the images cannot be read, or the store cannot be written.
    """
    command = parse_command(ConvertOptions, expand_output_option(args), __doc__, "convert",
                            reads=READS_IMAGES_OR_MODELS)
    options = command.options
    from xdp.cli.inputs import read_images
    from xdp.images.zarr.convert import convert, open_source

    experiments, _ = read_images(command.inputs, "convert")
    # After the images are read: a log of a run that never began would replace an older one for nothing.
    start_log(options.output.log, command.verbosity)
    log_start("convert", command.changed)
    n_frames = open_source(experiments).n_frames
    convert(experiments, options.output.store, options, progress=draw_progress)
    log.info("Wrote %d frames to %s", n_frames, os.fspath(options.output.store))
    return 0


def expand_output_option(args: list[str]) -> list[str]:
    """Write ``-o NAME`` and ``--output NAME`` out as ``output.store=NAME``.

    Raises
    ------
    OptionError
        If the name is missing.

    Examples
    --------
    >>> expand_output_option(["a.h5", "-o", "b.zarr"])
    ['a.h5', 'output.store=b.zarr']
    """
    words = list(args)
    # The store is what the command is about: it may be named as in other converters.
    for flag in ("-o", "--output"):
        while flag in words:
            at = words.index(flag)
            if at + 1 == len(words):
                raise OptionError(f"{flag} needs the name of the store")
            words[at:at + 2] = [f"output.store={words[at + 1]}"]
    return words
