"""Which part of a scan is integrated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from xdp.errors import OptionError
from xdp.experiment import Crystal, Experiment, ExperimentList, ImageSet, Scan
from xdp.integration.options import IntegrateOptions
from xdp.reflections.table import ReflectionTable


def are_stills(experiments: Sequence[Experiment], options: IntegrateOptions) -> bool:
    """Whether experiments are to be integrated as stills (all are, or none).

    Raises
    ------
    OptionError
        If parameters do not suit them.
    """
    if not experiments[0].is_still:
        if options.profile.algorithm == "ellipsoid":
            raise OptionError("profile.algorithm=ellipsoid is for stills, but the experiments are rotation data")
        return False
    if options.scan_range:
        raise OptionError("scan_range is for rotation data, but the experiments are stills")
    return True


def split_for_scan_ranges(experiments: ExperimentList, reference: ReflectionTable | None,
                          ranges: Sequence[tuple[int, int]]) -> tuple[ExperimentList, ReflectionTable | None]:
    """Experiments cut to ranges of images: for each range one of each.

    Parameters
    ----------
    experiments : ExperimentList
        On one image set.
    reference : ReflectionTable or None
        Each range gets the spots whose observed centroid lies in it (the first frame included, the end not), as a
        spot is learned from in the range where most of it was recorded.
    ranges : sequence of (int, int)
        Array indices as DIALS takes them: images low + 1 to high. Empty: all stays as it is.

    Raises
    ------
    OptionError
        If a range is reversed or outside of the images, or there are several image sets.
    """
    if not ranges:
        return experiments, reference
    if len({id(e.imageset) for e in experiments}) > 1 or len({id(e.scan) for e in experiments}) > 1:
        raise OptionError("scan_range serves for experiments on a single image set; these have several")
    scan = experiments[0].scan
    if scan is None:
        raise OptionError("scan_range serves for rotation data; these experiments have no scan")
    # Ranges may overlap: a spot then belongs to the experiments of both.
    made: list[Experiment] = []
    tables: list[ReflectionTable] = []
    for low, high in ranges:
        first, last = _find_positions(low, high, scan)
        part, images = cut_scan(scan, first, last), cut_images(experiments[0].known.imageset, scan, first, last)
        for i, experiment in enumerate(experiments):
            if reference is not None:
                tables.append(_select_within(reference, i, len(made), part))
            # Identifiers must differ, or DIALS refuses the file.
            name = experiment.identifier if len(ranges) == 1 else f"{experiment.identifier}-{low}-{high}"
            made.append(replace(_cut_models(experiment, first, last), identifier=name, scan=part, imageset=images))
    result = None if reference is None else ReflectionTable.concatenate(tables)
    if result is not None:
        result.identifiers = {i: e.identifier for i, e in enumerate(made) if e.identifier}
    return ExperimentList(made, experiments.extra), result


def _find_positions(low: int, high: int, scan: Scan) -> tuple[int, int]:
    """A range of frames as half-open positions in the scan."""
    first, last = scan.array_range
    if high <= low:
        raise OptionError(f"scan_range must rise, got {low},{high} (for the first image alone: {first},{first + 1})")
    if low < first or high > last:
        raise OptionError(f"scan_range must be within {first},{last}, got {low},{high}")
    return low - first, high - first


def _select_within(reference: ReflectionTable, old: int, new: int, scan: Scan) -> ReflectionTable:
    """The spots of experiment `old` on the frames of a scan, as those of experiment `new`."""
    z = reference["xyzobs.px.value"][:, 2]
    first, last = scan.array_range
    chosen = reference.select((reference["id"] == old) & (z >= first) & (z < last))
    chosen["id"] = np.full(len(chosen), new, np.int32)
    chosen.identifiers = {}
    return chosen


def cut_scan(scan: Scan, first: int, last: int) -> Scan:
    """The frames at positions `first` to `last` - 1 of a scan.

    Examples
    --------
    >>> from xdp.simulation import make_scan
    >>> part = cut_scan(make_scan(10, 0.5), 2, 5)
    >>> part.image_range, part.oscillation
    ((3, 5), (1.0, 0.5))
    """
    start, width = scan.oscillation
    number = scan.image_range[0]
    return replace(scan, image_range=(number + first, number + last - 1), oscillation=(start + first * width, width),
                   exposure_time=_cut_values(scan.exposure_time, first, last),
                   epochs=_cut_values(scan.epochs, first, last))


def cut_images(images: ImageSet, scan: Scan, first: int, last: int) -> ImageSet:
    """The images at positions `first` to `last` - 1.

    Parameters
    ----------
    images : ImageSet
    scan : Scan
        Of all these images.
    first, last : int
        Half-open, counted from 0.

    Returns
    -------
    ImageSet
        The same template or file, and only these of its indices where it lists them.
    """
    indices = images.single_file_indices
    return replace(images, single_file_indices=_cut_values(indices, first, last) if indices else indices)


def _cut_models(experiment: Experiment, first: int, last: int) -> Experiment:
    """An experiment whose models that vary over the scan are those of the frames at positions `first` to `last` - 1."""
    n_frames, beam, goniometer = experiment.known.scan.n_frames, experiment.known.beam, experiment.goniometer
    profile = experiment.profile
    if profile is not None:
        profile = profile | {name: list(_cut_points(profile.get(name), n_frames, first, last))
                             for name in ("sigma_b", "sigma_m") if np.ndim(profile.get(name, 0.0))}
    return replace(experiment, crystal=cut_crystal(experiment.known.crystal, first, last), profile=profile,
                   beam=_cut_points_of(beam, "s0_at_scan_points", n_frames, first, last),
                   goniometer=goniometer and _cut_points_of(goniometer, "setting_rotation_at_scan_points", n_frames,
                                                          first, last))


def _cut_points_of(model: Any, name: str, n_frames: int, first: int, last: int) -> Any:
    """A model with the scan points `name` about these frames; the model itself where it has none."""
    if not model.extra.get(name):
        return model
    return replace(model, extra=model.extra | {name: _cut_points(model.extra[name], n_frames + 1, first, last + 1)})


def _cut_points(values: Any, n: int, first: int, last: int) -> Any:
    """A part of `n` values; any other number of values stays as it is: a single one holds for all frames."""
    return values[first:last] if len(values) == n else values


def cut_crystal(crystal: Crystal, first: int, last: int) -> Crystal:
    """A crystal with the scan points about the frames at positions `first` to `last` - 1.

    There is one more of them than there are frames. A crystal that does not vary is given back as it is.
    """
    points = crystal.A_at_scan_points
    if not points:
        return crystal
    return replace(crystal, A_at_scan_points=points[first:last + 1])


def _cut_values(values: tuple, first: int, last: int) -> tuple:
    """A part of values that are one a frame; others stay."""
    return values if len(values) < last else values[first:last]


def renumber_experiments(table: ReflectionTable, keep: np.ndarray, *, with_strays: bool = False) -> ReflectionTable:
    """The rows of some experiments, their ids counted anew.

    Parameters
    ----------
    table : ReflectionTable
        With ``id``.
    keep : (n_experiments,) bool
        Which experiments are kept.
    with_strays : bool, default False
        Keep the rows of no experiment (id -1) too.
    """
    new = np.append(np.where(keep, np.cumsum(keep) - 1, -1), -1).astype(np.int32)  # the last is that of id -1
    chosen = table.select(np.append(keep, with_strays)[table["id"]])
    chosen["id"] = new[chosen["id"]]
    chosen.identifiers = {int(new[i]): name for i, name in table.identifiers.items() if 0 <= i < len(keep) and keep[i]}
    return chosen
