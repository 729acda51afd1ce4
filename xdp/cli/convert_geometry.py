"""Convert a geometry file: CrystFEL's .geom, LCLS' .data, cctbx.xfel's .def and .expt to each other; and HDF5 of LPD
and DSSC to these.

The ending of the new file says of which kind it is. What it cannot hold is said. A geometry file is used for images
with xdp import geometry_file=FILE.

Examples:

  xdp convert_geometry cspad.geom output.geometry=cspad.expt distance=130
  xdp convert_geometry refined.expt output.geometry=refined.geom
  xdp convert_geometry 0-end.data output.geometry=detector.geom energy=9500
"""

from __future__ import annotations


def run(args: list[str]) -> int:
    """Convert one geometry file.

    Raises
    ------
    XdpError
        If there is not exactly one input, or it cannot be read or converted.
    """
    from xdp.cli.parsing import parse_command
    from xdp.errors import XdpError
    from xdp.images.geometry_files.convert import ConvertGeometryOptions, convert_geometry
    from xdp.logs import log_start, start_log

    command = parse_command(ConvertGeometryOptions, args, __doc__, "convert_geometry")
    if len(command.inputs) != 1:
        raise XdpError(f"convert_geometry takes one geometry file, got {' '.join(command.inputs) or 'none'}")
    log = start_log(command.options.output.log, command.verbosity)
    log_start("convert_geometry", command.changed)
    for note in convert_geometry(command.inputs[0], command.options):
        log.warning("%s", note)
    log.info("Saved %s", command.options.output.geometry)
    return 0
