"""Merged intensities as text: SCALEPACK (.sca) and SHELX (HKLF 4).

References
----------
Otwinowski & Minor (1997). Methods Enzymol. 276, 307-326, doi:10.1016/S0076-6879(97)76066-X; the layout of .sca files is
that of CCP4's scalepack2mtz. SHELXL manual: HKLF.
"""

from __future__ import annotations

import os

import numpy as np

from xdp.errors import XdpError
from xdp.exporting.shelx import scale_into, write_hkl_rows
from xdp.files import atomic_output
from xdp.merging.merged import MergedIntensities

_LIMITS = (-9999.0, 99999.0)  # that fit into eight columns with a decimal
_ABSENT = "    -1.0"
"""The sigma of a Friedel mate that was not measured."""


def write_scalepack(path: str | os.PathLike, merged: MergedIntensities) -> None:
    """Write merged intensities as a SCALEPACK file: I(+) and I(-), or the mean without anomalous data.

    Parameters
    ----------
    path : path
    merged : MergedIntensities

    Raises
    ------
    XdpError
        If an index has more than three digits and a sign.
    """
    _check_indices(path, merged.hkl)
    labels = ("I(+)", "I(-)") if "I(+)" in merged.columns else ("IMEAN",)
    values = [(merged.columns[name], merged.columns[f"SIG{name}"]) for name in labels]
    factor = _find_factor(values)
    group = merged.space_group.short_name().lower()
    cell = "".join(f"{x:10.3f}" for x in merged.cell)
    lines = ["    1", " -985", f"{cell} {group}"]
    for row, index in enumerate(merged.hkl.tolist()):
        pairs = [(v[row], s[row]) for v, s in values]
        # a centric reflection has one intensity
        if len(pairs) == 2 and pairs[0] == pairs[1]:
            pairs = pairs[:1]
        cells = [f"{v * factor:8.1f}{s * factor:8.1f}" if np.isfinite(v) else f"{0:8.1f}{_ABSENT}" for v, s in pairs]
        lines.append("".join(f"{i:4d}" for i in index) + "".join(cells))
    with atomic_output(path) as part:
        part.write_text("\n".join(lines) + "\n", encoding="ascii")


def write_shelx_merged(path: str | os.PathLike, merged: MergedIntensities) -> None:
    """Write merged intensities for SHELX (HKLF 4); I(-) stands with the negative index.

    Parameters
    ----------
    path : path
    merged : MergedIntensities

    Raises
    ------
    XdpError
        If an index does not fit into four columns.
    """
    _check_indices(path, merged.hkl)
    if "I(+)" not in merged.columns:
        hkl, value, sigma = merged.hkl, merged.columns["IMEAN"], merged.columns["SIGIMEAN"]
    else:
        plus, minus = merged.columns["I(+)"], merged.columns["I(-)"]
        # the mates of a centric reflection are one
        is_other = np.isfinite(minus) & ~((plus == minus) & (merged.columns["N(+)"] == merged.columns["N(-)"]))
        hkl = np.concatenate([merged.hkl, -merged.hkl])
        value = np.concatenate([plus, np.where(is_other, minus, np.nan)])
        sigma = np.concatenate([merged.columns["SIGI(+)"], merged.columns["SIGI(-)"]])
        order = np.argsort(np.tile(np.arange(len(merged.hkl)), 2), kind="stable")
        hkl, value, sigma = hkl[order], value[order], sigma[order]
    known = np.isfinite(value) & np.isfinite(sigma)
    hkl, value, sigma = hkl[known], value[known], sigma[known]
    factor = scale_into(value, sigma, (-9999.0, 9999.0))
    write_hkl_rows(path, hkl, value * factor, sigma * factor)


def _find_factor(values: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """1, or what brings all numbers into eight columns."""
    numbers = [(v[np.isfinite(v)], s[np.isfinite(v)]) for v, s in values if np.isfinite(v).any()]
    return min([1.0, *(scale_into(v, s, _LIMITS) for v, s in numbers)])


def _check_indices(path: str | os.PathLike, hkl: np.ndarray) -> None:
    if len(hkl) and np.abs(hkl).max() > 999:
        raise XdpError(f"{os.fspath(path)}: a Miller index beyond 999 does not fit into four columns")
