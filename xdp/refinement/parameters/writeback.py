"""From a problem's parameters back to models: beams, detectors, goniometers and crystals, with their uncertainties."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar, cast

import numpy as np

from xdp.experiment.beam import Beam
from xdp.experiment.crystal import Crystal
from xdp.experiment.detector import Detector, move_panels
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.experiment.goniometer import Goniometer
from xdp.refinement.equations.engine import Covariance
from xdp.refinement.equations.parts import Block, Part, Slot
from xdp.refinement.parameters.blocks import BeamBlock, CellBlock, DetectorBlock, RotationBlock
from xdp.refinement.parameters.rotations import multiply_rotations
from xdp.refinement.parameters.setup import Problem

# Points over the scan of which a mean is taken. Nodes lie 36 degrees apart by default, so that the parameters are
# smooth between the points of any usual scan; more change the mean by less than its uncertainty. A choice.
_MEAN_OF = 101
_STALE = ("B_covariance", "recalculated_")  # beginnings of a crystal's keys that belong to its old cell
_MRAD = 1e-3

_M = TypeVar("_M")


class _Models:
    """New models by the ``id`` of the old ones, each made once: what was shared stays shared."""

    def __init__(self) -> None:
        self._made: dict[int, object] = {}

    def get(self, old: _M, make: Callable[[], _M]) -> _M:
        """The model in place of `old`."""
        if id(old) not in self._made:
            self._made[id(old)] = make()
        return cast("_M", self._made[id(old)])


def apply_parameters(problem: Problem, p: np.ndarray, experiments: ExperimentList, covariance: Covariance | None = None
                     ) -> ExperimentList:
    """Make the experiments with the models that parameters `p` describe; shared models stay shared.

    How a crystal varies stands in its ``A_at_scan_points``. Its static setting is then that of the parameters' mean
    over the scan, with the uncertainties of the static refinement before. The static beam or detector of a varying one
    is the mean, too.

    Parameters
    ----------
    problem : Problem
        Made from `experiments`.
    p : (m,)
        The parameter vector.
    experiments : ExperimentList
        The models as they were before refinement.
    covariance : Covariance, optional
        Of the parameters; the uncertainties of static cells are taken from it.

    Returns
    -------
    ExperimentList
    """
    models = _Models()
    result = [_replace_models(e, part, p, covariance, models)
              for e, part in zip(experiments, problem.parts, strict=True)]
    return ExperimentList(result, experiments.extra)


def _replace_models(e: Experiment, part: Part, p: np.ndarray, covariance: Covariance | None, models: _Models
                    ) -> Experiment:
    """An experiment with the models that its part describes at `p`."""
    known, goniometer = e.known, e.goniometer
    return replace(
        e, beam=models.get(known.beam, lambda: _make_beam(e, part.beam, p)),
        detector=models.get(known.detector, lambda: _make_detector(known.detector, part.detector, p)),
        goniometer=goniometer and models.get(goniometer, lambda: _make_goniometer(goniometer, part.setting, p)),
        crystal=models.get(known.crystal, lambda: _make_crystal(e, part, p, covariance)))


def _average_parameters(slot: Slot[Block], p: np.ndarray) -> np.ndarray:
    """A slot's parameters; of a smoothed one their mean over its range."""
    if slot.smoother is None:
        return slot.expand_parameters(p, np.zeros(0))
    frames = np.linspace(slot.smoother.start, slot.smoother.stop, _MEAN_OF)
    return slot.expand_parameters(p, frames).mean(axis=0)


def _make_tuple(values: np.ndarray) -> tuple[float, ...]:
    """All elements, row by row, as the models store them."""
    return tuple(float(v) for v in np.asarray(values).ravel())


def _list_scan_points(experiment: Experiment) -> np.ndarray:
    """Frame numbers of the borders of all images."""
    start, stop = experiment.known.scan.array_range
    return np.arange(start, stop + 1, dtype=np.float64)


def _make_beam(experiment: Experiment, slot: Slot[BeamBlock], p: np.ndarray) -> Beam:
    beam = experiment.known.beam
    if not slot.free:
        return beam
    extra = {k: v for k, v in beam.extra.items() if k != "s0_at_scan_points"}
    if slot.smoother:
        varying = slot.block.evaluate(slot.expand_parameters(p, _list_scan_points(experiment)))
        extra["s0_at_scan_points"] = varying.tolist()
    s0 = slot.block.evaluate(_average_parameters(slot, p))
    # the polarisation turns with the beam
    turn = multiply_rotations(slot.block.axes, _average_parameters(slot, p)[:2] * _MRAD)
    return replace(beam, direction=_make_tuple(-s0 / np.linalg.norm(s0)), wavelength=float(1.0 / np.linalg.norm(s0)),
                   polarization_normal=_make_tuple(turn @ np.asarray(beam.polarization_normal)), extra=extra)


def _make_detector(detector: Detector, slots: Sequence[Slot[DetectorBlock]], p: np.ndarray) -> Detector:
    if not any(slot.free for slot in slots):
        return detector
    moved = {}
    for slot in slots:
        for index, d in zip(slot.block.panels, slot.block.evaluate(_average_parameters(slot, p)), strict=True):
            moved[int(index)] = d
    return move_panels(detector, [moved[i] for i in range(len(detector))])


def _make_goniometer(goniometer: Goniometer, slot: Slot[RotationBlock], p: np.ndarray) -> Goniometer:
    if not slot.free:
        return goniometer
    setting = _make_tuple(slot.block.evaluate(_average_parameters(slot, p)))
    if goniometer.is_multi_axis:  # its setting follows from the motors; a correction makes it a single-axis one
        return Goniometer(goniometer.rotation_axis, goniometer.fixed_rotation, setting, extra=goniometer.extra)
    return replace(goniometer, setting_rotation=setting)


def _make_crystal(experiment: Experiment, part: Part, p: np.ndarray, covariance: Covariance | None) -> Crystal:
    crystal, orientation, cell = experiment.known.crystal, part.orientation, part.cell
    if not (orientation.free or cell.free):
        return crystal
    real = np.linalg.inv(orientation.block.evaluate(_average_parameters(orientation, p))
                         @ cell.block.evaluate(_average_parameters(cell, p)))
    points, extra = None, crystal.extra
    if orientation.smoother or cell.smoother:
        frames = _list_scan_points(experiment)
        u = orientation.block.evaluate(orientation.expand_parameters(p, frames))
        b = cell.block.evaluate(cell.expand_parameters(p, frames))
        points = tuple(_make_tuple(m) for m in np.broadcast_to(u @ b, (len(frames), 3, 3)))
    else:
        extra = {k: v for k, v in crystal.extra.items() if not k.startswith(_STALE)}
        if cell.free and covariance is not None:
            extra["B_covariance"] = _compute_b_covariance(cell, p, covariance).ravel().tolist()
    return replace(crystal, real_space_a=_make_tuple(real[0]), real_space_b=_make_tuple(real[1]),
                   real_space_c=_make_tuple(real[2]), A_at_scan_points=points, extra=extra)


def _compute_b_covariance(cell: Slot[CellBlock], p: np.ndarray, covariance: Covariance) -> np.ndarray:
    """Covariance (9, 9) of the elements of B, row by row: J^T C J, with C of the cell's parameters and J = dB/dp."""
    by_parameter = cell.block.differentiate(_average_parameters(cell, p))[list(cell.free)].reshape(len(cell.free), 9)
    return by_parameter.T @ covariance.get_block(cell.offset + np.arange(cell.size)) @ by_parameter
