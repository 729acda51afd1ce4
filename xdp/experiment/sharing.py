"""Equal models of several experiments made one object."""

from __future__ import annotations

from dataclasses import replace

from xdp.experiment.experiment import ExperimentList


def share_equal_models(experiments: ExperimentList) -> ExperimentList:
    """The experiments with equal detectors, goniometers and beams made one object each: they are refined once."""
    kept: dict[str, list] = {"beam": [], "detector": [], "goniometer": []}
    result = []
    for experiment in experiments:
        shared = {}
        for name, seen in kept.items():
            model = getattr(experiment, name)
            match = next((m for m in seen if m == model), None)
            if match is None and model is not None:
                seen.append(model)
            shared[name] = model if match is None else match
        result.append(replace(experiment, **shared))
    return ExperimentList(result, experiments.extra)
