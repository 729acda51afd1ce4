"""The parameters of refinement, with the names and defaults that DIALS gave them.

Where a default differs from DIALS' the table in docs/refinement.md says so.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import field_validator

from xdp.errors import OptionError
from xdp.options.model import AUTO, Auto, Options, option

#: The type of `fix_list`: PHIL's strings, whose words may have commas in them.
Names = tuple[str, ...]


class AutoReduction(Options):
    """What to do where there are too few reflections for all parameters."""

    min_nref_per_parameter: int = option(
        5, "A model needs so many reflections, and as many of their coordinates for each of its parameters.", ge=1)
    # DIALS fails by default; a model that stays where it is serves the user better than no result
    action: Literal["fail", "fix", "remove"] = option(
        "fix", "fail: stop with an error; fix: hold the parameters of the model in question where they are; "
        "remove: leave out the experiment.")


class SmootherOptions(Options):
    """How fast a parameter may change over the scan."""

    # ten nodes a turn: crystals slip and age slowly
    interval_width_degrees: float = option(36.0, "Distance of the smoother's nodes in degrees.", gt=0)
    absolute_num_intervals: int | None = option(None, "Number of intervals, whatever the width of the scan.", ge=1)


class BeamParameters(Options):
    """The beam's parameters."""

    fix: tuple[Literal["all", "in_spindle_plane", "out_spindle_plane", "wavelength"], ...] = option(
        # the wavelength scales with the cell; a turn about the spindle, of all models together, changes nothing
        ("in_spindle_plane", "wavelength"), "What of the beam is not refined.")
    fix_list: Names | None = option(
        None, "Parameters that are not refined, by their names or parts of these (Beam1Mu1, Mu1, Mu2, nu), or by their "
        "numbers from 0.", expert=1)
    force_static: bool = option(True, "The beam does not change with the scan.", expert=1)
    smoother: SmootherOptions = option(SmootherOptions(), "Smoothing over the scan.", expert=2)


class TieToTarget(Options):
    """A known cell to stay close to."""

    values: tuple[float, float, float, float, float, float] | None = option(
        None, "The target cell in Å and degrees.", gt=0)
    sigmas: tuple[float, float, float, float, float, float] | None = option(
        None, "How far each value may be off; 0: not restrained.", ge=0)
    id: tuple[int, ...] | None = option(
        None, "Only the crystals of these experiments are tied, counted from 0; None: all.", ge=0)


class CellRestraints(Options):
    """Restraints of the cell."""

    tie_to_target: tuple[TieToTarget, ...] = option(
        (), "A target for the crystals' cells; given several times, each for other experiments (id).", expert=1,
        multiple=True)

    @field_validator("tie_to_target", mode="before")
    @classmethod
    def _accept_one(cls, value: Any) -> Any:
        """A single target, as most runs have, needs no tuple around it."""
        return (value,) if isinstance(value, (dict, TieToTarget)) else value

    @field_validator("tie_to_target", mode="after")
    @classmethod
    def _join_parts(cls, ties: tuple[TieToTarget, ...]) -> tuple[TieToTarget, ...]:
        """Join what one tie is made of.

        On a command line its values, sigmas and id are words of their own. What is given once more begins another tie.
        """
        joined: list[TieToTarget] = []
        for tie in ties:
            given = {name: value for name, value in tie if value is not None}
            if joined and given and not any(getattr(joined[-1], name) is not None for name in given):
                joined[-1] = joined[-1].model_copy(update=given)
            elif given:
                joined.append(tie)
        return tuple(joined)


class UnitCellParameters(Options):
    """The cell's parameters."""

    fix_list: Names | None = option(
        None, "Parameters that are not refined, by their names or parts of these (Crystal1g_param_0, g_param_1), or by "
        "their numbers from 0.", expert=1)
    restraints: CellRestraints = option(CellRestraints(), "Restraints.", expert=1)
    force_static: bool = option(False, "The cell does not change with the scan.", expert=1)
    smoother: SmootherOptions = option(SmootherOptions(), "Smoothing over the scan.", expert=2)


class OrientationParameters(Options):
    """The orientation's parameters."""

    fix_list: Names | None = option(
        None, "Parameters that are not refined, by their names or parts of these (Crystal1Phi1, Phi2), or by their "
        "numbers from 0.", expert=1)
    force_static: bool = option(False, "The orientation does not change with the scan.", expert=1)
    smoother: SmootherOptions = option(SmootherOptions(), "Smoothing over the scan.", expert=2)


class CrystalParameters(Options):
    """The crystal's parameters."""

    fix: Literal["all", "cell", "orientation"] | None = option(None, "What of the crystal is not refined.")
    unit_cell: UnitCellParameters = option(UnitCellParameters(), "The unit cell.")
    orientation: OrientationParameters = option(OrientationParameters(), "The orientation.")


class DetectorParameters(Options):
    """The detector's parameters."""

    panels: Literal["automatic", "single", "multiple", "hierarchical"] = option(
        "automatic", "Whether panels move as one body (single, multiple) or in the groups of the hierarchy.", expert=1)
    hierarchy_level: int = option(0, "The level of the hierarchy whose groups move.", ge=0, expert=1)
    fix: Literal["auto", "all", "position", "orientation", "distance"] | None = option(
        "auto", "What of the detector is not refined. auto: the distance with electrons, whose flat Ewald sphere does "
        "not tell it from the cell; else nothing.")
    fix_list: Names | None = option(
        None, "Parameters that are not refined, by their names or parts of these (Dist,Tau1 or Group2 or "
        "Detector1Group2Shift1), or by their numbers from 0. Those of fix are not refined either.", expert=1)
    force_static: bool = option(True, "The detector does not change with the scan.", expert=1)
    smoother: SmootherOptions = option(SmootherOptions(), "Smoothing over the scan.", expert=2)


class GoniometerParameters(Options):
    """The goniometer's parameters."""

    fix: tuple[Literal["all", "in_beam_plane", "out_beam_plane"], ...] | None = option(
        ("all",), "What of the goniometer's setting rotation is not refined.")
    fix_list: Names | None = option(
        None, "Parameters that are not refined, by their names or parts of these (Goniometer1Gamma1, Gamma2), or by "
        "their numbers from 0.", expert=1)


class Parameterisation(Options):
    """Which parameters are refined."""

    auto_reduction: AutoReduction = option(AutoReduction(), "Too few reflections.", expert=1)
    # DIALS varies scans always
    scan_varying: bool | Auto = option(
        AUTO, "Let the crystal (and beam and detector where asked) change smoothly over the scan, after static "
        "refinement. Auto: where that explains the observations better than its parameters alone would.")
    beam: BeamParameters = option(BeamParameters(), "The beam.", expert=1)
    crystal: CrystalParameters = option(CrystalParameters(), "The crystal.", expert=1)
    detector: DetectorParameters = option(DetectorParameters(), "The detector.", expert=1)
    goniometer: GoniometerParameters = option(GoniometerParameters(), "The goniometer.", expert=1)

    def as_static(self) -> Parameterisation:
        """The same without a scan-varying stage, for what comes before `xdp refine`.

        Raises
        ------
        OptionError
            If ``scan_varying=True`` asks for one.
        """
        if self.scan_varying is True:
            raise OptionError("scan_varying=True is for xdp refine: indexing and the comparison of Bravais settings "
                              "refine static models")
        return self.model_copy(update={"scan_varying": False})


class Refinery(Options):
    """The minimiser."""

    # names of DIALS' engines that have none of their own here are kept for its scripts: see UNUSED
    engine: Literal["SimpleLBFGS", "LBFGScurvs", "GaussNewton", "LevMar", "SparseLevMar"] = option(
        "LevMar", "How steps are found: by GaussNewton, or by LevMar for all other names. LevMar itself treats what "
        "only one crystal depends on as sparse.", expert=1)
    # a limit for data that do not converge
    max_iterations: int | None = option(None, "Largest number of steps; None: 100.", ge=1, expert=1)


class Target(Options):
    """When to stop."""

    rmsd_cutoff: Literal["fraction_of_bin_size", "absolute"] = option(
        "fraction_of_bin_size", "Whether the RMSD targets are fractions of a pixel and an image, or absolute.",
        expert=1)
    bin_size_fraction: float = option(0.0, "Target RMSD as a fraction of a pixel and of an image.", ge=0, expert=1)
    absolute_cutoffs: tuple[float, float, float] | None = option(
        None, "Target RMSDs in mm, mm and radians.", ge=0, expert=1)


class Tukey(Options):
    """Outliers by Tukey's rule."""

    iqr_multiplier: float = option(1.5, "Multiples of the interquartile range beyond the quartiles.", ge=0)


class Mcd(Options):
    """Outliers by the robust distance of the minimum covariance determinant."""

    alpha: float = option(0.5, "Fraction of the observations that determine the estimate.", ge=0.5, le=1.0)
    n_trials: int = option(500, "Number of random starts.", ge=1)
    k1: int = option(2, "Concentration steps for each start.", ge=1)
    k3: int = option(100, "Largest number of concentration steps for the best starts.", ge=1)
    threshold_probability: float = option(
        0.975, "Quantile of chi square above which an observation is an outlier.", gt=0, lt=1)


class SauterPoon(Options):
    """Outliers of stills by the radial distribution of their residuals."""

    px_sz: tuple[float, float] | Auto = option(AUTO, "Pixel size in mm; Auto: from the detector.", gt=0)


class Outlier(Options):
    """Which reflections are left out as outliers."""

    algorithm: Literal["null", "auto", "mcd", "tukey", "sauter_poon"] | None = option(
        "auto", "The method. auto: mcd for rotation data, sauter_poon for stills.")
    minimum_number_of_reflections: int = option(20, "Groups of fewer are not looked at.", ge=1, expert=1)
    separate_experiments: bool = option(True, "Look at each experiment on its own.", expert=1)
    separate_panels: bool = option(False, "Look at each panel on its own.", expert=1)
    separate_blocks: bool = option(True, "Look at blocks of the scan on their own.", expert=1)
    block_width: float | Auto = option(AUTO, "Width of the blocks in degrees.", gt=0, expert=1)
    tukey: Tukey = option(Tukey(), "Tukey's rule.", expert=1)
    mcd: Mcd = option(Mcd(), "Minimum covariance determinant.", expert=1)
    sauter_poon: SauterPoon = option(SauterPoon(), "Sauter & Poon.", expert=1)


class Weighting(Options):
    """Weights of the residuals."""

    override: Literal["statistical", "stills", "constant"] | None = option(
        None, "statistical: 1/variance, delta psi of stills not at all; stills: delta psi weighs delpsi_constant; "
        "constant: by constants. None: statistical for rotation data, stills for stills.")
    # 1/rad^2: delta psi of a milliradian weighs as much as a standard deviation
    delpsi_constant: float = option(1000000.0, "Weight of delta psi, for stills.", ge=0)
    constants: tuple[float, float, float] = option((1.0, 1.0, 1.0), "Weights for override=constant.", ge=0)


class Reflections(Options):
    """Which reflections are used."""

    # DIALS thins out; here all reflections cost little
    reflections_per_degree: float | Auto | None = option(
        AUTO, "Reflections used for each degree of scan; None or Auto: all, which costs little.", ge=0, expert=1)
    minimum_sample_size: int = option(1000, "Use at least this many.", ge=1, expert=1)
    maximum_sample_size: int | None = option(None, "Use at most this many.", ge=1, expert=1)
    random_seed: int = option(42, "Seed of the choice.", expert=1)
    # DIALS' value; angles of reflections closer to the spindle are uncertain
    close_to_spindle_cutoff: float = option(
        0.02, "Reflections are left out where spindle, beam and ray (s0 and s1 of length 1/wavelength) span a volume "
        "less than this, or zeta is less: they run along the sphere.", ge=0, expert=1)
    scan_margin: float = option(0.0, "Leave out reflections this close (degrees) to the ends of the scan.", ge=0,
                                expert=1)
    weighting_strategy: Weighting = option(Weighting(), "Weights.", expert=1)
    outlier: Outlier = option(Outlier(), "Outlier rejection.", expert=1)


class RefinementMp(Options):
    """Cores, for scripts that give them."""

    # measured: two threads take 1.2 times as long as one, for 6 sweeps of 4,400 reflections and for 300 stills of 100
    nproc: int | Auto | None = option(
        1, "Accepted and not used: on threads the normal equations take longer. Very many experiments are shared out "
        "to the workers of a Dask client (xdp.refine(client=...)).", ge=1)


class Refinement(Options):
    """Refinement of all models against the centroids."""

    parameterisation: Parameterisation = option(Parameterisation(), "Which parameters are refined.")
    refinery: Refinery = option(Refinery(), "The minimiser.", expert=1)
    target: Target = option(Target(), "When to stop.", expert=1)
    reflections: Reflections = option(Reflections(), "Which reflections are used.", expert=1)
    mp: RefinementMp = option(RefinementMp(), "Cores.", expert=2)

    def list_unused(self) -> list[str]:
        """Say of each parameter that is accepted and not used, or used as another, a line; for the log.

        Examples
        --------
        >>> Refinement(mp={"nproc": 4}).list_unused()
        ['refinement.mp.nproc=4 is not used: one thread is faster']
        """
        lines = []
        if self.mp.nproc != 1:
            lines.append(f"refinement.mp.nproc={self.mp.nproc} is not used: one thread is faster")
        if self.refinery.engine not in ("GaussNewton", "LevMar"):
            lines.append(f"refinery.engine={self.refinery.engine}: LevMar is used, which comes to the same minimum")
        return lines

    def simplify(self, maximum_sample_size: int | None = None) -> Refinement:
        """The same for indexing and the comparison of settings: static models, and a quick outlier test.

        Parameters
        ----------
        maximum_sample_size : int, optional
            Use at most so many reflections; by default as many as the options say.

        Raises
        ------
        OptionError
            If ``scan_varying=True`` asks for models that vary.
        """
        outlier = self.reflections.outlier
        if outlier.algorithm == "auto":
            # indexing refines many times, and the minimum covariance determinant takes long
            outlier = outlier.model_copy(update={"algorithm": "tukey"})
        changes: dict[str, Outlier | int] = {"outlier": outlier}
        if maximum_sample_size is not None:
            changes["maximum_sample_size"] = maximum_sample_size
        return self.model_copy(update={"reflections": self.reflections.model_copy(update=changes),
                                       "parameterisation": self.parameterisation.as_static()})
