"""An LCLS run to intensities in one pass, by the command line of cctbx.xfel's xtc_process.

Events are read through psana, which must be installed, and go the way of xdp stills_process: hits are indexed and
integrated, and each event has a row in shots.zarr. The geometry of the detector is given as a CrystFEL .geom or an
.expt file. idx-0000_integrated.expt and .refl are the integrated shots. -c prints all parameters.

Examples:

  xdp xtc_process input.experiment=cxi49812 input.run_num=69 input.address=CxiDs1.0:Cspad.0 detz_offset=581
    geometry_file=cspad.geom calibration.dark_path=dark.h5 unit_cell=92.9,92.9,130.4,90,90,120 space_group=P6122
  xdp xtc_process lysozyme.phil input.run_num=70 debug.skip_processed_events=True
"""

from __future__ import annotations


def run(args: list[str]) -> int:
    """Process the events of a run; the status is 0 only if something was indexed, where that was asked for.

    Raises
    ------
    XdpError
        If psana is not installed, the run cannot be opened, or nothing could be indexed.
    """
    import os

    from xdp.cli.parsing import parse_command
    from xdp.cli.stills_process import choose_workers, log_results
    from xdp.cli.working import run_command_work
    from xdp.errors import OptionError
    from xdp.logs import log_start, start_log
    from xdp.serial.events.psana import StreamOptions, open_stream
    from xdp.serial.process.lcls.events import choose_events, print_gains
    from xdp.serial.process.lcls.options import XtcProcessOptions
    from xdp.serial.process.lcls.translate import (
        find_address,
        find_rank,
        find_run,
        list_unused_parameters,
        make_event_options,
        make_extras,
        make_stills_options,
    )
    from xdp.serial.process.process import stills_process_to_files

    command = parse_command(XtcProcessOptions, args, __doc__, "xtc_process")
    if command.inputs:
        raise OptionError(f"{command.inputs[0]}: xtc_process reads runs of LCLS by input.experiment and input.run_num; "
                          "for files use xdp stills_process")
    given = command.options
    rank = find_rank(given.mp, os.environ)
    experiment, number, folder = find_run(given)
    address, encoder = find_address(given)
    options, extras = make_stills_options(given, rank), make_extras(given)
    log = start_log(options.output.log, command.verbosity)
    # passwords are never written anywhere
    log_start("xtc_process", hide_password(command.changed))
    for line in list_unused_parameters(given):
        log.warning("%s", line)
    events = open_stream(StreamOptions(experiment=experiment, run=number, address=address, encoder=encoder,
                                       xtc_dir=folder, events=make_event_options(given)))
    if given.dispatch.estimate_gain_only:
        print_gains(events, options)
        return 0
    numbers = choose_events(events, given, options, rank)
    with run_command_work("xtc_process", options.output.table, choose_workers(options.mp), options.cluster) as work:
        found = stills_process_to_files(events, options, client=work.client, progress=work.progress, numbers=numbers,
                                        extras=extras, first_set=rank.rank if rank.size > 1 else 0)
    return log_results(log, found, options)


def hide_password(text: str) -> str:
    """Take the value of a password out of a text of parameters.

    Parameters
    ----------
    text : str
        PHIL.

    Returns
    -------
    str

    Examples
    --------
    >>> hide_password("db {" + chr(10) + "  password = secret" + chr(10) + "}").split()
    ['db', '{', 'password', '=', '***', '}']
    """
    import re

    return re.sub(r"(?m)^(\s*password\s*=\s*).*$", r"\1***", text)
