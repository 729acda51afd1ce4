"""Parameters of `xdp estimate_resolution`. Names, types and defaults are those of dials.estimate_resolution."""

from __future__ import annotations

from typing import Literal

from xdp.options.inputs import InputOptions
from xdp.options.kinds import FilePath, SpaceGroup
from xdp.options.model import Options, option


class ResolutionMeasures(Options):
    """By what resolution is judged, and in which shells."""

    rmerge: float | None = option(None, "Limit where Rmerge rises to this.", ge=0)
    completeness: float | None = option(None, "Limit where the completeness (0 to 1) falls to this.", ge=0, le=1)
    cc_ref: float | None = option(0.1, "Limit where the correlation with the reference falls to this.", ge=-1, le=1)
    cc_half: float | None = option(0.3, "Limit where CC1/2 falls to this.", ge=-1, le=1)
    cc_half_method: Literal["half_dataset", "sigma_tau"] = option(
        "half_dataset", "half_dataset: correlation of two halves; sigma_tau: from variances.")
    cc_half_significance_level: float | None = option(
        0.1, "Shells whose CC1/2 has at least this probability by chance do not count; None: all count.", ge=0, le=1)
    cc_half_fit: Literal["polynomial", "tanh"] = option("tanh", "The curve through CC1/2 and the like.")
    isigma: float | None = option(None, "Limit where the mean I/sigma of observations falls to this.", ge=0)
    misigma: float | None = option(None, "Limit where the mean I/sigma of merged intensities falls to this.", ge=0)
    i_mean_over_sigma_mean: float | None = option(
        None, "Limit where mean merged intensity over mean sigma falls to this.", ge=0)
    nbins: int = option(100, "Most shells.", ge=1)
    reflections_per_bin: int = option(10, "Fewest unique reflections in a shell.", ge=1)
    binning_method: Literal["counting_sorted", "volume"] = option(
        "counting_sorted", "counting_sorted: shells of equally many reflections; volume: of equal volume.")
    anomalous: bool = option(False, "Friedel mates are different reflections.")
    space_group: SpaceGroup | None = option(None, "The group to merge in; None: that of the data.")
    reference: FilePath | None = option(
        None, "An MTZ or mmCIF file of merged intensities or amplitudes, for cc_ref.", file="input")
    emax: float | None = option(4.0, "Leave out reflections of a normalised amplitude above this.", gt=0)


class ResolutionOutput(Options):
    """What `xdp estimate_resolution` writes."""

    json_: str | None = option(None, "File for curves and limits; None: no file.", file="output")
    log: str | None = option(
        "xdp.estimate_resolution.log", "File for the messages that are also on the screen; None: no file.",
        file="output")


class ResolutionOptions(Options):
    """Parameters of `xdp estimate_resolution`."""

    resolution: ResolutionMeasures = option(ResolutionMeasures(), "Measures.")
    input: InputOptions = option(InputOptions(), "Files that are read.")
    output: ResolutionOutput = option(ResolutionOutput(), "Files that are written.")
