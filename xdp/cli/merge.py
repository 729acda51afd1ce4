"""Merge scaled reflections: one intensity, and one amplitude, for each unique reflection, and how well they agree.

Stills are scaled, put into one indexing where several are possible, post-refined and merged in one run: give the
integrated files of xdp stills_process. Rotation data are scaled by xdp scale before.

The MTZ file has IMEAN, I(+), I(-), amplitudes after French and Wilson, anomalous differences, and a test set. mmCIF,
SCALEPACK and SHELX files are written where they are named. Merging statistics are printed by resolution, with tests
for twinning, translations and ice, and the table for a paper. Scaled XDS_ASCII.HKL and unmerged MTZ files are read as
well.

Examples:

  xdp merge scaled.expt scaled.refl
  xdp merge scaled.expt scaled.refl d_min=1.8 output.mtz=lysozyme.mtz
  xdp merge scaled.expt scaled.refl anomalous=False output.json=merge.json
  xdp merge idx-0000_integrated.expt idx-0000_integrated.refl output.hkl=merged.hkl
  xdp merge scaled.expt scaled.refl output.mmcif=merged.cif output.table_one=table1.tex
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xdp.merging.merge import Merged


def run(args: list[str]) -> int:
    """Merge the reflections, and write the MTZ file.

    Raises
    ------
    XdpError
        If the reflections are not scaled, or the files do not fit together.
    """
    from xdp.cli.file_kinds import READS_OBSERVATIONS
    from xdp.cli.inputs import read_observations
    from xdp.cli.parsing import parse_command
    from xdp.files import together
    from xdp.logs import log_start, start_log
    from xdp.merging.merge import merge, write_merged
    from xdp.merging.options import MergeOptions

    command = parse_command(MergeOptions, args, __doc__, "merge", reads=READS_OBSERVATIONS)
    output = command.options.output
    log = start_log(output.log, command.verbosity)
    log_start("merge", command.changed)
    found = merge(*read_observations(command.inputs, "merge", command.options.input), command.options)
    log_merging(found)
    with together():
        files = write_merged(command.options, found)
    log.info("Saved %d merged reflections to %s", len(found.hkl), ", ".join(files))
    return 0


def log_merging(found: Merged) -> None:
    """Log the statistics, the tests of the intensities with warnings, and Table 1.

    Parameters
    ----------
    found : Merged
    """
    log = logging.getLogger("xdp")
    for table in found.report.tables[:2]:
        log.info("%s", table.text())
    for name, part in getattr(found, "groups", {}).items():
        log.info("Group %s", name)
        log.info("%s", part.report.tables[0].text())
    for warning in found.diagnostics.list_warnings():
        log.warning("%s", warning)
    log.info("Table 1 (the outer shell in brackets)\n%s\n", found.table_one.text())
