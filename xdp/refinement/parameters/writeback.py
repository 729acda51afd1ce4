"""From a problem's parameters back to models: beams, detectors, goniometers and crystals, with their uncertainties."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from xdp.experiment.beam import Beam
from xdp.experiment.crystal import Crystal
from xdp.experiment.detector import Detector
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.experiment.goniometer import Goniometer
from xdp.experiment.moved import moved_detector
from xdp.refinement.equations.engine import Covariance
from xdp.refinement.equations.problem import Slot
from xdp.refinement.parameters.rotations import product
from xdp.refinement.parameters.setup import Problem

_MEAN_OF = 101  # points over the scan that a mean is taken of
_STALE = ("B_covariance", "recalculated_")  # keys of a crystal that its old models had


def apply(problem: Problem, p: np.ndarray, experiments: ExperimentList, covariance: Covariance | None = None
          ) -> ExperimentList:
    """The experiments with the models that parameters `p` describe; shared models stay shared.

    The static setting of a crystal that varies is that of its parameters' mean over the scan, with the uncertainties of
    the static refinement before; how it varies stands in ``A_at_scan_points``. Of a varying beam or detector, too, the
    static one is the mean.
    """
    made: dict[int, Any] = {}

    def once(model: Any, make: Callable[[], Any]) -> Any:
        if id(model) not in made:
            made[id(model)] = make()
        return made[id(model)]

    result = []
    for e in experiments:
        result.append(replace(
            e, beam=once(e.beam, lambda e=e: _new_beam(e, problem.of("beam", e.beam)[0], p)),
            detector=once(e.detector, lambda e=e: _new_detector(e.detector, problem.of("detector", e.detector), p)),
            goniometer=e.goniometer and once(e.goniometer, lambda e=e: _new_goniometer(
                e.goniometer, problem.of("goniometer", e.goniometer)[0], p)),
            crystal=once(e.crystal, lambda e=e: _new_crystal(
                e, problem.of("orientation", e.crystal)[0], problem.of("cell", e.crystal)[0], p, covariance))))
    return ExperimentList(result, experiments.extra)


def _static(slot: Slot, p: np.ndarray) -> np.ndarray:
    """A slot's parameters; of a smoothed one their mean over its range."""
    if slot.smoother is None:
        return slot.parameters(p, np.zeros(0))
    return slot.parameters(p, np.linspace(slot.smoother.start, slot.smoother.stop, _MEAN_OF)).mean(axis=0)


def _vector(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(v) for v in np.asarray(values).ravel())


def _scan_points(experiment: Experiment) -> np.ndarray:
    """Frame numbers of the borders of all images."""
    start, stop = experiment.scan.array_range
    return np.arange(start, stop + 1, dtype=np.float64)


def _new_beam(experiment: Experiment, slot: Slot, p: np.ndarray) -> Beam:
    beam = experiment.beam
    if not slot.free:
        return beam
    extra = {k: v for k, v in beam.extra.items() if k != "s0_at_scan_points"}
    if slot.smoother:
        varying = slot.block.state(slot.parameters(p, _scan_points(experiment)))
        extra["s0_at_scan_points"] = varying.tolist()
    s0 = slot.block.state(_static(slot, p))
    turn = product(slot.block.axes, _static(slot, p)[:2] * 1e-3)
    return replace(beam, direction=_vector(-s0 / np.linalg.norm(s0)), wavelength=float(1.0 / np.linalg.norm(s0)),
                   polarization_normal=_vector(turn @ np.asarray(beam.polarization_normal)), extra=extra)


def _new_detector(detector: Detector, slots: Sequence[Slot], p: np.ndarray) -> Detector:
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


def _new_crystal(experiment: Experiment, orientation: Slot, cell: Slot, p: np.ndarray,
                 covariance: Covariance | None) -> Crystal:
    crystal = experiment.crystal
    if not (orientation.free or cell.free):
        return crystal
    real = np.linalg.inv(orientation.block.state(_static(orientation, p)) @ cell.block.state(_static(cell, p)))
    points, extra = None, crystal.extra
    if orientation.smoother or cell.smoother:
        frames = _scan_points(experiment)
        u = orientation.block.state(orientation.parameters(p, frames))
        b = cell.block.state(cell.parameters(p, frames))
        points = tuple(_vector(m) for m in np.broadcast_to(u @ b, (len(frames), 3, 3)))
    else:
        extra = {k: v for k, v in crystal.extra.items() if not k.startswith(_STALE)}
        if cell.free and covariance is not None:
            extra["B_covariance"] = _b_covariance(cell, p, covariance).ravel().tolist()
    return replace(crystal, real_space_a=_vector(real[0]), real_space_b=_vector(real[1]),
                   real_space_c=_vector(real[2]), A_at_scan_points=points, extra=extra)


def _b_covariance(cell: Slot, p: np.ndarray, covariance: Covariance) -> np.ndarray:
    """Covariance (9, 9) of the elements of B, row by row, from that of the cell's parameters."""
    by_parameter = cell.block.derivatives(_static(cell, p))[list(cell.free)].reshape(len(cell.free), 9)
    return by_parameter.T @ covariance.block(cell.offset + np.arange(cell.size)) @ by_parameter
