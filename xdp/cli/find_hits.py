"""Find the hits of a serial run: the shots that hold diffraction from a crystal.

By default the thresholds follow from the run's own misses, so that a first run needs no numbers; the log says what was
chosen. hits.algorithm= takes Spotfinder as cctbx.xfel's mod_hitfind does (distl), spots by the dispersion threshold
(spots), or CrystFEL's peakfinder8. Give files with shots, folders or lists of them.

hits.zarr gets a row for each shot: number of peaks, resolution, hit or miss, or why the shot could not be used.
powder.h5 gets sum and maximum of the hits and of the misses.

Examples:

  xdp find_hits run0069.cxi
  xdp find_hits run0069.h5 events.geometry=cspad.geom output.experiments=hits.expt nproc=8
  xdp find_hits shots/ algorithm=distl distl.threshold=450 distl_min_peaks=16
  xdp find_hits run0069.cxi algorithm=peakfinder8 peakfinder8.threshold=200 min_snr=6
"""

from __future__ import annotations


def run(args: list[str]) -> int:
    """Find the hits of a run and write its table, its powder patterns and its hits.

    Raises
    ------
    XdpError
        If there are no shots, or an output cannot be written.
    """
    from xdp.cli.parsing import parse_command
    from xdp.cli.working import run_command_work
    from xdp.errors import OptionError
    from xdp.logs import log_start, start_log
    from xdp.serial.hits.find import find_hits_to_file
    from xdp.serial.hits.options import FindHitsOptions

    command = parse_command(FindHitsOptions, args, __doc__, "find_hits")
    options = command.options
    if not command.inputs:
        raise OptionError("find_hits needs shots: name image files, folders of them, or lists of events")
    log = start_log(options.output.log, command.verbosity)
    log_start("find_hits", command.changed)
    with run_command_work("find_hits", options.output.table, options.mp, options.cluster) as work:
        found = find_hits_to_file(command.inputs, options, client=work.client, progress=work.progress)
    log.info("\n%s", found.report.text())
    log.info("Saved the table of %d shots to %s", found.n_shots, options.output.table)
    for name, what in ((options.output.powder, "powder patterns"), (options.output.experiments, "hits"),
                       (options.output.parquet, "table")):
        if name is not None:
            log.info("Saved the %s to %s", what, name)
    return 0
