"""Scale integrated reflections: bring all observations of a reflection to one intensity.

The illuminated volume, decay, absorption and the frames are accounted for by a model that is fitted to equivalent
reflections. Sigmas are corrected by an error model, and outliers flagged. Several .expt and .refl are scaled together;
their crystals need one space group and one choice of axes. xdp merge goes on from the files, as do dials.merge and
xdp export. Unmerged MTZ files, XDS_ASCII.HKL and INTEGRATE.HKL are read as well.

Examples:

  xdp scale integrated.expt integrated.refl
  xdp scale integrated.expt integrated.refl d_min=1.8 anomalous=True
  xdp scale a.expt a.refl b.expt b.refl output.json=scale.json
  xdp scale a.expt a.refl b.expt b.refl filtering.method=deltacchalf mode=image_group
  xdp scale INTEGRATE.HKL polarization_fraction=0.99
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xdp.scaling.scale import Scaled


def run(args: list[str]) -> int:
    """Scale the reflections, and write them with their scales beside the models.

    Raises
    ------
    XdpError
        If the files do not fit together, or nothing can be scaled.
    """
    from xdp.cli.file_kinds import READS_OBSERVATIONS
    from xdp.cli.inputs import read_observations
    from xdp.cli.parsing import parse_command
    from xdp.experiment.io import write_experiments
    from xdp.files import together
    from xdp.logs import log_start, start_log
    from xdp.reflections.refl import write_reflections
    from xdp.scaling.filtering import write_filter_record
    from xdp.scaling.options import ScaleOptions
    from xdp.scaling.scale import scale

    command = parse_command(ScaleOptions, args, __doc__, "scale", reads=READS_OBSERVATIONS)
    output, filtering = command.options.output, command.options.filtering
    log = start_log(output.log, command.verbosity)
    log_start("scale", command.changed)
    experiments, table = read_observations(command.inputs, "scale", command.options.input)
    found = scale(experiments, table, command.options)
    log_scaling(found)
    with together():
        write_experiments(output.experiments, found.experiments)
        write_reflections(output.reflections, found.reflections)
        if output.json_ is not None:
            found.report.write(output.json_)
        if filtering.method is not None:
            write_filter_record(filtering.output.scale_and_filter_results, found.rounds)
    log.info("Saved %d scaled reflections to %s", int(found.fit.use.sum()), output.reflections)
    return 0


def log_scaling(found: Scaled) -> None:
    """Log error models, spreads of scales, and outliers.

    Parameters
    ----------
    found : Scaled
    """
    for part in found.report.tables:
        logging.getLogger("xdp").info("%s", part.text())
