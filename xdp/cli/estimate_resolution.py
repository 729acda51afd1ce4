"""Estimate how far scaled data reach: where CC1/2, or another measure, falls to a limit.

A curve is drawn through the values of shells of resolution, and the limit is where it crosses. CC1/2 is also judged
near each reciprocal axis, since data may reach farther in one direction. Of several measures the coarsest limit counts.

Examples:

  xdp estimate_resolution scaled.expt scaled.refl
  xdp estimate_resolution scaled.expt scaled.refl cc_half=0.5 misigma=2
  xdp estimate_resolution scaled.expt scaled.refl reference=model.mtz output.json=limits.json
"""

from __future__ import annotations


def run(args: list[str]) -> int:
    """Estimate the limits, and print them.

    Raises
    ------
    XdpError
        If the reflections are not scaled, or the files do not fit together.
    """
    from xdp.cli.file_kinds import READS_OBSERVATIONS
    from xdp.cli.inputs import read_observations
    from xdp.cli.parsing import parse_command
    from xdp.logs import log_start, start_log
    from xdp.merging.resolution.estimate import estimate_resolution
    from xdp.merging.resolution.options import ResolutionOptions

    command = parse_command(ResolutionOptions, args, __doc__, "estimate_resolution", reads=READS_OBSERVATIONS)
    output = command.options.output
    log = start_log(output.log, command.verbosity)
    log_start("estimate_resolution", command.changed)
    pairs = read_observations(command.inputs, "estimate_resolution", command.options.input)
    report = estimate_resolution(*pairs, command.options).report
    log.info("%s", report.tables[0].text())
    if report.facts["d_min"] is not None:
        log.info("Resolution limit: d_min=%.2f", report.facts["d_min"])
    if output.json_ is not None:
        report.write(output.json_)
    return 0
