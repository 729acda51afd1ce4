"""Parameters of ``xdp stills_process``: names and defaults as in DIALS' program of that name.

Scopes that other commands have are theirs, with the defaults of this program. What it has beyond DIALS says so.
"""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from xdp.images.importing.options import Geometry
from xdp.indexing.options import Indexing, MultipleLatticeSearch, Stills
from xdp.integration.corrections.absorption_options import AbsorptionOptions
from xdp.integration.options import IntegrationMpOptions, IntegrationOptions, SignificanceOptions
from xdp.integration.partiality.options import PartialityOptions
from xdp.integration.profiles.options import GaussianRSOptions, MinSpotsOptions, ParametersOptions, ProfileOptions
from xdp.options import AUTO, Auto, FilePath, Options, SpaceGroup, UnitCell, option
from xdp.prediction.options import PredictionOptions
from xdp.refinement.options import Refinement
from xdp.serial.calibration.options import CalibrationOptions
from xdp.serial.consensus.options import ConsensusOptions
from xdp.serial.events.options import EventOptions, ShotChecks
from xdp.spotfinding.options import SpotFinderOptions
from xdp.work.options import ClusterOptions, MpOptions, WorkerOptions

Model = TypeVar("Model", bound=Options)


def change_defaults(model: Model, changes: dict[str, Any]) -> Model:
    """Give an option model with other values for some of its parameters.

    Parameters
    ----------
    model : Options
        Left as it is.
    changes : dict of str to object
        Values by the path of the parameter.

    Returns
    -------
    Options

    Examples
    --------
    >>> change_defaults(Refinement(), {"parameterisation.beam.fix": ("all",)}).parameterisation.beam.fix
    ('all',)
    """
    for path, value in changes.items():
        name, _, rest = path.partition(".")
        inner = change_defaults(getattr(model, name), {rest: value}) if rest else value
        model = model.model_copy(update={name: inner})
    return model


class HitFinderOptions(Options):
    """Which shots are hits."""

    enable: bool = option(True, "Look at the number of spots; False: every shot with a spot is tried.")
    minimum_number_of_reflections: int = option(16, "A shot with fewer spots is no hit and ends there.", ge=0)
    maximum_number_of_reflections: int | None = option(
        None, "A shot with more spots is junk and ends there. None: no limit.", ge=1)


class ShotDispatchOptions(Options):
    """What is done with a shot."""

    pre_import: bool = option(
        False, "Look at all files before the first shot is processed: one that cannot be opened is said at once.")
    process_percent: int | None = option(
        None, "Take this share of the shots, spread evenly: of every N the first n, n/N in lowest terms. None: all.",
        ge=1, le=100)
    refine: bool = option(False, "Refine the models of a shot once more after indexing.")
    squash_errors: bool = option(
        True, "A shot that fails is recorded with its reason and the others go on; False stops at the first error.")
    find_spots: bool = option(True, "False: shots are read and corrected only, and recorded as such.")
    index: bool = option(True, "False: hits are recorded, and nothing is indexed.")
    integrate: bool = option(True, "False: stop after indexing.")
    coset: bool = option(
        False, "Negative control: integrate the points of a doubled cell, too, where no reflection can be "
        "(integration.coset.transformation).")
    hit_finder: HitFinderOptions = option(HitFinderOptions(), "Which shots are hits.")


class ShotInputOptions(Options):
    """Which shots."""

    file_list: FilePath | None = option(
        None, "Text file with an image or an event of CrystFEL on each line.", file="input")
    glob: tuple[str, ...] = option((), "Images by a pattern, in quotes.", multiple=True, file="input")
    image_tag: tuple[str, ...] = option(
        (), "Only the shots with this tag, as show_image_tags prints it: the file's name without its ending, and of a "
        "file with many images the number of the image.", multiple=True)
    show_image_tags: bool = option(False, "Print the tags of all shots and stop.")
    max_images: int | None = option(None, "Stop after so many shots. None: all.", ge=0)
    ignore_gain_mismatch: bool = option(
        False, "Accept a gain in the detector's model as well as in spotfinder.threshold.dispersion.gain or "
        "integration.summation.detector_gain; otherwise that is an error, since noise would count twice.")
    reference_geometry: FilePath | None = option(
        None, "Take the detector from this .expt file in place of that of the images.", file="input")
    sync_reference_geom: bool = option(
        True, "Give the reference the names of the images' panels and keep their trusted range; False: it is taken as "
        "it is.")


class ShotOutputOptions(Options):
    """Files that are written. %s in a name is idx- and the number of the set of files, or the tag of the shot."""

    output_dir: FilePath = option(".", "Folder of the results; must exist.", file="folder")
    composite_output: bool = option(
        True, "One set of files for 500 shots; False: a set for each shot that was indexed.")
    logging_dir: FilePath | None = option(
        None, "Folder for the messages about shots, a file for each set of files; None: with all others.",
        file="folder")
    experiments_filename: str | None = option(
        None, "Models of the hits before indexing; None: no file.", file="beside")
    strong_filename: str | None = option(None, "Spots of the hits; None: no file.", file="beside")
    indexed_filename: str | None = option("%s_indexed.refl", "Indexed spots.", file="beside")
    refined_experiments_filename: str | None = option(
        "%s_refined.expt", "Models after indexing and refinement.", file="beside")
    integrated_filename: str | None = option("%s_integrated.refl", "Integrated reflections.", file="beside")
    integrated_experiments_filename: str | None = option(
        "%s_integrated.expt", "Models after integration.", file="beside")
    coset_filename: str | None = option(
        "%s_coset%d.refl", "Reflections of the negative control; %d is the transformation.", file="beside")
    coset_experiments_filename: str | None = option(
        "%s_coset%d.expt", "Models of the negative control.", file="beside")
    profile_filename: str | None = option(
        None, "Profile parameters of the integrated crystals as JSON; None: no file.", file="beside")
    integration_pickle: str | None = option(
        "int-%d-%s.pickle", "Accepted and not written: a pickle of cctbx.xfel for each crystal. The .refl files and "
        "the stream hold the same intensities.", file="text")
    shoeboxes: bool = option(True, "Keep the pixels of each spot in the written tables of spots.")
    # of xdp
    table: FilePath = option("shots.zarr", "Folder for the table of all shots, in zarr.", file="folder")
    stream: FilePath | None = option(
        None, "Write a CrystFEL stream of all hits, too: peaks, crystals and intensities. None: no file.",
        file="output")
    compatibility: Literal["dials-3.12"] | None = option(
        None, "Write experiments for DIALS up to 3.12, whose trusted ranges leave out both ends.")
    log: FilePath | None = option(
        "xdp.stills_process.log", "File for the messages that are also on the screen; None: no file.", file="output")


class ShotRecordOptions(Options):
    """What is recorded of the run itself."""

    cProfile: bool = option(
        False, "Write where the time of this process goes to stills_process.prof in output_dir; the times of workers "
        "are on Dask's dashboard.")
    output_debug_logs: bool = option(
        True, "Keep a record of each shot in output_dir/debug: host, tag, time, state and step, a line each. "
        "debug.skip_* of xtc_process read it.")


class ShotMpOptions(WorkerOptions):
    """Where the work runs."""

    # none, drmaa, slurm and address are of xdp
    method: Literal["multiprocessing", "none", "drmaa", "sge", "lsf", "pbs", "slurm", "address"] = option(
        "multiprocessing", "multiprocessing: nproc processes on this machine, where DIALS has mpi, too; none: nproc "
        "threads of this process; address: the workers of the scheduler at cluster.address; else jobs of that batch "
        "system.")
    nproc: int | Auto | None = option(
        1, "Processes on this machine, or threads of each job; None or Auto: all cores that may be used.", ge=1)
    chunksize: int | Auto | None = option(AUTO, "Shots of a task. Auto: 10.", ge=1)
    composite_stride: int | None = option(
        None, "Make each set of files of so many times 500 shots. None: 1.", ge=1)
    debug: ShotRecordOptions = option(ShotRecordOptions(), "What is recorded of the run itself.")


class CosetOptions(Options):
    """The negative control."""

    transformation: int = option(
        6, "Which cell is doubled: 0, 1, 2 along a, b, c; 3, 4, 5 a centre on C, B, A; 6 body centre.", ge=0, le=6)


class IntegrationOverrides(Options):
    """What holds for integration alone."""

    trusted_range: tuple[float, float] | None = option(
        None, "Lowest and highest good count in integration, in place of the detector's.")


class ShotSpotFinderOptions(SpotFinderOptions):
    """How the spots of a shot are found."""

    mp: MpOptions = option(MpOptions(), "Not used: mp says where the work on whole shots runs.", expert=3)


class IsoformOptions(Options):
    """A known cell among several."""

    name: str | None = option(None, "Name of the form.")
    cell: UnitCell | None = option(None, "Its cell, Å and degrees.")
    lookup_symbol: SpaceGroup | None = option(None, "Its space group.")
    rmsd_target_mm: float | None = option(
        None, "A lattice of the form is refused if its spots lie further from their predictions, mm (root mean "
        "square). None: by rmsd_min_px alone.", gt=0)
    beam_restraint: tuple[float, float] | None = option(
        None, "Refused: the beam of a shot is not refined, so that it cannot be compared with this one.")


class ShotStills(Stills):
    """Shots."""

    method_list: tuple[str, ...] | None = option(
        None, "Methods (fft1d, fft3d, real_space_grid_search, low_res_spot_match) tried one after the other until one "
        "indexes the shot. None: indexing.method.")
    known_orientations: tuple[str, ...] = option(
        (), "Earlier results, .expt files, patterns or folders, whose crystals shots take over.", multiple=True,
        file="input")
    require_known_orientation: bool = option(
        False, "Set shots aside that have no crystal in known_orientations; False: they are indexed.")
    ewald_proximity_resolution_cutoff: float = option(
        2.0, "Resolution, Å, to which the volume of ewald_proximal_volume_max is counted.", gt=0, expert=2)
    refine_all_candidates: bool = option(
        True, "If the likeliest orientation is refused, the next ones are fitted too; False: only the likeliest one.",
        expert=2)
    candidate_outlier_rejection: bool = option(
        True, "Outliers are left out of the distance that rmsd_min_px limits.", expert=2)
    refine_candidates_with_known_symmetry: bool = option(
        False, "Accepted and not used: a known cell is refined in its symmetry.", expert=2)
    rmsd_min_px: float = option(
        2.0, "A lattice is refused if its spots lie further from their predictions, pixels (root mean square).", gt=0)
    ewald_proximal_volume_max: float = option(
        0.0025, "A lattice is refused if its points are seen in a layer outside of the Ewald sphere of more than this "
        "volume, 1/Å³: so wide a layer explains any spots.", gt=0, expert=2)
    isoforms: tuple[IsoformOptions, ...] = option(
        (), "Known cells of several crystal forms; a shot gets the one that explains most of its spots.", multiple=True)
    set_domain_size_ang_value: float | None = option(
        None, "Size of mosaic domains, Å, instead of the estimate; partialities are then not fitted.", gt=0)
    set_mosaic_half_deg_value: float | None = option(
        None, "Half mosaicity, degrees, instead of the estimate; partialities are then not fitted.", gt=0)


class ShotLatticeSearch(MultipleLatticeSearch):
    """More than one crystal in the beam."""

    # one in DIALS, which cannot tell how many there are; here a lattice must be believed, and 10 only ends the search
    max_lattices: int = option(10, "Largest number of lattices of a shot; as many are taken as are believed.", ge=1)


class ShotIndexing(Indexing):
    """How the lattices of a shot are found."""

    stills: ShotStills = option(ShotStills(), "Shots.")
    multiple_lattice_search: ShotLatticeSearch = option(ShotLatticeSearch(), "Several lattices.", expert=1)
    consensus: ConsensusOptions = option(
        ConsensusOptions(), "The cells of a run whose cell is not known, from its first hits.", expert=1)
    method: Literal["fft3d", "fft1d", "real_space_grid_search", "low_res_spot_match"] = option(
        "fft1d", "fft1d: a known cell is sought as such; where none is known, the first hits together tell it, and "
        "only if they do not, each shot is searched alone by one-dimensional transforms. The others search each shot "
        "alone.")
    nproc: int | Auto | None = option(
        1, "Threads of the three-dimensional Fourier transform of one shot; shots run beside each other by mp.nproc.",
        expert=3, ge=1)


class ShotPartialityOptions(PartialityOptions):
    """How partial reflections are."""

    enable: bool = option(
        True, "Fit orientation, cell and widths of lattice points to all reflections, and write partialities. False: "
        "models stay as they were indexed, and partialities are 1.")


class ShotIntegrationOptions(IntegrationOptions):
    """How reflections of a shot are integrated."""

    mp: IntegrationMpOptions = option(
        IntegrationMpOptions(), "Not used: mp says where the work on whole shots runs.", expert=3)
    absorption_correction: tuple[AbsorptionOptions, ...] = option(
        (AbsorptionOptions(),), "Absorption by the tape that carries the crystals.", multiple=True)
    coset: CosetOptions = option(CosetOptions(), "The negative control.")
    partiality: ShotPartialityOptions = option(ShotPartialityOptions(), "How partial reflections are.")
    integration_only_overrides: IntegrationOverrides = option(
        IntegrationOverrides(), "What holds for integration alone.")


class ShotProfileParameters(ParametersOptions):
    """Values given instead of estimated, and a limit."""

    sigma_b_cutoff: float | None = option(
        0.1, "A crystal whose spots spread further than this, degrees, is rejected. None: none is.", gt=0)


class ShotGaussianOptions(GaussianRSOptions):
    """The model of a Gaussian in reciprocal space, for shots."""

    parameters: ShotProfileParameters = option(ShotProfileParameters(), "Values given instead of estimated.")


class ShotProfileOptions(ProfileOptions):
    """The profile model of a shot."""

    gaussian_rs: ShotGaussianOptions = option(
        ShotGaussianOptions(min_spots=MinSpotsOptions(overall=0)), "A Gaussian in Kabsch's frame.")


#: What stills_process has other defaults for than ``xdp index`` and ``xdp integrate``.
REFINEMENT = change_defaults(Refinement(), {
    "parameterisation.auto_reduction.min_nref_per_parameter": 1, "parameterisation.beam.fix": ("all",),
    "parameterisation.detector.fix": "all", "reflections.weighting_strategy.override": "stills",
    "reflections.outlier.algorithm": "null"})
INTEGRATION = change_defaults(ShotIntegrationOptions(), {
    "integrator": "stills", "profile.fitting": False, "background.algorithm": "simple",
    "background.simple.outlier.algorithm": "plane", "background.simple.model.algorithm": "linear2d"})


class ShotProcessing(Options):
    """The scopes that ``xdp stills_process`` and ``xdp xtc_process`` share."""

    geometry: Geometry = option(Geometry(), "Values that take the place of those in the image headers.")
    spotfinder: ShotSpotFinderOptions = option(ShotSpotFinderOptions(), "How spots are found.")
    indexing: ShotIndexing = option(ShotIndexing(), "How lattices are found.")
    refinement: Refinement = option(REFINEMENT, "Refinement of a shot's models.", expert=1)
    integration: ShotIntegrationOptions = option(INTEGRATION, "How reflections are integrated.")
    profile: ShotProfileOptions = option(ShotProfileOptions(), "The profile model.")
    prediction: PredictionOptions = option(PredictionOptions(), "Which reflections are predicted.")
    significance_filter: SignificanceOptions = option(
        SignificanceOptions(), "Resolution limit of each crystal by its intensities.", expert=1)
    # of xdp
    calibration: CalibrationOptions = option(CalibrationOptions(), "Dark, common mode, gain and mask of the run.")
    checks: ShotChecks = option(ShotChecks(), "When a shot is set aside.")
    cluster: ClusterOptions = option(ClusterOptions(), "The batch system, where mp.method names one.")


class StillsProcessOptions(ShotProcessing):
    """Parameters of ``xdp stills_process``."""

    input: ShotInputOptions = option(ShotInputOptions(), "Which shots.")
    dispatch: ShotDispatchOptions = option(ShotDispatchOptions(), "What is done with a shot.")
    output: ShotOutputOptions = option(ShotOutputOptions(), "Files that are written.")
    events: EventOptions = option(EventOptions(), "How shots are read.")
    mp: ShotMpOptions = option(ShotMpOptions(), "Where the work runs.")
