"""Images to merged intensities in one command.

Imports the images, finds spots, indexes them, chooses the Bravais setting (or takes the space group that is given),
refines, integrates, and writes an unmerged MTZ file; finds the space group, scales, merges, and prints Table 1
(symmetry=False and scale=False leave this out). Each stage writes its usual files and its log. All parameters of
the stages are understood under the stages' names; -c -e 1 lists them. A run that was broken off goes on where it was,
and one that is repeated with other parameters begins with the first stage that they change.

Examples:

  xdp process images/*.cbf
  xdp process "images/lyso_####.cbf" space_group=P43212 nproc=8
  xdp process master.h5 output.directory=run1 find_spots.d_min=1.8 integrate.prediction.d_min=1.6
  xdp process imported.expt index.max_lattices=2 scale=False
  xdp process images/*.cbf mp.method=slurm njobs=4 cluster.name=mysite
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xdp.pipeline.options import ProcessOptions


def run(args: list[str]) -> int:
    """Run all stages, each with its own log, and write the summary.

    Raises
    ------
    XdpError
        If a stage fails; what is finished is kept for the next run.
    """
    from xdp.cli.file_kinds import READS_IMAGES_OR_MODELS
    from xdp.cli.parsing import parse_command
    from xdp.cli.working import run_command_work
    from xdp.files import make_folder
    from xdp.logs import log_start, start_log
    from xdp.pipeline.options import ProcessOptions, settle_for_inputs, settle_options
    from xdp.pipeline.process import Hooks, process
    from xdp.pipeline.summary import format_run_summary

    command = parse_command(ProcessOptions, args, __doc__, "process", settle_for_inputs,
                            READS_IMAGES_OR_MODELS)
    options = settle_options(command.options)
    # Before the log, which lies in it.
    folder = make_folder(options.output.directory or ".")
    log = start_log(options.output.log, command.verbosity)
    log_start("process", command.changed)
    hooks = Hooks(around=_StageLogs(options, command.verbosity),
                  result=lambda name, result: _report(name, result, options), done=_log_stage)
    with run_command_work("process", folder / "integrated.refl", options.mp, options.cluster) as work:
        found = process(command.inputs, command.options, client=work.client, progress=work.progress, hooks=hooks)
    log.info("\nSummary:\n%s", format_run_summary(found.facts))
    if options.output.summary is not None:
        _write_summary(options.output.summary, found.facts)
    return 0


class _StageLogs:
    """Contexts in which a stage's messages go to its own log; to the screen only warnings, or all with -v."""

    def __init__(self, options: ProcessOptions, verbosity: int) -> None:
        stages = ("find_spots", "index", "refine_bravais_settings", "refine", "integrate", "export", "symmetry",
                  "scale", "merge")
        self._paths = {name: getattr(options, name).output.log for name in stages}
        self._paths["import"] = options.import_.output.log
        # Stages' own messages fill several screens; their logs have them in any case.
        self._quiet = verbosity == 0

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Within it the log of stage `name` is open."""
        from xdp.logs import log_start, stage_log

        with stage_log(self._paths[name], quiet=self._quiet):
            # Changed parameters stand in the log of the whole run.
            log_start(name, "")
            yield


def _report(name: str, result: Any, options: ProcessOptions) -> None:
    """What the stage's own command would log of its result."""
    from xdp.cli import import_, index, merge, refine, refine_bravais_settings, scale, symmetry
    from xdp.images.importing.import_images import count_images

    if name == "import":
        for line in import_.format_counts(count_images(result)):
            logging.getLogger("xdp").info("%s", line)
    elif name == "index":
        index.log_indexed_spots(result)
    elif name == "refine":
        refine.log_refinement(result)
    elif name == "refine_bravais_settings" and result:
        from xdp.files import make_folder

        output = options.refine_bravais_settings.output
        refine_bravais_settings.log_settings(result)
        refine_bravais_settings.write_settings(result, make_folder(output.directory or "."), output.prefix or "")
    elif name == "symmetry" and result is not None:
        symmetry.log_symmetry(result)
    elif name == "scale" and result is not None:
        scale.log_scaling(result)
    elif name == "merge" and result is not None:
        merge.log_merging(result)


def _log_stage(name: str, facts: dict[str, Any], seconds: float | None) -> None:
    """One line for each stage."""
    from xdp.pipeline.summary import describe_stage

    took = "as before" if seconds is None else f"{seconds:7.2f} s"
    logging.getLogger("xdp").info("%-24s %9s   %s", name, took, describe_stage(name, facts))


def _write_summary(path: str, facts: dict[str, dict[str, Any]]) -> None:
    import json

    import xdp
    from xdp.files import atomic_output

    with atomic_output(path) as part:
        part.write_text(json.dumps({"xdp": xdp.__version__, "stages": facts}, indent=1) + "\n", encoding="utf-8")
