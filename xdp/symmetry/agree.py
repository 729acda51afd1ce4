"""Data sets on the axes of a reference, for `xdp reindex`: by the code that decides in `xdp symmetry reference=`."""

from __future__ import annotations

import numpy as np

from xdp.errors import XdpError
from xdp.experiment.experiment import ExperimentList
from xdp.reflections.table import ReflectionTable
from xdp.symmetry.data_sets import gather_sets
from xdp.symmetry.find import check_crystals
from xdp.symmetry.move import move_data_sets
from xdp.symmetry.options import SymmetryOptions


def agree_with_reference(experiments: ExperimentList, reflections: ReflectionTable, reference: str,
                         reference_experiments: str | None = None) -> tuple[ExperimentList, ReflectionTable]:
    """Bring data sets to the axes, the space group and the choice of indexing of a reference.

    Parameters
    ----------
    experiments : ExperimentList
        With crystals.
    reflections : ReflectionTable
        As integrated, or scaled.
    reference : path
        ``.refl``, ``.mtz`` or mmCIF.
    reference_experiments : path, optional
        The ``.expt`` of a ``.refl``.

    Returns
    -------
    ExperimentList, ReflectionTable

    Raises
    ------
    XdpError
        If the reference is of another crystal, or a data set agrees with it in no way for certain.
    """
    check_crystals(experiments)
    options = SymmetryOptions.model_validate({"reference": reference, "reference_experiments": reference_experiments})
    sets = gather_sets(experiments, reflections, options)
    # a command that only changes indices drops no data set
    if sets.excluded:
        reasons = "; ".join(f"experiment {k}: {reason}" for k, reason in sorted(sets.excluded.items())[:3])
        raise XdpError(f"reference.reflections={reference}: {reasons}. Leave such data sets out")
    assert sets.reference is not None
    # from the lattice back to the axes that the reference has
    return move_data_sets(experiments, reflections, sets.changes, np.linalg.inv(sets.reference.change),
                          sets.reference.group)
