"""Parameters of merging stills: the scope `stills` of `xdp merge`."""

from __future__ import annotations

from typing import Literal

from xdp.options.kinds import FilePath
from xdp.options.model import AUTO, Auto, Options, option


class AmbiguityOptions(Options):
    """Choice of one indexing for all lattices."""

    resolve: bool = option(
        True, "Choose the indexing of each lattice where the metric allows several. False: as they are.")
    max_delta: float = option(
        2.0, "An axis of the metric counts that is missed by no more than this, degrees: accidental ones, too.", ge=0,
        le=10)
    min_probability: float = option(
        0.95, "Lattices whose indexing is less sure are left out.", ge=0, le=1)


class OutlierLatticeOptions(Options):
    """Lattices that are left out."""

    reject: bool = option(
        True, "Leave out lattices that agree with the others no better than by chance. False: keep all.")
    length_tolerance: float | None = option(
        0.03, "Leave out lattices with an axis that differs from the median by more than this part. None: keep.", gt=0)
    angle_tolerance: float = option(
        2.0, "The same for angles, degrees; not used with length_tolerance=None.", gt=0)
    min_correlation: float | None = option(
        None, "Least correlation with other lattices.", ge=-1, le=1)
    min_delta_cc_half: float | None = option(
        None, "Least change of CC1/2 by a lattice, such as -0.001: others make the merged set worse by more.", le=0)


class StillsOptions(Options):
    """Merging of stills."""

    method: Literal["partiality", "monte_carlo"] | Auto = option(
        AUTO, "partiality: divided by the partiality, weighted by its variance and counting. monte_carlo: plain means. "
        "Auto: partiality where the reflections have partialities.")
    scale: bool = option(True, "Scale lattices. False: all are as strong.")
    scale_b: bool = option(True, "Fit a relative B of each lattice, too.")
    postrefine: bool | Auto = option(
        AUTO, "Refine orientation, cell and widths of each lattice against the merged intensities, in turns with "
        "merging. Auto: where the method is partiality.")
    cycles: int = option(2, "How often, in turns with merging.", ge=1, le=20)
    min_partiality: float = option(0.05, "Leave out observations of which less was recorded.", gt=0, le=1)
    reference: FilePath | None = option(
        None, "MTZ, mmCIF or CrystFEL .hkl file of intensities: choice of indexing, post-refinement and scales go by "
        "it. None: the set itself.", file="input")
    push_res: float | None = option(
        None, "Leave out observations of a lattice that lie further than this beyond its own resolution, 1/nm. The "
        "latter is that of its finest 2 % of significant spots. None: all count.")
    error_model: Literal["ev11"] | None = option(
        "ev11", "ev11: three numbers, estimated robustly from deviations. None: counting and partialities only.")
    split: FilePath | None = option(
        None, "File whose lines name a shot (or the identifier of an experiment) and a group: all are scaled together, "
        "and each group is merged apart, too. Shots without a line are in no group.", file="input")
    seed: int = option(0, "Of the halves, and of the search for the indexing.")
    nproc: int = option(1, "Threads of post-refinement.", ge=1)
    ambiguity: AmbiguityOptions = option(AmbiguityOptions(), "Choice of indexing.")
    outliers: OutlierLatticeOptions = option(OutlierLatticeOptions(), "Lattices that are left out.")
