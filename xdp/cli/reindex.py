"""Change the basis of crystals and of Miller indices, and the space group.

The change is given as the new axes in terms of the old, such as b,c,a or a+b,a-b,c, as refine_bravais_settings prints
it.

Examples:

    xdp reindex indexed.refl change_of_basis_op=b,c,a
    xdp reindex bravais_setting_9.expt space_group=P43212
    xdp reindex indexed.expt indexed.refl change_of_basis_op=b,c,a space_group=P4
"""

from __future__ import annotations


def run(args: list[str]) -> int:
    """Change the basis of whatever is given, models or reflections, and write both together.

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
        If no file is given, or the change of basis is none.
    """
    from xdp.cli.file_kinds import READS_PAIRS, is_experiment_file
    from xdp.cli.parsing import parse_command
    from xdp.errors import XdpError
    from xdp.experiment.io import read_experiments, write_experiments
    from xdp.files import together
    from xdp.indexing.command_options import ReindexOptions
    from xdp.indexing.reindex import parse_basis_change, reindex_experiments, reindex_reflections
    from xdp.logs import start_log
    from xdp.reflections.refl import read_reflections, write_reflections

    command = parse_command(ReindexOptions, args, __doc__, "reindex", reads=READS_PAIRS)
    options = command.options
    # No log file: the basis is changed in a moment, and the command line says all.
    log = start_log(None, command.verbosity)
    transform = parse_basis_change(options.change_of_basis_op)
    if not command.inputs:
        raise XdpError("reindex needs an .expt, a .refl or both; xdp reindex -h shows examples")
    lines = []
    # Models and indices of different settings must never lie side by side.
    with together():
        for name in command.inputs:
            if is_experiment_file(name):
                moved = reindex_experiments(read_experiments(name), transform, options.space_group)
                write_experiments(options.output.experiments, moved)
                lines.append(f"Wrote experiments in the new setting to {options.output.experiments}")
            else:
                table = reindex_reflections(read_reflections(name), transform, options.hkl_offset)
                write_reflections(options.output.reflections, table)
                lines.append(f"Wrote reflections with their new indices to {options.output.reflections}")
    for line in lines:
        log.info("%s", line)
    return 0
