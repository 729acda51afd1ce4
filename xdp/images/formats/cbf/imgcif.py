"""Full imgCIF (CBF with tables of axes): one panel, several, or many on a hierarchy of rigid bodies."""

from __future__ import annotations

import functools
import re
from typing import Any, ClassVar

import numpy as np

from xdp.errors import FormatError
from xdp.experiment import Beam, Detector, Goniometer, Panel, Scan
from xdp.experiment.detector import flat_hierarchy
from xdp.images.formats.base import Format, Models
from xdp.images.formats.cbf.cif import Table, list_rows, parse_cif
from xdp.images.formats.cbf.header import extract_header_text, parse_convention, parse_epoch
from xdp.images.formats.cbf.imgcif_axes import Axes, parse_number
from xdp.images.formats.cbf.sections import BOUNDARY, count_cbf_bytes, decode_section, find_sections
from xdp.images.formats.files import read_bytes, read_head
from xdp.images.formats.limits import MAX_PIXELS
from xdp.images.formats.modules import PILATUS, find_gaps
from xdp.images.formats.sensors import build_sensor_fields
from xdp.images.names import parse_image_number

# Dectris' comment lines, which its imgCIF headers keep.
_SENSOR = re.compile(r"^# *(\w+) sensor, thickness *(\d+\.?\d*) *m", re.MULTILINE)
_DETECTOR = re.compile(r"^# *Detector:(.*)$", re.MULTILINE)
# Tables that models need: a header that has them all before the first image is not read further.
_NEEDED = ("_axis.", "_array_structure_list.", "_diffrn_scan", "_array_intensities.")

Node = dict[str, Any]
"""A rigid body of the detector's hierarchy, as an .expt file has it: name, axes, origin and children."""


class ImgCIF(Format):
    """A CBF file whose header has imgCIF's tables of axes."""

    name: ClassVar[str] = "imgCIF"
    overload_is_trusted: ClassVar[bool] = False

    @classmethod
    def understands(cls, path: str, head: bytes) -> bool:
        """A CBF with the tables of a diffraction experiment."""
        text = extract_header_text(head)
        return "_diffrn.id" in text or "_diffrn_source" in text

    @functools.cached_property
    def _text(self) -> str:
        """The header's text; all text of the file where the tables go on behind the first image."""
        head = read_head(self.path)
        if BOUNDARY in head and all(name in extract_header_text(head) for name in _NEEDED):
            return extract_header_text(head)
        return _collect_text(read_bytes(self.path, count_cbf_bytes), self.path)

    @functools.cached_property
    def _tables(self) -> dict[str, Table]:
        return parse_cif(self._text)

    @functools.cached_property
    def _axes(self) -> Axes:
        return Axes(self._tables, self.path)

    @property
    def _is_pilatus(self) -> bool:
        """Whether Dectris' software wrote the file."""
        return "PILATUS" in parse_convention(self._text)

    def models(self, index: int = 0) -> Models:
        """The models that the header's tables state; a file without goniometer axes is a still."""
        beam = self._read_beam()
        detector = self.read_detector(beam)
        if "diffrn_measurement_axis" not in self._tables:
            return Models(beam, detector)
        goniometer, scan_axis = self._read_goniometer()
        return Models(beam, detector, goniometer, self._read_scan(goniometer, scan_axis))

    def _get_first(self, category: str, name: str) -> str | None:
        """The first value of a table's column, None where there is none."""
        values = self._tables.get(category, {}).get(name) or [None]
        return values[0]

    def _get_number(self, category: str, name: str, default: float) -> float:
        """The first value of a table's column as a number, `default` where there is none."""
        return parse_number(self._get_first(category, name), self.path, f"{category}.{name}", default)

    def _read_beam(self) -> Beam:
        """The beam along the axis of the source, +z by default: from the sample towards the source."""
        wavelength = self._get_number("diffrn_radiation_wavelength", "wavelength", 0.0)
        if wavelength <= 0.0:
            raise FormatError(f"{self.path}: header has no wavelength above 0 Å")
        source = next(iter(self._axes.list_of_equipment("source")), None)
        direction = np.asarray(source.vector if source is not None and any(source.vector) else (0.0, 0.0, 1.0))
        # Pilatus headers carry a number from a template here, not the beam's; 0.999 is what DIALS takes without one.
        ratio = 0.999 if self._is_pilatus else self._get_number("diffrn_radiation", "polarizn_source_ratio", 0.999)
        angle = np.deg2rad(self._get_number("diffrn_radiation", "polarizn_source_norm", 0.0))
        return Beam(
            tuple((direction / np.linalg.norm(direction)).tolist()), wavelength,
            polarization_normal=(float(np.sin(angle)), float(np.cos(angle)), 0.0),
            polarization_fraction=ratio,
            flux=self._get_number("diffrn_radiation", "beam_flux", 0.0),
        )

    def _read_goniometer(self) -> tuple[Goniometer | None, bool]:
        """Read the goniometer, crystal to base, and whether one of its axes moves; the moving one turns forwards."""
        axes = self._axes.list_of_equipment("goniometer")
        if not axes:
            return None, False
        names = {axis.name for axis in axes}
        tips = names - {axis.parent for axis in axes}
        if len(tips) != 1:
            # Two tips would be two crystals.
            raise FormatError(f"{self.path}: goniometer axes {sorted(names)} must depend on each other in one chain")
        chain = [axis for axis in self._axes.follow(tips.pop()) if axis.name in names]
        moving = [i for i, axis in enumerate(chain) if axis.increment != 0.0]
        if len(moving) > 1:
            raise FormatError(f"{self.path}: one goniometer axis may move in an image, not {len(moving)}")
        vectors, angles = [axis.vector for axis in chain], [axis.setting for axis in chain]
        # A negative step about an axis is a positive one about the opposite axis.
        if moving and chain[moving[0]].increment < 0.0:
            vectors[moving[0]] = tuple(-v for v in vectors[moving[0]])
            angles[moving[0]] = -angles[moving[0]]
        scan_axis = moving[0] if moving else 0
        # The angle of a moving axis is that of the scan: its setting in the goniometer is where the scan starts.
        return Goniometer.multi_axis(vectors, angles, [axis.name for axis in chain], scan_axis), bool(moving)

    def _read_scan(self, goniometer: Goniometer | None, moves: bool) -> Scan | None:
        """The scan of this image, None for a still; its number is that of the file's name."""
        if goniometer is None or not moves:
            return None
        name = goniometer.names[goniometer.scan_axis]
        image = parse_image_number(self.path)
        exposure = self._get_number("diffrn_scan_frame", "integration_time", 0.0)
        epoch = parse_epoch(self._get_first("diffrn_scan_frame", "date") or "") or 0.0
        oscillation = (goniometer.angles[goniometer.scan_axis], abs(self._axes[name].increment))
        return Scan((image, image), oscillation, (exposure,), (epoch,), image - 1)

    def read_detector(self, beam: Beam) -> Detector:
        """One panel, several on a hierarchy of rigid bodies where the axes state these, or several in the lab frame."""
        elements = self._list_elements()
        if len(elements) == 1:
            return self._build_one_panel(elements[0], beam)
        if self._tables.get("axis", {}).get("equipment_component"):
            return self._build_hierarchy(elements)
        return Detector(tuple(self._build_lab_panel(element, name=element["name"]) for element in elements))

    def _list_elements(self) -> list[dict[str, Any]]:
        """List the panels by array (or section of an array): name, array id, and (dimension, axis) of fast and slow."""
        found: dict[str, dict[str, Any]] = {}
        for row in list_rows(self._tables.get("array_structure_list")):
            axis, array = row.get("axis_set_id"), row.get("array_id") or ""
            name = row.get("array_section_id") or array
            if axis is None:
                continue
            element = found.setdefault(name, {"name": name, "array": array, "axes": {}})
            precedence = int(parse_number(row.get("precedence"), self.path, "array_structure_list.precedence"))
            dimension = int(parse_number(row.get("dimension"), self.path, "array_structure_list.dimension"))
            element["axes"][precedence] = (dimension, axis)
        for element in found.values():
            sizes = [dimension for dimension, _ in element["axes"].values()]
            if not {1, 2} <= set(element["axes"]) or min(sizes) < 1 or np.prod(sizes, dtype=float) > MAX_PIXELS:
                raise FormatError(f"{self.path}: array {element['name']} must have two axes of at least 1 pixel, "
                                  f"got {sizes}")
        if not found:
            raise FormatError(f"{self.path}: header does not say along which axes its images lie")
        return list(found.values())

    def _read_pixels(self, element: dict[str, Any]) -> dict[str, Any]:
        """Read sizes and trusted range of a panel, both ends trusted."""
        (n_fast, fast), (n_slow, slow) = (element["axes"][i] for i in (1, 2))
        sizes = {row.get("axis_set_id") or row.get("axis_id"): row.get("displacement_increment")
                 for row in list_rows(self._tables.get("array_structure_list_axis"))}
        pixel = tuple(abs(parse_number(sizes.get(axis), self.path, f"pixel size along {axis}"))
                      for axis in (fast, slow))
        if min(pixel) <= 0.0:
            raise FormatError(f"{self.path}: pixel size must be above 0 mm, got {pixel}")
        return {"image_size": (n_fast, n_slow), "pixel_size": pixel} | self._read_intensities(element["array"])

    def _read_intensities(self, array: str) -> dict[str, Any]:
        """Read trusted range and gain of an array."""
        table = list_rows(self._tables.get("array_intensities"))
        row = next((row for row in table if row.get("array_id") == array), table[0] if table else {})
        undefined, overload = row.get("undefined_value"), row.get("overload")
        # Counts begin above the value of undefined pixels, and the overload itself is not trusted. Without an overload
        # the highest count is a million: the counters of a Pilatus have 20 bits.
        low = parse_number(undefined, self.path, "undefined_value", -1.0) + 1.0
        if row.get("underload") is not None:
            low = parse_number(row["underload"], self.path, "underload")
        high = parse_number(overload, self.path, "overload", 1.0e6 + 1.0) - 1.0
        return {"trusted_range": (low, high), "gain": parse_number(row.get("gain"), self.path, "gain", 1.0)}

    def _build_lab_panel(self, element: dict[str, Any], **extra: Any) -> Panel:
        """Make a panel in the lab frame."""
        fast, slow = (element["axes"][i][1] for i in (1, 2))
        frame = self._axes.compute_lab_frame(self._find_tip(fast, slow))
        fast_vector, slow_vector = (self._compute_direction(axis) for axis in (fast, slow))
        return Panel(tuple(fast_vector.tolist()), tuple(slow_vector.tolist()), tuple(frame[:3, 3].tolist()),
                     **(self._read_pixels(element) | extra))

    def _find_tip(self, fast: str, slow: str) -> str:
        """The end of the chain: of the two axes the one that stands on the other."""
        return fast if any(axis.name == slow for axis in self._axes.follow(fast)) else slow

    def _compute_direction(self, name: str) -> np.ndarray:
        """Unit vector along which pixels run on an axis, in the lab frame."""
        parent = self._axes[name].parent
        vector = np.asarray(self._axes[name].vector)
        vector = vector / np.linalg.norm(vector)
        # Pixels run along the axis' own vector, which its parents have turned.
        return vector if parent is None else self._axes.compute_lab_frame(parent)[:3, :3] @ vector

    def _build_one_panel(self, element: dict[str, Any], beam: Beam) -> Detector:
        """One panel; of a Pilatus also its gaps, sensor and serial number from Dectris' comments."""
        if not self._is_pilatus:
            return Detector((self._build_lab_panel(element),))
        size = (element["axes"][1][0], element["axes"][2][0])
        extra: dict[str, Any] = {"type": "SENSOR_PAD", "mask": find_gaps(size, (PILATUS,))}
        if match := _SENSOR.search(self._text):
            material = "Si" if match[1] == "Silicon" else match[1]
            extra |= build_sensor_fields(material, float(match[2]) * 1000.0, beam.wavelength)
        if match := _DETECTOR.search(self._text):
            extra["identifier"] = match[1].strip()
        return Detector((self._build_lab_panel(element, **extra),))

    def _build_hierarchy(self, elements: list[dict[str, Any]]) -> Detector:
        """Put panels on the tree of rigid bodies that the axes' components make."""
        panels: list[Panel] = []
        root = flat_hierarchy(0) | {"children": []}
        nodes: dict[str | None, Node] = {}
        # Parallax is corrected for the CSPAD and for no other detector with a hierarchy, as in DIALS.
        is_cspad = self._get_first("diffrn_detector", "type") == "CS PAD"
        for i, element in enumerate(elements):
            fast, slow = (element["axes"][k][1] for k in (1, 2))
            frame, parent = self._axes.compute_body_frame(self._find_tip(fast, slow))
            self._find_node(parent, nodes, root)["children"].append({"panel": i})
            panels.append(Panel(
                self._axes[fast].vector, self._axes[slow].vector, tuple(frame[:3, 3].tolist()),
                name=element["name"], type="", **self._read_pixels(element),
                px_mm_strategy="ParallaxCorrectedPxMmStrategy" if is_cspad else "SimplePxMmStrategy"))
        return Detector(tuple(panels), root)

    def _find_node(self, name: str | None, nodes: dict[str | None, Node], root: Node) -> Node:
        """Find the tree's node of the body that an axis belongs to; a new one is made, with its parents."""
        if name is None:
            return root
        if name not in nodes:
            frame, parent = self._axes.compute_body_frame(name)
            # The first body that stands in the lab is the root itself.
            if parent is None and not root["name"]:
                node = root
            else:
                node = flat_hierarchy(0) | {"children": []}
                self._find_node(parent, nodes, root)["children"].append(node)
            node |= {"name": name, "fast_axis": frame[:3, 0].tolist(), "slow_axis": frame[:3, 1].tolist(),
                     "origin": frame[:3, 3].tolist()}
            nodes[name] = node
        return nodes[name]

    def raw(self, index: int = 0) -> list[np.ndarray]:
        """The image: one array a panel, int32 or float32."""
        data = read_bytes(self.path, count_cbf_bytes)
        arrays = [(section, decode_section(data, section, self.path)) for section in find_sections(data, self.path)]
        if not arrays:
            raise FormatError(f"{self.path}: holds no image data")
        # Without a table of sections each array is a panel.
        if b"_array_structure_list_section." not in data:
            return [np.ascontiguousarray(array[0]) for _, array in arrays]
        frames = {row.get("binary_id"): row.get("array_id") for row in list_rows(self._tables.get("diffrn_data_frame"))}
        by_name = {frames.get(str(section.binary_id)): array for section, array in arrays}
        return [self._cut_section(by_name, bounds) for bounds in self._read_sections().values()]

    def _read_sections(self) -> dict[str, dict[str, Any]]:
        """Read where each section lies in its array: array id, and limits by index (1: fast, 2: slow, 3: section)."""
        found: dict[str, dict[str, Any]] = {}
        for row in list_rows(self._tables.get("array_structure_list_section")):
            entry = found.setdefault(row.get("id") or "", {"array": row.get("array_id")})
            start, end = (int(parse_number(row.get(name), self.path, f"section {name}", 1.0))
                          for name in ("start", "end"))
            entry[row.get("index") or ""] = (start - 1, end)
        return found

    def _cut_section(self, by_name: dict[str | None, np.ndarray], bounds: dict[str, Any]) -> np.ndarray:
        """Cut a section out of its array."""
        array = by_name.get(bounds["array"])
        if array is None:
            raise FormatError(f"{self.path}: has no data of array {bounds['array']}")
        limits = [bounds.get(str(axis), (0, array.shape[3 - axis])) for axis in (3, 2, 1)]
        for (start, end), size in zip(limits, array.shape, strict=True):
            if not 0 <= start < end <= size:
                raise FormatError(f"{self.path}: a section from {start + 1} to {end} does not lie in {size} pixels")
        (z0, z1), (y0, y1), (x0, x1) = limits
        return np.ascontiguousarray(array[z0:z1, y0:y1, x0:x1].reshape(-1, x1 - x0))


def _collect_text(data: bytes, path: str) -> str:
    """Collect all text of a CBF outside of its binary sections."""
    parts = []
    at = 0
    for section in find_sections(data, path):
        parts.append(data[at:data.rfind(BOUNDARY, at, section.start)])
        # Behind the closing boundary and its two hyphens; where that is missing, at the end of the file.
        at = data.find(BOUNDARY, section.start + section.size) + len(BOUNDARY) + 2
        if at < len(BOUNDARY) + 2:
            at = len(data)
    parts.append(data[at:])
    return b"\n".join(parts).decode("ascii", "ignore")
