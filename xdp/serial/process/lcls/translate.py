"""An LCLS run through ``xdp stills_process``: the parameters of ``cctbx.xfel.xtc_process`` in terms of ours."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from xdp.errors import OptionError
from xdp.images.masks.options import MaskOptions
from xdp.serial.events.options import EventOptions
from xdp.serial.events.psana.address import convert_address, find_encoder
from xdp.serial.process.extras import ShotExtras
from xdp.serial.process.lcls.options import StreamMpOptions, XtcProcessOptions
from xdp.serial.process.options import (
    ShotDispatchOptions,
    ShotInputOptions,
    ShotMpOptions,
    ShotOutputOptions,
    ShotProcessing,
    StillsProcessOptions,
)

log = logging.getLogger(__name__)

#: Parameters that are accepted and not used, and what to say of each where it is given.
NOT_USED = {
    "input.stream": "psana's index chooses the streams", "input.calib_dir": "psana finds its calibrations itself; ours "
    "are given by calibration.*", "input.use_ffb": "psana's index is not on the fast file system; give input.xtc_dir",
    "format.cbf.rayonix.bin_size": "the geometry has the size of the pixels",
    "output.delete_integration_shoeboxes": "pixels of integrated reflections are never kept",
    "output.tmp_output_dir": "files are written whole and renamed", "input.cfg": "psana is asked for images itself",
    "format.pickle.out_key": "psana is asked for images itself",
    "format.cbf.cspad.mask_nonbonded_pixels": "psana's masks are not read; give calibration.mask_path or "
    "format.cbf.invalid_pixel_mask",
    "format.cbf.cspad.per_pixel_gain": "psana's gains are not read; give calibration.gain_map_path",
    "format.cbf.cspad.common_mode.algorithm": "give calibration.common_mode_correction, dark_path and dark_stddev",
    "format.cbf.cspad.common_mode.custom_parameterization": "give calibration.common_mode_correction",
}


class Rank(NamedTuple):
    """Which part of the events this process takes: event n with n mod size = rank."""

    rank: int = 0
    size: int = 1


def find_rank(mp: StreamMpOptions, environ: Mapping[str, str]) -> Rank:
    """Find the place of this process among those of mpirun or of an array of jobs.

    Parameters
    ----------
    mp : StreamMpOptions
    environ : mapping of str to str
        The environment.

    Returns
    -------
    Rank

    Raises
    ------
    OptionError
        If the numbers of an array of jobs make no sense.

    Examples
    --------
    >>> find_rank(StreamMpOptions(method="sge"), {"SGE_TASK_ID": "5", "SGE_TASK_FIRST": "3", "SGE_TASK_LAST": "8"})
    Rank(rank=2, size=6)
    """
    if mp.method == "sge" and environ.get("SGE_TASK_ID", "undefined") != "undefined":
        try:
            task, first, last = (int(environ[f"SGE_TASK_{name}"]) for name in ("ID", "FIRST", "LAST"))
        except (KeyError, ValueError) as error:
            raise OptionError("mp.method=sge: SGE_TASK_ID, SGE_TASK_FIRST and SGE_TASK_LAST must be numbers, as an "
                              f"array of jobs has them ({error})") from error
        return Rank(task - first, last - first + 1)
    if mp.method == "mpi":
        for rank, size in (("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"), ("PMI_RANK", "PMI_SIZE")):
            if environ.get(rank, "").isdecimal() and environ.get(size, "").isdecimal():
                return Rank(int(environ[rank]), int(environ[size]))
    return Rank()


def find_run(options: XtcProcessOptions) -> tuple[str, int, str | None]:
    """Find out which run is read.

    Parameters
    ----------
    options : XtcProcessOptions

    Returns
    -------
    experiment, run, folder
        The folder is None where LCLS puts the streams.

    Raises
    ------
    OptionError
        If it is not said.
    """
    source = options.dispatch.datasource
    if source is not None:
        words = dict(part.partition("=")[::2] for part in source.split(":") if "=" in part)
        if "exp" not in words or not words.get("run", "").isdecimal():
            raise OptionError(f"dispatch.datasource={source}: must hold exp=NAME and run=NUMBER between colons")
        return words["exp"].rpartition("/")[2], int(words["run"]), words.get("dir", options.input.xtc_dir)
    if options.input.experiment is None or options.input.run_num is None:
        raise OptionError("input.experiment and input.run_num are needed, such as input.experiment=cxi49812 "
                          "input.run_num=69")
    if options.input.use_ffb and options.input.xtc_dir is not None:
        raise OptionError("input.use_ffb=True and input.xtc_dir exclude each other: give one of them")
    return options.input.experiment, options.input.run_num, options.input.xtc_dir


def make_event_options(options: XtcProcessOptions) -> EventOptions:
    """Make the options of the events of a run.

    Parameters
    ----------
    options : XtcProcessOptions

    Returns
    -------
    EventOptions

    Raises
    ------
    OptionError
        If nothing says how far the detector is, or what it looks like.
    """
    image = options.format.cbf
    if options.format.file_format == "cbf" and image.detz_offset is None and image.override_distance is None:
        raise OptionError("format.cbf.detz_offset is needed (mm, added to the encoder), or override_distance")
    geometry = options.geometry_file or options.input.reference_geometry
    if geometry is None:
        raise OptionError("the geometry of the detector is needed: geometry_file=run.geom or input.reference_geometry="
                          "refined.expt (psana's own geometry: xdp convert_geometry 0-end.data makes either of it)")
    _, encoder = find_address(options)
    # without an encoder the offset is the distance itself, as at XPP and MFX
    distance = image.override_distance if encoder is not None else image.override_distance or image.detz_offset
    return EventOptions(geometry=geometry, detz_offset=image.detz_offset, energy=image.override_energy,
                        distance=distance)


def find_address(options: XtcProcessOptions) -> tuple[str, str | None]:
    """Find the address of the detector, and the process variable of its encoder.

    Parameters
    ----------
    options : XtcProcessOptions

    Returns
    -------
    address, encoder

    Raises
    ------
    OptionError
        If there is no address.
    """
    if options.input.address is None:
        raise OptionError("input.address is needed, such as input.address=CxiDs1.0:Cspad.0")
    address = convert_address(options.input.address)
    return address, options.encoder or find_encoder(address)


def make_extras(options: XtcProcessOptions) -> ShotExtras:
    """Make what is done with each shot besides.

    Parameters
    ----------
    options : XtcProcessOptions

    Returns
    -------
    ShotExtras

    Raises
    ------
    OptionError
        If rings are wanted and not named.
    """
    given, rings = options.input, options.radial_average
    if rings.enable and (rings.two_theta_low is None or rings.two_theta_high is None):
        raise OptionError("radial_average.enable=True needs two_theta_low and two_theta_high, degrees")
    dumps = {"shot": options.dispatch.dump_all, "hit": options.dispatch.dump_strong,
             "idx": options.dispatch.dump_indexed}
    angles = (rings.two_theta_low, rings.two_theta_high) if rings.enable else ()
    return ShotExtras(
        spot_limits=(given.override_spotfinding_trusted_min, given.override_spotfinding_trusted_max),
        integration_limits=(given.override_integration_trusted_min, given.override_integration_trusted_max),
        mask=options.format.cbf.invalid_pixel_mask,
        border_mask=None if options.border_mask == MaskOptions() else options.border_mask,
        dumps=frozenset(name for name, is_wanted in dumps.items() if is_wanted),
        dump_form=options.format.file_format, folder=options.output.output_dir, address=given.address or "",
        reindexed_name=options.output.reindexedstrong_filename if options.dispatch.reindex_strong else None,
        timestamps=frozenset(options.debug.event_timestamp),
        rings=tuple(angle for angle in angles if angle is not None), by_time=True,
        time_identifiers=options.output.psana_identifiers)


def make_stills_options(options: XtcProcessOptions, rank: Rank = Rank()) -> StillsProcessOptions:  # noqa: B008
    """Make the options of ``xdp stills_process`` of those of a run.

    Parameters
    ----------
    options : XtcProcessOptions
    rank : Rank
        With several ranks each has a table, a log and a stream of its own.

    Returns
    -------
    StillsProcessOptions

    Raises
    ------
    OptionError
        If something is asked for that is not done here.
    """
    if options.joint_reintegration.enable:
        raise OptionError("joint_reintegration.enable=True: not done in the same run; xdp refine and xdp integrate "
                          "take all integrated shots of the written files together")
    shared = {name: getattr(options, name) for name in ShotProcessing.model_fields}
    dispatch = {name: getattr(options.dispatch, name) for name in ShotDispatchOptions.model_fields
                if name in type(options.dispatch).model_fields}
    output = {name: getattr(options.output, name) for name in ShotOutputOptions.model_fields}
    if rank.size > 1:
        output |= {name: None if output[name] is None else add_rank(output[name], rank.rank)
                   for name in ("table", "stream", "log")}
    own = options.input
    given = ShotInputOptions(max_images=options.dispatch.max_events, reference_geometry=own.reference_geometry,
                             sync_reference_geom=own.sync_reference_geom, ignore_gain_mismatch=own.ignore_gain_mismatch)
    if options.input.known_orientations_folder is not None:
        stills = options.indexing.stills.model_copy(update={
            "known_orientations": (options.input.known_orientations_folder,), "require_known_orientation": True})
        shared["indexing"] = options.indexing.model_copy(update={"stills": stills})
    plain = StillsProcessOptions()
    return plain.model_copy(update={
        **shared, "dispatch": plain.dispatch.model_copy(update=dispatch),
        "output": plain.output.model_copy(update=output), "input": given, "mp": make_mp_options(options.mp, rank),
        "events": make_event_options(options)})


def make_mp_options(mp: StreamMpOptions, rank: Rank) -> ShotMpOptions:
    """Say where the work runs in the words of the other commands.

    Parameters
    ----------
    mp : StreamMpOptions
    rank : Rank
        A rank among several does its work itself.

    Returns
    -------
    ShotMpOptions
    """
    method: Any = "none" if rank.size > 1 else "multiprocessing" if mp.method == "mpi" else mp.method
    return ShotMpOptions(method=method, njobs=mp.njobs, nproc=mp.nproc, chunksize=mp.chunksize,
                         composite_stride=mp.composite_stride, debug=mp.debug)


def add_rank(name: str, rank: int) -> str:
    """Put the rank into the name of a file, before its ending.

    Parameters
    ----------
    name : str
    rank : int

    Examples
    --------
    >>> add_rank("out/shots.zarr", 3)
    'out/shots_rank0003.zarr'
    """
    base, ending = os.path.splitext(name)
    return f"{base}_rank{rank:04d}{ending}"


def list_unused_parameters(options: XtcProcessOptions) -> list[str]:
    """Say of each parameter that was given and has no effect a line.

    Parameters
    ----------
    options : XtcProcessOptions

    Returns
    -------
    list of str
    """
    plain, lines = XtcProcessOptions(), []
    for path, why in NOT_USED.items():
        here: Any = options
        there: Any = plain
        for name in path.split("."):
            here, there = getattr(here, name), getattr(there, name)
        if here != there:
            lines.append(f"{path}: accepted and not used: {why}")
    if options.db != plain.db:
        lines.append("db.*: accepted and not used: no database is written; the table of shots is "
                     f"{options.output.table}")
    for correction in options.format.per_pixel_absorption_correction:
        if correction.apply:
            lines.append("format.per_pixel_absorption_correction: not applied to images; "
                         "integration.absorption_correction corrects the intensities")
    return lines
