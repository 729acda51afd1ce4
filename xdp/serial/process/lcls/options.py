"""Parameters of ``xdp xtc_process``: those of ``cctbx.xfel.xtc_process``, by the same names and with its defaults."""

from __future__ import annotations

from typing import Literal

from xdp.images.masks.options import MaskOptions
from xdp.integration.corrections.absorption_options import KaptonOptions
from xdp.options import AUTO, Auto, FilePath, Options, option
from xdp.serial.process.options import HitFinderOptions, ShotProcessing, ShotRecordOptions


class StreamDispatchOptions(Options):
    """What is done with an event."""

    max_events: int | None = option(None, "Stop after so many events of the run. None: all.", ge=0)
    process_percent: int | None = option(
        None, "Take this share of the events, spread evenly: of every N the first n, n/N in lowest terms. None: all.",
        ge=1, le=100)
    estimate_gain_only: bool = option(
        False, "Print the gain of the detector as each event's background shows it, and do nothing else.")
    find_spots: bool = option(True, "False: events are read and corrected only, and recorded as such.")
    datasource: str | None = option(
        None, "A whole data source of psana (exp=cxi49812:run=69:smd), in place of input.experiment, run_num and "
        "xtc_dir.", expert=2)
    hit_finder: HitFinderOptions = option(HitFinderOptions(), "Which events are hits.")
    index: bool = option(True, "False: hits are recorded, and nothing is indexed.")
    refine: bool = option(False, "Refine the models of a shot once more after indexing.")
    integrate: bool = option(True, "False: stop after indexing.")
    coset: bool = option(
        False, "Negative control: integrate the points of a doubled cell, too, where no reflection can be.", expert=2)
    dump_strong: bool = option(False, "Write the image of each hit, hit-SEQNO.cbf.")
    dump_indexed: bool = option(True, "Write the image of each indexed shot, idx-SEQNO.cbf.")
    dump_all: bool = option(False, "Write the image of every event, shot-SEQNO.cbf.")
    reindex_strong: bool = option(
        False, "Index all spots of a shot again with its refined models, outliers too, into a file of their own.")
    # stills_process has the same parameter; the original of xtc_process goes on after every error
    squash_errors: bool = option(
        True, "An event that fails is recorded with its reason and the others go on; False stops at the first error.")


class EventSelectionOptions(Options):
    """Which events are left out, by the record of an earlier run in output_dir/debug."""

    skip_processed_events: bool = option(False, "Leave out events that are recorded as finished.")
    skip_unprocessed_events: bool = option(False, "Leave out events that are not recorded.")
    skip_bad_events: bool = option(
        False, "Leave out events that are recorded as begun and not as finished: they took their process down.")
    event_timestamp: tuple[str, ...] = option(
        (), "Only the events with these times, as 2016-07-08T22:05Z24.133.", multiple=True)


class StreamInputOptions(Options):
    """Which run is read."""

    cfg: str | None = option(
        None, "Configuration file of psana; needed for format.file_format=pickle.", file="input")
    experiment: str | None = option(None, "Name of the experiment, such as cxi49812.")
    run_num: int | None = option(None, "Number of the run.", ge=0)
    address: str | None = option(
        None, "Detector: CxiDs1.0:Cspad.0, the older CxiDs1-0|Cspad-0, or an alias.")
    stream: tuple[int, ...] | None = option(
        None, "Read only these streams of the DAQ. Not used: psana's index chooses them.", expert=2)
    override_spotfinding_trusted_max: int | None = option(
        None, "Highest good count while spots are sought; overloads help indexing.")
    override_spotfinding_trusted_min: int | None = option(None, "Lowest good count while spots are sought.")
    override_integration_trusted_max: int | None = option(None, "Highest good count in integration.")
    override_integration_trusted_min: int | None = option(None, "Lowest good count in integration.")
    use_ffb: bool = option(False, "Read from LCLS' fast file system. Not together with xtc_dir.")
    xtc_dir: FilePath | None = option(None, "Folder of the streams. None: where LCLS puts them.", file="input")
    calib_dir: FilePath | None = option(
        None, "Folder of psana's calibrations. None: where LCLS puts them.", file="input")
    trial: int | None = option(None, "Number of the trial, for the table of shots.", ge=0)
    rungroup: int | None = option(None, "Number of the group of runs, for the table of shots.", ge=0)
    known_orientations_folder: FilePath | None = option(
        None, "Folder with earlier results: a shot takes its crystals from there; one that has none is skipped.",
        expert=2, file="input")
    ignore_gain_mismatch: bool = option(
        False, "Accept a gain in the detector's model as well as in the parameters; otherwise that is an error.",
        expert=3)
    reference_geometry: FilePath | None = option(
        None, "Take the detector from this .expt file.", file="input")
    sync_reference_geom: bool = option(
        True, "Give the reference the names of the images' panels and keep their trusted range.")


class StreamPickleOptions(Options):
    """Image dictionaries."""

    out_key: str = option(
        "cctbx.xfel.image_dict", "Key under which a module of psana leaves the image dictionary in the event.")


class FacilityCommonMode(Options):
    """The facility's own correction."""

    algorithm: Literal["default", "custom"] | None = option(
        None, "None: no correction; default: psana's; custom: psana's with custom_parameterization. calibration."
        "common_mode_correction has ours.")
    custom_parameterization: tuple[int, ...] | None = option(None, "Parameters of psana, with algorithm=custom.")


class CspadOptions(Options):
    """CSPAD."""

    mask_nonbonded_pixels: bool = option(
        False, "Mask the pixels that are not bonded and the four around each, beside invalid_pixel_mask.")
    gain_mask_value: float | None = option(
        None, "Multiply the pixels that psana's gain mask calls low by this, about 7.", gt=0)
    per_pixel_gain: bool = option(False, "Multiply by the gains of psana's calibrations, pixel by pixel.")
    additional_gain_factor: float | None = option(None, "Divide all counts by this, last.", gt=0)
    common_mode: FacilityCommonMode = option(FacilityCommonMode(), "The facility's own correction.")


class RayonixOptions(Options):
    """Rayonix."""

    bin_size: int = option(2, "Binning of the pixels. Not used: the geometry has the pixels' size.", ge=1)
    override_beam_x: float | None = option(None, "Beam centre along fast, pixels.")
    override_beam_y: float | None = option(None, "Beam centre along slow, pixels.")


class StreamImageOptions(Options):
    """Images of the detector."""

    detz_offset: float | None = option(
        None, "Added to the encoder to give the distance, mm; the distance itself where there is no encoder. Needed "
        "unless override_distance is given.")
    override_energy: float | None = option(None, "Photon energy of all events, eV.", gt=0)
    override_distance: float | None = option(None, "Distance of all events, mm.", gt=0)
    invalid_pixel_mask: FilePath | None = option(
        None, "DIALS mask: pixels that are False in it are not used.", file="input")
    mode: Literal["cspad", "rayonix"] = option("cspad", "Which detector.")
    cspad: CspadOptions = option(CspadOptions(), "CSPAD.")
    rayonix: RayonixOptions = option(RayonixOptions(), "Rayonix.")


class PixelAbsorptionOptions(Options):
    """Absorption by the tape, for the whole image."""

    apply: bool = option(False, "Correct the image before spots are sought.")
    algorithm: Literal["fuller_kapton"] = option("fuller_kapton", "Which correction.")
    fuller_kapton: KaptonOptions = option(KaptonOptions(), "The tape.")


class StreamFormatOptions(Options):
    """The form of the images."""

    file_format: Literal["cbf", "pickle"] = option("cbf", "Form of the images that are written.")
    pickle: StreamPickleOptions = option(StreamPickleOptions(), "Image dictionaries.")
    cbf: StreamImageOptions = option(StreamImageOptions(), "Images of the detector.")
    per_pixel_absorption_correction: tuple[PixelAbsorptionOptions, ...] = option(
        (PixelAbsorptionOptions(),), "Absorption by the tape.", multiple=True)


class StreamOutputOptions(Options):
    """Files that are written. %s in a name is idx- and the number of the set of files, or SEQNO, the time of the event.
    """

    output_dir: FilePath = option(".", "Folder of the results; must exist.", file="folder")
    composite_output: bool = option(True, "One set of files for 500 shots; False: a set for each indexed shot.")
    delete_integration_shoeboxes: bool = option(
        True, "Drop the pixels of integrated reflections. False is not used: they are never kept.")
    logging_dir: str | None = option(
        None, "Folder for the messages about shots, a file for each set of files; DevNull: they are dropped; None: "
        "with all others.", file="folder")
    experiments_filename: str | None = option("%s.expt", "Models of the hits before indexing.", file="beside")
    strong_filename: str | None = option("%s_strong.refl", "Spots of the hits.", file="beside")
    indexed_filename: str | None = option("%s_indexed.refl", "Indexed spots.", file="beside")
    refined_experiments_filename: str | None = option(
        "%s_refined.expt", "Models after indexing and refinement.", file="beside")
    integrated_filename: str | None = option("%s_integrated.refl", "Integrated reflections.", file="beside")
    integrated_experiments_filename: str | None = option(
        "%s_integrated.expt", "Models after integration.", file="beside")
    coset_filename: str | None = option("%s_coset%d.refl", "Reflections of the negative control.", file="beside")
    coset_experiments_filename: str | None = option(
        "%s_coset%d.expt", "Models of the negative control.", file="beside")
    profile_filename: str | None = option(None, "Profile parameters as JSON.", file="beside")
    integration_pickle: str | None = option(
        "int-%d-%s.pickle", "Accepted and not written: the .refl files hold the same intensities.", file="text")
    psana_identifiers: bool = option(
        False, "Make the time of the event the identifier of its crystals.", expert=3)
    reindexedstrong_filename: str | None = option(
        "%s_reindexedstrong.refl", "Spots indexed again.", file="beside")
    tmp_output_dir: str = option("(NONE)", "Accepted and not used: files are written whole and renamed.", file="text")
    # of xdp
    shoeboxes: bool = option(True, "Keep the pixels of each spot in the written tables of spots.")
    table: FilePath = option("shots.zarr", "Folder for the table of all shots, in zarr.", file="folder")
    stream: FilePath | None = option(None, "Write a CrystFEL stream of all hits, too.", file="output")
    compatibility: Literal["dials-3.12"] | None = option(
        None, "Write experiments for DIALS up to 3.12, whose trusted ranges leave out both ends.")
    log: FilePath | None = option(
        "xdp.xtc_process.log", "File for the messages that are also on the screen; None: no file.", file="output")


class MpiOptions(Options):
    """How events are shared out among processes of MPI or of an array of jobs."""

    method: Literal["client_server", "striping"] = option(
        "client_server", "client_server: events are handed out as workers ask for them. striping: event n goes to rank "
        "n mod size; so it does in any case where MPI or an array of jobs has several ranks.")


class StreamMpOptions(Options):
    """Where the work runs."""

    # mpi and sge are the original's words; the others are those of the other commands
    method: Literal["mpi", "sge", "multiprocessing", "none", "drmaa", "lsf", "pbs", "slurm", "address"] = option(
        "mpi", "mpi: nproc processes on this machine, or the ranks that mpirun began. sge: a task of an array of jobs, "
        "where SGE_TASK_ID says so, or else jobs of SGE. The others as in xdp stills_process.")
    njobs: int | None = option(1, "Jobs of the batch system.", ge=1)
    nproc: int | Auto | None = option(
        1, "Processes on this machine, or threads of each job; None or Auto: all cores that may be used.", ge=1)
    chunksize: int | Auto | None = option(AUTO, "Events of a task. Auto: 10.", ge=1)
    mpi: MpiOptions = option(MpiOptions(), "How events are shared out.")
    composite_stride: int | None = option(
        None, "Make each set of files of so many times 500 shots. None: 1.", ge=1)
    debug: ShotRecordOptions = option(ShotRecordOptions(), "What is recorded of the run itself.")


class JointOptions(Options):
    """All shots refined together and integrated again."""

    enable: bool = option(
        False, "Refused: refine and integrate the written files with xdp refine and xdp integrate, which take all "
        "shots together.")
    minimum_results: int = option(30, "Fewest integrated shots.", ge=1)
    maximum_results_per_chunk: int = option(500, "Shots of one joint refinement.", ge=1)


class RadialAverageOptions(Options):
    """Mean counts of two rings, whose ratio tells the jet's liquid from an empty beam."""

    enable: bool = option(False, "Put the mean counts of both rings into the table of shots.")
    two_theta_low: float | None = option(None, "Scattering angle of the first ring, degrees.", gt=0)
    two_theta_high: float | None = option(None, "Scattering angle of the second ring, degrees.", gt=0)


class DatabaseOptions(Options):
    """The MySQL database of cctbx.xfel. xdp keeps its own table of shots; a warning says so."""

    host: str = option("psdb-user.slac.stanford.edu", "Accepted and not used.")
    name: str = option("", "Accepted and not used.")
    user: str = option("", "Accepted and not used.")
    password: str = option("", "Accepted and not used; never written anywhere.")
    verbose: bool = option(False, "Accepted and not used.", expert=2)
    port: int = option(3306, "Accepted and not used.")
    logging_batch_size: int = option(3, "Accepted and not used.")


class XtcProcessOptions(ShotProcessing):
    """Parameters of ``xdp xtc_process``."""

    dispatch: StreamDispatchOptions = option(StreamDispatchOptions(), "What is done with an event.")
    debug: EventSelectionOptions = option(EventSelectionOptions(), "Which events are left out.")
    input: StreamInputOptions = option(StreamInputOptions(), "Which run is read.")
    format: StreamFormatOptions = option(StreamFormatOptions(), "The form of the images.")
    output: StreamOutputOptions = option(StreamOutputOptions(), "Files that are written.")
    mp: StreamMpOptions = option(StreamMpOptions(), "Where the work runs.")
    border_mask: MaskOptions = option(MaskOptions(), "Pixels that are masked by their place.")
    joint_reintegration: JointOptions = option(JointOptions(), "All shots refined together.")
    radial_average: RadialAverageOptions = option(RadialAverageOptions(), "Mean counts of two rings.")
    experiment_tag: str | None = option(None, "Name of the set of trials, for the table of shots.")
    db: DatabaseOptions = option(DatabaseOptions(), "The database of cctbx.xfel.")
    # of xdp
    geometry_file: FilePath | None = option(
        None, "CrystFEL geometry (.geom) or .expt of the detector, in place of psana's.", file="input")
    encoder: str | None = option(
        None, "Process variable of the detector's encoder. None: CXI:DS1:MMS:06.RBV for CxiDs1, CXI:DS2:MMS:06.RBV for "
        "CxiDs2, none elsewhere.")
