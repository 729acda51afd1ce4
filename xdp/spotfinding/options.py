"""Parameters of spot finding: names, types and defaults as in DIALS (``shared/parameters.tsv``)."""

from __future__ import annotations

from typing import Literal

from xdp.images.masks.options import MaskOptions
from xdp.options import AUTO, Auto, Options, option
from xdp.work.options import ClusterOptions, MpOptions


class OutputOptions(Options):
    """What is written, and where."""

    reflections: str = option("strong.refl", "The output filename")
    shoeboxes: bool = option(True, "Save the raw pixel values inside the reflection shoeboxes.")
    experiments: str | None = option(
        None, "Save the modified experiments (modified only with a hot pixel mask).")
    compatibility: Literal["dials-3.12"] | None = option(
        None, "Write experiments for DIALS up to 3.12, whose trusted ranges leave out both ends.")
    log: str | None = option("xdp.find_spots.log", "The log filename")


class LookupOptions(Options):
    """Files with one value a pixel."""

    mask: str | None = option(None, "The path to the mask file.")


class BackgroundGradientOptions(Options):
    """Filter of spots on sloping background."""

    filter: bool = option(False, "Drop spots whose background slopes too much.")
    background_size: int | None = option(2, "Distance between a spot's box and the ring of background, pixels.", ge=1)
    gradient_cutoff: float | None = option(4.0, "The steepest slope allowed, counts per pixel.", ge=0)


class SpotDensityOptions(Options):
    """Filter of crowded places."""

    filter: bool = option(False, "Drop spots where there are far more than elsewhere on the detector.")


class SpotFilterOptions(Options):
    """Which spots are kept."""

    min_spot_size: int | Auto | None = option(
        AUTO, "The minimum number of contiguous pixels for a spot to be accepted by the filtering algorithm. Auto: 3 "
        "where the first experiment's first panel is a SENSOR_PAD, else 6.", ge=1)
    max_spot_size: int = option(
        1000, "The maximum number of contiguous pixels for a spot to be accepted by the filtering algorithm.", ge=1)
    max_separation: float | None = option(
        2.0, "The maximum peak-to-centroid separation (in pixels) for a spot to be accepted by the filtering "
        "algorithm.", expert=1, ge=0)
    max_strong_pixel_fraction: float | None = option(
        0.25, "If the fraction of pixels in an image marked as strong is greater than this value, stop.", ge=0, le=1)
    background_gradient: BackgroundGradientOptions = option(
        BackgroundGradientOptions(), "Filter of spots on sloping background", expert=2)
    spot_density: SpotDensityOptions = option(SpotDensityOptions(), "Filter of crowded places", expert=2)
    use_trusted_range: bool = option(
        False, "Accepted for older scripts: the trusted range always masks bad pixels, as in DIALS 3.12.")


class FilterOptions(MaskOptions, SpotFilterOptions):
    """Which pixels are used, and which spots are kept."""


class DispersionOptions(Options):
    """Thresholds ``dispersion`` and ``dispersion_extended``."""

    gain: float | None = option(
        None, "Use a flat gain map for the entire detector to act as a multiplier for the gain set by the format.",
        ge=0)
    kernel_size: tuple[int, int] = option(
        (3, 3), "The size of the local area around the spot in which to calculate the mean and variance: a box of "
        "(2 * nx + 1, 2 * ny + 1) pixels centred at the pixel.", expert=1)
    sigma_background: float | None = option(
        6.0, "The number of standard deviations of the index of dispersion (variance / mean) in the local area below "
        "which the pixel will be classified as background.", expert=1)
    sigma_strong: float | None = option(
        3.0, "The number of standard deviations above the mean in the local area above which the pixel will be "
        "classified as strong.", expert=1)
    min_local: int | None = option(
        2, "The minimum number of valid pixels under the kernel that are needed. At or below zero: all of them, which "
        "leaves a border of background along the edges and around masked pixels.", expert=1)
    global_threshold: float | Auto | None = option(
        0.0, "All pixels at or below this value are background. Auto: estimated from the first image.")


class RadialProfileOptions(Options):
    """Threshold ``radial_profile``."""

    n_iqr: int | None = option(6, "IQR multiplier for determining the threshold value")
    blur: Literal["narrow", "wide"] | None = option(
        None, "Optional smoothing of the image by a small Gaussian kernel, 3 x 3 (narrow) or 5 x 5 (wide), which may "
        "reduce noise peaks and join split spots.")
    n_bins: int | None = option(100, "Number of 2theta bins in which to calculate background", ge=1,
                                phil="int(allow_none=True)")


class ThresholdOptions(Options):
    """How strong pixels are told from background."""

    algorithm: Literal["dispersion", "dispersion_extended", "radial_profile"] = option(
        "dispersion_extended", "The choice of algorithm")
    dispersion: DispersionOptions = option(DispersionOptions(), "Dispersion threshold, in both forms.")
    radial_profile: RadialProfileOptions = option(RadialProfileOptions(), "Radial profile threshold.")


class SpotFinderOptions(Options):
    """Parameters used in the spot finding algorithm."""

    lookup: LookupOptions = option(LookupOptions(), "Parameters specifying lookup file path")
    write_hot_mask: bool = option(False, "Write the hot mask")
    hot_mask_prefix: str = option("hot_mask", "Prefix for the hot mask pickle file")
    force_2d: bool = option(False, "Do spot finding in 2D")
    scan_range: tuple[tuple[int, int], ...] = option(
        (), "The range of images to use in finding spots, both included. For sequences the scan range is the image "
        "number; for image sets it is the number of the image in the set, from 1. Several ranges can be given by "
        "repeating scan_range=.", multiple=True)
    region_of_interest: tuple[int, int, int, int] | None = option(
        None, "A region of interest to look for spots: x0,x1,y0,y1. The pixels x0 and y0 are included in the range but "
        "the pixels x1 and y1 are not. The whole image is region_of_interest=0,width,0,height.")
    compute_mean_background: bool = option(False, "Compute the mean background for each image")
    filter: FilterOptions = option(FilterOptions(), "Parameters used in the spot finding filter strategy.")
    mp: MpOptions = option(MpOptions(), "Where and how the work runs.")
    threshold: ThresholdOptions = option(ThresholdOptions(), "How strong pixels are told from background.")


class FindSpotsOptions(Options):
    """All parameters of ``xdp find_spots``."""

    output: OutputOptions = option(OutputOptions(), "What is written, and where.")
    maximum_trusted_value: float | None = option(
        None, "Override maximum trusted value for spot finding only", expert=2)
    per_image_statistics: bool = option(False, "Whether or not to print a table of per-image statistics.")
    spotfinder: SpotFinderOptions = option(SpotFinderOptions(), "Parameters used in the spot finding algorithm.")
    cluster: ClusterOptions = option(ClusterOptions(), "The batch system, for mp.method other than none.")
