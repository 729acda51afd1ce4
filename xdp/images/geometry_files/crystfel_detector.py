"""From a CrystFEL geometry to the detector, and which of its pixels it calls bad.

CrystFEL's laboratory has z along the beam and x to the left as the beam flies; that of DIALS has z against the beam, y
up as well: x and z change their signs.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from xdp.errors import FormatError
from xdp.experiment import Beam, Detector, Panel
from xdp.experiment.skew import EXACT_AXES
from xdp.images.formats.hdf5.nexus_beam import EV_ANGSTROM
from xdp.images.geometry_files.crystfel import (
    BadRegion,
    CrystFELGeometry,
    GeometryPanel,
    convert_clen,
    convert_to_energy,
)
from xdp.images.geometry_files.groups import build_hierarchy

# Counts of an int32: trusted where the file has no max_adu.
_NO_LIMIT = float(0x7FFFFFFF)
#: From CrystFEL's laboratory to that of DIALS, and back.
TURN = np.array([-1.0, 1.0, -1.0])


def find_clen(geometry: CrystFELGeometry) -> float | None:
    """Find the camera length that the geometry file itself has.

    Parameters
    ----------
    geometry : CrystFELGeometry
        Its first panel counts.

    Returns
    -------
    float or None
        m, without ``coffset``; None where the file has none, or takes it from the images.
    """
    clen = geometry.panels[0].clen
    return None if clen is None or clen.value is None else convert_clen(clen, clen.value)


def find_energy(geometry: CrystFELGeometry) -> float | None:
    """Find the photon energy that the geometry file itself has.

    Parameters
    ----------
    geometry : CrystFELGeometry
        Whatever quantity of the beam it has.

    Returns
    -------
    float or None
        eV; None where the file has none, or takes it from the images.
    """
    beam = geometry.beam
    if beam is None or beam[1].value is None:
        return None
    return convert_to_energy(beam[0], beam[1].value, beam[1].unit)


def build_energy_beam(energy: float | None) -> Beam | None:
    """Build the beam of a photon energy in eV; None where there is none above 0."""
    return None if energy is None or not energy > 0.0 else Beam.along_z(EV_ANGSTROM / energy)


def build_geometry_detector(geometry: CrystFELGeometry, clen: float | None = None,
                            energy: float | None = None) -> Detector:
    """Build the detector of a geometry file.

    Parameters
    ----------
    geometry : CrystFELGeometry
        Whose panels become panels, its groups the hierarchy.
    clen : float, optional
        Camera length without ``coffset``, m, in place of what the file has; needed where images have it.
    energy : float, optional
        Photon energy, eV, for the counts per photon where the file has counts per eV.

    Returns
    -------
    Detector
        A panel's axes keep lengths and angle as they are in the file: lengths as pixel sizes.

    Raises
    ------
    FormatError
        If the camera length is not known.
    """
    own = energy if energy is not None else find_energy(geometry)
    panels = [_build_panel(panel, _choose_clen(geometry, panel, clen), own) for panel in geometry.panels]
    hierarchy = build_hierarchy(geometry, panels)
    shift = {}
    # Panels are placed on their nodes, whose axes are those of the laboratory.
    for index, origin in _find_node_origins(hierarchy, np.zeros(3)):
        shift[index] = origin
    placed = [_move_panel(panel, shift[i]) for i, panel in enumerate(panels)]
    return Detector(tuple(placed), hierarchy)


def _choose_clen(geometry: CrystFELGeometry, panel: GeometryPanel, clen: float | None) -> float:
    """The camera length of a panel, m."""
    if clen is not None:
        return clen
    own = panel.clen or geometry.panels[0].clen
    if own is None or own.value is None:
        where = "none is in the file" if own is None else f"the images have it at {own.path}"
        raise FormatError(f"{geometry.path}, line {panel.line}: the camera length (clen) of panel {panel.name} is not "
                          f"known: {where}; give geometry.detector.distance, or images that have it")
    return convert_clen(own, own.value)


def _build_panel(panel: GeometryPanel, clen: float, energy: float | None) -> Panel:
    """A panel in the laboratory."""
    to_mm = 1000.0 / panel.res
    fast, slow = np.asarray(panel.fs) * TURN, np.asarray(panel.ss) * TURN
    lengths = float(np.linalg.norm(fast)), float(np.linalg.norm(slow))
    origin = np.array([panel.corner_x * to_mm, panel.corner_y * to_mm, 1000.0 * (clen + panel.coffset)]) * TURN
    gain = 1.0
    if panel.adu_per_photon is not None:
        gain = panel.adu_per_photon
    elif panel.adu_per_eV is not None and energy is not None and energy > 0.0:
        gain = panel.adu_per_eV * energy
    return Panel(
        # Zeros without signs, for those who read the file.
        tuple((fast / lengths[0] + 0.0).tolist()), tuple((slow / lengths[1] + 0.0).tolist()), tuple(origin.tolist()),
        panel.image_size, (lengths[0] * to_mm, lengths[1] * to_mm),
        trusted_range=_find_trusted_range(panel), name=panel.name,
        type="SENSOR_PAD", raw_image_offset=(panel.min_fs, panel.min_ss), gain=gain,
        extra={EXACT_AXES: {}} if abs(float(fast @ slow)) > 0.0 else {})


def _find_trusted_range(panel: GeometryPanel) -> tuple[float, float]:
    """The counts that are trusted: neither flagged as too low or too high, nor above ``max_adu``."""
    highs = [value for value in (panel.max_adu, panel.flag_morethan) if value is not None]
    low = -_NO_LIMIT if panel.flag_lessthan is None else panel.flag_lessthan
    return low, max(low, min(highs, default=_NO_LIMIT))


def _find_node_origins(node: dict[str, Any], parent: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """Each panel's index, and the laboratory origin of its node; the axes of all nodes are those of the laboratory."""
    origin = parent + np.asarray(node["origin"])
    found: list[tuple[int, np.ndarray]] = []
    for child in node["children"]:
        found += [(child["panel"], origin)] if "panel" in child else _find_node_origins(child, origin)
    return found


def _move_panel(panel: Panel, node: np.ndarray) -> Panel:
    """The panel with its origin as seen from its node."""
    import dataclasses

    return dataclasses.replace(panel, origin=tuple((np.asarray(panel.origin) - node).tolist()))


def mark_bad_pixels(geometry: CrystFELGeometry) -> list[np.ndarray] | None:
    """Find the pixels that the geometry file calls bad: its bad regions, and borders of panels.

    Parameters
    ----------
    geometry : CrystFELGeometry
        With panels.

    Returns
    -------
    list of (slow, fast) bool, or None
        One a panel, True where the pixel is bad; None where none is.
    """
    if not geometry.bad_regions and not geometry.mask_edge_pixels:
        return None
    masks = []
    for panel in geometry.panels:
        n_fast, n_slow = panel.image_size
        bad = np.zeros((n_slow, n_fast), bool)
        for region in geometry.bad_regions:
            if region.panel in (None, panel.name):
                _mark_region(bad, panel, region)
        if width := geometry.mask_edge_pixels:
            bad[:width] = bad[-width:] = True
            bad[:, :width] = bad[:, -width:] = True
        masks.append(bad)
    return masks


def _mark_region(bad: np.ndarray, panel: GeometryPanel, region: BadRegion) -> None:
    """Mark the pixels of a region."""
    if region.is_fsss:
        first, last = [], []
        for axis, start in enumerate((panel.min_fs, panel.min_ss)):
            first.append(max(0, math.ceil(region.low[axis]) - start))
            last.append(math.floor(region.high[axis]) - start + 1)
        if min(last) > 0:
            bad[first[1]:last[1], first[0]:last[0]] = True
        return
    # As CrystFEL has it, the corner of a pixel says where it is.
    slow, fast = np.arange(bad.shape[0])[:, None], np.arange(bad.shape[1])[None, :]
    inside = np.ones(bad.shape, bool)
    for axis, corner in enumerate((panel.corner_x, panel.corner_y)):
        place = corner + fast * panel.fs[axis] + slow * panel.ss[axis]
        inside &= (place >= region.low[axis]) & (place <= region.high[axis])
    bad |= inside
