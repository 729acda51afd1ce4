"""Parameters of `xdp symmetry`. Names, types and defaults are those of dials.symmetry."""

from __future__ import annotations

from typing import Literal

from xdp.options.inputs import IntensityInputOptions
from xdp.options.kinds import FilePath, SpaceGroup
from xdp.options.model import AUTO, Auto, Options, option


class AbsenceOptions(Options):
    """Screw axes and glide planes."""

    check: bool = option(True, "Whether they are looked for.")
    significance_level: float = option(
        0.95, "A space group is called decided if its probability is at least this.", gt=0, lt=1)


class SymmetryOutput(Options):
    """What `xdp symmetry` writes."""

    experiments: str = option("symmetrized.expt", "The models in the chosen setting.", file="output", in_place=True)
    reflections: str = option(
        "symmetrized.refl", "The reflections in the chosen setting.", file="output", in_place=True)
    excluded: str | None = option(
        "excluded.expt", "The models of data sets that are set aside; None: no file.", file="output")
    excluded_reflections: str | None = option(
        "excluded.refl", "The reflections of data sets that are set aside; None: no file.", file="output")
    json_: str | None = option(
        "xdp.symmetry.json", "File for the scores of elements and groups; None: no file.", file="output")
    log: str | None = option(
        "xdp.symmetry.log", "File for the messages that are also on the screen; None: no file.", file="output")


class SymmetryOptions(Options):
    """Parameters of `xdp symmetry`."""

    d_min: float | Auto | None = option(
        AUTO, "Leave out reflections finer than this, Å; None: no limit; Auto: shells are used as long as they are "
        "strong, and the strongest 4,000 reflections in any case.", ge=0)
    min_i_mean_over_sigma_mean: float | None = option(
        4.0, "With d_min=Auto: mean intensity over mean sigma that a shell must have.", ge=0)
    normalisation: Literal["kernel", "quasi", "ml_iso", "ml_aniso"] = option(
        "ml_aniso", "How the mean intensity is modelled: ml_aniso with a dependence on direction, the others without. "
        "kernel, quasi and ml_iso are one method here.")
    lattice_group: SpaceGroup | None = option(
        None, "The highest symmetry whose elements are tested; None: that of the lattice.")
    lattice_symmetry_max_delta: float = option(
        2.0, "Largest angle by which the lattice may miss a symmetry that is still tested, degrees.", ge=0)
    relative_length_tolerance: float = option(0.05, "Axes of several data sets may differ by this fraction.", ge=0)
    absolute_angle_tolerance: float = option(2.0, "Angles of several data sets may differ by this, degrees.", ge=0)
    reference: FilePath | None = option(
        None, "A merged MTZ or mmCIF file, or a .refl, integrated or scaled: its axes and its space group are "
        "taken, and of several choices of indexing the one that agrees with it.", file="input")
    reference_experiments: FilePath | None = option(
        None, "With a .refl as reference: its .expt; by default the file beside it that differs in the ending only.",
        file="input")
    min_pairs: int = option(
        3, "With several data sets: reflections that a set must have in common with others.", ge=1)
    max_rounds: int = option(
        6, "With several data sets: most times that each is taken out, compared with all others and put back; it ends "
        "when none changes its indexing.", ge=1)
    min_reflections: int = option(10, "With several data sets: leave out sets with fewer reflections.", ge=1)
    partiality_threshold: float = option(
        0.4, "Leave out reflections of which less than this fraction was recorded.", ge=0, le=1)
    laue_group: SpaceGroup | Auto | None = option(
        AUTO, "A space group whose Laue group is taken; Auto: it is found; None: that of the crystals. Screw axes are "
        "looked for in any case.")
    change_of_basis_op: str | None = option(
        None, "The new axes in terms of the old, such as b,c,a, in place of those that are found. Needs laue_group.")
    best_monoclinic_beta: bool = option(
        True, "I2 in place of C2 where the angle beta comes nearer to 90 degrees.")
    small_molecule: bool = option(
        False, "All 230 space groups are looked at, also those that a chiral molecule cannot have.")
    systematic_absences: AbsenceOptions = option(AbsenceOptions(), "Screw axes and glide planes.")
    input: IntensityInputOptions = option(IntensityInputOptions(), "Files that are read.")
    output: SymmetryOutput = option(SymmetryOutput(), "Files that are written.")
