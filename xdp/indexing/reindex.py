"""Crystals and Miller indices on other axes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from xdp.display import Displayed
from xdp.errors import XdpError
from xdp.experiment.crystal import Crystal
from xdp.experiment.experiment import ExperimentList
from xdp.indexing.basis_change import change_basis, parse_basis_change
from xdp.indexing.basis_search import derive_basis_change
from xdp.indexing.command_options import ReindexOptions
from xdp.indexing.lattice.symmetry import find_space_group, impose_symmetry
from xdp.options.model import Auto
from xdp.options.named import make_options
from xdp.reflections.flags import Flag
from xdp.reflections.normalise import check_indexed
from xdp.reflections.table import ReflectionTable
from xdp.report.tables import Report
from xdp.space_groups import change_group_basis
from xdp.work.progress import Progress
from xdp.work.single import run_as_one_task

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger(__name__)

_WHOLE = 1e-3  # how far an index may be from a whole number after the change


@dataclass(frozen=True, repr=False)
class Reindexed(Displayed):
    """What :func:`reindex` gives.

    Attributes
    ----------
    experiments : ExperimentList or None
        With the axes of their crystals changed; None if no experiments were given.
    reflections : ReflectionTable or None
        With their Miller indices changed; None if no reflections were given.
    n_lost : int
        Reflections whose new indices are no whole numbers; they are not indexed any more.
    """

    experiments: ExperimentList | None
    reflections: ReflectionTable | None
    n_lost: int = 0

    @property
    def report(self) -> Report:
        """The new cell, and how many indices were lost."""
        return Report(facts=dict(self._facts()))

    def _facts(self) -> list[tuple[str, Any]]:
        cells = [] if self.experiments is None else [c.unit_cell for c in self.experiments.unique("crystal")]
        return [*((f"cell {i + 1}", cell) for i, cell in enumerate(cells[:10])), ("indices lost", self.n_lost)]


def reindex(experiments: ExperimentList | None = None, reflections: ReflectionTable | None = None,
            options: ReindexOptions | Mapping[str, Any] | None = None, *, client: Client | None = None,
            progress: Progress | None = None, **named: Any) -> Reindexed:
    """Change the basis of crystals and of Miller indices, and the space group.

    Parameters
    ----------
    experiments : ExperimentList, optional
        With crystals.
    reflections : ReflectionTable, optional
        With Miller indices.
    options : ReindexOptions or dict, optional
        The parameters of ``xdp reindex``. No file is written.
    client : distributed.Client, optional
        One of its workers does the work; by default this process.
    progress : callable, optional
        Shows when the work is done.
    **named
        Parameters by name, laid over `options`: ``change_of_basis_op="b,c,a", space_group="P4"``.

    Returns
    -------
    Reindexed
        With ``experiments``, ``reflections`` and ``report``.

    Raises
    ------
    OptionError
        If the change of basis cannot be read, or does not keep the hand.
    XdpError
        If the lattice of the new axes does not have the symmetry of the space group, and no other one is named.

    Examples
    --------
    >>> import xdp
    >>> from xdp.reflections import ReflectionTable
    >>> table = ReflectionTable({"miller_index": [[1, 2, 3]], "id": [0], "flags": [4]})
    >>> xdp.reindex(None, table, change_of_basis_op="b,c,a").reflections["miller_index"].tolist()
    [[2, 3, 1]]
    """
    chosen = make_options(ReindexOptions, options, named)
    for line in find_unused_parts(experiments, reflections, chosen):
        logger.info("%s", line)
    return run_as_one_task(_reindex, experiments, reflections, chosen, label="indices", client=client,
                           progress=progress)


def find_unused_parts(experiments: ExperimentList | None, reflections: ReflectionTable | None, options: ReindexOptions
                      ) -> list[str]:
    """Find what a change of basis is given and does not use, or leaves in the old setting.

    Parameters
    ----------
    experiments : ExperimentList or None
    reflections : ReflectionTable or None
    options : ReindexOptions

    Returns
    -------
    list of str
        A sentence for each kind.

    Examples
    --------
    >>> find_unused_parts(None, None, ReindexOptions(space_group="P4"))
    ['space_group=P4 is not used: it is for the crystals of an .expt, and none is given']
    """
    lines = []
    if options.space_group is not None and (experiments is None or is_automatic(options)):
        why = "the crystals stay as they are" if is_automatic(options) else (
            "it is for the crystals of an .expt, and none is given")
        lines.append(f"space_group={options.space_group} is not used: {why}")
    if options.hkl_offset is not None and reflections is None:
        offset = ",".join(map(str, options.hkl_offset))
        lines.append(f"hkl_offset={offset} is not used: it is for the indices of a .refl, and none is given")
    if experiments is not None and not is_automatic(options) and any(e.scaling_model for e in experiments):
        lines.append("Scaling models are not changed: they belong to the old indices")
    # DIALS' scaling writes the indices in the asymmetric unit, of the old setting
    left = [name for name in ("miller_index_asu", "asu_miller_index") if name in (reflections or ())]
    if left:
        lines.append(f"The column {left[0]} is not changed: it has indices in the old setting")
    return lines


def _reindex(experiments: ExperimentList | None, reflections: ReflectionTable | None, options: ReindexOptions
             ) -> Reindexed:
    """The work of :func:`reindex`."""
    if reflections is not None:
        check_indexed(reflections, "reindex")
    if options.reference.reflections is not None or options.reference.experiments is not None:
        return _reindex_alike(experiments, reflections, options)
    if is_automatic(options):
        # the reflections come to the crystals
        if experiments is None or reflections is None:
            raise XdpError("change_of_basis_op=auto fits the indices of a .refl to the crystals of an .expt: give both")
        moved: ExperimentList | None = experiments
        transform = derive_basis_change(experiments, reflections)
    else:
        transform = parse_basis_change(str(options.change_of_basis_op))
        moved = None if experiments is None else reindex_experiments(experiments, transform, options.space_group)
    if reflections is None:
        return Reindexed(moved, None)
    table = reindex_reflections(reflections, transform, options.hkl_offset)
    n_lost = int(np.count_nonzero(reflections["id"] >= 0) - np.count_nonzero(table["id"] >= 0))
    if n_lost:
        logger.warning("%d of %d reflections have no whole indices on the new axes: they are not indexed any more",
                       n_lost, len(table))
    return Reindexed(moved, table, n_lost)


def _reindex_alike(experiments: ExperimentList | None, reflections: ReflectionTable | None, options: ReindexOptions
                   ) -> Reindexed:
    """Models and reflections on the axes of a reference, in the choice of indexing that agrees with it."""
    from xdp.symmetry.agree import agree_with_reference  # of a later stage, whose code decides there as well

    if options.reference.reflections is None:
        raise XdpError("reference.experiments needs reference.reflections: only intensities tell choices of indexing "
                       "apart")
    if experiments is None or reflections is None:
        raise XdpError("reference.reflections compares intensities: give an .expt and a .refl")
    # nothing that is asked for may be left undone in silence
    given = ReindexOptions()
    for name in ("change_of_basis_op", "hkl_offset", "space_group"):
        if getattr(options, name) != getattr(given, name):
            raise XdpError(f"{name} and reference.reflections: the reference says all, leave one of them out")
    moved, table = agree_with_reference(experiments, reflections, str(options.reference.reflections),
                                        None if options.reference.experiments is None
                                        else str(options.reference.experiments))
    return Reindexed(moved, table)


def is_automatic(options: ReindexOptions) -> bool:
    """Whether the change of basis is to be found from the data: ``change_of_basis_op=auto``."""
    change = options.change_of_basis_op  # Python users may give the word
    return isinstance(change, Auto) or change.strip().lower() == "auto"


def reindex_experiments(experiments: ExperimentList, transform: np.ndarray, group_name: str | None = None
                        ) -> ExperimentList:
    """Change the axes of the experiments' crystals, and make these obey a space group if one is named.

    Parameters
    ----------
    experiments : ExperimentList
        Each with a crystal; crystals that are shared stay shared.
    transform : (3, 3)
        New axes = transform @ old axes (rows).
    group_name : str, optional
        The space group after the change; by default the crystal's own on the new axes.

    Raises
    ------
    XdpError
        If an experiment has no crystal, or the lattice of the new axes does not have the symmetry of its space group.
    """
    for number, experiment in enumerate(experiments):
        if experiment.crystal is None:
            raise XdpError(f"experiment {number} has no crystal, whose axes could be changed: index first")
    if group_name is None and np.allclose(transform, np.eye(3)):
        return experiments
    empty = ReflectionTable({"miller_index": np.zeros((0, 3), dtype=np.int32)})
    moved, _ = change_basis(experiments, empty, transform)
    if group_name is None:
        return _keep_groups(experiments, moved, transform)
    group = find_space_group(group_name)
    made: dict[int, Crystal] = {}
    for e in moved:
        if id(e.crystal) not in made:
            made[id(e.crystal)] = impose_symmetry(e.known.crystal.real_space_matrix, group)
    return ExperimentList([replace(e, crystal=made[id(e.crystal)]) for e in moved], moved.extra)


def _keep_groups(experiments: ExperimentList, moved: ExperimentList, transform: np.ndarray) -> ExperimentList:
    """Give the crystals on new axes the space groups that they had on the old ones."""
    halls = {symbol: change_group_basis(symbol, transform)
             for symbol in {e.known.crystal.space_group_hall_symbol for e in experiments}}
    made: dict[int, Crystal] = {}
    for before, after in zip(experiments, moved, strict=True):
        if id(after.crystal) not in made:
            hall = halls[before.known.crystal.space_group_hall_symbol]
            made[id(after.crystal)] = replace(after.known.crystal, space_group_hall_symbol=hall)
    return ExperimentList([replace(e, crystal=made[id(e.crystal)]) for e in moved], moved.extra)


def reindex_reflections(table: ReflectionTable, transform: np.ndarray, offset: tuple[int, int, int] | None = None
                        ) -> ReflectionTable:
    """Change the Miller indices of a table.

    Parameters
    ----------
    table : ReflectionTable
        With ``miller_index``, ``id`` and ``flags``.
    transform : (3, 3)
        New indices = transform @ old indices.
    offset : (int, int, int), optional
        Added to the indices first; unindexed reflections, 0 0 0, stay so.

    Returns
    -------
    ReflectionTable
        A copy. A reflection whose index is no longer whole is not indexed any more: its ``id`` is -1.
    """
    hkl = table["miller_index"].astype(np.float64)
    if offset is not None:
        hkl = np.where(np.any(hkl != 0, axis=1)[:, None], hkl + np.asarray(offset), hkl)
    new = hkl @ transform.T
    whole = np.round(new)
    lost = np.abs(new - whole).max(axis=1, initial=0.0) > _WHOLE
    whole[lost] = 0.0
    columns = {"miller_index": whole.astype(np.int32)}
    if lost.any():
        columns["id"] = np.where(lost, -1, table["id"]).astype(np.int32)
        columns["flags"] = np.where(lost, table["flags"] & ~np.uint64(Flag.INDEXED), table["flags"])
    return table.with_columns(**columns)
