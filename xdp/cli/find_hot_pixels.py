"""Mask the pixels that look like a spot on every image: no reflection lasts that long.

A spot that reaches from the first to the last image of its sweep is taken for a hot pixel, and a mask is written that
leaves it out. Give find_spots max_separation=None first, which otherwise drops such spots (and max_spot_size= in a long
series). On a sweep of a few images real spots are caught too.

Examples:

  xdp find_spots imported.expt max_separation=None output.reflections=all.refl
  xdp find_hot_pixels imported.expt all.refl
"""

from __future__ import annotations

from xdp.options import FilePath, Options, option
from xdp.options.inputs import InputOptions


class HotOutput(Options):
    """What `xdp find_hot_pixels` writes."""

    mask: FilePath = option("hot_pixels.pickle", "File for the mask: True where a pixel is good.", file="output")


class FindHotPixelsOptions(Options):
    """Parameters of `xdp find_hot_pixels`."""

    input: InputOptions = option(InputOptions(), "Files that are read.")
    output: HotOutput = option(HotOutput(), "Files that are written.")


def run(args: list[str]) -> int:
    """Write a mask without the pixels whose spots last through the whole scan.

    Raises
    ------
    XdpError
        If there is no scan, or more than one experiment.
    """
    import numpy as np

    from xdp.cli.file_kinds import READS_PAIRS
    from xdp.cli.inputs import read_pairs
    from xdp.cli.parsing import parse_command
    from xdp.errors import XdpError
    from xdp.images.masks.pickles import write_mask_pickle
    from xdp.logs import start_log
    from xdp.spotfinding.hot_pixels import find_full_depth_pixels, make_hot_masks

    command = parse_command(FindHotPixelsOptions, args, __doc__, "find_hot_pixels", reads=READS_PAIRS)
    experiments, spots = read_pairs(command.inputs, "find_hot_pixels", command.options.input)
    if len(experiments) > 1:
        raise XdpError(f"find_hot_pixels takes one experiment at a time, got {len(experiments)}")
    if experiments[0].scan is None or experiments[0].detector is None:
        raise XdpError("find_hot_pixels needs a scan: on a still each spot reaches through all images")
    # No file: the command says two lines.
    log = start_log(None, command.verbosity)
    shapes = experiments[0].detector.panel_shapes
    n_frames = experiments[0].scan.n_frames
    hot = []
    # Pixel numbers run along fast, then slow, as masks are stored.
    for panel, (_, width) in enumerate(shapes):
        pixels = find_full_depth_pixels(spots["bbox"][spots["panel"] == panel], n_frames)
        hot.append(pixels[:, 1] * np.int64(width) + pixels[:, 0])
    log.info("Found %d hot pixels", sum(map(len, hot)))
    write_mask_pickle(command.options.output.mask, make_hot_masks(shapes, hot))
    log.info("Wrote the mask without them to %s", command.options.output.mask)
    return 0
