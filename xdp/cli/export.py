"""Write integrated reflections in a form that other programs read.

The default is an unmerged MTZ file for Pointless and Aimless: a batch for each image, with its cell and orientation.
Intensities are corrected for Lorentz factor, polarisation and detector efficiency; reflections measured in part only,
or badly, are left out (scope mtz, for all formats of intensities). format=xds_ascii is for XSCALE, shelx for SHELX,
mmcif for deposition, pets for dynamical refinement of electron diffraction in Jana, json for viewers of the reciprocal
lattice. nxs writes models and all reflections as NeXus.

Examples:

  xdp export integrated.expt integrated.refl
  xdp export integrated.expt integrated.refl mtz.hklout=lyso.mtz d_min=1.8 intensity=profile
  xdp export integrated.expt integrated.refl format=xds_ascii
  xdp export scaled.expt scaled.refl intensity=scale
  xdp export indexed.expt indexed.refl format=json
"""

from __future__ import annotations


def run(args: list[str]) -> int:
    """Write the reflections in the format that is asked for, and log how many.

    Raises
    ------
    XdpError
        If the files do not fit together, or the format cannot hold them.
    """
    from xdp.cli.file_kinds import READS_PAIRS
    from xdp.cli.inputs import read_pairs
    from xdp.cli.parsing import parse_command
    from xdp.exporting.export import export
    from xdp.exporting.options import ExportOptions
    from xdp.logs import log_start, start_log

    command = parse_command(ExportOptions, args, __doc__, "export", reads=READS_PAIRS)
    log = start_log(command.options.output.log, command.verbosity)
    log_start("export", command.changed)
    experiments, table = read_pairs(command.inputs, "export", command.options.input)
    found = export(experiments, table, command.options)
    what = "points" if command.options.format == "json" else "reflections"
    log.info("Saved %d %s to %s", found.n_written, what, ", ".join(found.files))
    return 0
