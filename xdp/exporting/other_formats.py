"""Reflections as mmCIF (unmerged intensities) and as JSON (points of the reciprocal lattice)."""

from __future__ import annotations

import bz2
import gzip
import json
import logging
import lzma
import os
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from xdp.errors import XdpError
from xdp.experiment.experiment import ExperimentList
from xdp.experiment.io import experiments_to_dict
from xdp.exporting.mtz import write_mtz
from xdp.exporting.options import JsonOptions, MtzOptions
from xdp.files import atomic_output
from xdp.prediction.centroids import centroids_to_mm, compute_diffracted_rays, compute_lattice_points
from xdp.reflections.sound import check_panels, keep_sound_rows
from xdp.reflections.table import ReflectionTable
from xdp.space_groups import UntabulatedGroup

logger = logging.getLogger(__name__)

#: By the file's ending. The head of a gzip file has a time in it: 0, so that equal data give equal files.
_COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gz": partial(gzip.compress, mtime=0), "bz2": bz2.compress, "xz": lzma.compress}


def write_mmcif(path: str | os.PathLike, experiments: ExperimentList, table: ReflectionTable,
                intensity: Sequence[str] = ("auto",), options: MtzOptions | None = None,
                compress: str | None = None) -> int:
    """Write unmerged intensities in category ``diffrn_refln``, and give their number.

    The reflections are those of the MTZ file (:func:`xdp.exporting.mtz.write_mtz`, with its parameters and errors),
    put into mmCIF by gemmi, with the intensities I.

    Parameters
    ----------
    path : path
        The file.
    experiments, table, intensity, options
        As for :func:`xdp.exporting.mtz.write_mtz`.
    compress : {"gz", "bz2", "xz"}, optional
        How it is compressed; the name is taken as it is.
    """
    import gemmi

    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole.mtz"
        n = write_mtz(whole, experiments, table, intensity, options)
        text = gemmi.MtzToCif().write_cif_to_string(gemmi.read_mtz_file(os.fspath(whole)))
    text = text[text.index("data_"):]  # without comments that name the temporary file
    group = experiments[0].known.crystal.space_group
    if isinstance(group, UntabulatedGroup):
        text = _add_operations(text, group)
    data = text.encode()
    with atomic_output(path) as part:
        part.write_bytes(_COMPRESS[compress](data) if compress else data)
    return n


def _add_operations(text: str, group: UntabulatedGroup) -> str:
    """An mmCIF file with the symmetry of a group that no table has, which gemmi leaves out, after the cell."""
    lines = ["", "_symmetry.entry_id xxxx", f"_symmetry.space_group_name_H-M '{group.xhm()}'",
             f"_symmetry.space_group_name_Hall '{group.hall}'", f"_symmetry.Int_Tables_number {group.number}", "",
             "loop_", "_space_group_symop.id", "_space_group_symop.operation_xyz"]
    lines += [f"{i} {operation.triplet()}" for i, operation in enumerate(group.operations(), 1)]
    head, cell, rest = text.partition("_cell.angle_gamma")
    angle, _, rest = rest.partition("\n")
    return "\n".join([head + cell + angle, *lines, rest])


def write_rlp_json(experiments: ExperimentList, table: ReflectionTable, options: JsonOptions | None = None) -> int:
    """Write the points of the reciprocal lattice that centroids map to, and give their number.

    Parameters
    ----------
    experiments : ExperimentList
        Their geometry; crystals are not needed.
    table : ReflectionTable
        Spots or reflections with ``xyzobs.px.value``, ``panel``, ``id`` (or ``imageset_id``).
    options : JsonOptions, optional
        Name and form of the file.

    Raises
    ------
    XdpError
        If there are no centroids, or the table does not belong to the experiments.
    """
    options = options or JsonOptions()
    if "xyzobs.px.value" not in table:
        raise XdpError("the reflections have no centroids (xyzobs.px.value)")
    table = keep_sound_rows(table, ("xyzobs.px.value",))
    check_panels(table, max(len(experiment.known.detector) for experiment in experiments))
    if len(table) and int(table["id"].max()) >= len(experiments):
        raise XdpError(f"the reflections refer to experiment {int(table['id'].max())}, but there are "
                       f"{len(experiments)}")
    owner = _find_owners(experiments, table)
    if (owner < 0).any():
        logger.info("%d spots on images that no experiment is of are left out", int((owner < 0).sum()))
        table, owner = table.select(owner >= 0), owner[owner >= 0]
    sweep = table.get("imageset_id", table["id"])
    points = np.zeros((len(table), 3))
    for number, experiment in enumerate(experiments):
        rows = np.flatnonzero(owner == number)
        panel, xyz = table["panel"][rows].astype(np.int64), table["xyzobs.px.value"][rows]
        mm, _ = centroids_to_mm(experiment, panel, xyz, np.zeros_like(xyz))
        rays = compute_diffracted_rays(experiment, panel, mm[:, :2])
        points[rows] = compute_lattice_points(experiment, rays, mm[:, 2])
    content = {"rlp": np.round(points, options.n_digits).ravel().tolist(), "imageset_id": sweep.tolist(),
               "experiment_id": table["id"].tolist(), "experiments": experiments_to_dict(experiments)}
    style: dict = {"separators": (",", ":")} if options.compact else {"indent": 1}
    with atomic_output(options.filename) as part:
        part.write_text(json.dumps(content, **style), encoding="utf-8")
    return len(table)


def _find_owners(experiments: ExperimentList, table: ReflectionTable) -> np.ndarray:
    """The experiment whose geometry each reflection has, (n,); -1 where there is none.

    An unindexed spot belongs to no experiment, but to the images on which it was found: indexed ones on the same images
    tell the experiment. Where nothing is indexed, image sets are numbered as in the experiments.
    """
    ids, sets = table["id"], table.get("imageset_id", table["id"])
    owner = ids.astype(np.int64)
    known = {int(s): int(ids[(sets == s) & (ids >= 0)][0]) for s in np.unique(sets[ids >= 0])}
    if not known:
        numbers = {id(imageset): i for i, imageset in enumerate(experiments.unique("imageset"))}
        for i, experiment in enumerate(experiments):
            known.setdefault(numbers.get(id(experiment.imageset), i), i)
    for imageset, number in known.items():
        owner[(ids < 0) & (sets == imageset)] = number
    return owner
