"""Index several data sets alike, and find their Laue group, space group and conventional axes.

Where a lattice has more symmetry than the intensities, each crystal can be indexed in several ways. Each data set gets
the way in which it agrees with the others, or with a reference. Sets that agree in no way, or have another cell, are
set aside, by name.

Examples:

  xdp cosym wedge_*.expt wedge_*.refl
  xdp cosym integrated.expt integrated.refl space_group=P4
  xdp cosym integrated.expt integrated.refl reference=merged.mtz
"""

from __future__ import annotations


def run(args: list[str]) -> int:
    """Index data sets alike, and write models and reflections in the setting of their symmetry.

    Raises
    ------
    XdpError
        If the files do not fit together, or nothing can be compared.
    """
    from xdp.cli.file_kinds import READS_PAIRS
    from xdp.cli.inputs import read_pairs
    from xdp.cli.parsing import parse_command
    from xdp.cli.symmetry import log_symmetry, write_symmetrized
    from xdp.logs import log_start, start_log
    from xdp.symmetry.cosym import cosym
    from xdp.symmetry.cosym_options import CosymOptions

    command = parse_command(CosymOptions, args, __doc__, "cosym", reads=READS_PAIRS)
    start_log(command.options.output.log, command.verbosity)
    log_start("cosym", command.changed)
    experiments, table = read_pairs(command.inputs, "cosym", command.options.input)
    # threads do the work here; Python users may give a client
    found = cosym(experiments, table, command.options)
    log_symmetry(found)
    write_symmetrized(found, experiments, table, command.options.output)
    return 0
