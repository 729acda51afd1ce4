"""Model the background of a whole series, for xdp integrate with background.algorithm=gmodel.

The counts of each pixel outside reflections are averaged over the images and smoothed along circles about the beam.
That serves where the background is far from even within a shoebox, as on ice rings and at shadows. DIALS reads the
model too. Pictures of it, and of what it was made from, are drawn.

Examples:

  xdp model_background integrated.expt
  xdp integrate integrated.expt refined.refl background.algorithm=gmodel gmodel.robust.algorithm=True \\
      gmodel.model=background.pickle
"""

from __future__ import annotations


def run(args: list[str]) -> int:
    """Write the model of the background, log its range on each panel, and draw pictures of it.

    Raises
    ------
    XdpError
        If there is not exactly one input, or its experiments have no profile model.
    """
    from xdp.cli.file_kinds import READS_MODELS
    from xdp.cli.parsing import parse_command
    from xdp.errors import XdpError
    from xdp.experiment.io import read_experiments
    from xdp.integration.background.global_model import write_model
    from xdp.integration.background.model_options import ModelBackgroundOptions
    from xdp.integration.background.modelling import model_background, write_pictures
    from xdp.logs import log_start, start_log

    command = parse_command(ModelBackgroundOptions, args, __doc__, "model_background", reads=READS_MODELS)
    if len(command.inputs) != 1:
        raise XdpError(f"model_background needs one file integrated.expt, got {len(command.inputs)}")
    experiments = read_experiments(command.inputs[0])
    output = command.options.output
    log = start_log(output.log, command.verbosity)
    log_start("model_background", command.changed)
    found = model_background(experiments, command.options)
    for number, panel in enumerate(found.model.panels):
        log.info("Panel %d: background from %.3g to %.3g, mean %.3g", number, panel.min(), panel.max(), panel.mean())
    write_model(output.model, found.model)
    log.info("Saved the background model to %s", output.model)
    for path in write_pictures(found, output):
        log.info("Saved %s", path)
    return 0
