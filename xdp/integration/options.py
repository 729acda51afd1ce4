"""Parameters of integration: names, types and defaults as in DIALS (``shared/parameters.tsv``)."""

from __future__ import annotations

from typing import Literal

from xdp.cluster.options import ClusterOptions, WorkerOptions
from xdp.integration.absorption_options import AbsorptionOptions
from xdp.integration.background.options import BackgroundOptions
from xdp.integration.hot_options import HotPixelOptions
from xdp.integration.profile_options import ProfileOptions
from xdp.options import AUTO, Auto, Options, option
from xdp.prediction.options import PredictionOptions


class OutputOptions(Options):
    """What is written, and where."""

    experiments: str = option("integrated.expt", "The experiments output filename")
    output_unintegrated_reflections: bool = option(
        False, "Include unintegrated reflections in output file", expert=2)
    reflections: str = option("integrated.refl", "The integrated output filename")
    phil: str | None = option("xdp.integrate.phil", "The output phil file", phil="str")
    log: str | None = option("xdp.integrate.log", "The log filename", phil="str")
    report: str | None = option(None, "The integration report filename (*.json)")
    include_bad_reference: bool = option(
        False, "Include bad reference data including unindexed spots, and reflections whose predictions are messed up "
        "in the reflection table output. Reflections will have the 'bad_reference' flag set.")
    compatibility: Literal["dials-3.12"] | None = option(
        None, "Write experiments for DIALS up to 3.12, whose trusted ranges leave out both ends.")


class SamplingOptions(Options):
    """Which of the predicted reflections are integrated."""

    reflections_per_degree: float | None = option(
        50.0, "The number of predicted reflections per degree of the sequence to integrate.", ge=0)
    minimum_sample_size: int | None = option(
        1000, "cutoff that determines whether subsetting of the input prediction list is done")
    maximum_sample_size: int | None = option(
        None, "The maximum number of predictions to integrate. Overrides reflections_per_degree if that produces a "
        "larger sample size.", ge=1)
    integrate_all_reflections: bool = option(
        True, "Override reflections_per_degree and integrate all predicted reflections.")
    random_seed: int | None = option(0, "Random seed for sampling")


class LookupOptions(Options):
    """Files with one value a pixel."""

    mask: str | None = option(None, "The path to the mask file.")


class BlockOptions(Options):
    """How frames are cut into blocks."""

    size: float | Auto | None = option(
        AUTO, "The block size in rotation angle (degrees); None: one block.", gt=0, phil="float(allow_none=True)")
    units: Literal["degrees", "radians", "frames"] = option("degrees", "The units of the block size")
    threshold: float | None = option(
        0.95, "For block size auto the block size is calculated by sorting reflections by the number of frames they "
        "cover and then selecting the block size to be 2*nframes[threshold] such that 100*threshold % of reflections "
        "are guaranteed to be fully contained in 1 block", ge=0, le=1)
    force: bool = option(
        False, "If the number of processors is 1 and force is False, then the number of blocks may be chosen by "
        "memory alone. If force is True then the block size is always calculated.")
    max_memory_usage: float | None = option(
        0.90, "The maximum percentage of available memory to use for allocating shoebox arrays.", gt=0, le=1)


class DebugReferenceOptions(Options):
    """Output of the reference profiles."""

    filename: str = option("reference_profiles.refl", "The filename for the reference profiles")
    output: bool = option(False, "Save the reference profiles")


class DebugOptions(Options):
    """Output of what lies between images and intensities."""

    reference: DebugReferenceOptions = option(DebugReferenceOptions(), "Output of the reference profiles.")
    during: Literal["modelling", "integration"] = option(
        "integration", "Do debugging during modelling or integration")
    output: bool = option(False, "Save shoeboxes after each processing task.")
    separate_files: bool = option(
        True, "If this is true, the shoeboxes are saved in separate files from the output integrated.refl file. This "
        "is necessary in most cases since the amount of memory used by the shoeboxes is typically greater than the "
        "available system memory. If, however, you know that memory is not an issue, you can save the shoeboxes in "
        "the integrated.refl file by setting this option to False. This only works if the debug output is during "
        "integration and not modelling.")
    delete_shoeboxes: bool = option(
        False, "Delete shoeboxes immediately before saving files. This option in combination with debug.output=True "
        "enables intermediate processing steps to make use of shoeboxes.")
    select: str | None = option(
        None, "A string specifying the selection. The string should be of the form: "
        "select=${COLUMN}[<|<=|==|!=|>=|>]${VALUE}. In addition to the items in the reflection table, the following "
        "implicit columns are defined if the necessary data is there: intensity.sum.i_over_sigma "
        "intensity.prf.i_over_sigma", phil="reflection_table_selector")
    split_experiments: bool = option(True, "Split shoeboxes into different files")


class ValidationOptions(Options):
    """Reference profiles judged by spots that did not make them."""

    number_of_partitions: int | None = option(
        1, "The number of subsamples to take from the reference spots. If the value is 1, then no validation is "
        "performed.", ge=1)
    min_partition_size: int | None = option(
        100, "The minimum number of spots to use in each subsample.", ge=1)


class FittingOptions(Options):
    """Whether and where profiles are fitted."""

    fitting: bool = option(True, "Use profile fitting if available")
    valid_foreground_threshold: float | None = option(
        0.75, "The minimum fraction of foreground pixels that must be valid in order for a reflection to be "
        "integrated by profile fitting.", expert=2, ge=0, le=1)
    sigma_b_multiplier: float | None = option(2.0, "Background box expansion factor", expert=3, ge=1)
    validation: ValidationOptions = option(
        ValidationOptions(), "Reference profiles judged by spots that did not make them.")


class FilterOptions(Options):
    """Which reflections are left out."""

    min_zeta: float | None = option(
        0.05, "Filter the reflections by the value of zeta. A value of less than or equal to zero indicates that this "
        "will not be used. A positive value is used as the minimum permissible value.", ge=0, le=1)
    max_shoebox_overlap: float | None = option(
        1.0, "Filter reflections whose shoeboxes are overlapped by greater than the requested amount. Note that this "
        "is not the percentage of the peak that is overlapped but rather the percentage of the shoebox (background "
        "and foreground). This can be useful when the detector is too close and many overlapping reflections are "
        "predicted at high resolution causing memory issues.", ge=0, le=1)
    ice_rings: bool = option(False, "Set the ice ring flags")


class ForegroundForegroundOptions(Options):
    """Filter of overlapping peaks."""

    enable: bool = option(
        False, "Remove all spots in which neighbors' foreground impinges on the spot's foreground")


class ForegroundBackgroundOptions(Options):
    """Filter of peaks in the background of others."""

    enable: bool = option(
        False, "Remove all spots in which neighbors' foreground impinges on the spot's background")


class OverlapsOptions(Options):
    """Filters of overlapping reflections."""

    foreground_foreground: ForegroundForegroundOptions = option(
        ForegroundForegroundOptions(), "Filter of overlapping peaks.")
    foreground_background: ForegroundBackgroundOptions = option(
        ForegroundBackgroundOptions(), "Filter of peaks in the background of others.")


class SubsetOptions(Options):
    """How reflections are split to save memory."""

    n_subset_split: int | None = option(
        None, "Number of subsets to split the reflection table for integration.", ge=1)


class IntegrationMpOptions(WorkerOptions):
    """Where the work runs."""

    method: Literal["multiprocessing", "none", "drmaa", "sge", "lsf", "pbs", "slurm", "address"] = option(
        "multiprocessing",
        "The multiprocessing method to use. multiprocessing: nproc threads of this process, or njobs processes of "
        "nproc threads on this machine; none: threads of this process; address: the workers of the running scheduler "
        "of cluster.address; else jobs of that batch system.")
    multiprocessing: SubsetOptions = option(SubsetOptions(), "How reflections are split to save memory.")


class SummationOptions(Options):
    """Summation of intensities."""

    detector_gain: float | None = option(
        1.0, "Multiplier for variances after integration of still images. See Leslie 1999.")


class CentroidOptions(Options):
    """Centroids of integrated reflections."""

    algorithm: Literal["simple"] = option("simple", "The choice of algorithm")


class IntegrationOptions(Options):
    """How reflections are integrated."""

    lookup: LookupOptions = option(LookupOptions(), "Parameters specifying lookup file path")
    block: BlockOptions = option(BlockOptions(), "How frames are cut into blocks.")
    use_dynamic_mask: bool = option(True, "Use dynamic mask if available")
    debug: DebugOptions = option(DebugOptions(), "Output of what lies between images and intensities.")
    integrator: Literal["auto", "3d", "flat3d", "2d", "single2d", "stills", "3d_threaded"] = option(
        "auto", "The integrator to use.", expert=3)
    profile: FittingOptions = option(FittingOptions(), "Whether and where profiles are fitted.")
    filter: FilterOptions = option(FilterOptions(), "Which reflections are left out.", expert=1)
    overlaps_filter: OverlapsOptions = option(OverlapsOptions(), "Filters of overlapping reflections.")
    mp: IntegrationMpOptions = option(IntegrationMpOptions(), "Where the work runs.")
    summation: SummationOptions = option(SummationOptions(), "Summation of intensities.")
    background: BackgroundOptions = option(BackgroundOptions(), "Background algorithms.")
    centroid: CentroidOptions = option(CentroidOptions(), "Centroids of integrated reflections.")
    hot_pixels: HotPixelOptions = option(HotPixelOptions(), "Hot and dead pixels.")


class SignificanceOptions(Options):
    """Resolution limit of each experiment by its intensities."""

    enable: bool = option(
        False, "If enabled, the significance filter will, for every experiment, find the highest resolution where the "
        "I/sigI remains above a certain point (controlled by isigi_cutoff).")
    d_min: float | None = option(
        None, "High resolution cutoff for binning. If None, use the highest resolution reflection as d_min.")
    n_bins: int | None = option(20, "Number of bins to use when examining resolution falloff")
    isigi_cutoff: float | None = option(
        1.0, "I/sigI cutoff. Reflections in and past the first bin that falls below this cutoff will not be retained")


class IntegrateOptions(Options):
    """All parameters of ``xdp integrate``."""

    output: OutputOptions = option(OutputOptions(), "What is written, and where.")
    scan_range: tuple[tuple[int, int], ...] = option(
        (), "Explicitly specify the images to be processed, as array indices: 0,10 is images 1 to 10. Only applicable "
        "when experiment list contains a single imageset.", multiple=True)
    create_profile_model: bool = option(True, "Create the profile model")
    sampling: SamplingOptions = option(
        SamplingOptions(), "Which of the predicted reflections are integrated.", expert=1)
    exclude_images: tuple[int, ...] | None = option(
        None, "Exclude images from integration (e.g. 1,2,3,4,5 etc)")
    integration: IntegrationOptions = option(IntegrationOptions(), "How reflections are integrated.")
    profile: ProfileOptions = option(ProfileOptions(), "The profile model.")
    prediction: PredictionOptions = option(PredictionOptions(), "Which reflections are predicted.")
    significance_filter: SignificanceOptions = option(
        SignificanceOptions(), "Resolution limit of each experiment by its intensities.", expert=1)
    absorption_correction: tuple[AbsorptionOptions, ...] = option(
        (AbsorptionOptions(),), "Absorption by the support of the crystal.", multiple=True)
    cluster: ClusterOptions = option(ClusterOptions(), "The batch system, for mp.method that names one.")
