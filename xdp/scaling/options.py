"""Parameters of `xdp scale`. Names, types and most defaults are those of dials.scale."""

from __future__ import annotations

from typing import Literal

from xdp.options.inputs import IntensityInputOptions
from xdp.options.kinds import FilePath
from xdp.options.model import AUTO, Auto, Options, option


class PhysicalOptions(Options):
    """The model of scale, decay and absorption."""

    scale_interval: float | Auto = option(
        AUTO, "Degrees between the nodes of the smooth scale; Auto: 5. More nodes than the data ask for do no harm.",
        gt=0)
    decay_correction: bool = option(True, "A smooth B factor over the scan.")
    decay_interval: float | Auto = option(AUTO, "Degrees between the nodes of the B factor; Auto: 10.", gt=0)
    absorption_correction: bool | Auto = option(
        AUTO, "A surface of spherical harmonics; Auto: for sweeps of 60 degrees and more.")
    lmax: int | Auto = option(
        AUTO, "Highest degree of the surface; Auto: 4, and 6 where degree 4 turns out to matter.", ge=1, le=12)


class FrameOptions(Options):
    """The effect of each frame, beside what is smooth."""

    correction: bool = option(
        True, "Each frame has a factor of its own, about 1, with a spread that is estimated from the data.")


class KBOptions(Options):
    """One scale, and one B factor, for each sweep."""

    decay_correction: bool = option(True, "The B factor.")


class SelectionOptions(Options):
    """Which intensities are scaled."""

    intensity_choice: Literal["profile", "sum"] = option(
        "profile", "profile: fitted where the fit succeeded, else summed; sum: summed ones only.")


class ErrorBasicOptions(Options):
    """Numbers of the error model."""

    a: float | None = option(None, "Factor of all sigmas; None: estimated.", gt=0)
    b: float | None = option(None, "Error that is proportional to the intensity; None: estimated.", ge=0)


class ErrorModelOptions(Options):
    """sigma² = a² (sigma_counting² + (b I)²)."""

    error_model: Literal["basic"] | None = option("basic", "None: sigmas are taken as they are.")
    basic: ErrorBasicOptions = option(ErrorBasicOptions(), "Its numbers.")
    grouping: Literal["individual", "combined"] | Auto = option(
        AUTO, "combined: the same numbers for all sweeps; individual: each sweep has its own; Auto: individual where "
        "there are several.")


class WeightingOptions(Options):
    """Weights of observations."""

    error_model: ErrorModelOptions = option(ErrorModelOptions(), "The error model.")


class CutOptions(Options):
    """Which reflections are left out from the beginning."""

    d_min: float | None = option(None, "Leave out reflections finer than this, Å.", ge=0)
    d_max: float | None = option(None, "Leave out reflections coarser than this, Å.", ge=0)
    partiality_cutoff: float = option(
        0.4, "Leave out reflections of which less than this fraction was recorded.", ge=0, le=1)
    min_isigi: float = option(-5.0, "Leave out reflections whose I/sigma is below this.")


class ScalingOptions(Options):
    """How scales are found."""

    reference: FilePath | None = option(
        None, "Merged intensities or amplitudes, in an MTZ or mmCIF file, to whose scale and B factor the data are "
        "brought.", file="input")
    outlier_zmax: float = option(
        6.0, "Leave out an observation that differs from the others of its reflection by more sigmas than this.", gt=0)
    max_iterations: int = option(20, "Most rounds of fitting.", ge=1)


class DeltaFilterOptions(Options):
    """Leaving out what lowers CC1/2."""

    max_cycles: int = option(6, "Most rounds of scaling and leaving out.", ge=1)
    max_percent_removed: float = option(10.0, "Leave out at most this part of the reflections, %.", ge=0, le=100)
    min_completeness: float | None = option(
        None, "Leave out nothing that would lower the completeness below this, %.", ge=0, le=100)
    mode: Literal["dataset", "image_group"] = option(
        "dataset", "What is left out. dataset: whole data sets; image_group: groups of images.")
    group_size: int = option(10, "Images of a group.", ge=1)
    stdcutoff: float = option(
        4.0, "A part is left out if its delta-CC1/2 is so many standard deviations below the mean of all.", gt=0)


class FilterOutput(Options):
    """The record of filtering."""

    scale_and_filter_results: str = option(
        "scale_and_filter_results.json", "What each round left out; written with filtering.method only.",
        file="output")


class FilteringOptions(Options):
    """Leaving out data sets or images that do not agree with the others."""

    method: Literal["deltacchalf"] | None = option(
        None, "deltacchalf: leave out what lowers CC1/2, and scale anew, until nothing does; None: keep all.")
    deltacchalf: DeltaFilterOptions = option(DeltaFilterOptions(), "Limits.")
    output: FilterOutput = option(FilterOutput(), "The record.")


class DataSetOptions(Options):
    """Which data sets are scaled; the others are not in the files that are written."""

    use_datasets: tuple[int, ...] | None = option(None, "Only these, by their numbers from 0.")
    exclude_datasets: tuple[int, ...] | None = option(None, "Not these, by their numbers from 0.")


class ScaleOutput(Options):
    """What `xdp scale` writes."""

    experiments: str = option("scaled.expt", "The models, with those of the scales.", file="output", in_place=True)
    reflections: str = option(
        "scaled.refl", "The reflections, with their scales and the variances of the error model.", file="output",
        in_place=True)
    json_: str | None = option(None, "File for the numbers of the report; None: no file.", file="output")
    log: str | None = option(
        "xdp.scale.log", "File for the messages that are also on the screen; None: no file.", file="output")


class ScaleOptions(Options):
    """Parameters of `xdp scale`."""

    model: Literal["physical", "KB"] | None = option(
        None, "physical: smooth scale and B factor, absorption, frames. KB: a scale and a B factor for each sweep. "
        "None: KB for sweeps below 1 degree, else physical.")
    physical: PhysicalOptions = option(PhysicalOptions(), "The physical model.")
    KB: KBOptions = option(KBOptions(), "The model KB.")
    frames: FrameOptions = option(FrameOptions(), "Effects of frames, with the physical model.")
    anomalous: bool = option(
        False, "Friedel mates are different reflections when scales and outliers are sought. The error model always "
        "keeps them apart.")
    zero_dose: bool = option(
        False, "Find how the intensity of each reflection changes with the dose, and write intensities as they would "
        "be at dose 0.")
    reflection_selection: SelectionOptions = option(SelectionOptions(), "Which intensities are scaled.")
    weighting: WeightingOptions = option(WeightingOptions(), "Weights.")
    cut_data: CutOptions = option(CutOptions(), "What is left out.")
    scaling_options: ScalingOptions = option(ScalingOptions(), "How scales are found.")
    exclude_images: tuple[str, ...] = option(
        (), "Images whose reflections are left out: experiment:first:last, with the experiment's number from 0, and "
        "numbers of images, both included; first:last where there is one. Several may stand in one word: "
        "0:1:9,0:50:50. Experiments are numbered after dataset_selection.", multiple=True)
    dataset_selection: DataSetOptions = option(DataSetOptions(), "Which data sets.")
    filtering: FilteringOptions = option(FilteringOptions(), "What does not agree with the rest.")
    input: IntensityInputOptions = option(IntensityInputOptions(), "Files that are read.")
    output: ScaleOutput = option(ScaleOutput(), "Files that are written.")
