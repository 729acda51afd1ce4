"""Shots to intensities in one pass: hits, spots, lattices and intensities of a serial run.

Each shot is decoded once. Shots with enough spots are indexed and integrated; of the others nothing is kept but their
row in shots.zarr, the table of all shots. A shot that fails is recorded there with its reason, and the others go on. A
run that was broken off goes on where it was, by the same command.

idx-0000_refined.expt and idx-0000_indexed.refl are the indexed shots, idx-0000_integrated.expt and .refl the integrated
ones; each 500 shots have a set of files of their own. Give images, folders, lists of events, or imported.expt.

Examples:

  xdp stills_process run0069.cxi events.geometry=cspad.geom unit_cell=92.9,92.9,130.4,90,90,120 space_group=P6122
  xdp stills_process shots/ min_spot_size=2 nproc=8 output.stream=run0069.stream
  xdp stills_process imported.expt dispatch.integrate=False
  xdp stills_process run.h5 input.show_image_tags=True
  xdp stills_process run.h5 mp.method=slurm njobs=10 nproc=8 cluster.name=mysite
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from logging import Logger

    from xdp.serial.process.options import ShotMpOptions, StillsProcessOptions
    from xdp.serial.process.process import ProcessedShots
    from xdp.work.options import WorkerOptions

MOST_NAMED = 10
"""Written files that the log names; the others are counted. A choice."""


def run(args: list[str]) -> int:
    """Process the shots of a run; the status is 0 only if something was indexed, where that was asked for.

    Raises
    ------
    XdpError
        If there are no shots, an output cannot be written, or nothing could be indexed.
    """
    from xdp.cli.parsing import parse_command
    from xdp.cli.working import run_command_work
    from xdp.logs import log_start, start_log
    from xdp.serial.process.inputs import choose_shots, open_shots
    from xdp.serial.process.options import StillsProcessOptions
    from xdp.serial.process.process import stills_process_to_files
    from xdp.serial.process.tags import make_tag

    command = parse_command(StillsProcessOptions, args, __doc__, "stills_process")
    options = command.options
    if options.input.show_image_tags:
        events = open_shots(command.inputs, options)
        for number in choose_shots(events, options):
            print(make_tag(events.get_id(number)))
        return 0
    log = start_log(options.output.log, command.verbosity)
    log_start("stills_process", command.changed)
    events = open_shots(command.inputs, options)
    with (run_command_work("stills_process", options.output.table, choose_workers(options.mp), options.cluster) as work,
          profile(options)):
        found = stills_process_to_files(events, options, client=work.client, progress=work.progress)
    return log_results(log, found, options)


@contextlib.contextmanager
def profile(options: StillsProcessOptions) -> Iterator[None]:
    """Write where the time of this process goes, where mp.debug.cProfile asks for it.

    Parameters
    ----------
    options : StillsProcessOptions
    """
    if not options.mp.debug.cProfile:
        yield
        return
    import cProfile
    import os

    recorder = cProfile.Profile()
    recorder.enable()
    try:
        yield
    finally:
        recorder.disable()
        recorder.dump_stats(os.path.join(options.output.output_dir, "stills_process.prof"))


def log_results(log: Logger, found: ProcessedShots, options: StillsProcessOptions) -> int:
    """Log what became of the shots of a run, and where it is written.

    Parameters
    ----------
    log : logging.Logger
    found : ProcessedShots
    options : StillsProcessOptions

    Returns
    -------
    int
        The exit status, 0.

    Raises
    ------
    XdpError
        If nothing was indexed, where that was asked for.
    """
    from xdp.errors import XdpError

    log.info("\n%s", found.report.text())
    log.info("Saved the table of %d shots to %s", found.counts.n_shots, options.output.table)
    for name in found.files[:MOST_NAMED]:
        log.info("Saved %s", name)
    if len(found.files) > MOST_NAMED:
        log.info("... and %d more files", len(found.files) - MOST_NAMED)
    if options.output.stream is not None:
        log.info("Saved the stream to %s", options.output.stream)
    if options.dispatch.index and options.dispatch.find_spots and not found.counts.n_with_lattice:
        if found.explanation is not None:
            log.warning("%s", found.explanation)
        raise XdpError(f"no shot of {found.counts.n_shots} was indexed; {options.output.table} says what became of "
                       "each of them")
    return 0


def choose_workers(mp: ShotMpOptions) -> WorkerOptions:
    """Choose where the work runs: one process of this machine needs no workers.

    Parameters
    ----------
    mp : ShotMpOptions

    Returns
    -------
    WorkerOptions
    """
    from xdp.work.cores import count_threads

    if mp.method == "multiprocessing" and (mp.njobs or 1) == 1 and count_threads(mp) == 1:
        return mp.model_copy(update={"method": "none"})
    return mp
