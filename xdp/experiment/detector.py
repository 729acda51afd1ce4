"""The detector: flat panels, and the hierarchy of frames that carries them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from xdp.display import Displayed, format_value
from xdp.errors import FormatError
from xdp.experiment._fields import Fields
from xdp.experiment.hierarchy import (
    IDENTITY_MOUNT,
    check_hierarchy,
    compose_frames,
    find_mounts,
    local_frame,
    read_frame,
)
from xdp.experiment.skew import EXACT_AXES, is_skewed, restore_axes, write_axes

#: DIALS' names for how pixels become millimetres: by the pixel size alone, or with the parallax correction.
SIMPLE = "SimplePxMmStrategy"
PARALLAX = "ParallaxCorrectedPxMmStrategy"
#: All names that dxtbx writes; those with "Offset" add pixel maps, which are not applied here.
_STRATEGIES = (SIMPLE, PARALLAX, "OffsetPxMmStrategy", "OffsetParallaxCorrectedPxMmStrategy")


_MOST_PIXELS = 1_000_000
"""Along an edge of a panel: fifty times as many as the largest detectors have. More are a slip, or a damaged file."""


@dataclass(frozen=True, repr=False)
class Panel(Displayed):
    """One flat, rectangular array of pixels.

    Pixel coordinates are (fast, slow), counted from the outer corner of the first pixel, whose centre is (0.5, 0.5).

    Parameters
    ----------
    fast_axis, slow_axis, origin
        In the frame of the panel's parent (the lab frame where the detector is flat, see :meth:`Detector.d_matrix`);
        origin in mm: the outer corner of the first pixel.
    image_size
        Number of pixels (fast, slow).
    pixel_size
        In mm (fast, slow).
    trusted_range
        Smallest and largest count that can be trusted, both inclusive.
    name, type, identifier
        Type is ``"SENSOR_PAD"`` for a counting detector, ``"SENSOR_CCD"``, ...
    raw_image_offset
        Where the panel lies in the image file (fast, slow).
    thickness
        Of the sensor, mm.
    material
        Of the sensor, e.g. ``"Si"``.
    mu
        Linear attenuation coefficient of the sensor at the beam's wavelength, mm⁻¹.
    mask
        Rectangles of pixels that are not there: (fast0, slow0, fast1, slow1), the last ones excluded.
    gain, pedestal
        Counts per photon, and counts with no photon.
    px_mm_strategy
        ``"ParallaxCorrectedPxMmStrategy"`` or ``"SimplePxMmStrategy"``.
    extra
        Unknown keys of the file, written back as they were.
    mount
        Lab frame of the node that carries the panel, shape (3, 4): columns are its axes, normal and origin. The
        detector that holds the panel sets it; None: the lab frame itself.
    """

    fast_axis: tuple[float, ...]
    slow_axis: tuple[float, ...]
    origin: tuple[float, ...]
    image_size: tuple[int, ...]
    pixel_size: tuple[float, ...]
    trusted_range: tuple[float, ...] = (0.0, 0.0)
    name: str = "Panel"
    type: str = "SENSOR_UNKNOWN"
    raw_image_offset: tuple[int, ...] = (0, 0)
    thickness: float = 0.0
    material: str = ""
    mu: float = 0.0
    identifier: str = ""
    mask: tuple[tuple[int, ...], ...] = ()
    gain: float = 1.0
    pedestal: float = 0.0
    px_mm_strategy: str = SIMPLE
    extra: dict[str, Any] = field(default_factory=dict, hash=False)
    mount: np.ndarray | None = field(default=None, repr=False, compare=False)

    def _facts(self) -> list[tuple[str, Any]]:
        return [("name", self.name), ("pixels", self.image_size), ("pixel size", f"{format_value(self.pixel_size)} mm"),
                ("distance", f"{self.distance:.6g} mm"), ("trusted range", self.trusted_range)]

    @cached_property
    def d_matrix(self) -> np.ndarray:
        """Lab frame, shape (3, 3): columns are the unit fast axis, unit slow axis and origin (mm).

        A point (x, y) mm of the panel lies at ``d @ (x, y, 1)`` in the lab.
        """
        # Read-only, since the cached array is handed out to everybody.
        parent = IDENTITY_MOUNT if self.mount is None else self.mount
        d = compose_frames(parent, local_frame(self.fast_axis, self.slow_axis, self.origin))
        d.setflags(write=False)
        return d

    @property
    def normal(self) -> np.ndarray:
        """Unit vector fast x slow in the lab, shape (3,)."""
        return np.cross(self.d_matrix[:, 0], self.d_matrix[:, 1])

    @property
    def distance(self) -> float:
        """Distance (mm) from the sample to the panel's plane along its normal, never negative."""
        return abs(float(self.d_matrix[:, 2] @ self.normal))

    @property
    def image_size_mm(self) -> tuple[float, float]:
        """Extent (fast, slow), mm."""
        return self.image_size[0] * self.pixel_size[0], self.image_size[1] * self.pixel_size[1]

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the panel's array: (n_slow, n_fast)."""
        return self.image_size[1], self.image_size[0]

    @property
    def corrects_parallax(self) -> bool:
        """Whether px -> mm moves a ray back to where it entered the sensor."""
        return "ParallaxCorrected" in self.px_mm_strategy and self.mu > 0.0 and self.thickness > 0.0

    @classmethod
    def from_dict(cls, source: dict[str, Any], where: str = "panel") -> Panel:
        """The panel of a dictionary in DIALS' form.

        Parameters
        ----------
        source : dict
            As :func:`json.loads` gives it.
        where : str
            What the message of a FormatError begins with.

        Raises
        ------
        FormatError
            If a key is missing or its value makes no sense.
        """
        fields = Fields(source, where)
        fast, slow, origin = read_frame(fields)
        strategy, mu, thickness = _read_strategy(fields)
        panel = cls(
            fast_axis=fast,
            slow_axis=slow,
            origin=origin,
            image_size=fields.integers("image_size", 2),
            pixel_size=fields.vector("pixel_size", 2),
            trusted_range=fields.vector("trusted_range", 2, (0.0, 0.0), infinite=True),
            name=fields.text("name", ""),
            type=fields.text("type", ""),
            raw_image_offset=fields.integers("raw_image_offset", 2, (0, 0)),
            thickness=thickness,
            material=fields.text("material", ""),
            mu=mu,
            identifier=fields.text("identifier", ""),
            mask=tuple(tuple(int(v) for v in row) for row in fields.rows("mask", 4, ())),
            gain=fields.number("gain", 1.0),
            pedestal=fields.number("pedestal", 0.0),
            px_mm_strategy=strategy,
            extra=fields.rest(),
        )
        _check_panel(panel, where)
        if EXACT_AXES in panel.extra:
            return _restore_panel(panel)
        return panel

    def to_dict(self) -> dict[str, Any]:
        """The panel as a dictionary in DIALS' form.

        Its mount is not in it: that follows from the detector's hierarchy.
        """
        return {
            "name": self.name,
            "type": self.type,
            "fast_axis": list(self.fast_axis),
            "slow_axis": list(self.slow_axis),
            "origin": list(self.origin),
            "raw_image_offset": list(self.raw_image_offset),
            "image_size": list(self.image_size),
            "pixel_size": list(self.pixel_size),
            "trusted_range": list(self.trusted_range),
            "thickness": self.thickness,
            "material": self.material,
            "mu": self.mu,
            "identifier": self.identifier,
            "mask": [list(rectangle) for rectangle in self.mask],
            "gain": self.gain,
            "pedestal": self.pedestal,
            "px_mm_strategy": {"type": self.px_mm_strategy},
        } | self.extra | (write_axes(self.fast_axis, self.slow_axis)
                          if is_skewed(self.fast_axis, self.slow_axis, self.extra) else {})


@dataclass(frozen=True, repr=False)
class Detector(Displayed):
    """Panels and the hierarchy of frames they are mounted on.

    Parameters
    ----------
    panels
        In the order of the reflection table's ``panel`` column.
    hierarchy
        DIALS' tree as in the file: a dictionary with a frame (``fast_axis``, ``slow_axis``, ``origin``) and
        ``children``, each such a dictionary or ``{"panel": index}``. None: all panels lie in the lab frame.
    extra
        Unknown keys of the file, written back as they were.
    """

    panels: tuple[Panel, ...]
    hierarchy: dict[str, Any] | None = field(default=None, hash=False)
    extra: dict[str, Any] = field(default_factory=dict, hash=False)

    def _facts(self) -> list[tuple[str, Any]]:
        return [("panels", len(self.panels)), *(self.panels[0]._facts() if self.panels else [])]

    def __post_init__(self) -> None:
        mounts = {} if self.hierarchy is None else dict(find_mounts(self.hierarchy, IDENTITY_MOUNT))
        panels = tuple(_mount_panel(panel, mounts.get(i)) for i, panel in enumerate(self.panels))
        object.__setattr__(self, "panels", panels)

    def __len__(self) -> int:
        return len(self.panels)

    def __getitem__(self, index: int) -> Panel:
        return self.panels[index]

    def __iter__(self) -> Iterator[Panel]:
        return iter(self.panels)

    @property
    def panel_shapes(self) -> list[tuple[int, int]]:
        """Array shape (n_slow, n_fast) of each panel."""
        return [panel.shape for panel in self.panels]

    def d_matrix(self, index: int) -> np.ndarray:
        """Lab frame of a panel, see :attr:`Panel.d_matrix`."""
        return self.panels[index].d_matrix

    @classmethod
    def from_dict(cls, source: dict[str, Any] | list, where: str = "detector") -> Detector:
        """The detector of a dictionary in DIALS' form.

        Parameters
        ----------
        source : dict or list
            As :func:`json.loads` gives it; very old files have a bare list of panels.
        where : str
            What the message of a FormatError begins with.

        Raises
        ------
        FormatError
            If a panel or the hierarchy makes no sense.
        """
        fields = Fields({"panels": source} if isinstance(source, list) else source, where)
        panels = fields.take("panels")
        if not isinstance(panels, list) or not panels:
            raise FormatError(f"{where}: 'panels' must be a list of at least one panel")
        hierarchy = fields.mapping("hierarchy", None)
        if hierarchy is not None:
            check_hierarchy(hierarchy, len(panels), where)
            # A flat tree says nothing. Without it equal detectors of different files compare as equal.
            if hierarchy == flat_hierarchy(len(panels)):
                hierarchy = None
        return cls(tuple(Panel.from_dict(p, f"{where}, panel {i}") for i, p in enumerate(panels)),
                   hierarchy, fields.rest())

    def to_dict(self) -> dict[str, Any]:
        """The detector as a dictionary in DIALS' form.

        DIALS always writes a tree. A detector without one gets a root in the lab frame that carries all panels.
        """
        hierarchy = self.hierarchy if self.hierarchy is not None else flat_hierarchy(len(self.panels))
        return {"panels": [panel.to_dict() for panel in self.panels], "hierarchy": hierarchy} | self.extra


def flat_hierarchy(n_panels: int) -> dict[str, Any]:
    """The tree of a detector whose panels all lie in the lab frame, as DIALS writes it.

    Parameters
    ----------
    n_panels : int
        Panels of the detector.

    Returns
    -------
    dict
        A root node at the lab's origin, whose children are the panels.

    Examples
    --------
    >>> flat_hierarchy(2)["children"]
    [{'panel': 0}, {'panel': 1}]
    """
    root = Panel((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 0.0), (0, 0), (0.0, 0.0), name="", type="")
    return root.to_dict() | {"children": [{"panel": i} for i in range(n_panels)]}


def _restore_panel(panel: Panel) -> Panel:
    """The panel with the axes that its file has besides those at a right angle."""
    exact = restore_axes(panel.fast_axis, panel.slow_axis, panel.extra[EXACT_AXES])
    if exact is not None:
        return dataclasses.replace(panel, fast_axis=exact[0], slow_axis=exact[1])
    return dataclasses.replace(panel, extra={key: v for key, v in panel.extra.items() if key != EXACT_AXES})


def _mount_panel(panel: Panel, mount: np.ndarray | None) -> Panel:
    """Set the panel's mount; the same object where the mount is the lab frame, as on most detectors."""
    if mount is None or np.array_equal(mount, IDENTITY_MOUNT):
        return panel if panel.mount is None else dataclasses.replace(panel, mount=None)
    return dataclasses.replace(panel, mount=mount)


def _read_strategy(fields: Fields) -> tuple[str, float, float]:
    """Name of the px-mm strategy, mu and thickness (old files keep the last two with the strategy)."""
    mu, thickness = fields.number("mu", 0.0), fields.number("thickness", 0.0)
    strategy = fields.mapping("px_mm_strategy", {"type": SIMPLE})
    name = strategy.get("type")
    if name not in _STRATEGIES:
        raise FormatError(f"{fields.where}: px_mm_strategy must be one of {', '.join(_STRATEGIES)}, got {name!r}")
    # Old files have the sensor's numbers here; where both are, these are taken.
    if {"mu", "t0"} <= set(strategy):
        mu, thickness = float(strategy["mu"]), float(strategy["t0"])
    return name, mu, thickness


def _check_panel(panel: Panel, where: str) -> None:
    """Sizes above zero: a panel without pixels has no geometry."""
    if min(panel.image_size) < 1 or max(panel.image_size) > _MOST_PIXELS:
        raise FormatError(f"{where}: 'image_size' must be at least 1 by 1 pixel and at most {_MOST_PIXELS} by "
                          f"{_MOST_PIXELS}, got {panel.image_size}")
    if min(panel.pixel_size) <= 0.0:
        raise FormatError(f"{where}: 'pixel_size' must be above 0 mm, got {panel.pixel_size}")


def move_panels(detector: Detector, frames: Sequence[np.ndarray]) -> Detector:
    """Put the panels of a detector at given places in the laboratory.

    Parameters
    ----------
    detector : Detector
        Whose panels are moved.
    frames : sequence of (3, 3)
        For each panel the columns fast, slow (unit vectors) and origin (mm) in the laboratory, as
        :meth:`Detector.d_matrix` gives them.

    Returns
    -------
    Detector
        A new one.

    Notes
    -----
    The hierarchy's own frames stay; each panel's local frame takes up the move, so that positions in the laboratory
    are exact.
    """
    panels = []
    for index, (panel, frame) in enumerate(zip(detector.panels, frames, strict=True)):
        local = _relative_frame(detector, index, frame)
        fast, slow, origin = (tuple(float(v) for v in column) for column in local.T)
        panels.append(replace(panel, fast_axis=fast, slow_axis=slow, origin=origin))
    return replace(detector, panels=tuple(panels))


def _relative_frame(detector: Detector, index: int, frame: np.ndarray) -> np.ndarray:
    """The lab frame (3, 3) as seen from the panel's parent in the hierarchy."""
    panel, now = detector[index], detector.d_matrix(index)
    fast, slow = (np.asarray(v) / np.linalg.norm(v) for v in (panel.fast_axis, panel.slow_axis))
    local = np.column_stack([fast, slow, np.cross(fast, slow)])
    lab = np.column_stack([now[:, 0], now[:, 1], np.cross(now[:, 0], now[:, 1])])
    turn = lab @ local.T  # the parent's axes in the laboratory
    origin = now[:, 2] - turn @ np.asarray(panel.origin)
    return np.column_stack([turn.T @ frame[:, 0], turn.T @ frame[:, 1], turn.T @ (frame[:, 2] - origin)])
