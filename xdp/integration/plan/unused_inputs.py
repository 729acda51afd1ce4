"""Models and columns that are given and not used: each kind is named in one line of the log."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from xdp.experiment import Experiment
from xdp.integration.options import IntegrateOptions
from xdp.integration.profiles.model import has_found_shoeboxes
from xdp.prediction.scan_varying import has_varying_models
from xdp.reflections.table import ReflectionTable
from xdp.reflections.unused import list_unknown_columns, name_experiments

log = logging.getLogger(__name__)


def find_unused_inputs(experiments: Sequence[Experiment], reference: ReflectionTable | None, options: IntegrateOptions
                       ) -> list[str]:
    """Find the models and columns that integration does not use.

    Parameters
    ----------
    experiments : sequence of Experiment
        With all models that integration needs.
    reference : ReflectionTable or None
        The reference spots.
    options : IntegrateOptions

    Returns
    -------
    list of str
        A sentence for each kind: models along the scan that are not one for each border of the frames, maps of
        distortions, scaling models, profile models that are made anew, columns of unknown names.
    """
    lines = [*_list_scan_points(experiments, options)]
    maps = [i for i, e in enumerate(experiments) if e.imageset is not None and (e.imageset.dx or e.imageset.dy)]
    if maps:
        lines.append(f"Maps of distortions (dx, dy) are not applied{name_experiments(maps, len(experiments))}")
    scaled = [i for i, e in enumerate(experiments) if e.scaling_model]
    if scaled:
        lines.append("Scaling models are of earlier intensities and are not used"
                     f"{name_experiments(scaled, len(experiments))}")
    if reference is None:
        return lines
    # a model that spots replace is the usual case after an earlier integration, but its user may have wanted to keep it
    replaced = [i for i, e in enumerate(experiments) if e.profile]
    if replaced and options.create_profile_model and has_found_shoeboxes(reference):
        lines.append("Profile models are made anew from the reference spots; create_profile_model=False keeps those of "
                     f"the experiments{name_experiments(replaced, len(experiments))}")
    unknown = list_unknown_columns(reference)
    if unknown:
        lines.append(f"Columns of the reference spots that are not used: {', '.join(unknown)}")
    return lines


def log_unused_inputs(experiments: Sequence[Experiment], reference: ReflectionTable | None, options: IntegrateOptions
                      ) -> None:
    """Log the lines of :func:`find_unused_inputs`.

    Parameters
    ----------
    experiments : sequence of Experiment
    reference : ReflectionTable or None
    options : IntegrateOptions
    """
    for line in find_unused_inputs(experiments, reference, options):
        log.info("%s", line)


def _list_scan_points(experiments: Sequence[Experiment], options: IntegrateOptions) -> list[str]:
    """Describe models along the scan that prediction does not follow."""
    unused: dict[str, list[int]] = {}
    for i, experiment in enumerate(experiments):
        scan = experiment.scan
        wanted = scan.n_frames + 1 if scan is not None and not experiment.is_still else 0
        # crystal and beam decide whether prediction goes frame by frame; the goniometer then follows
        is_varying = has_varying_models(experiment) and not options.prediction.force_static
        for name, n_points in _count_scan_points(experiment).items():
            if n_points and not (is_varying and n_points == wanted):
                unused.setdefault(name, []).append(i)
    why = ("prediction.force_static=True" if options.prediction.force_static
           else "they are not one for each border of the frames of a scan, or neither crystal nor beam has them")
    return [f"Models of the {name} along the scan are not used, but its static model: {why}"
            f"{name_experiments(numbers, len(experiments))}" for name, numbers in unused.items()]


def _count_scan_points(experiment: Experiment) -> dict[str, int]:
    """Count the models along the scan, by what they are of."""
    crystal, beam, goniometer = experiment.crystal, experiment.beam, experiment.goniometer
    points = {"crystal": crystal.A_at_scan_points if crystal else None,
              "beam": beam.extra.get("s0_at_scan_points") if beam else None,
              "goniometer": goniometer.extra.get("setting_rotation_at_scan_points") if goniometer else None}
    return {name: len(found or ()) for name, found in points.items()}
