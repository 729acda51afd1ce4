"""Parameters of hit finding."""

from __future__ import annotations

from typing import Literal

from xdp.options import AUTO, Auto, FilePath, Options, option
from xdp.serial.calibration.options import CalibrationOptions
from xdp.serial.events.options import EventOptions, ShotChecks
from xdp.serial.hits.distl_options import CXI_SETTINGS, DistlOptions
from xdp.spotfinding.options import DispersionOptions
from xdp.work.options import ClusterOptions, MpOptions


class OwnMissesOptions(Options):
    """Peaks against the run's own misses: no threshold in counts is needed."""

    sigma: float = option(
        5.0, "Pixels of peaks exceed the mean of their ring by this many spreads, in the shot itself and in the run's "
        "misses, with an allowance for the skewness of few photons.", gt=0)
    min_peaks: int | Auto = option(
        AUTO, "Fewest peaks of a hit. Auto: mean and five spreads of the misses' numbers of peaks, at least 8.", ge=1)
    min_pix_count: int = option(2, "Fewest pixels of a peak.", ge=1)
    max_pix_count: int = option(200, "Most pixels of a peak.", ge=1)
    sample: int = option(
        200, "Shots, spread over the run, from which the thresholds follow before all shots are searched.", ge=1)


class Peakfinder8Options(Options):
    """Peaks as CrystFEL's and Cheetah's peakfinder8 finds them."""

    threshold: float | Auto = option(
        AUTO, "Pixels of peaks exceed this, counts. CrystFEL has 800, which suits detectors of many counts a photon. "
        "Auto: the thresholds that follow from the run's own misses.")
    min_snr: float = option(
        5.0, "Pixels of peaks exceed the mean of their ring by this many spreads; so does a peak's signal that of the "
        "background about it.", ge=0)
    min_pix_count: int = option(2, "Fewest pixels of a peak.", ge=1)
    max_pix_count: int = option(200, "Most pixels of a peak.", ge=1)
    local_bg_radius: int = option(3, "Distance from the peak at which its local background begins, pixels.", ge=1)
    min_res: int = option(0, "Pixels nearer to the beam are left out, pixels.", ge=0)
    max_res: int = option(1200, "Pixels further from the beam are left out, pixels.", ge=1)
    min_peaks: int | Auto = option(
        AUTO, "Fewest peaks of a hit. Auto: as of own_misses; with a threshold given 8.", ge=0)


class DistlHitOptions(Options):
    """Spots as cctbx.xfel's mod_hitfind counts them."""

    threshold: float | None = option(
        None, "Spots count whose highest pixel exceeds this, in counts of the corrected image. None: all.")
    distl_min_peaks: int = option(16, "Fewest spots of a hit.", ge=1)
    distl_flags: Literal["permissive", "restrictive"] = option(
        "permissive", "restrictive: spots must besides be about 2.5 times higher than the 90th percentile of the "
        "searched pixels.")
    n_tiles: int | Auto | None = option(
        AUTO, "Panels searched, those nearest to the beam. Auto: 8 of a CSPAD's, as cctbx.xfel searches; of other "
        "detectors, and with None, all.", ge=1)
    settings: DistlOptions = option(CXI_SETTINGS, "The recipe itself; defaults are cctbx.xfel's.")


class SpotHitOptions(Options):
    """Spots by the dispersion threshold, as `xdp find_spots` finds them."""

    minimum_number_of_reflections: int = option(16, "Fewest spots of a hit.", ge=0)
    maximum_number_of_reflections: int | None = option(
        None, "Most spots of a hit; more are junk. None: no limit.", ge=1)
    min_spot_size: int = option(2, "Spots of fewer pixels are dropped.", ge=1)
    max_spot_size: int = option(100, "Spots of more pixels are dropped.", ge=1)
    max_separation: float | None = option(
        2.0, "Spots are dropped whose highest pixel is further from their centroid, pixels. None: none.", ge=0)
    threshold: Literal["dispersion", "dispersion_extended"] = option("dispersion", "How strong pixels are told.")
    dispersion: DispersionOptions = option(DispersionOptions(), "Dispersion threshold, in both forms.")


class HitMeasureOptions(Options):
    """How hits are told from misses."""

    algorithm: Literal["own_misses", "distl", "spots", "peakfinder8"] = option(
        "own_misses", "own_misses: peaks against the run's own misses, without a number in counts; distl: Spotfinder, "
        "as cctbx.xfel; spots: number of spots by the dispersion threshold; peakfinder8: as CrystFEL.")
    own_misses: OwnMissesOptions = option(OwnMissesOptions(), "Options of own_misses.")
    distl: DistlHitOptions = option(DistlHitOptions(), "Options of distl.")
    spots: SpotHitOptions = option(SpotHitOptions(), "Options of spots.")
    peakfinder8: Peakfinder8Options = option(Peakfinder8Options(), "Options of peakfinder8.")


class FindHitsOutput(Options):
    """What is written, and where."""

    table: FilePath = option("hits.zarr", "Folder for the table of all shots, in zarr.", file="folder")
    powder: FilePath | None = option(
        "powder.h5", "HDF5 file for sum and maximum of hits and of misses, renewed as the run goes. None: none.",
        file="output")
    parquet: FilePath | None = option(
        None, "Write the table as parquet, too (needs pyarrow). None: no.", file="output")
    experiments: FilePath | None = option(
        None, "Write the hits as experiments, which xdp find_spots and xdp index take. None: no.", file="output")
    log: FilePath | None = option(
        "xdp.find_hits.log", "File for the messages that are also on the screen; None: no file.", file="output")


class FindHitsOptions(Options):
    """Parameters of ``xdp find_hits``."""

    output: FindHitsOutput = option(FindHitsOutput(), "Files that are written.")
    hits: HitMeasureOptions = option(HitMeasureOptions(), "How hits are told from misses.")
    events: EventOptions = option(EventOptions(), "How shots are read.")
    checks: ShotChecks = option(ShotChecks(), "When a shot is set aside.")
    calibration: CalibrationOptions = option(
        CalibrationOptions(), "What is done with raw counts before hits are sought; xdp average makes the dark.")
    mp: MpOptions = option(MpOptions(), "Where the work runs.")
    cluster: ClusterOptions = option(ClusterOptions(), "The batch system, where mp.method names one.")
