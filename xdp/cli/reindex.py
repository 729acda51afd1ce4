"""Change the basis of crystals and of Miller indices, and the space group.

The change is given as the new axes in terms of the old, such as b,c,a or a+b,a-b,c, as refine_bravais_settings prints
it; h,k,l and x,y,z are understood as well. The space group goes with the axes, unless another one is named. With
change_of_basis_op=auto the indices are changed so that they fit the crystals of the .expt, which stay as they are.
Several .expt become one, as do several .refl.

Examples:

    xdp reindex indexed.refl change_of_basis_op=b,c,a
    xdp reindex bravais_setting_9.expt space_group=P43212
    xdp reindex indexed.expt indexed.refl change_of_basis_op=b,c,a space_group=P4
    xdp reindex bravais_setting_9.expt indexed.refl change_of_basis_op=auto
"""

from __future__ import annotations


def run(args: list[str]) -> int:
    """Change the basis of whatever is given, models or reflections, and write both together.

    Raises
    ------
    XdpError
        If no file is given, or the change of basis is none.
    """
    from xdp.cli.file_kinds import READS_PAIRS
    from xdp.cli.inputs import read_models_or_tables
    from xdp.cli.parsing import parse_command
    from xdp.errors import XdpError
    from xdp.experiment.io import write_experiments
    from xdp.files import together
    from xdp.indexing.command_options import ReindexOptions
    from xdp.indexing.reindex import is_automatic, reindex
    from xdp.logs import start_log
    from xdp.reflections.refl import write_reflections

    command = parse_command(ReindexOptions, args, __doc__, "reindex", reads=READS_PAIRS)
    options = command.options
    # No log file: the basis is changed in a moment, and the command line says all.
    log = start_log(None, command.verbosity)
    if not command.inputs:
        raise XdpError("reindex needs an .expt, a .refl or both; xdp reindex -h shows examples")
    found = reindex(*read_models_or_tables(command.inputs, "reindex", options.input), options)
    # Models and indices of different settings must never lie side by side.
    with together():
        if found.experiments is not None and not is_automatic(options):
            write_experiments(options.output.experiments, found.experiments)
            log.info("Wrote experiments in the new setting to %s", options.output.experiments)
        if found.reflections is not None:
            write_reflections(options.output.reflections, found.reflections)
            log.info("Wrote reflections with their new indices to %s", options.output.reflections)
    return 0
