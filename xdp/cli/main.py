"""The command `xdp`: lists the commands, and runs one.

Only the standard library is imported here, so that the list comes at once; a command imports what it needs.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
from collections.abc import Sequence

import xdp
from xdp.cli.limits import explain_limit, warn_of_limit
from xdp.errors import XdpError
from xdp.protection import command_scope

#: Each command and what it does. The docstring of ``xdp.cli.NAME`` is its help. Its ``run(args)`` takes the words after
#: the command's name and gives the exit status, 0. What it cannot do it raises as an XdpError.
COMMANDS = {
    "demo": "simulate a small rotation series, process it and show how well that went",
    "process": "all of it: from images to integrated intensities and an MTZ file",
    "import": "read the headers of images and write imported.expt",
    "find_spots": "find the spots on images and write strong.refl",
    "find_hot_pixels": "mask the pixels that look like a spot on every image",
    "estimate_gain": "estimate the detector's gain from the background",
    "generate_mask": "write a mask of the pixels that should not be used",
    "show": "print what is in experiment, reflection and image files",
    "report": "write a page about a data set: what it is, what is wrong with it, plots",
    "search_beam_position": "find where the beam meets the detector from the spots",
    "find_rotation_axis": "find the rotation axis from the spots, for electron diffraction",
    "index": "find the lattice of the spots and write indexed.expt and indexed.refl",
    "refine": "refine all models against the spots and write refined.expt and refined.refl",
    "refine_bravais_settings": "refine in every Bravais setting and say which fit",
    "integrate": "measure the intensities and write integrated.expt and integrated.refl",
    "model_background": "model the background of a series for background.algorithm=gmodel",
    "reindex": "change the basis of crystals and Miller indices",
    "symmetry": "find the Laue group and the space group and write symmetrized.expt and symmetrized.refl",
    "cosym": "index many data sets alike, find their symmetry and write symmetrized.expt and symmetrized.refl",
    "scale": "bring the observations of each reflection to one scale and write scaled.expt and scaled.refl",
    "compute_delta_cchalf": "leave out the data sets or images that lower CC1/2",
    "estimate_resolution": "estimate how far scaled data reach",
    "merge": "average scaled observations and write merged.mtz with its statistics",
    "export": "write reflections as MTZ, XDS_ASCII, mmCIF, SHELX or JSON for other programs",
    "convert_geometry": "convert geometry files of CrystFEL and LCLS, and .expt files, to each other",
    "average": "average the shots of a serial run: darks, mean, deviation, maximum",
    "find_hits": "find the hits of a serial run: a table of all shots, powder patterns",
    "stills_process": "shots to intensities in one pass: hits, spots, lattices, intensities",
    "xtc_process": "an LCLS run to intensities in one pass, by the command line of cctbx.xfel",
    "refine_metrology": "refine where the panels lie from many shots, and write the new geometry",
    "pyana": "send the shots of a run through a chain of modules, by the .cfg of pyana",
    "laue_import": "put Laue images and their Lauecollect log into one HDF5 file",
    "laue_spots": "find and integrate spots of a Laue scan without indexing",
    "convert": "write an image stack as a zarr store with its experiment",
    "export_images": "draw frames, or sums of frames, with found spots, as PNG",
    "plan": "forecast time, memory and the number of jobs that pay on a cluster",
    "submit": "run a command as a batch job, so that the login node is free",
    "status": "say how a run stands: stages, chunks done, rates, failures",
    "cancel": "cancel a submitted run",
    "logs": "print the logs of a run",
}

#: Commands whose module has another name: "import" is a keyword.
_MODULES = {"import": "import_"}

#: Commands about the runs of others, which keep no state of their own.
_ABOUT_RUNS = ("submit", "status", "cancel", "logs")

#: New objects after which Python looks for garbage in cycles. With its own 700 a find_spots of 60 frames looked 299
#: times, mostly during imports, where there is none; with 10,000 it looks 32 times, in 0.05 to 0.1 s less, and needs
#: as much memory (210 MiB both times).
_OBJECTS_PER_COLLECTION = 10_000


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``xdp COMMAND ARGS...`` and give the exit status.

    0: done; 1: something outside the program is wrong (one line on stderr); 130: interrupted. A defect of the
    program keeps its traceback. Without `argv` this process is the program, and ends with the command.
    """
    if argv is not None:
        return _run_words(list(argv))
    gc.set_threshold(_OBJECTS_PER_COLLECTION)
    status = _run_words(sys.argv[1:])
    # Spares the interpreter a last look at all objects at its exit, 0.1 to 0.2 s. Files are closed by now, and what is
    # registered to be done at the exit is still done.
    gc.freeze()
    return status


def _run_words(args: list[str]) -> int:
    """Run a command line; the exit status."""
    try:
        status = _dispatch(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (`| head`) is gone: nothing more can be said, and the interpreter must not try at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    return status


def _dispatch(args: list[str]) -> int:
    if not args or args[0] in ("-h", "--help"):
        sys.stdout.write(format_overview())
        return 0
    if args[0] == "help":
        return _help(args[1:])
    if args[0] in ("-V", "--version"):
        sys.stdout.write(f"xdp {xdp.__version__}\n")
        return 0
    name, *rest = args
    return _run(name, rest)


def _help(names: list[str]) -> int:
    """Run ``xdp help`` or ``xdp help COMMAND``; the exit status."""
    # `xdp help -h` is asked by people who want to know what help takes: the overview says it.
    names = [name for name in names if name not in ("-h", "--help", "help")]
    if not names:
        sys.stdout.write(format_overview())
        return 0
    if len(names) > 1:
        return _report_failure("help", f"help takes one command, got {' '.join(names)}")
    return _run(names[0], ["-h"])


def _run(typed: str, args: list[str]) -> int:
    """Run one command; user errors become one line."""
    name = typed.replace("-", "_")
    try:
        if name not in COMMANDS:
            raise XdpError(_describe_unknown_command(typed))
        warn_of_limit()
        module = importlib.import_module(f"xdp.cli.{_MODULES.get(name, name)}")
        with command_scope():
            if os.environ.get("XDP_STATE") and name not in _ABOUT_RUNS:
                from xdp.cli.working import run_submitted

                return run_submitted(name, module.run, args)
            return int(module.run(args) or 0)
    except XdpError as error:
        return _report_failure(name, str(error))
    except BrokenPipeError:
        raise
    except (OSError, MemoryError, ImportError, RuntimeError, SystemError) as error:
        limit = explain_limit(error)
        if limit is not None:
            return _report_failure(name, limit)
        if not isinstance(error, OSError):
            raise
        # Such as a full disk: nothing of ours to mend.
        return _report_failure(name, f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
    except SystemExit as leaving:  # -h and -c leave this way
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)


def _report_failure(name: str, message: str) -> int:
    """Say why a command stops; its exit status."""
    shown = f"xdp {name}" if name in COMMANDS else "xdp"
    # What was printed comes before the error, also where both go to one file.
    sys.stdout.flush()
    sys.stderr.write(f"{shown}: error: {message}\n")
    return 1


def _describe_unknown_command(typed: str) -> str:
    """The error for a command that is not ours: what to use instead, or which one is meant."""
    # Late: only a mistyped command pays for them.
    import difflib

    from xdp.cli.other_programs import advise_on_command

    if typed.startswith("-"):
        return f"no option {typed}: the command comes first, as in xdp find_spots -h (xdp --help lists the commands)"
    if os.path.exists(typed):
        return f"{typed} is a file, and the command comes first: xdp show {typed} prints what is in it"
    advice = advise_on_command(typed, COMMANDS)
    if advice is None:
        name = typed.lower().replace("-", "_").removeprefix("xdp.")
        near = difflib.get_close_matches(name, COMMANDS, 1, 0.5)
        advice = f"did you mean {near[0]}?" if near else None
    hint = f"; {advice}" if advice else ""
    return f"no command {typed!r}{hint} (xdp --help lists the commands)"


def format_overview() -> str:
    """Make the text of ``xdp --help``: each command with its line.

    Returns
    -------
    str
        Made of :data:`COMMANDS` alone, since nothing else is imported for it.
    """
    width = max(map(len, COMMANDS)) + 2
    lines = "".join(f"  {name:{width}}{help}\n" for name, help in COMMANDS.items())
    return (
        f"xdp {xdp.__version__}: X-ray diffraction images to intensities\n\n"
        f"Usage: xdp COMMAND [parameter=value ...] inputs\n\nCommands:\n{lines}\n"
        "xdp help COMMAND explains a command, as does xdp COMMAND -h; xdp COMMAND -c lists its parameters.\n"
    )


if __name__ == "__main__":
    sys.exit(main())
