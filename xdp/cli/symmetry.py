"""Find the Laue group, the space group and the conventional axes of integrated reflections.

Each rotation that the lattice has is tested: whether it is a symmetry, relates nothing, is nearly one, or is the law
of a twin. Data need not be scaled. Where the data do not decide, the log says between what, and the lower group is
written. Several .expt and .refl are brought to one choice of indexing; those that do not agree with the others are set
aside. Unmerged MTZ files, XDS_ASCII.HKL and INTEGRATE.HKL are read as well.

Examples:

  xdp symmetry integrated.expt integrated.refl
  xdp symmetry integrated.expt integrated.refl laue_group=P422
  xdp symmetry integrated.expt integrated.refl small_molecule=True
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xdp.experiment.experiment import ExperimentList
    from xdp.reflections.table import ReflectionTable
    from xdp.symmetry.cosym_options import CosymOutput
    from xdp.symmetry.find import Symmetrized
    from xdp.symmetry.options import SymmetryOutput


def run(args: list[str]) -> int:
    """Find the symmetry, and write models and reflections in the setting of it.

    Raises
    ------
    XdpError
        If the files do not fit together, or nothing can be compared.
    """
    from xdp.cli.file_kinds import READS_OBSERVATIONS
    from xdp.cli.inputs import read_observations
    from xdp.cli.parsing import parse_command
    from xdp.logs import log_start, start_log
    from xdp.symmetry.find import find_symmetry
    from xdp.symmetry.options import SymmetryOptions

    command = parse_command(SymmetryOptions, args, __doc__, "symmetry", reads=READS_OBSERVATIONS)
    output = command.options.output
    start_log(output.log, command.verbosity)
    log_start("symmetry", command.changed)
    experiments, table = read_observations(command.inputs, "symmetry", command.options.input)
    found = find_symmetry(experiments, table, command.options)
    log_symmetry(found)
    write_symmetrized(found, experiments, table, output)
    return 0


def write_symmetrized(found: Symmetrized, experiments: ExperimentList, table: ReflectionTable,
                      output: SymmetryOutput | CosymOutput) -> None:
    """Write models and reflections in their setting, the report, and the data sets that were set aside.

    Parameters
    ----------
    found : Symmetrized
    experiments : ExperimentList
        As given.
    table : ReflectionTable
        As given.
    output : SymmetryOutput or CosymOutput
        Names of the files.
    """
    from xdp.experiment.io import write_experiments
    from xdp.files import together
    from xdp.reflections.refl import write_reflections

    log = logging.getLogger("xdp")
    with together():
        write_experiments(output.experiments, found.experiments)
        write_reflections(output.reflections, found.reflections)
        if output.json_ is not None:
            found.report.write(output.json_)
        if found.sets.excluded:
            models, rows = found.select_excluded(experiments, table)
            if output.excluded is not None:
                write_experiments(output.excluded, models)
            if output.excluded_reflections is not None:
                write_reflections(output.excluded_reflections, rows)
            log.info("%d data sets are set aside, in %s", len(models), output.excluded)
    log.info("Saved %d reflections to %s", len(found.reflections), output.reflections)


def log_symmetry(found: Symmetrized) -> None:
    """Log elements, groups and axial reflections, and what they come to.

    Parameters
    ----------
    found : Symmetrized
    """
    from xdp.symmetry.report import describe_verdict

    log = logging.getLogger("xdp")
    for part in found.report.tables:
        log.info("%s", part.text())
    for line in describe_verdict(found.verdict):
        log.info("%s", line)
