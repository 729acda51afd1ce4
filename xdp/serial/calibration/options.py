"""Parameters of the calibration of shots and of averages, with the names of cctbx.xfel."""

from __future__ import annotations

from typing import Literal

from xdp.options import FilePath, Options, option
from xdp.serial.events.options import EventOptions
from xdp.work.options import ClusterOptions, WorkerOptions

CommonMode = Literal["none", "mean", "median", "mode", "gaussian", "chebyshev"]


class CalibrationOptions(Options):
    """What is done with the raw counts of a shot, in this order: dark, common mode, gain, mask."""

    dark_path: FilePath | None = option(
        None, "Mean dark, subtracted from each shot: an image, HDF5 of xdp average, or a pickle of cctbx.",
        file="input")
    dark_stddev: FilePath | None = option(
        None, "Standard deviation of the dark. Pixels where it is 0 are not used; the common mode needs it.",
        file="input")
    common_mode_correction: CommonMode = option(
        "none", "Offset of each section that is subtracted besides the dark, found over pixels whose dark deviation is "
        "above 0: their mean (below 2 deviations), median, the fullest of 100 bins from -40 to 40 (mode), the centre "
        "of a Gaussian fitted to these (gaussian), or a polynomial along rows and columns (chebyshev).")
    gain_map_path: FilePath | None = option(
        None, "Map by which the pixels are multiplied behind the common mode.", file="input")
    gain_map_level: float | None = option(
        None, "The gain map holds 0 and 1: pixels with 0 are multiplied by this number, others by 1.", gt=0.0)
    mask_path: FilePath | None = option(
        None, "Image whose pixels of -2 or -100000 are not used, or a mask of DIALS.", file="input")
    flag_pixels: bool = option(
        False, "Leave out pixels whose dark is far from that of their neighbours: hot, cold and noisy ones.")
    pedestal_path: FilePath | None = option(
        None, "HDF5 with the pedestals of three gains (data set pedestals: gain, panel, slow, fast), for raw counts of "
        "Jungfrau and its like, which hold the gain in their two highest bits.", file="input")
    gains_path: FilePath | None = option(
        None, "HDF5 with the gains of these (data set gains), counts per photon or per keV.", file="input")


class AverageOptions(Options):
    """Parameters of ``xdp average``, with the names of ``cxi.mpi_average``."""

    experiment: str | None = option(None, "Experiment, such as cxi49812: for the names of the results.")
    run: int | None = option(None, "Run: for the names of the results.", ge=0)
    address: str | None = option(None, "Detector of streams, such as CxiDs2.0:Cspad.0.")
    detz_offset: float | None = option(
        None, "Added to the encoder to give the distance, mm; the distance itself where there is no encoder.")
    outputdir: FilePath = option(".", "Folder of the results.", file="folder")
    averagebase: str = option("{experiment!l}_avg-r{run:04d}", "Name of the mean, without its ending.")
    stddevbase: str = option("{experiment!l}_stddev-r{run:04d}", "Name of the standard deviation.")
    maxbase: str = option("{experiment!l}_max-r{run:04d}", "Name of the maximum.")
    minimum: bool = option(False, "Write the minimum, too.")
    minpath: str = option("{experiment!l}_min-r{run:04d}", "Name of the minimum.")
    numevents: int | None = option(None, "Stop at this shot, counted from 0. None: all.", ge=0)
    skipevents: int = option(0, "Leave out so many shots at the beginning.", ge=0)
    divisor: Literal["n", "n-1"] = option(
        "n", "Of the variance. n: that of these shots, as cxi.mpi_average; n-1: that of all such shots, as "
        "mod_average.")
    format: Literal["h5", "cbf", "pickle"] = option(
        "h5", "Form of the results. pickle: image dictionaries that cctbx reads.")
    as_pickle: bool = option(False, "The same as format=pickle.")
    raw_data: bool = option(False, "Take the counts as they are: no dark, no common mode, no gain. For dark runs.")
    background_pickle: FilePath | None = option(
        None, "Image that is subtracted from each shot first.", file="input")
    gain_mask_value: float | None = option(
        None, "The same as gain_map_level: ratio of low to high gain. Needs gain_map_path.", gt=0.0)
    hot_threshold: float | None = option(
        None, "Pixels whose dark is above this many times its median become 0.", gt=0.0)
    gain_threshold: float | None = option(None, "Pixels whose gain is above this become 0.", gt=0.0)
    noise_threshold: float = option(7.0, "See flags: pixels below become 0 (nonoise).")
    elastic_threshold: float = option(9.0, "See flags: pixels above become 0 (noelastic).")
    symnoise_threshold: float = option(4.0, "See flags: pixels closer to 0 become 0 (symnoise).", ge=0.0)
    flags: tuple[Literal["inactive", "noelastic", "nonoise", "symnoise", "sigma_scaling", "skew"], ...] = option(
        (), "inactive: pixels whose dark deviation is 0 become 0. noelastic, nonoise, symnoise: see their thresholds. "
        "sigma_scaling: divide by the dark's deviation over its mean. skew: leave out shots whose skewness is below "
        "0.35.")
    photon_threshold: float | None = option(
        None, "With two_photon_threshold: pixels from here on are one photon, others none.")
    two_photon_threshold: float | None = option(None, "Pixels from here on are two photons.")
    calibration: CalibrationOptions = option(CalibrationOptions(), "")
    events: EventOptions = option(EventOptions(), "")
    mp: WorkerOptions = option(WorkerOptions(), "Where the work runs.")
    cluster: ClusterOptions = option(ClusterOptions(), "", expert=1)
    log: FilePath | None = option(
        "xdp.average.log", "File for the messages that are also on the screen; None: no file.", file="output")
