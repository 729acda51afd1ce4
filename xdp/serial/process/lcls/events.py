"""Which events of a stream are processed, and the gain that they show."""

from __future__ import annotations

import os

from xdp.errors import XdpError
from xdp.serial.events import Events
from xdp.serial.events.shot import Shot
from xdp.serial.process.inputs import take_share
from xdp.serial.process.lcls.options import XtcProcessOptions
from xdp.serial.process.lcls.translate import Rank
from xdp.serial.process.options import StillsProcessOptions
from xdp.serial.process.results.record import choose_unrecorded, read_record
from xdp.serial.process.tags import make_tag


def choose_events(events: Events, given: XtcProcessOptions, options: StillsProcessOptions, rank: Rank) -> list[int]:
    """Choose the events that this process takes.

    Parameters
    ----------
    events : Events
    given : XtcProcessOptions
        ``dispatch.max_events``, ``process_percent`` and ``debug``.
    options : StillsProcessOptions
        The same parameters in our terms: the record lies in its ``output_dir``.
    rank : Rank
        Event n goes to rank n mod size.

    Returns
    -------
    list of int
        Numbers of the events, ascending.

    Raises
    ------
    XdpError
        If none is left.
    """
    chosen = list(range(len(events)))
    # counted over the whole run, not for each rank
    if given.dispatch.max_events is not None:
        chosen = chosen[:given.dispatch.max_events]
    if given.dispatch.process_percent is not None:
        chosen = take_share(chosen, given.dispatch.process_percent)
    debug = given.debug
    if debug.skip_processed_events or debug.skip_unprocessed_events or debug.skip_bad_events:
        states = read_record(os.path.join(options.output.output_dir, "debug"))
        tags = [make_tag(events.get_id(number)) for number in chosen]
        left = choose_unrecorded(tags, states, processed=debug.skip_processed_events,
                                 unprocessed=debug.skip_unprocessed_events, bad=debug.skip_bad_events)
        chosen = [chosen[k] for k in left]
    chosen = [number for number in chosen if number % rank.size == rank.rank]
    if not chosen:
        raise XdpError("no event is left to process: debug.skip_* leave out all of them, or the run has fewer than "
                       "this rank's number")
    return chosen


def print_gains(events: Events, options: StillsProcessOptions) -> None:
    """Print the gain of the detector as the background of each event shows it.

    Parameters
    ----------
    events : Events
    options : StillsProcessOptions
        ``calibration`` is applied before.
    """
    from xdp.serial.calibration.calibrate import Calibration

    calibration = Calibration(options.calibration)
    for number in range(len(events)):
        shot = calibration.apply(events.read(number))
        print(f"{shot.id}: {describe_gain(shot)}")


def describe_gain(shot: Shot) -> str:
    """Describe the gain that the background of a shot shows.

    Parameters
    ----------
    shot : Shot

    Returns
    -------
    str
    """
    import numpy as np

    from xdp.spotfinding.gain import estimate_gain

    if shot.failure is not None:
        return shot.failure.message
    valid = shot.valid if shot.valid is not None else [np.ones(image.shape, bool) for image in shot.image]
    try:
        return f"estimated gain {estimate_gain(shot.image, valid).gain:.3f}"
    except XdpError as error:
        return str(error)
