"""Parameters of integration: names, types and defaults as in DIALS (``shared/parameters.tsv``).

Options that DIALS does not have say so in their comments. ``phil=`` gives the type as DIALS declares it, where the type
of the field cannot say it, so that written parameters are the same text.
"""

from __future__ import annotations

from typing import Literal

from xdp.integration.background.options import BackgroundOptions
from xdp.integration.corrections.absorption_options import AbsorptionOptions
from xdp.integration.hot_pixels.options import HotPixelOptions
from xdp.integration.partiality.options import PartialityOptions
from xdp.integration.profiles.options import ProfileOptions
from xdp.options import AUTO, Auto, Options, option
from xdp.options.inputs import InputOptions
from xdp.prediction.options import PredictionOptions
from xdp.work.options import ClusterOptions, WorkerOptions


class OutputOptions(Options):
    """What is written, and where."""

    experiments: str = option(
        "integrated.expt", "File for the experiments, each with its profile model.", file="output", in_place=True)
    output_unintegrated_reflections: bool = option(
        False, "Write also the reflections that could neither be summed nor fitted; their flags say why.", expert=2)
    reflections: str = option("integrated.refl", "File for the integrated reflections.", file="output")
    phil: str | None = option(
        "xdp.integrate.phil", "File for the parameters that you changed, to run the same again; None: no file.",
        phil="str", file="output")
    log: str | None = option(
        "xdp.integrate.log", "File for the messages that are also on the screen; None: no file.", phil="str",
        file="output")
    report: str | None = option(
        None, "File for the tables of the log and the reference profiles, ending in .json or .xml; None: no file.",
        file="output")
    include_bad_reference: bool = option(
        False, "Append the spots that integration could not learn from, without index or prediction, flagged "
        "bad_reference.")
    # of xdp: an .expt has no version, and newer programs count the ends of trusted ranges in
    compatibility: Literal["dials-3.12"] | None = option(
        None, "Write experiments for DIALS up to 3.12, whose trusted ranges leave out both ends.")


class SamplingOptions(Options):
    """Which of the predicted reflections are integrated."""

    reflections_per_degree: float | None = option(
        50.0, "Size of the random sample, in reflections per degree of rotation; used if "
        "integrate_all_reflections=False.", ge=0)
    minimum_sample_size: int | None = option(
        1000, "The sample has at least this many reflections of each crystal, or all if there are fewer.")
    maximum_sample_size: int | None = option(
        None, "The sample has at most this many reflections of each crystal, even if the other two ask for more.", ge=1)
    integrate_all_reflections: bool = option(
        True, "Integrate every predicted reflection; False: a random sample, for a quick look.")
    random_seed: int | None = option(
        0, "Start of the random numbers that draw the sample; the same seed draws the same reflections.")


class LookupOptions(Options):
    """Files with one value a pixel."""

    mask: str | None = option(
        None, "Mask file, in addition to that of the images: pixels that are False in it are not used.", file="input")


class BlockOptions(Options):
    """How frames are cut into blocks."""

    # Auto looks at the depth of reflections, at the number of workers and at the memory (plan/blocks.py)
    size: float | Auto | None = option(
        AUTO, "Length of a block of frames, which are read together; its unit is units. None: one block; Auto: by "
        "workers and memory. Intensities do not depend on it.", gt=0, phil="float(allow_none=True)")
    units: Literal["degrees", "radians", "frames"] = option("degrees", "The unit of size.")
    threshold: float | None = option(
        0.95, "For size=Auto: a block is at least twice as long as this fraction of the reflections, so that few end "
        "in another block.", ge=0, le=1)
    force: bool = option(
        False, "For size=Auto and one worker: cut blocks as for several; False makes them as long as memory allows.")
    # free memory is what the limits of a job leave, where it has any, not what the machine has
    max_memory_usage: float | None = option(
        0.90, "Fraction of the free memory that shoeboxes may take; blocks are shortened to it.", gt=0, le=1)


class DebugReferenceOptions(Options):
    """Output of the reference profiles."""

    filename: str = option(
        "reference_profiles.refl", "File for the reference profiles, beside the integrated reflections.",
        file="beside", when="output")
    output: bool = option(False, "Write the reference profiles: a row and a shoebox each.")


class DebugOptions(Options):
    """Output of what lies between images and intensities."""

    reference: DebugReferenceOptions = option(DebugReferenceOptions(), "Output of the reference profiles.")
    during: Literal["modelling", "integration"] = option(
        "integration", "integration: the shoeboxes of all reflections; modelling: only those of the reference spots, "
        "before profiles are fitted.")
    output: bool = option(False, "Write shoeboxes: counts, background and mask of each reflection.")
    separate_files: bool = option(
        True, "Write shoeboxes to files of their own, block by block; False: into the integrated reflections, which "
        "needs memory for all at once and during=integration.")
    delete_shoeboxes: bool = option(
        False, "With separate_files=False: leave the shoeboxes out of the written reflections after all.")
    select: str | None = option(
        None, "Write only the shoeboxes of these reflections: COLUMN, one of < <= == != >= >, and a number, such as "
        "intensity.sum.i_over_sigma>10.", phil="reflection_table_selector")
    split_experiments: bool = option(True, "One file of shoeboxes for each crystal; False: one for all.")


class ValidationOptions(Options):
    """Reference profiles judged by spots that did not make them."""

    number_of_partitions: int | None = option(
        1, "Groups of reference spots, each in turn left out of the profiles and fitted with them; the log tells how "
        "well they fit. 1: no such test.", ge=1)
    min_partition_size: int | None = option(
        100, "Fewer groups are made where one would have fewer spots than this.", ge=1)


class FittingOptions(Options):
    """Whether and where profiles are fitted."""

    fitting: bool = option(True, "Fit reference profiles, besides summation; False only sums.")
    valid_foreground_threshold: float | None = option(
        0.75, "Smallest fraction of good pixels in the foreground; with fewer no profile is fitted.", expert=2, ge=0,
        le=1)
    sigma_b_multiplier: float | None = option(
        2.0, "How many times as far as the foreground a shoebox reaches across; what lies beyond the foreground is "
        "background.", expert=3, ge=1)
    validation: ValidationOptions = option(
        ValidationOptions(), "Reference profiles judged by spots that did not make them.")


class FilterOptions(Options):
    """Which reflections are left out."""

    # there a reflection lasts for many frames, and its profile along the rotation is not known well enough
    min_zeta: float | None = option(
        0.05, "Reflections with |zeta| below this, near the rotation axis, are not integrated; 0: all are.", ge=0,
        le=1)
    max_shoebox_overlap: float | None = option(
        1.0, "Leave out reflections of whose shoebox a larger fraction than this lies in other shoeboxes. 1: none; "
        "less saves memory where spots are crowded.", ge=0, le=1)
    ice_rings: bool = option(
        False, "Flag reflections on the rings of hexagonal ice (in_powder_ring); they are integrated all the same.")


class ForegroundForegroundOptions(Options):
    """Filter of overlapping peaks."""

    enable: bool = option(False, "Leave out reflections that share foreground pixels with a neighbour.")


class ForegroundBackgroundOptions(Options):
    """Filter of peaks in the background of others."""

    enable: bool = option(False, "Leave out reflections with a neighbour's foreground in their background.")


class OverlapsOptions(Options):
    """Filters of overlapping reflections."""

    foreground_foreground: ForegroundForegroundOptions = option(
        ForegroundForegroundOptions(), "Filter of overlapping peaks.")
    foreground_background: ForegroundBackgroundOptions = option(
        ForegroundBackgroundOptions(), "Filter of peaks in the background of others.")


class SubsetOptions(Options):
    """How reflections are split to save memory."""

    # each subset decodes the frames again: it pays only where shoeboxes do not fit into memory
    n_subset_split: int | None = option(
        None, "Work on every n-th reflection at a time, which needs less memory and reads the images n times; None: "
        "all at once.", ge=1)


class IntegrationMpOptions(WorkerOptions):
    """Where the work runs."""

    # none, slurm and address are of xdp
    method: Literal["multiprocessing", "none", "drmaa", "sge", "lsf", "pbs", "slurm", "address"] = option(
        "multiprocessing", "multiprocessing: nproc threads of this process, or njobs processes of nproc threads on "
        "this machine; none: threads of this process; address: the workers of the scheduler at cluster.address; else "
        "jobs of that batch system.")
    multiprocessing: SubsetOptions = option(SubsetOptions(), "How reflections are split to save memory.")


class SummationOptions(Options):
    """Summation of intensities."""

    detector_gain: float | None = option(
        1.0, "For stills: variances of summed intensities and backgrounds are multiplied by this, the counts per "
        "photon (Leslie 1999).")


class CentroidOptions(Options):
    """Centroids of integrated reflections."""

    algorithm: Literal["simple"] = option(
        "simple", "simple: the mean position of the counts above background, the only one.")


class IntegrationOptions(Options):
    """How reflections are integrated."""

    lookup: LookupOptions = option(LookupOptions(), "Files with one value a pixel.")
    block: BlockOptions = option(BlockOptions(), "How frames are cut into blocks.")
    use_dynamic_mask: bool = option(True, "Leave out pixels that the goniometer shades, where its shape is known.")
    debug: DebugOptions = option(DebugOptions(), "Output of what lies between images and intensities.")
    integrator: Literal["auto", "3d", "flat3d", "2d", "single2d", "stills", "3d_threaded"] = option(
        "auto", "3d: whole reflections; flat3d: their frames added up first, without fitted profiles; 2d, single2d: "
        "each frame of a reflection for itself; stills. auto: 3d or stills, as the data are.", expert=3)
    profile: FittingOptions = option(FittingOptions(), "Whether and where profiles are fitted.")
    filter: FilterOptions = option(FilterOptions(), "Which reflections are left out.", expert=1)
    overlaps_filter: OverlapsOptions = option(OverlapsOptions(), "Filters of overlapping reflections.")
    mp: IntegrationMpOptions = option(IntegrationMpOptions(), "Where the work runs.")
    summation: SummationOptions = option(SummationOptions(), "Summation of intensities.")
    background: BackgroundOptions = option(BackgroundOptions(), "Background algorithms.")
    centroid: CentroidOptions = option(CentroidOptions(), "Centroids of integrated reflections.")
    # of xdp: DIALS leaves hot pixels to a mask file
    hot_pixels: HotPixelOptions = option(HotPixelOptions(), "Hot and dead pixels.")
    # of xdp: DIALS has partialities of stills with the ellipsoid alone
    partiality: PartialityOptions = option(PartialityOptions(), "How partial the reflections of stills are.")


class SignificanceOptions(Options):
    """Resolution limit of each experiment by its intensities."""

    enable: bool = option(
        False, "Cut each crystal at the resolution where its mean I/sigma first falls below isigi_cutoff.")
    d_min: float | None = option(
        None, "Finest resolution of the shells in which I/sigma is averaged, Å; None: that of the finest reflection.")
    n_bins: int | None = option(20, "Number of resolution shells, of equal volume in reciprocal space.")
    isigi_cutoff: float | None = option(
        1.0, "Smallest mean I/sigma, over positive intensities, of a shell that is kept; the first shell below it and "
        "all finer ones are dropped.")


class IntegrateOptions(Options):
    """All parameters of ``xdp integrate``."""

    input: InputOptions = option(InputOptions(), "Files that are read.")
    output: OutputOptions = option(OutputOptions(), "What is written, and where.")
    scan_range: tuple[tuple[int, int], ...] = option(
        (), "LOW,HIGH: integrate images LOW + 1 to HIGH, so that 0,10 is images 1 to 10; the profile model is learned "
        "from reference spots whose centroids lie on them. Only where all crystals are on one sweep.", multiple=True)
    create_profile_model: bool = option(
        True, "Learn the profile model from the reference spots; False keeps the one that the experiments have.")
    sampling: SamplingOptions = option(
        SamplingOptions(), "Which of the predicted reflections are integrated.", expert=1)
    exclude_images: tuple[int, ...] | None = option(
        None, "Images that are not read, counted from 0: 0,1,2 leaves out the first three.")
    integration: IntegrationOptions = option(IntegrationOptions(), "How reflections are integrated.")
    profile: ProfileOptions = option(ProfileOptions(), "The profile model.")
    prediction: PredictionOptions = option(PredictionOptions(), "Which reflections are predicted.")
    significance_filter: SignificanceOptions = option(
        SignificanceOptions(), "Resolution limit of each experiment by its intensities.", expert=1)
    absorption_correction: tuple[AbsorptionOptions, ...] = option(
        (AbsorptionOptions(),), "Absorption by the support of the crystal.", multiple=True)
    # of xdp
    cluster: ClusterOptions = option(ClusterOptions(), "The batch system, for mp.method that names one.")
