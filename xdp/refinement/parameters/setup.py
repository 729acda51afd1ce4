"""From experiments and observations to a refinement problem: which models have which free parameters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np

from xdp.errors import XdpError
from xdp.experiment.crystal import Crystal
from xdp.experiment.detector import Detector
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.refinement.equations.parts import Block, ObservedCentroids, Part, Slot
from xdp.refinement.options import OrientationParameters, Parameterisation, SmootherOptions, UnitCellParameters
from xdp.refinement.parameters import blocks
from xdp.refinement.parameters.fix_list import FixLists, is_named
from xdp.refinement.parameters.metric import get_rotation_parts
from xdp.refinement.parameters.smoother import Smoother

_B = TypeVar("_B", bound=Block)

# which of Dist, Shift1, Shift2, Tau1, Tau2, Tau3 are free, by the value of detector.fix
_FREE_DETECTOR: dict[str | None, tuple[int, ...]] = {
    None: (0, 1, 2, 3, 4, 5), "all": (), "position": (3, 4, 5), "orientation": (0, 1, 2), "distance": (1, 2, 3, 4, 5)}

# the scope of the option fix_list of each kind of slot
_LISTS = {"beam": "beam", "detector": "detector", "goniometer": "goniometer", "orientation": "crystal.orientation",
          "cell": "crystal.unit_cell"}
_MOST_NAMES = 12  # that a message shows: the parameters of two bodies
_NOTHING = ObservedCentroids(np.zeros((0, 3), np.int32), np.zeros(0, np.int64), np.zeros((0, 3)), np.zeros((0, 3)),
                             np.zeros(0), np.zeros(0, np.bool_), np.zeros(0, np.bool_))


class Key(NamedTuple):
    """What a slot describes: a kind (``"beam"`` ...), the ``id`` of the model object, the number of the panel group."""

    kind: str
    owner: int
    group: int = 0


@dataclass(frozen=True)
class Problem:
    """All parts, and every slot once, by what it describes.

    Attributes
    ----------
    parts : tuple of Part
        One for each experiment, in their order.
    slots : dict of Key to Slot
        In the order in which they stand in the parameter vector.
    size : int
        Length of the parameter vector.
    """

    parts: tuple[Part, ...]
    slots: dict[Key, Slot[Block]]
    size: int

    def list_names(self) -> list[str]:
        """The names of the parameters, in the order of the parameter vector."""
        return [name for slot in self.slots.values() for name in slot.list_names()]


@dataclass
class _Builder:
    """Hands out places in the parameter vector. A model that was met before keeps its slot."""

    options: Parameterisation
    scan_varying: bool
    held: frozenset[Key]   # slots none of whose parameters are refined
    rigid: frozenset[Key]  # slots that do not vary over the scan
    lists: FixLists        # parameters that are named one by one
    cells: Mapping[int, int] = field(default_factory=dict)
    slots: dict[Key, Slot[Block]] = field(default_factory=dict)
    size: int = 0

    def find_cell_owner(self, crystal: Crystal) -> int:
        """Whose cell a crystal has: while it does not vary, that of the crystal of which it is a copy."""
        own = id(crystal)
        is_static = not self.scan_varying or Key("cell", own) in self.rigid
        return self.cells.get(own, own) if is_static else own

    def add_slot(self, key: Key, make: Callable[[], _B], free: Sequence[int] | None, smoother: Smoother | None = None,
                 *, is_grouped: bool = False) -> Slot[_B]:
        """The slot of `key`; at the first call its block is made by `make()` and gets its place. free=None: all are."""
        if key not in self.slots:
            block = make()
            unlisted = self.lists.select_free(key.kind, key.owner, block.names, key.group if is_grouped else None)
            chosen = unlisted if free is None else [k for k in free if k in unlisted]
            smooth = smoother if self.scan_varying and key not in self.rigid else None
            slot = Slot(block, () if key in self.held else tuple(chosen), self.size, smooth)
            self.slots[key] = slot
            self.size += slot.size
        return cast("Slot[_B]", self.slots[key])  # the key's kind says which block it has


def build_problem(experiments: ExperimentList, data: Sequence[ObservedCentroids], options: Parameterisation, *,
                  scan_varying: bool = False, held: frozenset[Key] = frozenset(), rigid: frozenset[Key] = frozenset(),
                  cells: Mapping[int, int] | None = None) -> Problem:
    """Make parameters for every model of `experiments`; models shared between experiments are refined once.

    Parameters
    ----------
    experiments : ExperimentList
        Each with a crystal.
    data : sequence of ObservedCentroids
        The observations, one item for each experiment.
    options : Parameterisation
        What is refined, and what may vary over the scan.
    scan_varying : bool
        Whether models vary smoothly over the scan, where the options let them; a model that several sweeps share does
        not.
    held : set of Key
        Slots none of whose parameters are refined.
    rigid : set of Key
        Slots that do not vary over the scan.
    cells : mapping, optional
        ``id`` of crystals that have a cell in common as long as it does not vary, with a number for this cell
        (:func:`xdp.refinement.parameters.sweeps.copy_shared_crystals`).

    Returns
    -------
    Problem
    """
    uses = Counter(key for e in experiments for key in _list_model_keys(e))
    shared = [key for key, n in uses.items() if n > 1]
    build = _Builder(options, scan_varying, held, rigid | {key for key in shared if key.kind != "detector"},
                     FixLists.from_options(experiments, options, cells or {}), cells or {})
    shared_detectors = {key.owner for key in shared if key.kind == "detector"}
    parts = []
    for experiment, observed in zip(experiments, data, strict=True):
        goniometer = experiment.goniometer
        # a still has no axis; any will do, since nothing is turned about it
        axis = np.array([1.0, 0.0, 0.0]) if goniometer is None else goniometer.rotation_axis_datum
        fixed = np.eye(3) if goniometer is None else goniometer.F
        # the order in which slots are made is that of the parameter vector
        parts.append(Part(
            _add_beam(build, experiment, observed),
            _add_detector(build, experiment, observed, id(experiment.detector) in shared_detectors),
            _add_goniometer(build, experiment), *_add_crystal(build, experiment, observed), axis, fixed,
            experiment.is_still, observed))
    return Problem(tuple(parts), build.slots, build.size)


def list_unknown_names(experiments: ExperimentList, options: Parameterisation) -> list[str]:
    """List the words of the options ``fix_list`` that name no parameter of the experiments' models.

    Parameters
    ----------
    experiments : ExperimentList
        Each with a crystal.
    options : Parameterisation
        With the lists.

    Returns
    -------
    list of str
        A sentence for each word, with the names that there are.
    """
    lists = FixLists.from_options(experiments, options, {})
    if not any(lists.words.values()):
        return []
    problem = build_problem(experiments, [_NOTHING] * len(experiments), options)
    found: dict[str, list[tuple[str, int]]] = {kind: [] for kind in lists.words}
    for key, slot in problem.slots.items():
        if key.owner == id(None):
            continue  # the goniometer of stills
        has_group = key.kind == "detector" and any(
            has_groups(e.known.detector, options.detector.panels) for e in experiments if id(e.detector) == key.owner)
        block = lists.name_block(key.kind, key.owner, len(slot.block.names), key.group if has_group else None)
        found[key.kind] += [(block.prefix + name, block.first + k) for k, name in enumerate(slot.block.names)]
    lines = []
    for kind, words in lists.words.items():
        names = ", ".join(name for name, _ in found[kind][:_MOST_NAMES]) or "none"
        more = " ..." if len(found[kind]) > _MOST_NAMES else ""
        lines += [f"{_LISTS[kind]}.fix_list: {word} names no parameter; there are {names}{more}" for word in words
                  if not any(is_named(word, name, number) for name, number in found[kind])]
    return lines


def _list_model_keys(e: Experiment) -> list[Key]:
    """The keys of an experiment's models that several experiments may share."""
    return [Key("beam", id(e.beam)), Key("detector", id(e.detector)), Key("orientation", id(e.crystal)),
            Key("cell", id(e.crystal))]


def _add_beam(build: _Builder, experiment: Experiment, data: ObservedCentroids) -> Slot[blocks.BeamBlock]:
    options, beam = build.options.beam, experiment.known.beam
    spindle = None if experiment.goniometer is None else experiment.goniometer.rotation_axis_lab
    fix = options.fix
    # "in_spindle_plane" keeps the beam in the plane of beam and spindle: it holds the turn about the axis within it.
    # That turn, about the spindle nearly, is a gauge: beam, detector and crystal turned together change nothing.
    held = {0: "in_spindle_plane", 1: "out_spindle_plane", 2: "wavelength"}
    free = [] if "all" in fix else [k for k, name in held.items() if name not in fix]
    smoother = None if options.force_static else _make_smoother(experiment, data, options.smoother)
    return build.add_slot(Key("beam", id(beam)), lambda: blocks.BeamBlock.from_s0(beam.s0, spindle), free, smoother)


def _add_goniometer(build: _Builder, experiment: Experiment) -> Slot[blocks.RotationBlock]:
    goniometer = experiment.goniometer
    setting = np.eye(3) if goniometer is None else goniometer.S
    spindle = np.array([1.0, 0.0, 0.0]) if goniometer is None else goniometer.rotation_axis_lab
    axes = blocks.make_perpendicular_axes(spindle, experiment.known.beam.s0)
    fix = build.options.goniometer.fix or ()
    held = {0: "in_beam_plane", 1: "out_beam_plane"}
    is_fixed = "all" in fix or goniometer is None
    return build.add_slot(Key("goniometer", id(goniometer)),
                          lambda: blocks.RotationBlock(setting, axes, ("Gamma1", "Gamma2"), "goniometer"),
                          [] if is_fixed else [k for k, name in held.items() if name not in fix])


def _add_detector(build: _Builder, experiment: Experiment, data: ObservedCentroids, is_shared: bool
                  ) -> tuple[Slot[blocks.DetectorBlock], ...]:
    options, detector = build.options.detector, experiment.known.detector
    is_static = options.force_static or is_shared
    fix: str | None = options.fix
    if fix == "auto":
        # a flat Ewald sphere does not tell the distance from the cell
        fix = "distance" if experiment.known.beam.is_electron else None
    free = _FREE_DETECTOR[fix]
    smoother = None if is_static else _make_smoother(experiment, data, options.smoother)
    groups = group_panels(detector, options.panels, options.hierarchy_level)
    return tuple(build.add_slot(Key("detector", id(detector), number), partial(_make_detector_block, detector, panels),
                                free, smoother, is_grouped=has_groups(detector, options.panels))
                 for number, panels in enumerate(groups))


def has_groups(detector: Detector, how: str) -> bool:
    """Whether the parameters of a detector are named by groups of panels: where its hierarchy is looked at.

    Examples
    --------
    >>> from xdp.simulation.models import make_detector
    >>> has_groups(make_detector(), "automatic")
    False
    """
    return detector.hierarchy is not None and how in ("automatic", "hierarchical")


def group_panels(detector: Detector, how: str, level: int) -> list[np.ndarray]:
    """Divide panels into groups that move together: all, or those below each node of the hierarchy.

    Parameters
    ----------
    detector : Detector
        With or without a hierarchy.
    how : {"automatic", "single", "multiple", "hierarchical"}
        The option ``detector.panels``.
    level : int
        The level of the hierarchy whose nodes are groups; 0 is the root.

    Returns
    -------
    list of (n,) arrays of int
        The panels of each group.

    Raises
    ------
    XdpError
        If the detector is not of the kind that `how` names, or its hierarchy has no such level.
    """
    if how == "single" and len(detector) > 1:
        raise XdpError(f"detector.panels=single: the detector has {len(detector)} panels; use automatic")
    if how == "hierarchical" and detector.hierarchy is None:
        raise XdpError("detector.panels=hierarchical: the detector has no hierarchy; use automatic")
    if how in ("single", "multiple") or detector.hierarchy is None or level == 0:
        return [np.arange(len(detector))]
    nodes: list[dict[str, Any]] = [detector.hierarchy]
    for depth in range(level):
        if not any("children" in node for node in nodes):
            raise XdpError(f"detector.hierarchy_level={level}: the detector's hierarchy ends at level {depth}")
        nodes = [child for node in nodes for child in node.get("children", [node])]
    return [np.array(sorted(_iterate_panels(node)), dtype=np.int64) for node in nodes]


def _iterate_panels(node: dict[str, Any]) -> Iterator[int]:
    """The numbers of the panels below a node of the hierarchy."""
    if "panel" in node:
        yield int(node["panel"])
        return
    for child in node["children"]:
        yield from _iterate_panels(child)


def _make_detector_block(detector: Detector, panels: np.ndarray) -> blocks.DetectorBlock:
    """The block of a group; it turns about the mean of its panels' middles, along the axes of the panel next to it."""
    frames = np.stack([detector.d_matrix(int(i)) for i in panels])
    middles = [frames[k] @ [*(0.5 * np.multiply(detector[int(i)].image_size, detector[int(i)].pixel_size)), 1.0]
               for k, i in enumerate(panels)]
    pivot = np.mean(middles, axis=0)
    first = frames[np.argmin(np.linalg.norm(np.asarray(middles) - pivot, axis=1))]
    normal = np.cross(first[:, 0], first[:, 1])
    axes = np.stack([normal, first[:, 0], first[:, 1]])
    return blocks.DetectorBlock(frames, axes, pivot, panels)


def _add_crystal(build: _Builder, experiment: Experiment, data: ObservedCentroids
                 ) -> tuple[Slot[blocks.RotationBlock], Slot[blocks.CellBlock]]:
    crystal, options = experiment.known.crystal, build.options.crystal

    def smooth(choice: OrientationParameters | UnitCellParameters) -> Smoother | None:
        return None if choice.force_static else _make_smoother(experiment, data, choice.smoother)

    orientation = build.add_slot(Key("orientation", id(crystal)), lambda: blocks.RotationBlock(crystal.U),
                                 () if options.fix in ("all", "orientation") else None, smooth(options.orientation))
    owner = build.find_cell_owner(crystal)
    # a cell that several crystals have in common does not vary: each of them varies with its own sweep only
    cell = build.add_slot(Key("cell", owner),
                          lambda: blocks.CellBlock.from_b(crystal.B, get_rotation_parts(crystal.space_group)),
                          () if options.fix in ("all", "cell") else None,
                          smooth(options.unit_cell) if owner == id(crystal) else None)
    return orientation, cell


def _make_smoother(experiment: Experiment, data: ObservedCentroids, options: SmootherOptions) -> Smoother | None:
    """Nodes over the part of the scan that was observed; None for a still, or where nothing was."""
    if experiment.is_still or not len(data):
        return None
    start, stop = np.floor(data.frames.min()), max(np.ceil(data.frames.max()), np.floor(data.frames.min()) + 1.0)
    width = abs(experiment.known.scan.oscillation[1]) * (stop - start)
    # 1e-6: a range that is a whole number of intervals but for rounding gets no interval more
    n = options.absolute_num_intervals or max(int(np.ceil(width / options.interval_width_degrees - 1e-6)), 1)
    return Smoother(float(start), float(stop), n)
