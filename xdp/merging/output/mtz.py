"""Merged intensities as MTZ."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

import xdp
from xdp.exporting.mtz_symmetry import write_operations
from xdp.files import atomic_output
from xdp.merging.merged import MergedIntensities
from xdp.merging.options import MtzNames
from xdp.space_groups import UntabulatedGroup

if TYPE_CHECKING:
    import gemmi

_KINDS = {"IMEAN": "J", "SIGIMEAN": "Q", "N": "I", "I(+)": "K", "SIGI(+)": "M", "I(-)": "K", "SIGI(-)": "M",
          "N(+)": "I", "N(-)": "I", "F": "F", "SIGF": "Q", "F(+)": "G", "SIGF(+)": "L", "F(-)": "G", "SIGF(-)": "L",
          "DANO": "D", "SIGDANO": "Q", "FreeR_flag": "I", "IHALF1": "J", "SIGIHALF1": "Q", "IHALF2": "J",
          "SIGIHALF2": "Q"}
"""Types of columns in MTZ files, by their labels."""


def make_mtz(merged: MergedIntensities, names: MtzNames | None = None) -> gemmi.Mtz:
    """Put merged intensities into an MTZ object.

    Parameters
    ----------
    merged : MergedIntensities
    names : MtzNames, optional
        Of crystal, project and data set.

    Returns
    -------
    gemmi.Mtz
        On untabulated axes with the group P1, since it holds tabulated groups only.
    """
    import gemmi

    names = names or MtzNames()
    mtz = gemmi.Mtz(with_base=True)
    mtz.title, mtz.history = "From xdp", [f"From xdp {xdp.__version__}"]
    group = merged.space_group
    # a group that no table has is written when the file is there
    mtz.spacegroup = group if isinstance(group, gemmi.SpaceGroup) else gemmi.SpaceGroup("P1")
    mtz.cell = gemmi.UnitCell(*merged.cell)
    dataset = mtz.add_dataset(names.dataset_name)
    dataset.project_name, dataset.crystal_name = names.project_name, names.crystal_name
    dataset.cell, dataset.wavelength = mtz.cell, merged.wavelength
    for label in merged.columns:
        mtz.add_column(label, _KINDS[label], dataset_id=dataset.id)
    mtz.set_data(np.column_stack([merged.hkl, *merged.columns.values()]).astype(np.float32))
    return mtz


def write_mtz_file(path: str | os.PathLike, merged: MergedIntensities, names: MtzNames | None = None) -> None:
    """Write merged intensities as an MTZ file.

    Parameters
    ----------
    path : path
        The file.
    merged : MergedIntensities
    names : MtzNames, optional
        The names in the file.
    """
    mtz = make_mtz(merged, names)
    with atomic_output(path) as part:
        mtz.write_to_file(os.fspath(part))
        if isinstance(merged.space_group, UntabulatedGroup):
            write_operations(part, merged.space_group)
