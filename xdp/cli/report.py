"""Write a page about a data set: what it is, what is wrong with it, and plots, in one HTML file.

The page needs no network and no server. Its first lines name the worst faults, such as ice, blank images, a second
lattice, drift, hot pixels or a wrong beam centre, with links to the plots that show them. Each plot can be read as a
table. Spots, indexed, refined, integrated and scaled data are understood.

Examples:

  xdp report imported.expt strong.refl
  xdp report refined.expt refined.refl output.html=refined.html
  xdp report integrated.expt integrated.refl output.json=report.json output.plots=plots
"""

from __future__ import annotations

import sys


def run(args: list[str]) -> int:
    """Read the files, gather plots and faults, and write the page.

    Raises
    ------
    XdpError
        If no file is given, one cannot be read, or the files are not of one data set.
    """
    from xdp.cli.file_kinds import READS_PAIRS, is_reflection_file
    from xdp.cli.parsing import parse_command
    from xdp.errors import XdpError
    from xdp.report.page.options import ReportOptions

    command = parse_command(ReportOptions, args, __doc__, "report", reads=READS_PAIRS)
    tables = [name for name in command.inputs if is_reflection_file(name)]
    models = [name for name in command.inputs if name not in tables]
    if not command.inputs or len(tables) > 1 or len(models) > 1:
        raise XdpError("report needs an .expt file, a .refl file, or one of each; xdp report -h shows examples")
    # Late: -h should not wait for numpy.
    from xdp.experiment import read_experiments
    from xdp.reflections import read_reflections
    from xdp.report.page.contents import build_contents
    from xdp.report.page.html import make_page
    from xdp.report.page.write import write_report

    experiments = read_experiments(models[0]) if models else None
    table = read_reflections(tables[0]) if tables else None
    contents = build_contents(experiments, table, command.inputs)
    written = write_report(make_page(contents), contents.to_dict(), contents.plots, command.options)
    for finding in contents.findings:
        sys.stdout.write(f"{'ok' if finding.severity <= 0 else '!!'}  {finding.text}\n")
    sys.stdout.write(f"Wrote {', '.join(written)}\n")
    return 0
