"""The reflections that the scatter of shapes is estimated from: kept apart by the second pass, so that the estimate
reads a few thousand boxes and not all.
"""

from __future__ import annotations

import numpy as np

from xdp.integration.measure import Measured
from xdp.integration.options import IntegrateOptions
from xdp.integration.profiles.fit import count_background_pixels
from xdp.integration.profiles.scatter.shape_scatter import choose_scatter_sample
from xdp.integration.rotation.block_work import BlockWork
from xdp.integration.rotation.measured_arrays import pack_boxes
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable
from xdp.work.store import Arrays


def choose_sample(table: ReflectionTable, options: IntegrateOptions) -> np.ndarray | None:
    """Choose the reflections that the scatter of shapes is estimated from.

    Parameters
    ----------
    table : ReflectionTable
        All predictions, with ``id`` and ``flags``.
    options : IntegrateOptions

    Returns
    -------
    (n,) bool or None
        None where the scatter is given, or no profiles are fitted.
    """
    fitting = options.profile.gaussian_rs.fitting
    if not options.integration.profile.fitting or isinstance(fitting.shape_scatter, float):
        return None
    return choose_scatter_sample(table["id"], table.flags(Flag.REFERENCE_SPOT))


def pack_scatter_sample(work: BlockWork, result: Measured) -> Arrays:
    """Pack the boxes of a block's reflections that the scatter is estimated from, for the store.

    Parameters
    ----------
    work : BlockWork
    result : Measured
        With the flag USED_IN_MODELLING.

    Returns
    -------
    dict of str to array
        ``sample.rows``, ``sample.n_used`` and the arrays of the boxes; nothing where there are none.
    """
    if work.sample is None or not work.grids:
        return {}
    is_used = (result.columns["flags"] & np.uint64(Flag.USED_IN_MODELLING)) != 0
    at = np.flatnonzero(is_used & work.sample[result.rows])
    if not len(at):
        return {}
    table = ReflectionTable({name: values[at] for name, values in result.columns.items()
                             if name == "num_pixels.background_used"}, n_rows=len(at))
    boxes = result.cores.select(at)
    return {"sample.rows": result.rows[at], "sample.n_used": count_background_pixels(table, boxes),
            **pack_boxes(boxes, "sample")}
