"""Parameters of `xdp cosym`. Names, types and defaults are those of dials.cosym."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ValidationInfo, field_validator

from xdp.options.inputs import InputOptions
from xdp.options.kinds import FilePath, SpaceGroup
from xdp.options.model import AUTO, Auto, Options, option
from xdp.symmetry.options import AbsenceOptions, SymmetryOptions

#: Parameters of dials.cosym that have no counterpart here, and why.
_REFUSED = {
    "threshold": "cells are compared axis by axis: use relative_length_tolerance and absolute_angle_tolerance",
    "min_cc_half": "shells are judged by min_i_mean_over_sigma_mean alone",
    "dimensions": "data sets are not embedded in a space: each is compared with all others, merged",
    "weights": "likelihoods weigh each pair of reflections by its error",
    "use_curvatures": "nothing is minimised: data sets are compared with all others until none changes its indexing",
    "engine": "nothing is minimised: data sets are compared with all others until none changes its indexing",
    "max_calls": "nothing is minimised; minimization.max_iterations limits how often sets are compared",
    "seed": "no random numbers are used, and the result is the same each time",
    "exclude_images": "leave frames out with xdp integrate scan_range=",
    "suffix": "one file of each kind is written: use output.experiments and output.reflections",
    "html": "no page is made: output.json has the scores",
}


def _refuse(value: Any, info: ValidationInfo) -> None:
    """Only None, or what means the same; otherwise the reason why the parameter is not there."""
    # dials.cosym takes 0 for no threshold
    if value not in (None, 0, 0.0):
        raise ValueError(f"not here: {_REFUSED[str(info.field_name)]}")


class ClusteringOptions(Options):
    """Cells that are not like those of most."""

    threshold: float | None = option(
        None, "Only None or 0: there is no tree of distances between cells; relative_length_tolerance and "
        "absolute_angle_tolerance say which cells are alike.", expert=2)
    _check = field_validator("threshold", mode="before")(_refuse)


class MinimizationOptions(Options):
    """How long choices of indexing are improved."""

    max_iterations: int = option(
        100, "Most times that each data set is taken out, compared with all others and put back; it ends when none "
        "changes its indexing.", ge=1)
    engine: str | None = option(None, "Only None: nothing is minimised.", expert=2, file="text")
    max_calls: int | None = option(None, "Only None: nothing is minimised.", expert=2)
    _check = field_validator("engine", "max_calls", mode="before")(_refuse)


class CosymOutput(Options):
    """What `xdp cosym` writes."""

    experiments: str = option("symmetrized.expt", "The models, indexed alike.", file="output", in_place=True)
    reflections: str = option("symmetrized.refl", "The reflections, indexed alike.", file="output", in_place=True)
    excluded: str | None = option(
        "excluded.expt", "The models of data sets that are set aside; None: no file.", file="output")
    excluded_reflections: str | None = option(
        "excluded.refl", "The reflections of data sets that are set aside; None: no file.", file="output")
    json_: str | None = option(
        "xdp.cosym.json", "File for the scores of elements, groups and data sets; None: no file.", file="output")
    log: str | None = option(
        "xdp.cosym.log", "File for the messages that are also on the screen; None: no file.", file="output")
    suffix: str | None = option(None, "Only None: one file of each kind is written.", expert=2, file="text")
    html: str | None = option(None, "Only None: no page is made.", expert=2, file="text")
    _check = field_validator("suffix", "html", mode="before")(_refuse)


class CosymOptions(Options):
    """Parameters of `xdp cosym`."""

    partiality_threshold: float = option(
        0.4, "Leave out reflections of which less than this fraction was recorded.", ge=0, le=1)
    unit_cell_clustering: ClusteringOptions = option(ClusteringOptions(), "Cells that are not like those of most.")
    reference: FilePath | None = option(
        None, "A merged MTZ or mmCIF file, or a .refl, integrated or scaled, whose axes, space group and choice of "
        "indexing are taken.", file="input")
    reference_experiments: FilePath | None = option(
        None, "With a .refl as reference: its .expt; by default the file beside it that differs in the ending only.",
        file="input")
    normalisation: Literal["kernel", "quasi", "ml_iso", "ml_aniso"] = option(
        "ml_iso", "How the mean intensity is modelled: ml_aniso with a dependence on direction, the others without. "
        "kernel, quasi and ml_iso are one method here.")
    d_min: float | Auto | None = option(
        AUTO, "Leave out reflections finer than this, Å; None: no limit; Auto: shells are used as long as they are "
        "strong, and the strongest 4,000 reflections in any case.", ge=0)
    min_i_mean_over_sigma_mean: float | None = option(
        4.0, "With d_min=Auto: mean intensity over mean sigma that a shell must have.", ge=0)
    lattice_group: SpaceGroup | None = option(
        None, "The highest symmetry whose elements are tested; None: that of the lattice.")
    space_group: SpaceGroup | None = option(
        None, "A space group whose Laue group is taken; None: it is found. Screw axes are looked for in any case.")
    lattice_symmetry_max_delta: float = option(
        5.0, "Largest angle by which the lattice may miss a symmetry that is still tested, degrees.", ge=0)
    best_monoclinic_beta: bool = option(True, "I2 in place of C2 where the angle beta comes nearer to 90 degrees.")
    small_molecule: bool = option(
        False, "All 230 space groups are looked at, also those that a chiral molecule cannot have.")
    min_pairs: int = option(3, "Reflections that a set must have in common with others.", ge=1)
    minimization: MinimizationOptions = option(MinimizationOptions(), "How long choices of indexing are improved.")
    nproc: int | None = option(
        None, "Threads that pair the reflections of data sets; None: all cores that may be used. The result is the "
        "same for any number.", ge=1)
    relative_length_tolerance: float = option(
        0.05, "Sets whose axes differ from those of most by more than this fraction are set aside.", ge=0)
    absolute_angle_tolerance: float = option(
        2.0, "Sets whose angles differ from those of most by more than this are set aside, degrees.", ge=0)
    min_reflections: int = option(10, "Sets with fewer reflections are set aside.", ge=1)
    min_cc_half: float | None = option(None, "Only None: shells are judged by min_i_mean_over_sigma_mean.", expert=2)
    dimensions: int | None = option(None, "Only None: data sets are not embedded in a space.", expert=2)
    weights: str | None = option(
        None, "Only None: each pair of reflections counts by its error.", expert=2, file="text")
    use_curvatures: bool | None = option(None, "Only None: nothing is minimised.", expert=2)
    seed: int | None = option(None, "Only None: no random numbers are used.", expert=2)
    exclude_images: str | None = option(
        None, "Only None: xdp integrate scan_range= leaves frames out.", expert=2)
    _check = field_validator("min_cc_half", "dimensions", "weights", "use_curvatures", "seed", "exclude_images",
                             mode="before")(_refuse)
    systematic_absences: AbsenceOptions = option(AbsenceOptions(), "Screw axes and glide planes.")
    input: InputOptions = option(InputOptions(), "Files that are read.")
    output: CosymOutput = option(CosymOutput(), "Files that are written.")

    def make_symmetry_options(self) -> SymmetryOptions:
        """Make the same parameters of `xdp symmetry`.

        Returns
        -------
        SymmetryOptions
            Without names of outputs.
        """
        # fields of equal name mean the same
        same = {name: getattr(self, name) for name in SymmetryOptions.model_fields
                if name in CosymOptions.model_fields and name not in ("input", "output")}
        group = AUTO if self.space_group is None else self.space_group
        return SymmetryOptions(**same, laue_group=group, max_rounds=self.minimization.max_iterations)
