"""Parameters of spot finding: names, types and defaults as in DIALS (``shared/parameters.tsv``)."""

from __future__ import annotations

from typing import Literal

from xdp.images.masks.options import MaskOptions
from xdp.options import AUTO, Auto, Options, option
from xdp.work.options import ClusterOptions, MpOptions


class FindSpotsOutput(Options):
    """What is written, and where."""

    reflections: str = option("strong.refl", "File for the spots.", file="output")
    shoeboxes: bool = option(True, "Write the pixels of each spot too; integration learns its profile model from them.")
    experiments: str | None = option(
        None, "File for the experiments; with write_hot_mask they name the masks. None: no file.", file="output")
    # the dxtbx of DIALS 3.12 leaves out both ends of a trusted range, ours and later ones include them
    compatibility: Literal["dials-3.12"] | None = option(
        None, "Write experiments for DIALS up to 3.12, whose trusted ranges leave out both ends.")
    log: str | None = option(
        "xdp.find_spots.log", "File for the messages that are also on the screen; None: no file.", file="output")


class SpotLookupOptions(Options):
    """Files with one value a pixel."""

    mask: str | None = option(
        None, "Mask file, in addition to that of the images: pixels that are False in it are not used.", file="input")


class BackgroundGradientOptions(Options):
    """Filter of spots on sloping background."""

    filter: bool = option(False, "Drop spots whose background slopes too much.")
    background_size: int | None = option(
        # None is allowed since scripts may say it; it then means 0
        2, "Pixels between a spot's box and the ring of pixels whose slope is measured.", ge=1)
    gradient_cutoff: float | None = option(
        4.0, "Spots are dropped where the background changes by more than this, counts per pixel, along fast or slow.",
        ge=0)


class SpotDensityOptions(Options):
    """Filter of crowded places."""

    filter: bool = option(False, "Drop spots where there are far more than elsewhere on the detector.")


class SpotFilterOptions(Options):
    """Which spots are kept."""

    min_spot_size: int | Auto | None = option(
        AUTO, "Spots of fewer pixels are dropped. Auto: 3 where the first experiment's first panel is a SENSOR_PAD, "
        "else 6.", ge=1)
    max_spot_size: int = option(1000, "Spots of more pixels are dropped.", ge=1)
    max_separation: float | None = option(
        2.0, "Spots are dropped whose highest pixel is further than this from their centroid, in pixels (a frame "
        "counts as one). None: none.", expert=1, ge=0)
    max_strong_pixel_fraction: float | None = option(
        0.25, "Stop at an image of which more than this fraction is strong: its threshold is too low, or it is no "
        "diffraction image. None: go on.", ge=0, le=1)
    background_gradient: BackgroundGradientOptions = option(
        BackgroundGradientOptions(), "Filter of spots on sloping background.", expert=2)
    spot_density: SpotDensityOptions = option(SpotDensityOptions(), "Filter of crowded places.", expert=2)
    # DIALS 3.12 does not have it, other versions do: scripts written for those still run
    use_trusted_range: bool = option(
        False, "Accepted for older scripts: the trusted range always masks bad pixels, as in DIALS 3.12.")


class FindSpotsFilters(MaskOptions, SpotFilterOptions):
    """Which pixels are used, and which spots are kept."""


class DispersionOptions(Options):
    """Thresholds ``dispersion`` and ``dispersion_extended``."""

    # what the detector model knows is divided out before: this is for what the model gets wrong
    gain: float | None = option(
        None, "Counts per photon that are left after division by the detector's own gain; noise is expected to be this "
        "much stronger. None: 1.", ge=0)
    kernel_size: tuple[int, int] = option(
        (3, 3), "Half widths of the window about a pixel, along slow and fast: 3,3 is 7 x 7 pixels. Use wider ones for "
        "large spots.", expert=1)
    sigma_background: float | None = option(
        6.0, "A window has signal where its variance over mean is this many standard deviations above that of even "
        "background. Lower finds weaker spots.", expert=1)
    sigma_strong: float | None = option(
        3.0, "A pixel is strong where it exceeds the background around it by this many standard deviations. Lower "
        "finds weaker spots.", expert=1)
    min_local: int | None = option(
        2, "Fewest good pixels of a window; pixels with fewer around them are never strong. 0 or less: all of them, so "
        "that none is strong at edges and masks.", expert=1)
    global_threshold: float | Auto | None = option(
        0.0, "Pixels of this many counts or fewer are never strong. Auto: from the first image.")


class RadialProfileOptions(Options):
    """Threshold ``radial_profile``."""

    n_iqr: int | None = option(
        6, "A pixel is strong where it exceeds the median of its ring by this many interquartile ranges of the ring.")
    blur: Literal["narrow", "wide"] | None = option(
        None, "Smooth images over 3 x 3 (narrow) or 5 x 5 pixels (wide) first: less noise, and spots in pieces become "
        "one. None: no smoothing.")
    n_bins: int | None = option(
        # shown as DIALS shows it, without the bound, so that files of parameters compare equal
        100, "Rings of equal width in scattering angle that the panel is cut into.", ge=1, phil="int(allow_none=True)")


class ThresholdOptions(Options):
    """How strong pixels are told from background."""

    algorithm: Literal["dispersion", "dispersion_extended", "radial_profile"] = option(
        "dispersion_extended", "dispersion: counts vary more around the pixel than background does; "
        "dispersion_extended: the same, with the background measured beside the spot; radial_profile: brighter than "
        "the pixels at the same scattering angle.")
    dispersion: DispersionOptions = option(DispersionOptions(), "Dispersion threshold, in both forms.")
    radial_profile: RadialProfileOptions = option(RadialProfileOptions(), "Radial profile threshold.")


class SpotFinderOptions(Options):
    """How spots are found: pixels, threshold, filters, and where the work runs."""

    lookup: SpotLookupOptions = option(SpotLookupOptions(), "Files with one value a pixel.")
    write_hot_mask: bool = option(
        False, "Write a mask of the pixels that are strong on every image, for lookup.mask of another search.")
    hot_mask_prefix: str = option(
        "hot_mask", "That mask is called PREFIX_N.pickle, N being the number of the image set.",
        file="output", names="{hot_mask_prefix}_*.pickle", when="write_hot_mask")
    force_2d: bool = option(
        False, "Find spots image by image; False joins strong pixels of consecutive images of a sweep.")
    scan_range: tuple[tuple[int, int], ...] = option(
        (), "First and last image to search, both included: of a sweep the numbers of the images, of stills their "
        "place, from 1.", multiple=True)
    region_of_interest: tuple[int, int, int, int] | None = option(
        None, "Search only pixels x0 to x1 - 1 (fast) and y0 to y1 - 1 (slow) of each panel, given as x0,x1,y0,y1.")
    compute_mean_background: bool = option(
        False, "Say in the log the mean count of each image outside its strong pixels.")
    filter: FindSpotsFilters = option(FindSpotsFilters(), "Which pixels are used, and which spots are kept.")
    mp: MpOptions = option(MpOptions(), "Where and how the work runs.")
    threshold: ThresholdOptions = option(ThresholdOptions(), "How strong pixels are told from background.")


class FindSpotsOptions(Options):
    """All parameters of ``xdp find_spots``."""

    output: FindSpotsOutput = option(FindSpotsOutput(), "What is written, and where.")
    maximum_trusted_value: float | None = option(
        None, "Highest good count, instead of the trusted range's; brighter pixels are masked. The written experiments "
        "keep theirs.", expert=2)
    exclude_images: tuple[str, ...] = option(
        (), "Images that are not searched: experiment:first:last, with the experiment's number from 0, and numbers of "
        "images, both included; first:last where there is one sweep, or of stills their place, from 1. Several ranges "
        "may stand in one word: 0:1:9,0:50:50.", multiple=True, expert=1)
    per_image_statistics: bool = option(False, "Print a table with the spots and the resolution of each image.")
    spotfinder: SpotFinderOptions = option(SpotFinderOptions(), "How spots are found.")
    cluster: ClusterOptions = option(ClusterOptions(), "The batch system, for mp.method other than none.")
