"""Find and integrate the spots of a Laue scan without indexing, as LaueUtil's lu_hdf2spots does.

Usage: xdp laue_spots [options] [parameter=value ...] file__mccd.h5

Each pixel's values over all frames give its background; spots are what stands out. Every option is a parameter too:

  -o FILE, --output=FILE         output=FILE       output file [file__spots.h5]
  -m METHOD, --method=METHOD     method=METHOD     background from n_removed, kruskal, maxgroup [n_removed]
  -n N, --n=N                    n=N               per cent of largest values to drop; 0 means 25 [25]
  -A ALPHA, --alpha=ALPHA        alpha=ALPHA       level of the tests of kruskal and maxgroup [0.05]
  -c CUTOFF, --cutoff=CUTOFF     cutoff=CUTOFF     spot where I >= avg + CUTOFF * std [3.0]
  -e N, --erosions=N             erosions=N        erosions of the raw masks [1]
  -d N, --dilations=N            dilations=N       dilations after them [2]
  -s R,C, --structure=R,C        structure=R,C     as scipy.ndimage.generate_binary_structure [2,2]
  -a N, --angles=N               angles=N          least number of angles in lauecollect/angle [10]
  -S SYNC, --sync=SYNC           sync=SYNC         synchronize masks over none, pairs, blocks [none]
  -C NAME, --compression=NAME    compression=NAME  gzip, lzf, none, zstd, lz4, bitshuffle [gzip]

  -h, --help                     print this; -hh lists all parameters
  --show-config                  print the parameters and their values, and stop
  -v, --verbose                  say more
  --phil FILE                    read a parameter file
  --version                      print the version

Examples:
  xdp laue_spots scan1__mccd.h5
  xdp laue_spots -n 15 -c 4 -S blocks -o spots.h5 scan1__mccd.h5
  xdp laue_spots -m maxgroup -S pairs scan1__mccd.h5 table=spots.csv png=avg png=frame:0
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import xdp
from xdp.errors import OptionError, XdpError
from xdp.laue.options import LaueSpotsOptions
from xdp.options import AUTO, changed_text, parse, scope_text

#: The reference's short options and the parameters they mean; the long names are the parameters' own.
SHORT = {"o": "output", "m": "method", "n": "n", "A": "alpha", "c": "cutoff", "e": "erosions", "d": "dilations",
         "s": "structure", "a": "angles", "S": "sync", "C": "compression"}
#: Options without a value.
_ACTIONS = {"-h": "help", "--help": "help", "-hh": "all", "--show-config": "config", "-v": "verbose",
            "--verbose": "verbose", "--version": "version"}


def run(args: Sequence[str]) -> int:
    """Find the spots of a scan; warnings go to stderr, the summary to stdout.

    Raises
    ------
    XdpError
        If there is not exactly one input, or it is no scan.
    """
    actions, words = translate(args)
    text = _make_answer(actions, words)
    if text is not None:
        sys.stdout.write(text)
        return 0
    options, inputs = parse(LaueSpotsOptions, words)
    if len(inputs) != 1:
        raise OptionError(f"one input (file__mccd.h5) is wanted, got {' '.join(inputs) or 'none'}")
    if "verbose" in actions:
        sys.stdout.write(f"xdp {xdp.__version__} laue_spots\n{changed_text(options)}")
    _refuse_other_kinds(inputs[0])
    from xdp.cli.parsing import protect_inputs
    from xdp.cli.working import run_command_work
    from xdp.laue.find import choose_output_path, find_laue_spots

    output = choose_output_path(inputs[0], options)
    # The name is made from the input's: only now is it known what is written.
    named = options if options.output is not AUTO else options.model_copy(update={"output": str(output)})
    protect_inputs(named, inputs, words)
    with run_command_work("laue_spots", output, options.mp, options.cluster) as work:
        found = find_laue_spots(inputs[0], options, client=work.client, progress=work.progress)
    for warning in found.warnings:
        sys.stderr.write(f"warning: {warning}\n")
    sys.stdout.write(format_summary(found))
    return 0


def _refuse_other_kinds(name: str) -> None:
    """Refuse an input that is known to be no scan; what is wrong with an HDF5 file is said by whoever reads it."""
    import h5py

    from xdp.cli.file_kinds import FileKind, find_kind

    kind, description = find_kind(name)
    if kind is not FileKind.UNKNOWN and not h5py.is_hdf5(name):
        raise XdpError(f"{name}: is {description}; xdp laue_spots reads a scan in an HDF5 file, which xdp laue_import "
                       "makes of images")


def translate(args: Sequence[str]) -> tuple[set[str], list[str]]:
    """Dashed options as parameters (``-c 4``, ``-c4``, ``--cutoff=4``, ``--cutoff 4``, ``--cut=4`` are ``cutoff=4``).

    Long names may be cut short as long as they begin no other one, as the reference's parser takes them.

    Returns
    -------
    actions : set of str
        What ``-h``, ``--show-config``, ``-v`` and ``--version`` ask for.
    words : list of str
        Parameters, parameter files and inputs.

    Raises
    ------
    OptionError
        If an option is unknown, ambiguous, or lacks its value.
    """
    actions: set[str] = set()
    words: list[str] = []
    # By hand and not by argparse: -c4, and values such as -1.5, must pass as in the original.
    rest = list(args)
    while rest:
        word = rest.pop(0)
        if word.startswith("--") and len(word) > 2:
            word = _complete(word)
        if word in _ACTIONS:
            actions.add(_ACTIONS[word])
        elif word == "--":
            words += rest
            rest = []
        elif word.startswith("-") and len(word) > 1:
            words.append(_parameter(word, rest))
        else:
            words.append(word)
    return actions, words


def _complete(word: str) -> str:
    """A long option with its whole name, which it may only begin; what is no option is left as it is."""
    name, separator, value = word.partition("=")
    theirs = ["--help", *(f"--{long}" for long in SHORT.values() if long != "sync")]
    ours = ["--sync", "--phil", *(action for action in _ACTIONS if action.startswith("--") and action != "--help")]
    # what the reference takes means the same here, whatever other options there are
    found = [name] if name in theirs + ours else [long for long in theirs if long.startswith(name)]
    found = found or [long for long in ours if long.startswith(name)]
    if len(found) > 1:
        raise OptionError(f"option {name} is ambiguous: {', '.join(sorted(found))}")
    return found[0] + separator + value if found else word


def _parameter(word: str, rest: list[str]) -> str:
    """One dashed option with its value, taken from the word itself or from the next one."""
    if word.startswith("--"):
        name, has_value, value = word[2:].partition("=")
    else:
        # -c4: the value may follow its letter directly.
        name, value = SHORT.get(word[1], ""), word[2:]
        has_value = value
    if name not in (*SHORT.values(), "phil"):
        raise OptionError(f"unknown option {word}; xdp laue_spots -h explains the options")
    if not has_value:
        if not rest:
            raise OptionError(f"option {word} needs a value")
        value = rest.pop(0)
    return value if name == "phil" else f"{name}={value}"


def _make_answer(actions: set[str], words: list[str]) -> str | None:
    """The text that -h, --version or --show-config print; None without them."""
    if "all" in actions:
        return f"{__doc__}\nParameters:\n{scope_text(LaueSpotsOptions, 3, 1)}"
    if "help" in actions:
        return __doc__
    if "version" in actions:
        return f"xdp {xdp.__version__}\n"
    if "config" in actions:
        return scope_text(parse(LaueSpotsOptions, words)[0], 3)
    return None


def format_summary(found) -> str:
    """Say in a few lines how many spots and ratios were found, and where they are.

    Parameters
    ----------
    found : LaueSpots
        Its ``counts`` are the spots on each mask.
    """
    counts = found.counts
    text = f"{len(found.spots['I'])} spots on {len(counts)} masks"
    if len(counts):
        text += f" (least {counts.min()}, median {int(sorted(counts)[len(counts) // 2])}, most {counts.max()} a mask)"
    if found.ratios is not None:
        text += f"\n{len(found.ratios['ratio'])} on/off ratios"
    return f"{text}\nWrote {found.output}\n"
