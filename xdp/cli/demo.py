"""Simulate a small rotation series, process it to integrated intensities, and say how well that went.

A crystal of lysozyme turns by 20 degrees in front of a small Pilatus detector. Images, results, logs and a picture
go to one folder.

Examples:

  xdp demo
  xdp demo output.directory=try n_frames=60 width=0.25
  xdp demo simulation.photons=50 simulation.background=10
  xdp demo serial             a serial run instead (xdp demo serial -h)
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from xdp.cli.demo_steps import Row, print_rows, run_quietly, time_step
from xdp.cli.parsing import parse_command
from xdp.errors import XdpError
from xdp.simulation.options import DemoOptions

if TYPE_CHECKING:
    from xdp.simulation.images import Simulation

#: What is run on the images, in order: module of the command, arguments, files that must be named by their folder.
STEPS = {
    "import": ("import_", "images/demo_####.cbf", "output.experiments=imported.expt output.log=xdp.import.log"),
    "find_spots": ("find_spots", "imported.expt",
                   "output.reflections=strong.refl output.log=xdp.find_spots.log"),
    "index": ("index", "imported.expt strong.refl",
              "space_group=P43212 output.experiments=indexed.expt output.reflections=indexed.refl "
              "output.log=xdp.index.log"),
    "refine": ("refine", "indexed.expt indexed.refl",
               "output.experiments=refined.expt output.reflections=refined.refl output.log=xdp.refine.log"),
    "integrate": ("integrate", "refined.expt refined.refl",
                  "output.experiments=integrated.expt output.reflections=integrated.refl output.phil=None "
                  "output.log=xdp.integrate.log"),
    "export": ("export", "integrated.expt integrated.refl", "mtz.hklout=integrated.mtz output.log=xdp.export.log"),
    "export_images": ("export_images", "imported.expt strong.refl",
                      "imageset_index=1,1 output.file=spots.png output.log=None"),
    "report": ("report", "integrated.expt integrated.refl", "output.html=xdp.report.html"),
}


def run(args: list[str]) -> int:
    """Simulate, process step by step, and print a line for each step with the truth beside it.

    Raises
    ------
    XdpError
        If a step fails; its log stays in the folder.
    """
    if args[:1] == ["serial"]:
        from xdp.cli.demo_serial import run as run_serial

        return run_serial(args[1:])
    command = parse_command(DemoOptions, args, __doc__, "demo")
    if command.inputs:
        raise XdpError(f"demo takes no files, got {command.inputs[0]}; xdp demo -h shows examples")
    folder = Path(command.options.output.directory)
    rows: list[Row] = []
    with time_step("simulate", rows) as said:
        simulation = _simulate(folder, command.options)
        said.append(f"{simulation.n_frames} frames, {len(simulation.truth)} reflections")
    for name in STEPS:
        with time_step(name, rows) as said:
            run_quietly(name, STEPS[name][0], build_step_words(name, folder), folder)
            said.append(_describe_result(name, folder, simulation))
    _show(rows, folder)
    return 0


def build_step_words(name: str, folder: Path) -> list[str]:
    """The arguments of one step, with its files in a folder.

    Parameters
    ----------
    name : str
        A key of :data:`STEPS`.
    folder : Path
        Inputs and outputs get it before their names; parameters that name no file stay.

    Returns
    -------
    list of str
    """
    _, inputs, options = STEPS[name]
    words = [str(folder / word) for word in inputs.split()]
    for word in options.split():
        key, value = word.split("=")
        is_file = (key.startswith("output.") or key.endswith("hklout")) and value != "None"
        words.append(f"{key}={folder / value}" if is_file else word)
    return words


def _simulate(folder: Path, options: DemoOptions) -> Simulation:
    """Draw the series and write its images and its truth."""
    from xdp.experiment import write_experiments
    from xdp.reflections import write_reflections
    from xdp.simulation import (
        make_beam,
        make_crystal,
        make_detector,
        make_goniometer,
        make_scan,
        simulate_rotation,
    )
    from xdp.simulation.write import write_minicbf_series

    try:
        (folder / "images").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise XdpError(f"{folder}: cannot be made: {error.strerror}") from error
    # A folder of that name may hold a user's images, which must not be deleted.
    old = sorted((folder / "images").glob("demo_*.cbf"))
    if old and not (folder / "truth.expt").exists():
        raise XdpError(f"{old[0]}: this image is not of an earlier demo: give output.directory another name")
    simulation = simulate_rotation(
        make_crystal(orientation=options.seed), make_beam(), make_detector(), make_goniometer(),
        make_scan(options.n_frames, options.width), options=options.simulation, seed=options.seed)
    write_experiments(folder / "truth.expt", simulation.experiments)
    write_reflections(folder / "truth.refl", simulation.truth)
    # A longer series of an earlier demo would be imported with the new one.
    for image in old:
        image.unlink()
    write_minicbf_series(simulation, folder / "images", "demo")
    return simulation


def _describe_result(name: str, folder: Path, simulation: Simulation) -> str:
    """What came out of a step, in a few words, beside the truth."""
    from xdp.experiment import read_experiments
    from xdp.reflections import read_reflections
    from xdp.simulation.compare import compute_misorientation, match_truth

    if name == "find_spots":
        spots = read_reflections(folder / "strong.refl")
        # Spots that lie where a simulated reflection is; the rest is noise.
        true = int((match_truth(simulation.truth, spots) >= 0).sum())
        return f"{len(spots)} spots, {true} of them where the truth has a reflection"
    if name in ("index", "refine"):
        stem = "indexed" if name == "index" else "refined"
        crystal = read_experiments(folder / f"{stem}.expt")[0].crystal
        if crystal is None:
            return "no lattice found"
        n_indexed = int((read_reflections(folder / f"{stem}.refl")["id"] >= 0).sum())
        a, _, c = crystal.unit_cell[:3]
        true_crystal = simulation.experiments[0].known.crystal
        off = compute_misorientation(crystal, true_crystal)
        return (f"{n_indexed} spots; a {a:.3f} Å, c {c:.3f} Å (truth {true_crystal.unit_cell[0]:.2f}, "
                f"{true_crystal.unit_cell[2]:.2f}), orientation off by {off:.4f}°")
    if name == "integrate":
        return _describe_intensities(folder, simulation)
    files = {"export": "integrated.mtz", "export_images": "spots.png", "report": "xdp.report.html"}
    return str(folder / files.get(name, "imported.expt"))


def _describe_intensities(folder: Path, simulation: Simulation) -> str:
    """How integrated intensities agree with those that were simulated."""
    from xdp.reflections import Flag, read_reflections
    from xdp.simulation.compare import measure_agreement

    table = read_reflections(folder / "integrated.refl")
    # Without fits, as of very short series, sums are compared.
    kind = "prf" if table.any_flags(Flag.INTEGRATED_PRF).any() else "sum"
    found = measure_agreement(simulation.truth, table, kind)
    return (f"{len(table)} reflections; {'fitted' if kind == 'prf' else 'summed'} intensities correlate with the truth "
            f"by {found.cc:.4f}, those of the weakest third by {found.cc_weak:.3f}")


def _show(rows: list[Row], folder: Path) -> None:
    """The summary on the screen, then what to do next."""
    print_rows(rows, "xdp demo")
    # The lines are meant to be copied into a shell.
    at = shlex.quote(os.fspath(folder))
    sys.stdout.write(f"\nThe picture is {folder / 'spots.png'}; logs and results are beside it. Try next:\n"
                     f"  xdp find_spots {at}/imported.expt d_min=2.5\n"
                     f"  xdp show {at}/integrated.refl\n"
                     f"  xdp process {at}/images/demo_####.cbf output.directory={at}/again space_group=P43212\n"
                     "  xdp import YOUR_IMAGES_*.cbf\n"
                     f"\nPlots of it all, for a browser: {folder / 'xdp.report.html'}\n")
