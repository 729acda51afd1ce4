"""Merge scaled observations: a mean for each reflection, amplitudes, statistics, and an MTZ file."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from xdp.display import Displayed
from xdp.errors import XdpError
from xdp.experiment.experiment import ExperimentList
from xdp.exporting.mtz import check_exportable, group_wavelengths, median_cell, spacings
from xdp.merging.amplitudes import compute_amplitudes
from xdp.merging.average import Means, ScaledObservations, average, gather_scaled
from xdp.merging.diagnostics.diagnose import Diagnostics, diagnose, make_diagnostics_table
from xdp.merging.free_flags import choose_free, extend_free, read_free_flags
from xdp.merging.merged import MergedIntensities
from xdp.merging.options import MergeOptions
from xdp.merging.output.merged_hkl import write_merged_hkl
from xdp.merging.output.mmcif import write_mmcif_file
from xdp.merging.output.mtz import write_mtz_file
from xdp.merging.output.text_files import write_scalepack, write_shelx_merged
from xdp.merging.statistics import compute_merging_statistics, make_table
from xdp.merging.stills.merge_stills import StillsRun, are_unscaled_stills, check_stills_options, merge_stills
from xdp.merging.stills.observations import name_shots
from xdp.merging.stills.run_report import make_lattice_table, summarise_stills
from xdp.merging.stills.select import choose_groups, select_scaled
from xdp.merging.stills.shell_statistics import StillsShell, compute_stills_shells, make_stills_table
from xdp.merging.stills.split_file import read_split_file
from xdp.merging.table_one import check_table_name
from xdp.merging.unique import UniqueReflections
from xdp.merging.wilson_prior import WilsonPrior, expect_wilson_means
from xdp.options.named import make_options
from xdp.reflections.table import ReflectionTable
from xdp.report.tables import Report
from xdp.space_groups import AnySpaceGroup, UntabulatedGroup
from xdp.work.progress import Progress
from xdp.work.single import run_as_one_task

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger(__name__)

_GROUP_FILES = ("mtz", "mmcif", "scalepack", "shelx", "table_one", "hkl", "json_")
"""Files that each group has for itself."""


@dataclass(frozen=True, repr=False)
class Merged(Displayed, MergedIntensities):
    """What :func:`merge` gives: merged intensities, and what they were made of.

    Attributes
    ----------
    experiments, reflections
        Those that were given.
    """

    experiments: ExperimentList
    reflections: ReflectionTable

    @property
    def report(self) -> Report:
        """Merging statistics, distribution of intensities, Table 1."""
        return Report(tables=(make_table(self.shells), make_diagnostics_table(self.diagnostics),
                              self.table_one.to_table()),
                      facts={**self.shells[-1].to_dict(), **self.diagnostics.to_dict()})

    def write_mtz(self, path: str | os.PathLike) -> None:
        """Write the MTZ file.

        Parameters
        ----------
        path : path
        """
        write_mtz_file(path, self)

    def _facts(self) -> list[tuple[str, Any]]:
        return list(self.shells[-1].to_dict().items())


@dataclass(frozen=True, repr=False)
class MergedStills(Merged):
    """What :func:`merge` gives of stills.

    Attributes
    ----------
    run : StillsRun
        Scales, choices of indexing, lattices that were set aside, error model.
    stills_shells : tuple of StillsShell
        Rsplit and number of lattices, in the shells of `shells`.
    groups : dict of str to MergedStills
        What was merged apart (``stills.split``).
    """

    run: StillsRun
    stills_shells: tuple[StillsShell, ...]
    groups: dict[str, MergedStills] = field(default_factory=dict)

    @property
    def report(self) -> Report:
        """Statistics of stills, merging statistics, distribution of intensities, Table 1; each lattice."""
        tables = (make_stills_table(self.shells, self.stills_shells), make_diagnostics_table(self.diagnostics),
                  make_table(self.shells), self.table_one.to_table(), make_lattice_table(self.run))
        return Report(tables=tables, facts={**self.shells[-1].to_dict(), **self.stills_shells[-1].to_dict(),
                                            **self.diagnostics.to_dict(), **summarise_stills(self.run)})


def merge(experiments: ExperimentList, reflections: ReflectionTable,
          options: MergeOptions | Mapping[str, Any] | None = None, *, client: Client | None = None,
          progress: Progress | None = None, **named: Any) -> Merged:
    """Merge scaled observations to one intensity for each reflection.

    Parameters
    ----------
    experiments : ExperimentList
        With crystals of one space group, at one wavelength.
    reflections : ReflectionTable
        As scaled by `xdp.scale` or by dials.scale.
    options : MergeOptions or dict, optional
        The parameters of ``xdp merge``. No file is written; see :func:`write_merged`.
    client : distributed.Client, optional
        One of its workers does the work; by default this process.
    progress : callable, optional
        Shows when the work is done.
    **named
        Parameters by name, laid over `options`: ``d_min=1.8, anomalous=False``.

    Returns
    -------
    Merged
        With ``hkl``, ``columns``, ``shells`` and ``report``.

    Raises
    ------
    XdpError
        If the reflections are not scaled, or there are several space groups or wavelengths.

    Examples
    --------
    >>> import xdp
    >>> from xdp.simulation import make_integrated
    >>> scaled = xdp.scale(*make_integrated())
    >>> merged = xdp.merge(scaled.experiments, scaled.reflections)
    >>> list(merged.columns)[:2], len(merged.hkl) == merged.shells[-1].n_unique
    (['FreeR_flag', 'IMEAN'], True)
    """
    chosen = make_options(MergeOptions, options, named)
    return run_as_one_task(_merge, experiments, reflections, chosen, label="merging", client=client, progress=progress)


def _merge(experiments: ExperimentList, table: ReflectionTable, options: MergeOptions) -> Merged:
    """The work of :func:`merge`."""
    if options.output.table_one is not None:
        check_table_name(options.output.table_one)
    check_exportable(experiments, table)
    if are_unscaled_stills(experiments, table):
        return _merge_stills(experiments, table, options)
    waves, _ = group_wavelengths(experiments)
    if len(waves) > 1:
        raise XdpError(f"merge: the experiments have {len(waves)} wavelengths; merge those of each apart")
    cell, group = options.best_unit_cell or median_cell(experiments), experiments[0].known.crystal.space_group
    d = spacings(cell, table["miller_index"])
    chosen = (d >= (options.d_min or 0.0)) & (d <= (options.d_max or np.inf)) & (table["id"] >= 0)
    chosen &= np.any(table["miller_index"] != 0, axis=1)
    chosen &= table.get("partiality", np.ones(len(table))) >= options.partiality_threshold
    seen = gather_scaled(group, table, chosen)
    found = _finish(seen, group, options, tuple(cell), float(waves[0]))
    return Merged(**_list_fields(found), experiments=experiments, reflections=table)


def _merge_stills(experiments: ExperimentList, table: ReflectionTable, options: MergeOptions) -> MergedStills:
    """Merge stills: lattices in one indexing and on one scale, then as rotation data."""
    check_stills_options(options.stills, options.partiality_threshold)
    own, group = options.stills, experiments[0].known.crystal.space_group
    identifiers = [e.identifier or str(k) for k, e in enumerate(experiments)]
    # a file that does not fit is found before the work
    groups = None if own.split is None else read_split_file(own.split, identifiers, name_shots(experiments))
    run = merge_stills(experiments, table, own)
    cell = tuple(options.best_unit_cell or run.cell)
    wavelength = float(np.mean([e.known.beam.wavelength for e in experiments]))

    def finish(seen: ScaledObservations, lattice: np.ndarray) -> MergedStills:
        d = spacings(cell, seen.unique.hkl)
        inside = ((d >= (options.d_min or 0.0)) & (d <= (options.d_max or np.inf)))[seen.unique.group]
        if not inside.any():
            raise XdpError(f"merge: no reflection lies between d_max={options.d_max} and d_min={options.d_min}")
        part = select_scaled(seen, inside)
        merged = _finish(part, group, options, cell, wavelength)
        shells = compute_stills_shells(part, lattice[inside], spacings(cell, part.unique.hkl), merged.shells)
        return MergedStills(**_list_fields(merged), experiments=run.experiments, reflections=table, run=run,
                            stills_shells=shells)

    parts = {} if groups is None else {name: finish(select_scaled(run.seen, mine), run.lattice[mine])
                                       for name, mine in choose_groups(run.lattice, groups).items()}
    return replace(finish(run.seen, run.lattice), groups=parts)


def _finish(seen: ScaledObservations, group: AnySpaceGroup, options: MergeOptions, cell: tuple[float, ...],
            wavelength: float) -> MergedIntensities:
    """Merged intensities, from observations on one scale."""
    d_unique = spacings(cell, seen.unique.hkl)
    shells = compute_merging_statistics(seen, d_unique, list_possible(group, cell, float(d_unique.min())),
                                options.merging.n_bins, anomalous=options.merging.anomalous)
    logger.info("Merged %d observations to %d reflections", len(seen), len(seen.unique))
    if np.any(seen.unique.is_absent):
        logger.info("%d reflections that %s extinguishes are left out of the file", int(seen.unique.is_absent.sum()),
                    group.short_name())
    if shells[-1].mean_i_over_sigma <= 0.0:
        logger.warning("The mean I/sigma is %.2f, not above 0: there is no diffraction in these data, or the "
                       "background was taken too high", shells[-1].mean_i_over_sigma)
    present = ~seen.unique.is_absent
    means = average(seen)
    found = diagnose(seen.unique, means.intensity, means.sigma, d_unique, tuple(cell), group,
                     n_residues=options.n_residues)
    prior = _make_prior(means, d_unique, seen.unique, cell, group, found, options) if options.truncate else False
    columns = {name: values[present] for name, values in _make_columns(seen, prior, options).items()}
    flags = _choose_flags(seen.unique.hkl[present], group, options)
    if flags is not None:
        columns = {"FreeR_flag": flags, **columns}
    return MergedIntensities(seen.unique.hkl[present], d_unique[present], columns, shells, cell, group, wavelength,
                             found)


def _list_fields(merged: MergedIntensities) -> dict[str, Any]:
    """The fields of merged intensities by their names."""
    return {field_.name: getattr(merged, field_.name) for field_ in fields(merged)}


def _choose_flags(hkl: np.ndarray, group: AnySpaceGroup, options: MergeOptions) -> np.ndarray | None:
    """The sets of the reflections: those of a file, or chosen; None where none are wanted."""
    own = options.free_flags
    if own.reference is not None:
        reference = read_free_flags(own.reference)
        logger.info("The test set is that of %s (%s, %.1f %% of %d reflections)", own.reference, reference.label,
                    100.0 * reference.fraction, len(reference.flags))
        return extend_free(hkl, group, reference, own.seed)
    return choose_free(hkl, group, own.fraction, own.seed) if own.fraction > 0.0 else None


def list_possible(group: AnySpaceGroup, cell: Sequence[float], d_min: float) -> np.ndarray:
    """Spacings of all reflections in the asymmetric unit that the space group does not extinguish.

    Parameters
    ----------
    group : gemmi.SpaceGroup or UntabulatedGroup
    cell : sequence of 6 float
    d_min : float
        Å.

    Returns
    -------
    (k,) float64
        Å; empty on untabulated axes, for which no asymmetric unit is laid down.
    """
    import gemmi

    if isinstance(group, UntabulatedGroup):
        return np.zeros(0)
    hkl = gemmi.make_miller_array(gemmi.UnitCell(*cell), group, d_min * (1.0 - 1e-9))
    return spacings(cell, np.asarray(hkl))


def _make_columns(seen: ScaledObservations, prior: np.ndarray | bool, options: MergeOptions) -> dict[str, np.ndarray]:
    """The columns of the file, for all unique reflections."""
    means, unique = average(seen), seen.unique
    # a centric reflection has one intensity, which both mates show
    plus, minus = average(seen, ~unique.is_minus), average(seen, unique.is_minus)
    plus, minus = plus, _copy_centric(plus, minus, unique.is_centric)
    columns = {"IMEAN": means.intensity, "SIGIMEAN": means.sigma, "N": means.n.astype(np.float64)}
    if options.halves or options.output.hkl is not None:
        for name, half in (("IHALF1", average(seen, seen.half == 0)), ("IHALF2", average(seen, seen.half == 1))):
            columns |= {name: half.intensity, f"SIG{name}": half.sigma}
    if options.anomalous:
        columns |= {"I(+)": plus.intensity, "SIGI(+)": plus.sigma, "I(-)": minus.intensity, "SIGI(-)": minus.sigma,
                    "N(+)": plus.n.astype(np.float64), "N(-)": minus.n.astype(np.float64)}
    if prior is False:
        return columns
    expected = None if prior is True else prior
    F, sigma_F = compute_amplitudes(means.intensity, means.sigma, expected, unique.is_centric)
    columns |= {"F": F, "SIGF": sigma_F}
    if options.anomalous:
        both = [compute_amplitudes(m.intensity, m.sigma, expected, unique.is_centric) for m in (plus, minus)]
        for label, (value, sigma) in zip(("(+)", "(-)"), both, strict=True):
            columns |= {f"F{label}": value, f"SIGF{label}": sigma}
        columns |= {"DANO": both[0][0] - both[1][0], "SIGDANO": np.hypot(both[0][1], both[1][1])}
        for name in ("DANO", "SIGDANO"):
            columns[name] = np.where(unique.is_centric, np.nan, columns[name])
    return columns


def _copy_centric(plus: Means, minus: Means, is_centric: np.ndarray) -> Means:
    """I(-) of centric reflections, which is I(+)."""
    return Means(np.where(is_centric, plus.intensity, minus.intensity), np.where(is_centric, plus.sigma, minus.sigma),
                 np.where(is_centric, plus.n, minus.n))


def _make_prior(means: Means, d: np.ndarray, unique: UniqueReflections, cell: Sequence[float], group: AnySpaceGroup,
                found: Diagnostics, options: MergeOptions) -> np.ndarray | bool:
    """Expected intensities; True for a flat prior, False for no amplitudes."""
    if len(d) >= options.french_wilson.min_reflections:
        peak = found.patterson
        vector = peak.vector if peak is not None and peak.is_translation else None
        prior = expect_wilson_means(means.intensity, means.sigma, d, unique, cell, group,
                                   anisotropic=options.french_wilson.anisotropic, translation=vector)
        _log_prior(prior)
        return prior.expected
    if options.truncate:
        logger.warning("%d reflections are too few for a prior by resolution: %s", len(d),
                       "all amplitudes are held to be equally likely" if options.french_wilson.fallback_to_flat_prior
                       else "there are no amplitudes")
    return options.french_wilson.fallback_to_flat_prior


def _log_prior(prior: WilsonPrior) -> None:
    """What expected intensities depend on beside the resolution."""
    principal = np.linalg.eigvalsh(prior.tensor)
    if np.any(prior.tensor):
        logger.info("Anisotropic fall-off: B along the principal axes %s Å² from their mean",
                    ", ".join(f"{b:+.1f}" for b in principal))
    if prior.modulation:
        logger.info("The translation modulates intensities by factors of 1 - %.2f to 1 + %.2f", prior.modulation,
                    prior.modulation)


def name_group_files(options: MergeOptions, group: str) -> MergeOptions:
    """Name the files of a group: ``merged.mtz`` becomes ``merged_GROUP.mtz``.

    Parameters
    ----------
    options : MergeOptions
    group : str

    Returns
    -------
    MergeOptions

    Examples
    --------
    >>> name_group_files(MergeOptions(), "on").output.mtz
    'merged_on.mtz'
    """
    names = {name: None if path is None else f"{os.path.splitext(path)[0]}_{group}{os.path.splitext(path)[1]}"
             for name, path in ((n, getattr(options.output, n)) for n in _GROUP_FILES)}
    return options.model_copy(update={"output": options.output.model_copy(update=names)})


def write_merged(options: MergeOptions, merged: Merged) -> tuple[str, ...]:
    """Write the files of merged intensities that are asked for.

    Parameters
    ----------
    options : MergeOptions
        Which files (``output``), and the names in the MTZ file (``mtz``).
    merged : Merged

    Returns
    -------
    tuple of str
        The files that were written.
    """
    output, written = options.output, []
    writers: tuple[tuple[str | None, Callable[[str], None]], ...] = (
        (output.mtz, lambda path: write_mtz_file(path, merged, options.mtz)),
        (output.mmcif, lambda path: write_mmcif_file(path, merged)),
        (output.scalepack, lambda path: write_scalepack(path, merged)),
        (output.shelx, lambda path: write_shelx_merged(path, merged)),
        (output.hkl, lambda path: write_merged_hkl(path, merged)),
        (output.table_one, lambda path: merged.table_one.write(path)),
        (output.json_, lambda path: merged.report.write(path)))
    for path, write in writers:
        if path is not None:
            write(path)
            written.append(path)
    for name, part in merged.groups.items() if isinstance(merged, MergedStills) else ():
        written += write_merged(name_group_files(options, name), part)
    return tuple(written)
