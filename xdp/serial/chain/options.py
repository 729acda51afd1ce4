"""Parameters of ``xdp pyana``."""

from __future__ import annotations

from xdp.options import FilePath, Options, option
from xdp.serial.events.options import EventOptions
from xdp.work.options import ClusterOptions, MpOptions


class ChainOptions(Options):
    """Parameters of a chain of modules; those of the modules are in its ``.cfg``."""

    run: int | None = option(None, "Number of the run: RUN_NO and {run:04d} in the configuration.", ge=0)
    experiment: str | None = option(None, "Name of the experiment: {experiment} in the configuration.")
    xtc_dir: FilePath | None = option(
        None, "Folder of the LCLS streams, which psana reads where no files are named. None: where LCLS puts them.",
        file="input")
    encoder: str | None = option(
        None, "Process variable of the detector's encoder in LCLS streams. None: that of the detector stages of CXI.")
    events: EventOptions = option(EventOptions(), "How shots are read.")
    mp: MpOptions = option(MpOptions(), "Where the work runs.")
    cluster: ClusterOptions = option(ClusterOptions(), "The batch system, where mp.method names one.")
    log: FilePath | None = option(
        "xdp.pyana.log", "File for the messages that are also on the screen; None: no file.", file="output")
