"""Refine where the panels of a detector lie, from the indexed spots of many shots.

Level by level of the detector's tree (detector, quadrants, sensors) groups of panels move as rigid bodies, together
with the orientation and cell of each shot. Give folders with the results of stills_process or xtc_process, or .expt
and .refl files. With split_dataset=True halves of the shots are refined as well: how much they disagree is the error.

Files begin with the tag: cspad_refined_level2.expt and .refl, cspad_refined_detector_level2.geom and .def,
0-end.data.cspad, cspad_metrology.json.

Examples:

  xdp refine_metrology results/ tag=ld91
  xdp refine_metrology refined.expt indexed.refl refine_to_hierarchy_level=1
  xdp refine_metrology results/ n_subset=3000 n_subset_method=n_refl split_dataset=True nproc=8
"""

from __future__ import annotations


def run(args: list[str]) -> int:
    """Refine the panels, log what became of them, and write the new geometry.

    Raises
    ------
    XdpError
        If shots do not serve or too few are left.
    """
    from xdp.cli.inputs import read_pairs
    from xdp.cli.parsing import parse_command
    from xdp.cli.working import run_command_work
    from xdp.logs import log_start, start_log
    from xdp.serial.metrology.inputs import find_metrology_files
    from xdp.serial.metrology.options import RefineMetrologyOptions
    from xdp.serial.metrology.outputs import name_outputs, write_combined, write_metrology
    from xdp.serial.metrology.refine_metrology import refine_metrology

    command = parse_command(RefineMetrologyOptions, args, __doc__, "refine_metrology")
    options = command.options
    files, left = find_metrology_files(command.inputs, options.reflections, options.data_phil)
    log = start_log(options.output.log, command.verbosity)
    log_start("refine_metrology", command.changed)
    for name in left:
        log.info("%s is left out: no models of that name beside it", name)
    experiments, reflections = read_pairs(files, "refine_metrology", options.input)
    report = name_outputs(options.tag, [])["report"]
    with run_command_work("refine_metrology", report, options.mp, options.cluster) as work:
        result = refine_metrology(experiments, reflections, options, client=work.client, progress=work.progress)
    log.info("\n%s", result.report.text())
    if len(files) > 2:
        write_combined(experiments, reflections, options.tag)
    written = write_metrology(result, options, options.tag)
    log.info("Saved %s", ", ".join(written))
    return 0
