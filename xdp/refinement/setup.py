"""From experiments and a reflection table to a refinement problem, and from its parameters back to models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xdp.experiment.beam import Beam
from xdp.experiment.crystal import Crystal
from xdp.experiment.detector import Detector
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.experiment.goniometer import Goniometer
from xdp.experiment.moved import moved_detector
from xdp.refinement import blocks
from xdp.refinement.options import Parameterisation
from xdp.refinement.problem import Data, Part, Slot
from xdp.refinement.rotations import product
from xdp.refinement.smoother import Smoother

_FREE_DETECTOR = {None: (0, 1, 2, 3, 4, 5), "all": (), "position": (3, 4, 5), "orientation": (0, 1, 2),
                  "distance": (1, 2, 3, 4, 5)}


@dataclass(frozen=True)
class Problem:
    """All parts, and the slots by the model object they describe (``id(model) -> slots``)."""

    parts: tuple[Part, ...]
    size: int
    beams: dict[int, Slot]
    detectors: dict[int, tuple[Slot, ...]]
    goniometers: dict[int, Slot]
    crystals: dict[int, tuple[Slot, Slot]]

    def slots(self) -> Iterator[Slot]:
        """Every slot once."""
        yield from self.beams.values()
        for group in self.detectors.values():
            yield from group
        yield from self.goniometers.values()
        for pair in self.crystals.values():
            yield from pair

    def names(self) -> list[str]:
        """The names of the parameters, in the order of the parameter vector."""
        names = [""] * self.size
        for slot in self.slots():
            names[slot.offset : slot.offset + slot.size] = slot.names()
        return names


class _Layout:
    """Hands out places in the parameter vector."""

    def __init__(self) -> None:
        self.size = 0

    def slot(self, block: Any, free: Sequence[int], smoother: Smoother | None = None) -> Slot:
        slot = Slot(block, tuple(free), self.size, smoother)
        self.size += slot.size
        return slot


def build_problem(experiments: ExperimentList, data: Sequence[Data], options: Parameterisation, *,
                  scan_varying: bool = False) -> Problem:
    """Make parameters for every model of `experiments`; models shared between experiments are refined once.

    Parameters
    ----------
    experiments : ExperimentList
        Each with a crystal.
    data : sequence of Data
        The observations, one an experiment.
    scan_varying : bool
        Whether the crystals of rotation data vary smoothly over the scan.
    """
    layout = _Layout()
    beams: dict[int, Slot] = {}
    detectors: dict[int, tuple[Slot, ...]] = {}
    goniometers: dict[int, Slot] = {}
    crystals: dict[int, tuple[Slot, Slot]] = {}
    parts = []
    for experiment, observed in zip(experiments, data, strict=True):
        beam, detector, crystal = experiment.beam, experiment.detector, experiment.crystal
        if id(beam) not in beams:
            beams[id(beam)] = _beam_slot(layout, experiment, options)
        if id(detector) not in detectors:
            detectors[id(detector)] = _detector_slots(layout, detector, beam, options)
        key = id(experiment.goniometer)
        if key not in goniometers:
            goniometers[key] = _goniometer_slot(layout, experiment, options)
        if id(crystal) not in crystals:
            crystals[id(crystal)] = _crystal_slots(layout, experiment, options, scan_varying)
        parts.append(_part(experiment, observed, beams[id(beam)], detectors[id(detector)], goniometers[key],
                           crystals[id(crystal)]))
    return Problem(tuple(parts), layout.size, beams, detectors, goniometers, crystals)


def _part(experiment: Experiment, data: Data, beam: Slot, detector: tuple[Slot, ...], setting: Slot,
          crystal: tuple[Slot, Slot]) -> Part:
    goniometer = experiment.goniometer
    axis = np.array([1.0, 0.0, 0.0]) if goniometer is None else goniometer.rotation_axis_datum
    fixed = np.eye(3) if goniometer is None else goniometer.F
    return Part(beam, detector, setting, *crystal, axis, fixed, experiment.is_still, data)


def _beam_slot(layout: _Layout, experiment: Experiment, options: Parameterisation) -> Slot:
    spindle = None if experiment.goniometer is None else experiment.goniometer.rotation_axis_lab
    fix = options.beam.fix
    # "in_spindle_plane" keeps the beam in the plane of beam and spindle: it holds the turn about the axis within it.
    # That turn, about the spindle nearly, is a gauge: beam, detector and crystal turned together change nothing.
    held = {0: "in_spindle_plane", 1: "out_spindle_plane", 2: "wavelength"}
    free = [] if "all" in fix else [k for k, name in held.items() if name not in fix]
    return layout.slot(blocks.BeamBlock.of(experiment.beam.s0, spindle), free)


def _goniometer_slot(layout: _Layout, experiment: Experiment, options: Parameterisation) -> Slot:
    goniometer = experiment.goniometer
    setting = np.eye(3) if goniometer is None else goniometer.S
    spindle = np.array([1.0, 0.0, 0.0]) if goniometer is None else goniometer.rotation_axis_lab
    axes = blocks.perpendicular_axes(spindle, experiment.beam.s0)
    block = blocks.RotationBlock(setting, axes, ("Gamma1", "Gamma2"), "goniometer")
    fix = options.goniometer.fix or ()
    held = {0: "in_beam_plane", 1: "out_beam_plane"}
    is_fixed = "all" in fix or goniometer is None
    return layout.slot(block, [] if is_fixed else [k for k, name in held.items() if name not in fix])


def _detector_slots(layout: _Layout, detector: Detector, beam: Beam, options: Parameterisation) -> tuple[Slot, ...]:
    free = _FREE_DETECTOR[options.detector.fix]
    return tuple(layout.slot(_detector_block(detector, beam, panels), free)
                 for panels in panel_groups(detector, options.detector.panels, options.detector.hierarchy_level))


def panel_groups(detector: Detector, how: str, level: int) -> list[np.ndarray]:
    """The panels that move together: all, or those below each node of the hierarchy at `level`."""
    everything = [np.arange(len(detector))]
    if how in ("single", "multiple") or detector.hierarchy is None or level == 0:
        return everything
    nodes = [detector.hierarchy]
    for _ in range(level):
        nodes = [child for node in nodes for child in node.get("children", [node])]
    return [np.array(sorted(_leaves(node)), dtype=np.int64) for node in nodes]


def _leaves(node: dict) -> Iterator[int]:
    if "panel" in node:
        yield int(node["panel"])
        return
    for child in node["children"]:
        yield from _leaves(child)


def _detector_block(detector: Detector, beam: Beam, panels: np.ndarray) -> blocks.DetectorBlock:
    frames = np.stack([detector.d_matrix(int(i)) for i in panels])
    middles = [frames[k] @ [*(0.5 * np.multiply(detector[int(i)].image_size, detector[int(i)].pixel_size)), 1.0]
               for k, i in enumerate(panels)]
    pivot = np.mean(middles, axis=0)
    first = frames[np.argmin(np.linalg.norm(np.asarray(middles) - pivot, axis=1))]
    normal = np.cross(first[:, 0], first[:, 1])
    axes = np.stack([normal, first[:, 0], first[:, 1]])
    return blocks.DetectorBlock(frames, axes, pivot, panels)


def _crystal_slots(layout: _Layout, experiment: Experiment, options: Parameterisation, scan_varying: bool
                   ) -> tuple[Slot, Slot]:
    crystal, fix = experiment.crystal, options.crystal.fix
    rotations = symmetry_rotations(crystal)
    cell_block = blocks.CellBlock.of(crystal.B, rotations)
    varies = scan_varying and not experiment.is_still
    smooth = [None, None]
    for k, choice in enumerate((options.crystal.orientation, options.crystal.unit_cell)):
        if varies and not choice.force_static:
            smooth[k] = _smoother(experiment, choice.smoother)
    orientation = layout.slot(blocks.RotationBlock(crystal.U), () if fix in ("all", "orientation") else range(3),
                              smooth[0])
    cell = layout.slot(cell_block, () if fix in ("all", "cell") else range(len(cell_block.names)), smooth[1])
    return orientation, cell


def symmetry_rotations(crystal: Crystal) -> np.ndarray:
    """Rotation parts (n, 3, 3) of the crystal's space group."""
    operations = crystal.space_group.operations()
    return np.array([np.array(op.rot) // op.DEN for op in operations.sym_ops])


def _smoother(experiment: Experiment, options: Any) -> Smoother:
    start, stop = experiment.scan.array_range
    width = abs(experiment.scan.oscillation[1]) * (stop - start)
    n = options.absolute_num_intervals or max(int(np.ceil(width / options.interval_width_degrees - 1e-6)), 1)
    return Smoother(float(start), float(stop), n)


def apply(problem: Problem, p: np.ndarray, experiments: ExperimentList) -> ExperimentList:
    """The experiments with the models that parameters `p` describe; shared models stay shared."""
    made: dict[int, Any] = {}

    def once(model: Any, make: Any) -> Any:
        if id(model) not in made:
            made[id(model)] = make()
        return made[id(model)]

    result = []
    for e in experiments:
        beam = once(e.beam, lambda e=e: _new_beam(e.beam, problem.beams[id(e.beam)], p))
        detector = once(e.detector, lambda e=e: _new_detector(e.detector, problem.detectors[id(e.detector)], p))
        goniometer = e.goniometer and once(
            e.goniometer, lambda e=e: _new_goniometer(e.goniometer, problem.goniometers[id(e.goniometer)], p))
        crystal = once(e.crystal, lambda e=e: _new_crystal(e, problem.crystals[id(e.crystal)], p))
        result.append(replace(e, beam=beam, detector=detector, goniometer=goniometer, crystal=crystal))
    return ExperimentList(result, experiments.extra)


def _static(slot: Slot, p: np.ndarray) -> np.ndarray:
    """A slot's parameters; of a smoothed one those at its middle."""
    if slot.smoother is None:
        return slot.parameters(p, np.zeros(0))
    middle = 0.5 * (slot.smoother.start + slot.smoother.stop)
    return slot.parameters(p, np.array([middle]))[0]


def _vector(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(v) for v in np.asarray(values).ravel())


def _new_beam(beam: Beam, slot: Slot, p: np.ndarray) -> Beam:
    if not slot.free:
        return beam
    s0 = slot.block.state(_static(slot, p))
    turn = product(slot.block.axes, _static(slot, p)[:2] * 1e-3)
    return replace(beam, direction=_vector(-s0 / np.linalg.norm(s0)), wavelength=float(1.0 / np.linalg.norm(s0)),
                   polarization_normal=_vector(turn @ np.asarray(beam.polarization_normal)))


def _new_detector(detector: Detector, slots: tuple[Slot, ...], p: np.ndarray) -> Detector:
    if not any(slot.free for slot in slots):
        return detector
    moved = {}
    for slot in slots:
        for index, d in zip(slot.block.panels, slot.block.state(_static(slot, p)), strict=True):
            moved[int(index)] = d
    return moved_detector(detector, [moved[i] for i in range(len(detector))])


def _new_goniometer(goniometer: Goniometer, slot: Slot, p: np.ndarray) -> Goniometer:
    if not slot.free:
        return goniometer
    setting = _vector(slot.block.state(_static(slot, p)))
    if goniometer.is_multi_axis:  # its setting follows from the motors; a correction makes it a single-axis one
        return Goniometer(goniometer.rotation_axis, goniometer.fixed_rotation, setting, extra=goniometer.extra)
    return replace(goniometer, setting_rotation=setting)


def _new_crystal(experiment: Experiment, slots: tuple[Slot, Slot], p: np.ndarray) -> Crystal:
    crystal, (orientation, cell) = experiment.crystal, slots
    if not (orientation.free or cell.free):
        return crystal
    a = orientation.block.state(_static(orientation, p)) @ cell.block.state(_static(cell, p))
    real = np.linalg.inv(a)
    points = None
    if orientation.smoother or cell.smoother:
        start, stop = experiment.scan.array_range
        frames = np.arange(start, stop + 1, dtype=np.float64)
        u = orientation.block.state(orientation.parameters(p, frames))
        b = cell.block.state(cell.parameters(p, frames))
        points = tuple(_vector(m) for m in np.broadcast_to(u @ b, (len(frames), 3, 3)))
    extra = {k: v for k, v in crystal.extra.items() if not k.startswith(("B_covariance", "recalculated_"))}
    return replace(crystal, real_space_a=_vector(real[0]), real_space_b=_vector(real[1]),
                   real_space_c=_vector(real[2]), A_at_scan_points=points, extra=extra)
