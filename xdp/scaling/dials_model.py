"""Scaling models in the form that DIALS keeps in .expt files.

DIALS' physical model has smooth scales and B factors, values at evenly spaced nodes, one outside each end of the sweep,
which a Gaussian smooths. Ours is evaluated at these nodes; effects of frames and surfaces have no place there. So the
model tells DIALS where to begin if it scales the data again; the scales themselves are in the reflections.

References
----------
Beilsten-Edmands et al. (2020). Acta Cryst. D76, 385-399, doi:10.1107/S2059798320003198: DIALS' models.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from xdp.experiment.experiment import Experiment
from xdp.scaling.components import spline_values
from xdp.scaling.error_model import ErrorModel
from xdp.scaling.model import ScaleModel, ScalePart

_INTERVAL = 15.0  # degrees between nodes that DIALS takes for long sweeps
_WITHIN = 0.999  # DIALS shrinks coordinates by so much, so that they stay within its nodes


def describe_for_dials(model: ScaleModel, parameters: np.ndarray, experiment: Experiment, sweep: int,
                       errors: ErrorModel) -> dict[str, Any]:
    """Write the model of a sweep as DIALS' scaling model.

    Parameters
    ----------
    model : ScaleModel
    parameters : (P,) float64
    experiment : Experiment
        With a scan.
    sweep : int
        Its number.
    errors : ErrorModel

    Returns
    -------
    dict
        Of the form ``KB`` where the sweep has one scale, else ``physical``.
    """
    scan = experiment.known.scan
    first, last = scan.array_range
    scale, decay = model.get_part("scale", sweep), model.get_part("decay", sweep)
    begin, end = float(scan.angle(float(first))), float(scan.angle(float(last)))
    k = sweep if len(errors.a) > 1 else 0
    settings: dict[str, Any] = {
        "corrections": ["scale"] + ["decay"] * (decay is not None), "valid_image_range": [first + 1, last],
        "valid_osc_range": [begin, end], "error_model_type": "BasicErrorModel",
        "error_model_parameters": [float(errors.a[k]), float(errors.b[k])]}
    is_constant = scale is None or scale.n == 1
    n_intervals = max(int(abs(end - begin) / _INTERVAL) + 1, 3)
    # nodes at -1/2, 1/2, ... in units of intervals
    z = first + (np.arange(n_intervals + 2) - 0.5) * (last - first) / n_intervals
    result: dict[str, Any] = {"__id__": "KB" if is_constant else "physical"}
    if not is_constant:
        for letter, name in (("s", "scale"), ("d", "decay")):
            settings[f"{letter}_norm_fac"] = _WITHIN * n_intervals / (last - first)
            settings[f"{name}_rot_interval"] = abs(end - begin) / n_intervals
    for name, part, null in (("scale", scale, 1.0), ("decay", decay, 0.0)):
        if part is not None:
            values = parameters[part.columns] if is_constant else _evaluate(part, parameters, z, first, last)
            values = np.exp(values) if name == "scale" else values
            result[name] = {"n_parameters": len(values), "parameters": values.tolist(), "null_parameter_value": null}
    return {**result, "configuration_parameters": settings}


def _evaluate(part: ScalePart, parameters: np.ndarray, z: np.ndarray, first: int, last: int) -> np.ndarray:
    """Values of a spline at frame coordinates."""
    own = parameters[part.columns]
    if part.n == 1:
        return np.full(len(z), own[0])
    place, value = spline_values(z, first, last, part.n)
    return np.sum(own[place] * value, axis=1)
