"""Put a series of Laue images and what is known of them into one file for xdp laue_spots.

Images are MarCCD, TIFF, CBF (and what else xdp reads) or JPEG 2000. Angle, laser and repetition of each come from
the Lauecollect log, from a table (.csv, .txt: columns file, angle, laser or delay, repeat), or from parameters. Writes
NAME__mccd.h5 with the images (frame, X, Y) and the group lauecollect (angle, laser, delay, repeat, file).

Examples:
  xdp laue_import scan1/scan1.log
  xdp laue_import scan1/scan1.log scan1/xray_images/*.mccd
  xdp laue_import table.csv images/*.tif output=scan1__mccd.h5
  xdp laue_import images/*.mccd start=0 step=2 frames_per_angle=10 laser=0,1
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from xdp.cli.file_kinds import READS_PAIRS, find_kind
from xdp.cli.parsing import parse_command
from xdp.errors import XdpError
from xdp.laue.options import LaueImportOptions


def run(args: Sequence[str]) -> int:
    """Write images, angles and laser states as one HDF5 file, and print what it holds.

    Raises
    ------
    XdpError
        If images are missing, or the table does not give what is needed of each.
    """
    command = parse_command(LaueImportOptions, args, __doc__, "laue_import")
    for name in command.inputs:
        kind, description = find_kind(name)
        if kind in READS_PAIRS:
            raise XdpError(f"{name}: is {description}; xdp laue_import reads images, and the log or table of a scan")
    from xdp.laue.import_scan import import_laue

    done = import_laue(command.inputs, command.options)
    design = done.design
    laser = f", {int(design.laser.sum())} with laser" if design.laser is not None else ""
    sys.stdout.write(f"{len(done.images)} frames of {done.shape[0]} x {done.shape[1]} pixels, angles "
                     f"{design.angle.min():g} to {design.angle.max():g} deg{laser}\nWrote {done.output}\n")
    return 0
