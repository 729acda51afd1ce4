"""The shots of a chain: files, or the LCLS run that the configuration's address and the command line name."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path

from xdp.errors import OptionError
from xdp.serial.chain.configuration import ChainSettings
from xdp.serial.chain.options import ChainOptions
from xdp.serial.events import EventOptions, Events, open_events
from xdp.serial.events.psana import StreamOptions, open_stream
from xdp.serial.events.psana.address import convert_address, find_encoder

log = logging.getLogger(__name__)

_STREAM = re.compile(r"\.xtc2?(\.inprogress)?$")


def is_stream_file(path: str | os.PathLike) -> bool:
    """Whether a file is an LCLS stream, by its name; one that is still written is one, too.

    Examples
    --------
    >>> [is_stream_file(f"e665-r0069-s00-c00.{end}") for end in ("xtc", "xtc2", "xtc.inprogress", "h5")]
    [True, True, True, False]
    """
    return bool(_STREAM.search(os.fspath(path)))


def find_calibrated_geometry(settings: ChainSettings) -> str | None:
    """Find the LCLS geometry file in the folder ``geometry`` of the first ``calib_dir``; None without one.

    Parameters
    ----------
    settings : ChainSettings

    Returns
    -------
    str or None
    """
    folders = [module.keys["calib_dir"] for module in settings.modules if module.keys.get("calib_dir")]
    found = [str(path) for folder in folders for path in sorted(Path(folder, "geometry").glob("*.data"))]
    return found[0] if found else None


def choose_event_options(options: ChainOptions, settings: ChainSettings) -> EventOptions:
    """Choose how shots are read: offset and geometry are those of the modules, where the user gives none.

    Parameters
    ----------
    options : ChainOptions
    settings : ChainSettings

    Returns
    -------
    EventOptions

    Raises
    ------
    OptionError
        If an offset is no number.
    """
    events = options.events
    geometry = find_calibrated_geometry(settings)
    if events.geometry is None and geometry is not None:
        events = events.model_copy(update={"geometry": geometry})
    offsets = [module.keys["detz_offset"] for module in settings.modules if "detz_offset" in module.keys]
    if events.detz_offset is not None or not offsets:
        return events
    if len(set(offsets)) > 1:
        log.warning("modules have several detz_offset (%s): the first is used", ", ".join(dict.fromkeys(offsets)))
    try:
        return events.model_copy(update={"detz_offset": float(offsets[0])})
    except ValueError:
        raise OptionError(f"detz_offset must be a number, got {offsets[0]!r}") from None


def open_chain_events(settings: ChainSettings, shots: str | os.PathLike | Sequence[str | os.PathLike],
                      options: ChainOptions) -> Events:
    """Open the shots of a chain.

    Parameters
    ----------
    settings : ChainSettings
    shots : path or sequence of paths
        Files with shots. Without any, or with LCLS streams, psana reads the run ``options.run`` of
        ``options.experiment``; streams say in which folder they are.
    options : ChainOptions

    Returns
    -------
    Events

    Raises
    ------
    OptionError
        If nothing says which shots.
    XdpError
        If psana is wanted and not installed, or files cannot be read.
    """
    paths = [shots] if isinstance(shots, str | os.PathLike) else list(shots)
    events = choose_event_options(options, settings)
    streams = [path for path in paths if is_stream_file(path)]
    if len(streams) < len(paths):
        if streams:
            raise OptionError(f"{os.fspath(streams[0])}: streams and other files cannot be read as one run")
        return open_events(paths, events)
    addresses = [module.keys["address"] for module in settings.modules if module.keys.get("address")]
    if not options.experiment or options.run is None or not addresses:
        raise OptionError("which shots? name image files, folders or lists of events; or the run of LCLS by "
                          "experiment= and run=, and its detector by address in the configuration")
    address = convert_address(addresses[0])
    encoder = options.encoder or find_encoder(address)
    if encoder is None and events.distance is None and events.detz_offset is not None:
        # without an encoder the offset is the distance itself, as at XPP and MFX
        events = events.model_copy(update={"distance": events.detz_offset})
    folder = options.xtc_dir or (os.path.dirname(os.path.abspath(streams[0])) if streams else None)
    return open_stream(StreamOptions(experiment=options.experiment, run=options.run, address=address, xtc_dir=folder,
                                     encoder=encoder, events=events))
