"""Parameters of the refinement of where panels lie, with the names and defaults of cctbx.xfel's cspad.cbf_metrology."""

from __future__ import annotations

from typing import Any, Literal

from xdp.errors import OptionError
from xdp.options import FilePath, Options, option
from xdp.options.inputs import InputOptions
from xdp.refinement.options import (
    AutoReduction,
    BeamParameters,
    Outlier,
    Parameterisation,
    Refinement,
    Reflections,
)
from xdp.work.options import ClusterOptions, MpOptions

#: Parameters of refinement that are used here; others must keep their defaults.
_USED = (
    "parameterisation.auto_reduction", "parameterisation.crystal.fix", "parameterisation.detector.fix_list",
    "parameterisation.detector.hierarchy_level", "parameterisation.detector.panels", "refinery.engine",
    "reflections.random_seed", "reflections.weighting_strategy", "reflections.outlier", "mp.nproc",
    "parameterisation.beam.fix",
)

#: What `cspad.cbf_metrology` asks of dials.refine, as far as it differs from the defaults of refinement.
METROLOGY_REFINEMENT = Refinement(
    parameterisation=Parameterisation(
        beam=BeamParameters(fix=("all",)), auto_reduction=AutoReduction(min_nref_per_parameter=3, action="remove")),
    reflections=Reflections(outlier=Outlier(
        algorithm="sauter_poon", separate_panels=True, separate_experiments=False)))


class RmsdFilter(Options):
    """Shots with large residuals."""

    enable: bool = option(
        True, "Before each level leave out shots whose RMSD of positions is too large; they stay out.")
    iqr_multiplier: float = option(
        1.5, "Too large: above the upper quartile by this many interquartile ranges.", ge=0)


class MetrologyOutput(Options):
    """Files that are written; their names begin with the tag."""

    include_unused_reflections: bool = option(False, "Write reflections that were not used in refinement too.")
    log: FilePath | None = option(
        "xdp.refine_metrology.log", "File for the messages that are also on the screen; None: no file.", file="output")


class RefineMetrologyOptions(Options):
    """Parameters of ``xdp refine_metrology``."""

    method: Literal["hierarchical", "expanding"] = option(
        "hierarchical", "hierarchical: one level of the detector's tree after the other. expanding: the groups of the "
        "last level nearest to the beam first, one more of each branch in each step; coarser levels in the first "
        "step only.")
    reflections: Literal["reindexedstrong", "indexed", "integrated"] = option(
        "indexed", "Which reflection files of folders are read. Each needs <same name>_refined.expt or "
        "<same name>_indexed.expt beside it.")
    tag: str = option("cspad", "The names of all files that are written begin with this.")
    start_at_hierarchy_level: int = option(
        0, "First level of the detector's tree that is refined; 0 is its root.", ge=0)
    refine_to_hierarchy_level: int = option(
        2, "Last level that is refined. A CSPAD has 0 the detector, 1 quadrants, 2 sensors, 3 chips.", ge=0)
    refine_distance: bool = option(
        True, "Level 0 moves along its normal, too. False: nor do all groups of deeper levels together move along the "
        "beam.")
    refine_energy: bool = option(False, "Level 0 refines the photon energy, too: one factor for all shots.")
    flat_refinement: bool = option(False, "No tilts (Tau2, Tau3), and below level 0 no shifts along the normal.")
    flat_refinement_with_distance: bool = option(
        False, "With flat_refinement: below level 0 all groups move along their normals by the same amount.")
    n_subset: int | None = option(None, "Use so many of the shots. None: all.", ge=1)
    n_subset_method: Literal["random", "n_refl", "significance_filter"] = option(
        "random", "How these are chosen. n_refl: those with the most reflections (on n_refl_panel_list, if given); "
        "significance_filter: those with the most reflections above isigi_cutoff.")
    n_refl_panel_list: tuple[int, ...] | None = option(None, "Panels whose reflections n_refl counts.", ge=0)
    isigi_cutoff: float = option(1.0, "Least I / sigma of the reflections that significance_filter counts.", ge=0)
    panel_filter: tuple[int, ...] | None = option(None, "Use the reflections on these panels only.", ge=0)
    split_dataset: bool = option(
        False, "Refine halves of the shots as well, each by itself: odd and even ones (tags TAG_1 and TAG_2), and the "
        "first and the last. How much they disagree is the error that is reported.")
    data_phil: FilePath | None = option(
        None, "A file that names all inputs: input { experiments=... reflections=... }, as often as needed.",
        file="input")
    rmsd_filter: RmsdFilter = option(RmsdFilter(), "Shots with large residuals.")
    robust_weights: bool = option(
        False, "Lower the weight of large residuals (Cauchy's function), beside the rejection of outliers.")
    output_lcls_geometry: bool = option(True, "Write 0-end.data.TAG, for LCLS.")
    refinement: Refinement = option(METROLOGY_REFINEMENT, "Refinement.")
    input: InputOptions = option(InputOptions(), "Files that are read.")
    output: MetrologyOutput = option(MetrologyOutput(), "Files that are written.")
    mp: MpOptions = option(MpOptions(), "Where the work runs.")
    cluster: ClusterOptions = option(ClusterOptions(), "The batch system, where mp.method names one.")

    def find_levels(self) -> tuple[int, ...]:
        """The levels to refine, in order. `detector.hierarchy_level`, as files for dials.refine have it, means that
        level alone.

        Examples
        --------
        >>> RefineMetrologyOptions().find_levels()
        (0, 1, 2)
        """
        # level 0 is the default there, and means that nothing was given
        given = self.refinement.parameterisation.detector.hierarchy_level
        if given:
            return (given,)
        return tuple(range(self.start_at_hierarchy_level, self.refine_to_hierarchy_level + 1))

    def check(self) -> list[str]:
        """Check what these parameters ask for together; lines for the log.

        Raises
        ------
        OptionError
            If something cannot be done.
        """
        if not self.find_levels():
            raise OptionError(f"start_at_hierarchy_level={self.start_at_hierarchy_level} is above "
                              f"refine_to_hierarchy_level={self.refine_to_hierarchy_level}")
        if self.flat_refinement_with_distance and not self.flat_refinement:
            raise OptionError("flat_refinement_with_distance=True needs flat_refinement=True")
        # what refinement offers and is not done here must not be accepted in silence
        chosen = self.refinement
        if tuple(chosen.parameterisation.beam.fix) != ("all",):
            raise OptionError("refinement.parameterisation.beam.fix must be all: the beam's direction is the gauge "
                              "that the detector is placed by; refine_energy=True refines the energy")
        if chosen.parameterisation.crystal.fix not in (None, "cell"):
            raise OptionError(f"refinement.parameterisation.crystal.fix={chosen.parameterisation.crystal.fix}: "
                              "orientations of shots are always refined; fix=cell holds the cells")
        for name in _list_changes(chosen.model_dump(), METROLOGY_REFINEMENT.model_dump(), ""):
            if not name.startswith(_USED):
                raise OptionError(f"refinement.{name} is not used by refine_metrology; leave it out")
        return self._list_notes()

    def _list_notes(self) -> list[str]:
        """Lines about parameters that are taken for others."""
        lines = []
        if self.refinement.refinery.engine != "LevMar":
            lines.append(f"refinery.engine={self.refinement.refinery.engine}: Levenberg-Marquardt steps of the shared "
                         "parameters are used, which come to the same minimum")
        level = self.refinement.parameterisation.detector.hierarchy_level
        if level:
            lines.append(f"detector.hierarchy_level={level}: this level alone is refined")
        if self.refinement.mp.nproc != 1:
            lines.append("refinement.mp.nproc is not used: mp.nproc says how many cores")
        return lines


def _list_changes(given: Any, default: Any, path: str) -> list[str]:
    """The paths of all values that differ."""
    if isinstance(given, dict) and isinstance(default, dict):
        return [name for key in given
                for name in _list_changes(given[key], default.get(key), f"{path}.{key}" if path else key)]
    return [] if given == default else [path]
