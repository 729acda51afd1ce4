"""Find where the direct beam meets the detector, from the periodicity of the spots.

The detector is shifted until the spots' reciprocal positions fall on a lattice through the origin best; the result
is written to optimised.expt, for `xdp index`, which does such a search by itself where it explains the spots badly.

Examples:

    xdp search_beam_position imported.expt strong.refl
    xdp search_beam_position imported.expt strong.refl mm_search_scope=6 image_range=1,20
"""

from __future__ import annotations


def run(args: list[str]) -> int:
    """Log the old and the new beam centre and write the experiments with the new one.

    Raises
    ------
    XdpError
        If there are too few spots.
    """
    from xdp.cli.file_kinds import READS_PAIRS
    from xdp.cli.inputs import read_pairs
    from xdp.cli.parsing import parse_command
    from xdp.experiment.experiment import share_equal_models
    from xdp.experiment.extent import beam_centre
    from xdp.experiment.io import write_experiments
    from xdp.indexing.command_options import SearchBeamOptions
    from xdp.indexing.search.beam_search import optimise_beam_position
    from xdp.logs import start_log

    command = parse_command(SearchBeamOptions, args, __doc__, "search_beam_position", reads=READS_PAIRS)
    options = command.options
    log = start_log(options.output.log, command.verbosity)
    if command.changed:
        log.info("These parameters have been modified:\n\n%s", command.changed)
    experiments, spots = read_pairs(command.inputs, "search_beam_position", command.options.input)
    experiments = share_equal_models(experiments)
    moved, shift = optimise_beam_position(experiments, spots, options)
    for name, models in (("Old", experiments), ("New", moved)):
        hit = beam_centre(models[0].known.detector, models[0].known.beam)
        log.info("%s beam centre: %s", name, "not on a panel" if hit is None else
                 f"{hit[1][0]:.2f}, {hit[1][1]:.2f} mm on panel {hit[0]}")
    log.info("The detector was shifted by %.2f, %.2f mm along fast and slow; periodicity %.2f", *shift.mm, shift.score)
    write_experiments(options.output.experiments, moved)
    log.info("Wrote experiments with this beam centre to %s", options.output.experiments)
    return 0
