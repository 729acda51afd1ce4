"""From experiments and observations to a refinement problem: which models have which free parameters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xdp.errors import XdpError
from xdp.experiment.crystal import Crystal
from xdp.experiment.detector import Detector
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.refinement.equations.problem import Data, Part, Slot
from xdp.refinement.options import Parameterisation
from xdp.refinement.options import Smoother as SmootherOptions
from xdp.refinement.parameters import blocks
from xdp.refinement.parameters.smoother import Smoother

_FREE_DETECTOR = {None: (0, 1, 2, 3, 4, 5), "all": (), "position": (3, 4, 5), "orientation": (0, 1, 2),
                  "distance": (1, 2, 3, 4, 5)}



#: What a slot describes: kind, id of the model object, number of the group of panels.
Key = tuple[str, int, int]


@dataclass(frozen=True)
class Problem:
    """All parts, and every slot once, by what it describes."""

    parts: tuple[Part, ...]
    slots: dict[Key, Slot]
    size: int
    cells: dict[int, int] = field(default_factory=dict)

    def of(self, kind: str, model: Any) -> list[Slot]:
        """The slots of a model: one a group of panels for a detector, one otherwise."""
        wanted = self.cells.get(id(model), id(model)) if kind == "cell" else id(model)
        return [slot for (slot_kind, owner, _), slot in self.slots.items() if slot_kind == kind and owner == wanted]

    def names(self) -> list[str]:
        """The names of the parameters, in the order of the parameter vector."""
        return [name for slot in self.slots.values() for name in slot.names()]


@dataclass
class _Builder:
    """Hands out places in the parameter vector; a model that was met before keeps its slot."""

    options: Parameterisation
    scan_varying: bool
    held: frozenset[Key]
    rigid: frozenset[Key]
    cells: Mapping[int, int] = field(default_factory=dict)
    slots: dict[Key, Slot] = field(default_factory=dict)
    size: int = 0

    def cell_owner(self, crystal: Crystal) -> int:
        """Whose cell a crystal has: while it does not vary, that of the crystal of which it is a copy."""
        own = id(crystal)
        is_static = not self.scan_varying or ("cell", own, 0) in self.rigid
        return self.cells.get(own, own) if is_static else own

    def slot(self, key: Key, make: Any, free: Sequence[int], smoother: Smoother | None = None) -> Slot:
        """The slot of `key`, its block made by `make()` at the first call."""
        if key not in self.slots:
            smooth = smoother if self.scan_varying and key not in self.rigid else None
            slot = Slot(make(), () if key in self.held else tuple(free), self.size, smooth)
            self.slots[key] = slot
            self.size += slot.size
        return self.slots[key]


def build_problem(experiments: ExperimentList, data: Sequence[Data], options: Parameterisation, *,
                  scan_varying: bool = False, held: frozenset[Key] = frozenset(), rigid: frozenset[Key] = frozenset(),
                  cells: Mapping[int, int] | None = None) -> Problem:
    """Make parameters for every model of `experiments`; models shared between experiments are refined once.

    Parameters
    ----------
    experiments : ExperimentList
        Each with a crystal.
    data : sequence of Data
        The observations, one an experiment.
    scan_varying : bool
        Whether models vary smoothly over the scan, where the options let them; a model that several sweeps share
        does not.
    held, rigid : set of Key
        Slots none of whose parameters are refined; slots that do not vary over the scan.
    cells : mapping, optional
        ``id`` of crystals that have a cell in common as long as it does not vary -> a number for this cell
        (:func:`xdp.refinement.parameters.sweeps.own_crystals`).
    """
    shared = [key for key, n in Counter(key for e in experiments for key in _model_keys(e)).items() if n > 1]
    build = _Builder(options, scan_varying, held, rigid | {key for key in shared if key[0] != "detector"}, cells or {})
    shared_detectors = {key[1] for key in shared if key[0] == "detector"}
    parts = []
    for experiment, observed in zip(experiments, data, strict=True):
        goniometer = experiment.goniometer
        axis = np.array([1.0, 0.0, 0.0]) if goniometer is None else goniometer.rotation_axis_datum
        fixed = np.eye(3) if goniometer is None else goniometer.F
        parts.append(Part(
            _beam_slot(build, experiment, observed),
            _detector_slots(build, experiment, observed, id(experiment.detector) in shared_detectors),
            _goniometer_slot(build, experiment), *_crystal_slots(build, experiment, observed), axis, fixed,
            experiment.is_still, observed))
    owners = {id(e.crystal): build.cell_owner(e.crystal) for e in experiments}
    return Problem(tuple(parts), build.slots, build.size, owners)


def _model_keys(e: Experiment) -> list[Key]:
    return [("beam", id(e.beam), 0), ("detector", id(e.detector), 0), ("orientation", id(e.crystal), 0),
            ("cell", id(e.crystal), 0)]


def _beam_slot(build: _Builder, experiment: Experiment, data: Data) -> Slot:
    options = build.options.beam
    spindle = None if experiment.goniometer is None else experiment.goniometer.rotation_axis_lab
    fix = options.fix
    # "in_spindle_plane" keeps the beam in the plane of beam and spindle: it holds the turn about the axis within it.
    # That turn, about the spindle nearly, is a gauge: beam, detector and crystal turned together change nothing.
    held = {0: "in_spindle_plane", 1: "out_spindle_plane", 2: "wavelength"}
    free = [] if "all" in fix else [k for k, name in held.items() if name not in fix]
    smoother = None if options.force_static else _smoother(experiment, data, options.smoother)
    return build.slot(("beam", id(experiment.beam), 0), lambda: blocks.BeamBlock.of(experiment.beam.s0, spindle), free,
                      smoother)


def _goniometer_slot(build: _Builder, experiment: Experiment) -> Slot:
    goniometer = experiment.goniometer
    setting = np.eye(3) if goniometer is None else goniometer.S
    spindle = np.array([1.0, 0.0, 0.0]) if goniometer is None else goniometer.rotation_axis_lab
    axes = blocks.perpendicular_axes(spindle, experiment.beam.s0)
    fix = build.options.goniometer.fix or ()
    held = {0: "in_beam_plane", 1: "out_beam_plane"}
    is_fixed = "all" in fix or goniometer is None
    return build.slot(("goniometer", id(goniometer), 0),
                      lambda: blocks.RotationBlock(setting, axes, ("Gamma1", "Gamma2"), "goniometer"),
                      [] if is_fixed else [k for k, name in held.items() if name not in fix])


def _detector_slots(build: _Builder, experiment: Experiment, data: Data, is_shared: bool) -> tuple[Slot, ...]:
    options, detector = build.options.detector, experiment.detector
    is_static = options.force_static or is_shared
    fix = options.fix
    if fix == "auto":
        fix = "distance" if experiment.beam.is_electron else None
    free = _FREE_DETECTOR[fix]
    smoother = None if is_static else _smoother(experiment, data, options.smoother)
    return tuple(
        build.slot(("detector", id(detector), number),
                   lambda panels=panels: _detector_block(detector, panels),
                   free, smoother)
        for number, panels in enumerate(panel_groups(detector, options.panels, options.hierarchy_level)))


def panel_groups(detector: Detector, how: str, level: int) -> list[np.ndarray]:
    """The panels that move together: all, or those below each node of the hierarchy at `level` (0: the root).

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
    nodes = [detector.hierarchy]
    for depth in range(level):
        if not any("children" in node for node in nodes):
            raise XdpError(f"detector.hierarchy_level={level}: the detector's hierarchy ends at level {depth}")
        nodes = [child for node in nodes for child in node.get("children", [node])]
    return [np.array(sorted(_leaves(node)), dtype=np.int64) for node in nodes]


def _leaves(node: dict) -> Iterator[int]:
    if "panel" in node:
        yield int(node["panel"])
        return
    for child in node["children"]:
        yield from _leaves(child)


def _detector_block(detector: Detector, panels: np.ndarray) -> blocks.DetectorBlock:
    frames = np.stack([detector.d_matrix(int(i)) for i in panels])
    middles = [frames[k] @ [*(0.5 * np.multiply(detector[int(i)].image_size, detector[int(i)].pixel_size)), 1.0]
               for k, i in enumerate(panels)]
    pivot = np.mean(middles, axis=0)
    first = frames[np.argmin(np.linalg.norm(np.asarray(middles) - pivot, axis=1))]
    normal = np.cross(first[:, 0], first[:, 1])
    axes = np.stack([normal, first[:, 0], first[:, 1]])
    return blocks.DetectorBlock(frames, axes, pivot, panels)


def _crystal_slots(build: _Builder, experiment: Experiment, data: Data) -> tuple[Slot, Slot]:
    crystal, options = experiment.crystal, build.options.crystal
    smooth: list[Smoother | None] = [None, None]
    for k, choice in enumerate((options.orientation, options.unit_cell)):
        if not choice.force_static:
            smooth[k] = _smoother(experiment, data, choice.smoother)
    orientation = build.slot(("orientation", id(crystal), 0), lambda: blocks.RotationBlock(crystal.U),
                             () if options.fix in ("all", "orientation") else range(3), smooth[0])
    owner = build.cell_owner(crystal)
    cell = build.slots.get(("cell", owner, 0))
    if cell is None:
        block = blocks.CellBlock.of(crystal.B, symmetry_rotations(crystal))
        cell = build.slot(("cell", owner, 0), lambda: block,
                          () if options.fix in ("all", "cell") else range(len(block.names)),
                          smooth[1] if owner == id(crystal) else None)
    return orientation, cell


def symmetry_rotations(crystal: Crystal) -> np.ndarray:
    """Rotation parts (n, 3, 3) of the crystal's space group."""
    operations = crystal.space_group.operations()
    return np.array([np.array(op.rot) // op.DEN for op in operations.sym_ops])


def _smoother(experiment: Experiment, data: Data, options: SmootherOptions) -> Smoother | None:
    """Nodes over the part of the scan that was observed; None for a still, or where nothing was."""
    if experiment.is_still or not len(data):
        return None
    start, stop = np.floor(data.frames.min()), max(np.ceil(data.frames.max()), np.floor(data.frames.min()) + 1.0)
    width = abs(experiment.scan.oscillation[1]) * (stop - start)
    n = options.absolute_num_intervals or max(int(np.ceil(width / options.interval_width_degrees - 1e-6)), 1)
    return Smoother(float(start), float(stop), n)
