"""Sweeps with another geometry: a beam centre elsewhere, the opposite sense of rotation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from xdp.experiment.detector import Detector, move_panels
from xdp.experiment.experiment import ExperimentList
from xdp.experiment.goniometer import Goniometer


def shift_sweeps(sweeps: ExperimentList, shift: tuple[float, float]) -> ExperimentList:
    """Shift every detector along the axes of its first panel.

    Parameters
    ----------
    sweeps : ExperimentList
        Detectors that are shared stay shared.
    shift : (float, float)
        Along fast and slow, mm.
    """
    made: dict[int, Detector] = {}
    for sweep in sweeps:
        detector = sweep.known.detector
        if id(detector) not in made:
            first = detector.d_matrix(0)
            frames = [detector.d_matrix(i).copy() for i in range(len(detector))]
            for frame in frames:
                # the third column is the panel's origin
                frame[:, 2] += first[:, 0] * shift[0] + first[:, 1] * shift[1]
            made[id(detector)] = move_panels(detector, frames)
    return ExperimentList([replace(s, detector=made[id(s.detector)]) for s in sweeps], sweeps.extra)


def invert_rotation(sweeps: ExperimentList) -> ExperimentList:
    """Turn the sense of rotation of every sweep round; goniometers that are shared stay shared."""
    made: dict[int, Goniometer] = {}
    for sweep in sweeps:
        if sweep.goniometer is not None and id(sweep.goniometer) not in made:
            made[id(sweep.goniometer)] = _invert_goniometer(sweep.goniometer)
    return ExperimentList([s if s.goniometer is None else replace(s, goniometer=made[id(s.goniometer)])
                           for s in sweeps], sweeps.extra)


def _invert_goniometer(goniometer: Goniometer) -> Goniometer:
    """The goniometer with its scan axis the other way round; other axes stay."""
    def minus(axis: Sequence[float]) -> tuple[float, ...]:
        return tuple(-float(v) for v in axis)

    if not goniometer.axes:
        return replace(goniometer, rotation_axis=minus(goniometer.rotation_axis))
    axes = [minus(a) if k == goniometer.scan_axis else tuple(a) for k, a in enumerate(goniometer.axes)]
    return replace(goniometer, rotation_axis=minus(goniometer.rotation_axis), axes=tuple(axes))
