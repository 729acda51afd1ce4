"""Merged intensities and their statistics as mmCIF, as the PDB takes them.

References
----------
The PDBx/mmCIF dictionary, categories refln, reflns and reflns_shell (https://mmcif.wwpdb.org).
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from xdp.errors import XdpError
from xdp.files import atomic_output
from xdp.merging.merged import MergedIntensities
from xdp.merging.output.mtz import make_mtz
from xdp.merging.statistics import ShellStatistics
from xdp.space_groups import UntabulatedGroup

_ALL = {"d_resolution_high": "d_min", "d_resolution_low": "d_max", "number_obs": "n_unique",
        "percent_possible_obs": "completeness", "pdbx_number_measured_all": "n_observations",
        "pdbx_redundancy": "multiplicity", "pdbx_netI_over_sigmaI": "mean_i_over_sigma",
        "pdbx_Rmerge_I_obs": "r_merge", "pdbx_Rrim_I_all": "r_meas", "pdbx_Rpim_I_all": "r_pim",
        "pdbx_CC_half": "cc_half", "pdbx_CC_star": "cc_star"}
"""Items of category reflns, and where they stand in the statistics."""
_SHELL = {"d_res_high": "d_min", "d_res_low": "d_max", "number_unique_obs": "n_unique",
          "percent_possible_obs": "completeness", "number_measured_obs": "n_observations",
          "pdbx_redundancy": "multiplicity", "meanI_over_sigI_obs": "mean_i_over_sigma", "Rmerge_I_obs": "r_merge",
          "pdbx_Rrim_I_all": "r_meas", "pdbx_Rpim_I_all": "r_pim", "pdbx_CC_half": "cc_half",
          "pdbx_CC_star": "cc_star"}
"""Items of category reflns_shell."""


def write_mmcif_file(path: str | os.PathLike, merged: MergedIntensities) -> None:
    """Write merged intensities, amplitudes, the test set and the statistics as mmCIF.

    Parameters
    ----------
    path : path
        The file.
    merged : MergedIntensities

    Raises
    ------
    XdpError
        If the axes are untabulated: the PDB has no name for such a group.
    """
    import gemmi

    if isinstance(merged.space_group, UntabulatedGroup):
        raise XdpError(f"{os.fspath(path)}: mmCIF wants a tabulated space group, not "
                       f"{merged.space_group.short_name()}: reindex the data to a standard setting (xdp reindex)")
    converter = gemmi.MtzToCif()
    converter.with_comments = False
    text = converter.write_cif_to_string(make_mtz(merged))
    document = gemmi.cif.read_string(text)
    block = document.sole_block()
    add_statistics(block, merged)
    with atomic_output(path) as part:
        document.write_file(os.fspath(part))


def add_statistics(block: Any, merged: MergedIntensities) -> None:
    """Add the categories reflns and reflns_shell to a block.

    Parameters
    ----------
    block : gemmi.cif.Block
    merged : MergedIntensities
    """
    entry = block.find_value("_entry.id") or block.name
    *shells, all_ = merged.shells
    reflns = {"entry_id": entry, "pdbx_diffrn_id": "1", "pdbx_ordinal": "1",
              **{item: _write(getattr(all_, name)) for item, name in _ALL.items()}}
    wilson = merged.diagnostics.wilson
    if wilson is not None:
        reflns["B_iso_Wilson_estimate"] = _write(wilson.b)
    for item, value in reflns.items():
        block.set_pair(f"_reflns.{item}", value)
    loop = block.init_loop("_reflns_shell.", ["pdbx_diffrn_id", "pdbx_ordinal", *_SHELL])
    for number, shell in enumerate(shells, 1):
        loop.add_row(["1", str(number), *_list_values(shell)])


def _list_values(shell: ShellStatistics) -> list[str]:
    return [_write(getattr(shell, name)) for name in _SHELL.values()]


def _write(value: float) -> str:
    """A number; a question mark, as CIF has it, where it is not known."""
    if isinstance(value, int):
        return str(value)
    return f"{value:.5g}" if np.isfinite(value) else "?"
