"""Find the lattice behind the spots and give each spot its Miller index.

The spots are mapped to reciprocal space; their Fourier transform shows the vectors of the lattice, and the cell is
taken that explains the spots best for its volume. All models are then refined. Several sweeps of one crystal are
indexed together.

Examples:

    xdp index imported.expt strong.refl
    xdp index imported.expt strong.refl space_group=P43212 unit_cell=79,79,38,90,90,90
    xdp index imported.expt strong.refl max_lattices=2
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xdp.indexing.index import Indexed


def run(args: list[str]) -> int:
    """Find the lattices, refine the models, log the table of indexed spots and write both files together.

    Raises
    ------
    XdpError
        If no lattice explains the spots.
    """
    from xdp.cli.file_kinds import READS_PAIRS
    from xdp.cli.inputs import read_pairs
    from xdp.cli.parsing import parse_command
    from xdp.experiment.io import write_experiments
    from xdp.files import together
    from xdp.indexing.command_options import IndexOptions
    from xdp.indexing.index import index
    from xdp.logs import start_log
    from xdp.reflections.refl import write_reflections

    command = parse_command(IndexOptions, args, __doc__, "index", reads=READS_PAIRS)
    options = command.options
    log = start_log(options.output.log, command.verbosity)
    if command.changed:
        log.info("These parameters have been modified:\n\n%s", command.changed)
    experiments, spots = read_pairs(command.inputs, "index", command.options.input)
    # Nothing is written before all of it is done.
    result = index(experiments, spots, options)
    log_indexed_spots(result)
    with together():
        write_experiments(options.output.experiments, result.experiments)
        write_reflections(options.output.reflections, result.reflections)
    log.info("Saved refined experiments to %s and reflections to %s", options.output.experiments,
             options.output.reflections)
    return 0


def log_indexed_spots(result: Indexed) -> None:
    """Log how many spots of each image set were indexed.

    Parameters
    ----------
    result : Indexed
        Spots that no lattice explains have an ``id`` below 0.
    """
    import logging

    import numpy as np

    log = logging.getLogger("xdp")
    table = result.reflections
    log.info("\nImageset   # indexed   # unindexed   % indexed")
    # By image set, not by lattice: a sweep that fits badly shows here.
    for number in np.unique(table["imageset_id"]):
        ids = table["id"][table["imageset_id"] == number]
        n = int(np.sum(ids >= 0))
        log.info("%8d %11d %13d %10.1f%%", number, n, len(ids) - n, 100.0 * n / len(ids))
