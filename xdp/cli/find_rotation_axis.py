"""Find the rotation axis from the spots, where the header does not state it, as on electron microscopes.

Spots are turned back about trial axes across the beam; for the right one the differences between them gather in few
directions. The result is written to optimised.expt, for `xdp index`.

Examples:

    xdp find_rotation_axis imported.expt strong.refl
    xdp find_rotation_axis imported.expt strong.refl global_search=False azimuth=-42
"""

from __future__ import annotations


def run(args: list[str]) -> int:
    """Log the old and the new axis and write the experiments with the new one.

    Raises
    ------
    XdpError
        If there are too few spots, or no scan.
    """
    from xdp.cli.file_kinds import READS_PAIRS
    from xdp.cli.inputs import read_pairs
    from xdp.cli.parsing import parse_command
    from xdp.experiment.experiment import share_equal_models
    from xdp.experiment.io import write_experiments
    from xdp.indexing.command_options import RotationAxisOptions
    from xdp.indexing.rotation_axis import find_rotation_axis
    from xdp.logs import start_log

    command = parse_command(RotationAxisOptions, args, __doc__, "find_rotation_axis", reads=READS_PAIRS)
    options = command.options
    log = start_log(options.output.log, command.verbosity)
    if command.changed:
        log.info("These parameters have been modified:\n\n%s", command.changed)
    experiments, spots = read_pairs(command.inputs, "find_rotation_axis", command.options.input)
    moved, azimuth = find_rotation_axis(share_equal_models(experiments), spots, options)
    for name, models in (("Old", experiments), ("New", moved)):
        axis = models[0].known.goniometer.rotation_axis_lab
        log.info("%s rotation axis: %.5f, %.5f, %.5f", name, *axis)
    log.info("The rotation axis lies at an azimuth of %.2f degrees", azimuth)
    write_experiments(options.output.experiments, moved)
    log.info("Wrote experiments with this axis to %s", options.output.experiments)
    return 0
