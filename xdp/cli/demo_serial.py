"""Simulate a serial run, make its dark, find its hits, and say how well that went.

40 shots of lysozyme crystals, solvent and nothing on 16 panels like a CSPAD's, as raw counts with a pedestal, an offset
of each sensor in each shot, and cold pixels. Shots, results, logs and the truth go to one folder.

Examples:

  xdp demo serial
  xdp demo serial output.directory=try n_shots=200
  xdp demo serial simulation.photons=100 noise=6
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from xdp.cli.demo_steps import Row, print_rows, run_quietly, time_step
from xdp.cli.parsing import parse_command
from xdp.errors import XdpError

if TYPE_CHECKING:
    from xdp.simulation.serial import SerialRun

#: What is run on the shots, in order: module of the command, its words; {folder} is where all files are.
STEPS = {
    "average": ("average", "{folder}/dark.h5 events.geometry={folder}/cspad.geom -R outputdir={folder} "
                "averagebase=dark_avg stddevbase=dark_stddev maxbase=dark_max log={folder}/xdp.average.log"),
    "find_hits": ("find_hits", "{folder}/run.h5 events.geometry={folder}/cspad.geom "
                  "dark_path={folder}/dark_avg.h5 common_mode_correction=median output.table={folder}/hits.zarr "
                  "output.powder={folder}/powder.h5 output.experiments={folder}/hits.expt "
                  "output.log={folder}/xdp.find_hits.log"),
}


def run(args: list[str]) -> int:
    """Simulate, process step by step, and print a line for each step with the truth beside it.

    Raises
    ------
    XdpError
        If a step fails; its log stays in the folder.
    """
    from xdp.simulation.options import SerialDemoOptions
    from xdp.simulation.serial import simulate_serial_run, write_serial_run

    command = parse_command(SerialDemoOptions, args, __doc__, "demo serial")
    if command.inputs:
        raise XdpError(f"demo serial takes no files, got {command.inputs[0]}; xdp demo serial -h shows examples")
    folder = Path(command.options.output.directory)
    _prepare(folder)
    rows: list[Row] = []
    with time_step("simulate", rows) as said:
        simulated = simulate_serial_run(command.options.serial)
        write_serial_run(simulated, folder)
        said.append(_describe_run(simulated))
    for name, (module, words) in STEPS.items():
        with time_step(name, rows) as said:
            run_quietly(name, module, [word.replace("{folder}", str(folder)) for word in words.split()], folder)
            said.append(_describe_result(name, folder))
    print_rows(rows, "xdp demo serial")
    # The lines are meant to be copied into a shell.
    at = shlex.quote(os.fspath(folder))
    sys.stdout.write(f"\nThe truth is {folder / 'truth.json'} and {folder / 'truth.expt'}. Try next:\n"
                     f"  xdp find_hits {at}/run.h5 events.geometry={at}/cspad.geom dark_path={at}/dark_avg.h5 "
                     f"algorithm=peakfinder8 output.table={at}/again.zarr\n"
                     f"  xdp average {at}/run.h5 events.geometry={at}/cspad.geom dark_path={at}/dark_avg.h5 "
                     f"outputdir={at}\n"
                     "  xdp find_hits YOUR_RUN.cxi events.geometry=YOUR.geom\n")
    return 0


def _prepare(folder: Path) -> None:
    """Make the folder; one with files of somebody else is refused."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise XdpError(f"{folder}: cannot be made: {error.strerror}") from error
    if (folder / "run.h5").exists() and not (folder / "truth.json").exists():
        raise XdpError(f"{folder / 'run.h5'}: this run is not of an earlier demo: give output.directory another name")


def _describe_run(simulated: SerialRun) -> str:
    """What was simulated, in a few words."""
    n = {kind: simulated.kinds.count(kind) for kind in dict.fromkeys(simulated.kinds)}
    return (f"{len(simulated.kinds)} shots on {len(simulated.detector)} panels: {n['hit']} of a crystal, {n['double']} "
            f"of two, {n['blank']} of solvent, {n['dark']} without beam")


def _describe_result(name: str, folder: Path) -> str:
    """What came out of a step, in a few words, beside the truth."""
    if name == "average":
        return f"mean and deviation of the dark run: {folder / 'dark_avg.h5'}"
    from xdp.serial.hits.table import read_shot_table

    is_hit = read_shot_table(folder / "hits.zarr")["verdict"] == "hit"
    kinds = json.loads((folder / "truth.json").read_text())["shots"]
    truth = [kind in ("hit", "double") for kind in kinds]
    n_right = sum(bool(found) and true for found, true in zip(is_hit, truth, strict=True))
    return f"{int(is_hit.sum())} hits, {n_right} of the {sum(truth)} true ones among them"
