"""Measure the intensity of every reflection and write integrated.expt and integrated.refl.

Give the refined models and the spots they were refined against. The models say where reflections lie; the spots say how
wide they are and what shape they have. Intensities are summed, and fitted with that shape. Go on with dials.scale, or
with xdp export for other programs. To integrate again with the widths found before, give integrated.expt and
create_profile_model=False. Without spots there is no shape to learn: intensities are only summed.

Examples:

  xdp integrate refined.expt refined.refl
  xdp integrate refined.expt refined.refl prediction.d_min=1.6 output.reflections=fine.refl
  xdp integrate refined.expt refined.refl profile.fitting=False
  xdp integrate refined.expt refined.refl background.algorithm=simple nproc=4
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xdp.experiment import ExperimentList
    from xdp.options.inputs import InputOptions
    from xdp.reflections.table import ReflectionTable


def run(args: list[str]) -> int:
    """Integrate, on workers if the parameters ask for them, and write both files.

    Raises
    ------
    XdpError
        If the models are not complete, or the disk is full.
    """
    from xdp.cli.file_kinds import READS_PAIRS
    from xdp.cli.parsing import parse_command
    from xdp.cli.working import run_command_work
    from xdp.integration.integrate import integrate_to_file
    from xdp.integration.options import IntegrateOptions
    from xdp.logs import log_start, start_log
    from xdp.options.text import write_changes

    command = parse_command(IntegrateOptions, args, __doc__, "integrate", reads=READS_PAIRS)
    options = command.options
    log = start_log(options.output.log, command.verbosity)
    log_start("integrate", command.changed)
    experiments, reference = read_inputs(command.inputs, options.input)
    if options.output.phil is not None:
        write_changes(options.output.phil, command.changed)
    mp = options.integration.mp
    if mp.method == "multiprocessing" and (mp.njobs or 1) == 1:
        mp = mp.model_copy(update={"method": "none"})  # threads of this process do what DIALS' processes do
    with run_command_work("integrate", options.output.reflections, mp, options.cluster) as work:
        found = integrate_to_file(experiments, reference, options, client=work.client, progress=work.progress)
    log.info("Saved %d reflections to %s and the experiments to %s", len(found.reflections), options.output.reflections,
             options.output.experiments)
    return 0


def read_inputs(inputs: Sequence[str], options: InputOptions | None = None
                ) -> tuple[ExperimentList, ReflectionTable | None]:
    """Read the experiments, with the reference spots where they are given.

    Parameters
    ----------
    inputs : sequence of str
        One .expt file, or as many .expt as .refl files.
    options : InputOptions, optional
        What is done where identifiers differ.

    Returns
    -------
    experiments : ExperimentList
    reference : ReflectionTable or None
        None if only experiments are given: then there is no profile to learn.

    Raises
    ------
    XdpError
        If nothing is given, or the files are no pairs.
    """
    from xdp.cli.file_kinds import is_experiment_file
    from xdp.cli.inputs import read_pairs
    from xdp.errors import XdpError
    from xdp.experiment.io import read_experiments

    # Models alone are a wish of their own, not a forgotten table.
    if len(inputs) == 1 and is_experiment_file(inputs[0]):
        return read_experiments(inputs[0]), None
    if not inputs:
        raise XdpError("integrate needs refined.expt and refined.refl; xdp integrate -h shows examples")
    return read_pairs(inputs, "integrate", options)
