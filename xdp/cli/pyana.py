"""Send the shots of a run through a chain of modules, as pyana and psana do with cctbx.xfel's modules.

FILE.cfg names the modules in order (section [pyana] or [psana]) and has a section for each: mod_hitfind tells hits from
misses, indexes and integrates; mod_dump writes images; mod_average and mod_radial_average average. A module may skip a
shot for those after it. Other modules are added by entry points. Nothing in the file is evaluated as code.

Examples:

  xdp pyana LXXX-lysozyme.cfg run0069.h5 run=69
  xdp pyana LXXX-lysozyme.cfg experiment=cxi12345 run=69       LCLS streams, through psana
  xdp pyana hits.cfg run0069.cxi events.geometry=cspad.geom nproc=6
"""

from __future__ import annotations


def run(args: list[str]) -> int:
    """Run the chain of a configuration over shots.

    Raises
    ------
    XdpError
        If the configuration is wrong, or there are no shots.
    """
    from xdp.cli.parsing import parse_command
    from xdp.cli.working import run_command_work
    from xdp.errors import OptionError
    from xdp.logs import log_start, start_log
    from xdp.serial.chain.configuration import is_chain_file
    from xdp.serial.chain.options import ChainOptions
    from xdp.serial.chain.run import run_chain

    command = parse_command(ChainOptions, args, __doc__, "pyana")
    options = command.options
    files = [word for word in command.inputs if is_chain_file(word)]
    shots = [word for word in command.inputs if word not in files]
    if len(files) != 1:
        raise OptionError(f"pyana needs one configuration with a section [pyana] or [psana], got {len(files)}")
    log = start_log(options.log, command.verbosity)
    log_start("pyana", command.changed)
    with run_command_work("pyana", options.log or "xdp.pyana.log", options.mp, options.cluster) as work:
        done = run_chain(files[0], shots, options, client=work.client, progress=work.progress)
    log.info("\n%s", done.report.text())
    return 0
