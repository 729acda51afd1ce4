"""What the stages found in each of several sweeps: facts by sweep, and the table that sums them up.

Experiments may be left out, or become several where a sweep has several lattices. So the facts of each stage are kept
under a key that is made of the images, and are put together at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from xdp.experiment import Experiment, ExperimentList
from xdp.experiment.cell_errors import cell_text
from xdp.experiment.image_files import name_sweep_images
from xdp.refinement.result import Refined
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable

SweepFacts = dict[str, dict[str, Any]]

#: Columns of the table: heading, and the cell from the facts of a sweep.
_COLUMNS = {
    "images": lambda f: f["images"], "spots": lambda f: str(f["spots"]),
    "indexed": lambda f: f"{100.0 * f['indexed'] / max(f['spots'], 1):.1f} %",
    "lattices": lambda f: str(f["lattices"]),
    "cell (Å, °)": lambda f: f["cell"],
    "RMSD x, y (px), z (frames)": lambda f: ", ".join(f"{v:.3f}" for v in f["rmsd"]),
    "integrated": lambda f: str(f["integrated"]), "I/sigma": lambda f: f"{f['i_over_sigma']:.2f}",
    "d_min (Å)": lambda f: f"{f['d_min']:.2f}",
}


def has_sweeps(experiments: ExperimentList) -> bool:
    """Say whether there are several sweeps, which are then told one by one; stills are only counted.

    Parameters
    ----------
    experiments : ExperimentList
        Several of one sweep count once.
    """
    return len({_make_key(e) for e in experiments if not e.is_still}) > 1


def name_sweeps(experiments: ExperimentList) -> SweepFacts:
    """Name the images of each sweep.

    Returns
    -------
    dict of str to dict
        By the key of the sweep; its order is that of the rows of the table.
    """
    return {_make_key(e): {"images": name_sweep_images(e)} for e in experiments if not e.is_still}


def count_spots(experiments: ExperimentList, table: ReflectionTable) -> SweepFacts:
    """Count the spots of each sweep.

    Parameters
    ----------
    experiments : ExperimentList
        As they were imported, one a sweep.
    table : ReflectionTable
        Their spots.
    """
    return {key: {"spots": int(np.count_nonzero(rows))} for key, rows in _split_by_images(experiments, table)}


def count_indexed(experiments: ExperimentList, result: ExperimentList, table: ReflectionTable) -> SweepFacts:
    """Count the indexed spots and the lattices of each sweep.

    Parameters
    ----------
    experiments : ExperimentList
        As they were before indexing, one a sweep.
    result : ExperimentList
        With crystals; sweeps may be left out.
    table : ReflectionTable
        All spots with ``imageset_id``; ``id`` is below 0 where a spot is not indexed.
    """
    lattices = [_make_key(e) for e in result]
    is_indexed = table["id"] >= 0
    return {key: {"indexed": int(np.count_nonzero(rows & is_indexed)), "lattices": lattices.count(key)}
            for key, rows in _split_by_images(experiments, table)}


def describe_refinement(result: Refined) -> SweepFacts:
    """Give cell and RMSDs of each sweep; of several lattices those of the first.

    Parameters
    ----------
    result : Refined
        RMSDs are in pixels along fast and slow, and in images.
    """
    facts: SweepFacts = {}
    for experiment, rmsd in zip(result.experiments, result.rmsds_in_pixels(), strict=True):
        facts.setdefault(_make_key(experiment), {"cell": cell_text(experiment.known.crystal), "rmsd": rmsd})
    return facts


def describe_intensities(experiments: ExperimentList, table: ReflectionTable) -> SweepFacts:
    """Count the integrated reflections of each sweep, with their mean I/sigma (summed) and their finest spacing.

    Parameters
    ----------
    experiments : ExperimentList
        Several of one sweep are counted together.
    table : ReflectionTable
        With ``id`` and what integration added.
    """
    keys = np.array([_make_key(e) for e in experiments], object)
    facts: SweepFacts = {}
    for key in dict.fromkeys(keys):
        of_sweep = table.select(np.isin(table["id"], np.flatnonzero(keys == key)))
        part = of_sweep.select(of_sweep.any_flags(Flag.INTEGRATED))
        # A variance of 0 is that of boxes without any count: they tell nothing of the quality.
        summed = part.select(part.flags(Flag.INTEGRATED_SUM) & (part["intensity.sum.variance"] > 0))
        ratio = summed["intensity.sum.value"] / np.sqrt(summed["intensity.sum.variance"])
        facts[key] = {"integrated": len(part)}
        if len(summed):
            facts[key] |= {"i_over_sigma": float(ratio.mean()), "d_min": float(part["d"].min())}
    return facts


def list_sweep_rows(facts: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """List the table of sweeps: a row of headings, and one for each sweep.

    Parameters
    ----------
    facts : mapping of str to mapping
        What each stage found, by its name; ``sweeps`` in them are facts by sweep.

    Returns
    -------
    list of tuples of str
        Empty where there is one sweep. What is not known of a sweep, since it was left out, is a dash.
    """
    names = facts["import"].get("sweeps_by_images", {})
    if len(names) < 2:
        return []
    # The import says which sweeps there are; later stages may have lost some of them.
    found = {key: dict(value) for key, value in names.items()}
    for stage in facts.values():
        for key, value in stage.get("sweeps_by_images", {}).items():
            found.setdefault(key, {}).update(value)
    return [("sweep", *_COLUMNS), *((str(number), *(_format_cell(name, sweep) for name in _COLUMNS))
                                    for number, sweep in enumerate(found.values()))]


def _format_cell(name: str, sweep: Mapping[str, Any]) -> str:
    """One cell of the table; a dash where the sweep lacks what it needs."""
    try:
        return _COLUMNS[name](sweep)
    except KeyError:
        return "-"


def _make_key(experiment: Experiment) -> str:
    """What tells the images of a sweep from those of all others."""
    imageset, scan = experiment.imageset, experiment.scan
    template = None if imageset is None else imageset.template
    return f"{template} {scan.image_range if scan is not None else experiment.identifier}"


def _split_by_images(experiments: ExperimentList, table: ReflectionTable) -> list[tuple[str, np.ndarray]]:
    """Key of each sweep, and which rows of the table are of its images."""
    # Tables of other programs may lack the number of the image set; one experiment a sweep, id says the same.
    column = "imageset_id" if "imageset_id" in table else "id"
    keys = [_make_key(e) for e in experiments if not e.is_still]
    return [(key, table[column] == number) for number, key in enumerate(keys)]
