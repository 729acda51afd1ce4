"""Refine the models in every Bravais setting that the lattice allows, and say which fit.

Writes bravais_setting_N.expt for each setting and bravais_summary.json; the likely ones are marked with a star. The
reflections of the chosen setting follow with `xdp reindex`.

Examples:

    xdp refine_bravais_settings indexed.expt indexed.refl
    xdp reindex indexed.refl indexed.expt change_of_basis_op=b,c,a
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xdp.indexing.refine_settings import Solution


def run(args: list[str]) -> int:
    """Refine in all settings; log the table, write the summary and the models of each setting.

    Raises
    ------
    XdpError
        If there are several crystals, or the files do not fit together.
    """
    from xdp.cli.file_kinds import READS_PAIRS
    from xdp.cli.inputs import read_pairs
    from xdp.cli.parsing import parse_command
    from xdp.files import make_folder
    from xdp.indexing.command_options import RefineSettingsOptions
    from xdp.indexing.refine_settings import refine_settings
    from xdp.logs import start_log

    command = parse_command(RefineSettingsOptions, args, __doc__, "refine_bravais_settings", reads=READS_PAIRS)
    options = command.options
    start_log(options.output.log, command.verbosity)
    experiments, reflections = read_pairs(command.inputs, "refine_bravais_settings", command.options.input)
    folder = make_folder(options.output.directory or ".")
    solutions = refine_settings(experiments, reflections, options).solutions
    log_settings(solutions)
    write_settings(solutions, folder, options.output.prefix or "")
    return 0


def log_settings(solutions: Sequence[Solution]) -> None:
    """Log the table of settings in the columns that users of DIALS know; the likely ones have a star.

    Parameters
    ----------
    solutions : sequence of Solution
        As :func:`xdp.indexing.refine_settings.sort_solutions` sorts them; the last one is number 1.
    """
    import logging

    from xdp.indexing.lattice.symmetry import list_chiral_groups

    log = logging.getLogger("xdp")
    log.info("Space groups that a chiral crystal may have, by Bravais lattice:")
    # Each lattice once, from the lowest symmetry up.
    for lattice in dict.fromkeys(s.setting.lattice for s in reversed(solutions)):
        log.info("%s: %s", lattice, " ".join(list_chiral_groups(lattice)))
    log.info("\n  Solution  Metric fit    rmsd   min/max cc  #spots  lattice  unit_cell%s  volume  cb_op", " " * 34)
    for number, solution in zip(range(len(solutions), 0, -1), solutions, strict=True):
        crystal = solution.experiments[0].known.crystal
        ccs = solution.correlations
        # Correlations of intensities that the setting's symmetry relates; without intensities there are none.
        cc = f"{min(ccs):.3f}/{max(ccs):.3f}" if ccs else "-/-"
        cell = " ".join(f"{v:6.2f}" for v in crystal.unit_cell)
        volume = 1.0 / abs(float(_determinant(crystal.A)))
        log.info("%s %7d  %10.4f  %6.3f  %11s  %6d  %7s  %s  %6.0f  %s", "*" if solution.recommended else " ", number,
                 solution.setting.delta, solution.rmsd, cc, solution.n_spots, solution.setting.lattice, cell, volume,
                 solution.setting.operator)
    log.info("*: recommended")


def _determinant(matrix) -> float:
    import numpy as np

    return np.linalg.det(matrix)


def write_settings(solutions: Sequence[Solution], folder: Path, prefix: str) -> None:
    """Write the models of each setting, and the summary; all of them appear together.

    Parameters
    ----------
    solutions : sequence of Solution
        As of :func:`log_settings`.
    folder : Path
        Where the files go.
    prefix : str
        What their names begin with.
    """
    import json
    import logging

    from xdp.experiment.io import write_experiments
    from xdp.files import atomic_output, together

    log = logging.getLogger("xdp")
    summary = folder / f"{prefix}bravais_summary.json"
    # Triclinic is number 1, as in DIALS.
    numbers = range(len(solutions), 0, -1)
    paths = [folder / f"{prefix}bravais_setting_{number}.expt" for number in numbers]
    with together():
        with atomic_output(summary) as part:
            entries = {str(n): s.to_dict() for n, s in zip(numbers, solutions, strict=True)}
            part.write_text(json.dumps(entries, indent=2), encoding="utf-8")
        for path, solution in zip(paths, solutions, strict=True):
            write_experiments(path, solution.experiments)
    log.info("\nWrote the table to %s", summary)
    for number, path in zip(numbers, paths, strict=True):
        log.info("Wrote setting %d to %s", number, path)
