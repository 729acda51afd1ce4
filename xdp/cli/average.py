"""Average the shots of a run: mean, standard deviation and maximum of each pixel, for darks and for looking at a run.

Options of cxi.mpi_average are taken as they are; each is a parameter, too (-n 1000 is numevents=1000, --min is
minimum=True). A dark run is averaged with -R (raw_data=True); its files are dark_path and dark_stddev of later runs.

Examples:

  xdp average run0012.cxi
  xdp average dark/*.cbf -R -o dark
  xdp average run0012.cxi geometry=cspad.geom dark_path=dark/dark_avg.h5 common_mode_correction=median
  xdp average -x cxi49812 -r 69 -a CxiDs2.0:Cspad.0 -d 575 -n 1000
"""

from __future__ import annotations

from collections.abc import Sequence

#: Short options of cxi.mpi_average by their parameters; those of _FLAGS have no value.
_SHORT = {
    "x": "experiment", "r": "run", "a": "address", "d": "detz_offset", "o": "outputdir", "A": "averagebase",
    "S": "stddevbase", "M": "maxbase", "n": "numevents", "s": "skipevents", "p": "as_pickle", "R": "raw_data",
    "B": "background_pickle", "g": "gain_mask_value",
}
_LONG = (*_SHORT.values(), "minpath")
_FLAGS = ("as_pickle", "raw_data")
#: Options that only psana's own streams have, or that say what is said by other parameters here.
_UNUSED = {
    "m": "--pickle-optical-metrology", "C": "--calib_dir", "P": "--pickle_calib_dir", "D": "--xtc_dir",
    "f": "--use_ffb", "": "--config", "b": "--bin_size", "X": "--override_beam_x", "Y": "--override_beam_y",
}
_UNUSED_FLAGS = ("--pickle-optical-metrology", "--use_ffb")


def run(args: list[str]) -> int:
    """Average shots, on workers if the parameters ask for them, and write the results.

    Raises
    ------
    XdpError
        If there are no shots, or none of them can be used.
    """
    from collections import Counter

    from xdp.cli.parsing import parse_command
    from xdp.cli.working import run_command_work
    from xdp.logs import log_start, start_log
    from xdp.protection import refuse_input
    from xdp.serial.calibration.average import average_events
    from xdp.serial.calibration.options import AverageOptions
    from xdp.serial.calibration.outputs import list_average_files, write_averages
    from xdp.serial.events.open import open_events
    from xdp.serial.events.psana import StreamOptions, open_stream
    from xdp.work.cores import count_threads

    words, unused = translate_options(args)
    command = parse_command(AverageOptions, words, __doc__, "average")
    options = command.options
    log = start_log(options.log, command.verbosity)
    log_start("average", command.changed)
    for option in unused:
        log.warning("%s: accepted, and not used: shots are read from files", option)
    events_options = options.events
    if options.detz_offset is not None:
        events_options = events_options.model_copy(update={"detz_offset": options.detz_offset})
    if not command.inputs and options.experiment and options.address:
        events = open_stream(StreamOptions(experiment=options.experiment, run=options.run or 0, address=options.address,
                                           events=events_options))
    else:
        events = open_events(command.inputs, events_options)
    files = list_average_files(options, command.inputs)
    for path in files.values():
        # Asked before anything is read: names are made of fields, which the parser does not see.
        refuse_input(path)
    with run_command_work("average", files["mean"], options.mp, options.cluster) as work:
        averages = average_events(events, options, client=work.client, n_threads=count_threads(options.mp),
                                  progress=work.progress)
    write_averages(averages, options, command.inputs)
    log.info("%d shots averaged; the variance has the divisor %s", averages.n_shots, averages.divisor)
    if averages.n_skipped:
        log.info("%d shots were left out by their skewness", averages.n_skipped)
    for reason, n in Counter(reason for _, reason, _ in averages.failures).most_common():
        first = next(message for _, word, message in averages.failures if word == reason)
        log.warning("%d shots were not used: %s; the first: %s", n, reason, first)
    for part, path in files.items():
        log.info("Saved %s to %s", part, path)
    return 0


def translate_options(args: Sequence[str]) -> tuple[list[str], list[str]]:
    """Write the options of cxi.mpi_average as parameters.

    Parameters
    ----------
    args : sequence of str
        Words of the command line.

    Returns
    -------
    words : list of str
        With ``name=value`` in their place.
    unused : list of str
        Options that have no effect here.

    Raises
    ------
    OptionError
        If an option lacks its value.

    Examples
    --------
    >>> translate_options(["-n", "100", "-R", "--min", "a.cxi", "-f"])
    (['numevents=100', 'raw_data=True', 'minimum=True', 'a.cxi'], ['--use_ffb'])
    """
    from xdp.errors import OptionError

    words: list[str] = []
    unused: list[str] = []
    rest = list(args)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        is_long = name.startswith("--")
        known = name[2:] if is_long else _SHORT.get(name[1:], "") if name.startswith("-") and len(name) == 2 else ""
        dropped = name if is_long else _UNUSED.get(name[1:], "") if name.startswith("-") else ""
        # xdp's own -a takes a level: a number.
        if name == "-a" and rest and rest[0].isdigit():
            words += [word, rest.pop(0)]
        elif name == "--min":
            words.append("minimum=True")
        elif dropped in _UNUSED.values():
            unused.append(dropped)
            if dropped not in _UNUSED_FLAGS and not equals and rest:
                rest.pop(0)
        elif known in _FLAGS:
            words.append(f"{known}={value or 'True'}")
        elif known in _LONG:
            if not equals and not rest:
                raise OptionError(f"option {word} needs a value")
            words.append(f"{known}={value if equals else rest.pop(0)}")
        else:
            words.append(word)
    return words, unused
