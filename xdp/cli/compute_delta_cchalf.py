"""Find the data sets, or groups of images, that lower CC1/2, and leave them out.

CC1/2 is computed without each part in turn. Parts without which it is much higher do not agree with the others: other
crystals, damage, images without a crystal. The rest is written as filtered.expt and filtered.refl.

Examples:

  xdp compute_delta_cchalf scaled.expt scaled.refl
  xdp compute_delta_cchalf scaled.expt scaled.refl mode=image_group group_size=5
  xdp compute_delta_cchalf scaled_unmerged.mtz stdcutoff=3
"""

from __future__ import annotations


def run(args: list[str]) -> int:
    """Compute the differences, and write what is left.

    Raises
    ------
    XdpError
        If the reflections are not scaled, or the files do not fit together.
    """
    from xdp.cli.file_kinds import READS_OBSERVATIONS
    from xdp.cli.inputs import read_observations
    from xdp.cli.parsing import parse_command
    from xdp.experiment.io import write_experiments
    from xdp.files import together
    from xdp.logs import log_start, start_log
    from xdp.merging.delta.compute import compute_delta_cchalf
    from xdp.merging.delta.options import DeltaCcHalfOptions
    from xdp.reflections.refl import write_reflections

    command = parse_command(DeltaCcHalfOptions, args, __doc__, "compute_delta_cchalf", reads=READS_OBSERVATIONS)
    output = command.options.output
    log = start_log(output.log, command.verbosity)
    log_start("compute_delta_cchalf", command.changed)
    pairs = read_observations(command.inputs, "compute_delta_cchalf", command.options.input)
    found = compute_delta_cchalf(*pairs, command.options)
    log.info("%s", found.report.tables[0].text())
    with together():
        write_experiments(output.experiments, found.experiments)
        write_reflections(output.reflections, found.reflections)
        found.write_table(output.table)
        if output.json_ is not None:
            found.report.write(output.json_)
    log.info("Left out %d of %d parts; saved %d reflections to %s", len(found.removed), len(found.found.parts),
             len(found.reflections), output.reflections)
    return 0
