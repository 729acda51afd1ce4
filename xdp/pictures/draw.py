"""Pictures of diffraction images, or sums of them, with resolution rings and the spots that were found."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xdp.errors import OptionError
from xdp.experiment.pixels import mm_to_px, px_to_mm, ray_intersection
from xdp.images.masks.static import read_static_mask
from xdp.images.reader import Reader, open_reader
from xdp.options import AUTO
from xdp.pictures.layout import Layout, layout_of
from xdp.pictures.options import DrawOptions

if TYPE_CHECKING:
    from PIL.Image import Image

    from xdp.experiment import Experiment
    from xdp.reflections import ReflectionTable

MASK_COLOUR = (196, 212, 226)
OVERLOAD_COLOUR = (255, 0, 255)
RING_COLOUR = (40, 110, 200)
SPOT_COLOURS = {"greyscale": (220, 30, 30), "inverse_greyscale": (255, 90, 60), "heatmap": (0, 230, 255),
                "rainbow": (255, 255, 255)}
CENTROID_COLOUR = (0, 150, 60)
BEAM_COLOUR = (20, 140, 140)
# A percentile of the counts that background makes up, and how many times it a pixel must have to look full.
_BACKGROUND_PERCENTILE = 90.0
_FULL_SCALE = 6.0
_RING_STEPS = 720


def draw_frame(
    experiment: Experiment,
    frame: int = 0,
    n_frames: int = 1,
    spots: ReflectionTable | None = None,
    options: DrawOptions | None = None,
    experiment_id: int = 0,
) -> Image:
    """Draw a frame, or the sum of several, with what was found on it.

    The frames are added, pixel by pixel where they are valid; counts become colours; rings of equal resolution, the
    beam's centre and the bounding boxes of spots are drawn over them.

    Parameters
    ----------
    experiment : Experiment
        With images, beam and detector.
    frame : int
        The first frame, from 0 within the experiment.
    n_frames : int
        How many are added up.
    spots : ReflectionTable, optional
        Found spots, as in ``strong.refl``: those of this experiment and these frames are drawn.
    options : DrawOptions
        How it looks.
    experiment_id : int
        The ``id`` of the experiment's spots.

    Returns
    -------
    PIL.Image.Image
        RGB.

    Raises
    ------
    OptionError
        If there are no such frames.
    """
    if experiment.detector is None or experiment.beam is None:
        raise OptionError("a picture needs an experiment with a beam and a detector")
    options = options or DrawOptions()
    reader = open_reader(experiment)
    if not 0 <= frame < frame + n_frames <= reader.n_frames:
        raise OptionError(f"images must be in 1 to {reader.n_frames}, got {frame + 1} to {frame + n_frames}")
    layout = layout_of(experiment.detector)
    picture = colour_picture(layout.assemble(_summed(experiment, reader, frame, n_frames)), options)
    canvas = _Canvas(picture, layout, options.binning)
    labels = [] if options.resolution_rings is None else _draw_rings(canvas, experiment, options)
    if options.show_beam_centre:
        _draw_beam_centre(canvas, experiment)
    if spots is not None:
        _draw_spots(canvas, experiment, frame, n_frames, spots, experiment_id, options)
    for panel, xy, text in labels:
        canvas.label(panel, xy, text, RING_COLOUR)
    if options.caption:
        canvas.caption(caption(experiment, frame, n_frames))
    return canvas.image


def colour_picture(counts: np.ndarray, options: DrawOptions) -> np.ndarray:
    """Colours (slow, fast, 3) uint8 of counts; NaN: no valid pixel, infinity: overloaded."""
    counts = binned(counts, options.binning)
    good = np.isfinite(counts)
    level = np.clip(np.where(good, counts, 0.0) / full_scale(counts[good], options), 0.0, 1.0)
    colours = _palette(options.colour_scheme)[(255 * level).astype(np.uint8)]
    if options.show_mask:
        colours[np.isnan(counts)] = MASK_COLOUR
        colours[np.isposinf(counts)] = OVERLOAD_COLOUR
    return colours


def full_scale(counts: np.ndarray, options: DrawOptions) -> float:
    """The counts drawn in the last colour: some times the background, less the brighter the picture shall be."""
    if options.saturation is not AUTO:
        return float(options.saturation)  # type: ignore[arg-type]
    # A part of the pixels tells as well as all.
    sample = counts[:: max(1, counts.size // 200_000)]
    background = float(np.percentile(sample, _BACKGROUND_PERCENTILE)) if sample.size else 1.0
    return max(_FULL_SCALE * background, 4.0) * 100.0 / options.brightness


def binned(counts: np.ndarray, n: int) -> np.ndarray:
    """The brightest valid pixel of each n x n; NaN where there is none. What is left over at the ends is dropped."""
    if n == 1:
        return counts
    slow, fast = counts.shape[0] // n * n, counts.shape[1] // n * n
    if not slow or not fast:
        raise OptionError(f"binning must be at most {min(counts.shape)}, the size of the image, got {n}")
    blocks = counts[:slow, :fast].reshape(slow // n, n, fast // n, n)
    return np.fmax.reduce(np.fmax.reduce(blocks, axis=3), axis=1)


def caption(experiment: Experiment, frame: int, n_frames: int) -> str:
    """Numbers and angles of the images shown."""
    scan = experiment.scan
    first = frame + 1 if scan is None else scan.image_range[0] + frame
    words = f"image {first}" if n_frames == 1 else f"images {first} to {first + n_frames - 1}"
    if scan is None or scan.is_still:
        return words
    start, stop = (float(scan.angle(scan.array_range[0] + z)) for z in (frame, frame + n_frames))
    return f"{words}   {start:.2f} to {stop:.2f} deg"


def _summed(experiment: Experiment, reader: Reader, frame: int, n_frames: int) -> list[np.ndarray]:
    """Panels of added frames, float32: NaN where masked or below the trusted range, infinity where overloaded."""
    masks = read_static_mask(experiment, reader)
    totals: list[np.ndarray] | None = None
    for z in range(frame, frame + n_frames):
        panels = [_checked(p, model.trusted_range) for p, model in
                  zip(reader.read(z), experiment.known.detector, strict=True)]
        totals = panels if totals is None else [t + p for t, p in zip(totals, panels, strict=True)]
    for i, mask in enumerate(masks or ()):
        totals[i][~mask] = np.nan  # type: ignore[index]
    return totals or []


def _checked(image: np.ndarray, trusted_range: Sequence[float]) -> np.ndarray:
    result = image.astype(np.float32)
    result[image > trusted_range[1]] = np.inf
    result[image < trusted_range[0]] = np.nan
    return result


def _palette(scheme: str) -> np.ndarray:
    """256 colours (256, 3) uint8, from no counts to full scale."""
    t = np.linspace(0.0, 1.0, 256)
    if scheme == "greyscale":
        channels = [1.0 - t] * 3
    elif scheme == "inverse_greyscale":
        channels = [t] * 3
    elif scheme == "heatmap":
        channels = [np.clip(3.0 * t - k, 0.0, 1.0) for k in range(3)]
    else:  # rainbow: blue, cyan, green, yellow, red
        channels = [np.clip(1.5 - np.abs(4.0 * t - k), 0.0, 1.0) for k in (3.0, 2.0, 1.0)]
    return np.round(255.0 * np.column_stack(channels)).astype(np.uint8)


class _Canvas:
    """A picture under a pencil that thinks in pixels of panels."""

    def __init__(self, picture: np.ndarray, layout: Layout, binning: int) -> None:
        from PIL import Image, ImageDraw

        self.image: Image.Image = Image.fromarray(picture)
        self.pencil = ImageDraw.Draw(self.image)
        self._font: Any = _font(max(10, min(self.image.size) // 55))
        self._layout = layout
        self._binning = binning

    def points(self, panel: int, xy: np.ndarray) -> np.ndarray:
        """Points (n, 2) of a panel in the picture."""
        return self._layout.to_picture(panel, xy) / self._binning

    def line(self, panel: int, xy: np.ndarray, colour: tuple[int, int, int]) -> None:
        """A line through points of a panel."""
        if len(xy) > 1:
            self.pencil.line([tuple(p) for p in self.points(panel, xy)], fill=colour, width=1)

    def cross(self, panel: int, xy: np.ndarray, colour: tuple[int, int, int], size: float) -> None:
        """A cross at a point of a panel, `size` picture pixels from the middle to its ends."""
        (x, y), = self.points(panel, np.atleast_2d(xy))
        self.pencil.line([(x - size, y), (x + size, y)], fill=colour)
        self.pencil.line([(x, y - size), (x, y + size)], fill=colour)

    def label(self, panel: int, xy: np.ndarray, text: str, colour: tuple[int, int, int]) -> None:
        """Words at a point of a panel, on white."""
        (x, y), = self.points(panel, np.atleast_2d(xy))
        left, top, right, bottom = self.pencil.textbbox((0, 0), text, font=self._font, anchor="mm")
        x = min(max(x, 3 - left), self.image.width - right - 3)
        y = min(max(y, 3 - top), self.image.height - bottom - 3)
        box = self.pencil.textbbox((x, y), text, font=self._font, anchor="mm")
        self.pencil.rectangle([box[0] - 2, box[1] - 1, box[2] + 2, box[3] + 1], fill=(255, 255, 255))
        self.pencil.text((x, y), text, fill=colour, font=self._font, anchor="mm")

    def caption(self, text: str) -> None:
        """Words in the upper left corner."""
        box = self.pencil.textbbox((6, 4), text, font=self._font)
        self.pencil.rectangle([box[0] - 3, box[1] - 2, box[2] + 3, box[3] + 2], fill=(255, 255, 255))
        self.pencil.text((6, 4), text, fill=(0, 0, 0), font=self._font)


def _font(size: int) -> Any:
    """Matplotlib's font, since Pillow's own has no Å; matplotlib itself is not imported."""
    from PIL import ImageFont

    package = importlib.util.find_spec("matplotlib")
    folder = Path((package.submodule_search_locations or ["."])[0]) if package is not None else Path()
    try:
        return ImageFont.truetype(str(folder / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"), size)
    except OSError:
        return ImageFont.load_default(size)


def _draw_rings(canvas: _Canvas, experiment: Experiment, options: DrawOptions) -> list[tuple[int, np.ndarray, str]]:
    """Draw the rings; where their names belong: panel, point and name."""
    rings = options.resolution_rings
    values = automatic_rings(experiment) if rings is AUTO else rings
    labels = [_draw_ring(canvas, experiment, float(d)) for d in values]  # type: ignore[union-attr]
    return [label for label in labels if label is not None]


def automatic_rings(experiment: Experiment) -> list[float]:
    """Some resolutions (Å), rounded, at equal steps of two theta from the beam (or nearest corner) to the furthest."""
    beam, detector = experiment.known.beam, experiment.known.detector
    corners = np.concatenate([_two_theta_of_corners(experiment, i) for i in range(len(detector))])
    nearest = 0.0 if _beam_on_panel(experiment) is not None else float(corners.min())
    angles = nearest + (float(corners.max()) - nearest) * np.arange(1, 5) / 4.4
    return [float(f"{beam.wavelength / (2.0 * np.sin(angle / 2.0)):.2g}") for angle in angles]


def _two_theta_of_corners(experiment: Experiment, index: int) -> np.ndarray:
    """Two theta (radians) at a panel's corners, shape (4,)."""
    detector = experiment.known.detector
    fast, slow = detector[index].image_size
    mm = px_to_mm(detector[index], np.array([(0, 0), (fast, 0), (0, slow), (fast, slow)], float))
    lab = np.column_stack([mm, np.ones(4)]) @ detector.d_matrix(index).T
    cosine = lab @ experiment.known.beam.unit_s0 / np.linalg.norm(lab, axis=1)
    return np.arccos(np.clip(cosine, -1.0, 1.0))


def _draw_ring(canvas: _Canvas, experiment: Experiment, d: float) -> tuple[int, np.ndarray, str] | None:
    """Follow the cone of rays with resolution `d` over the panels; where to name it, None if it meets no panel."""
    sine = experiment.known.beam.wavelength / (2.0 * d)
    if sine >= 1.0:
        return None
    rays = _cone(experiment.known.beam.unit_s0, 2.0 * np.arcsin(sine)) / experiment.known.beam.wavelength
    label = None
    for i, panel in enumerate(experiment.known.detector):
        mm, hits = ray_intersection(experiment.known.detector, i, rays)
        xy = np.full((len(rays), 2), np.nan)
        if hits.any():
            xy[hits] = mm_to_px(panel, mm[hits])
        inside = hits & ((xy >= 0.0) & (xy <= np.array(panel.image_size))).all(axis=1)
        for run in _runs(inside):
            canvas.line(i, xy[run], RING_COLOUR)
        if label is None and inside.any():
            # The first point upwards of the beam, or the nearest to it that is on the panel.
            label = i, xy[np.flatnonzero(inside)[0]], f"{d:g} Å"
    return label


def _cone(axis: np.ndarray, angle: float) -> np.ndarray:
    """Unit vectors at `angle` (radians) to a unit vector, all around it and the first again, shape (n, 3)."""
    up = np.array([0.6, 0.8, 0.0])
    u = up - (up @ axis) * axis if abs(up @ axis) < 0.9 else np.cross(axis, up)
    u /= np.linalg.norm(u)
    v = np.cross(axis, u)
    around = np.linspace(0.0, 2.0 * np.pi, _RING_STEPS + 1)
    return np.cos(angle) * axis + np.sin(angle) * (np.outer(np.cos(around), u) + np.outer(np.sin(around), v))


def _runs(inside: np.ndarray) -> list[slice]:
    """Where True follows True, as slices."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], inside.astype(np.int8), [0]])))
    return [slice(a, b) for a, b in edges.reshape(-1, 2)]


def _draw_beam_centre(canvas: _Canvas, experiment: Experiment) -> None:
    found = _beam_on_panel(experiment)
    if found is not None:
        canvas.cross(*found, BEAM_COLOUR, 8)


def _beam_on_panel(experiment: Experiment) -> tuple[int, np.ndarray] | None:
    """Panel and point (fast, slow) where the beam meets the detector, None where it misses all panels."""
    for i, panel in enumerate(experiment.known.detector):
        mm, hits = ray_intersection(experiment.known.detector, i, np.atleast_2d(experiment.known.beam.s0))
        xy = mm_to_px(panel, mm)[0]
        if hits[0] and (xy >= 0.0).all() and (xy <= np.array(panel.image_size)).all():
            return i, xy
    return None


def _draw_spots(canvas: _Canvas, experiment: Experiment, frame: int, n_frames: int, spots: ReflectionTable,
                experiment_id: int, options: DrawOptions) -> None:
    first = frame + (0 if experiment.scan is None else experiment.scan.array_range[0])
    for row in spots_on(spots, first, first + n_frames, experiment_id):
        panel = int(spots["panel"][row])
        x0, x1, y0, y1 = spots["bbox"][row][:4]
        margin = options.spots.margin
        x0, x1, y0, y1 = x0 - margin, x1 + margin, y0 - margin, y1 + margin
        if options.spots.boxes:
            canvas.line(panel, np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)], float),
                        SPOT_COLOURS[options.colour_scheme])
        if options.spots.centroids:
            canvas.cross(panel, spots["xyzobs.px.value"][row][:2], CENTROID_COLOUR, 3)


def spots_on(spots: ReflectionTable, first: int, stop: int, experiment_id: int) -> np.ndarray:
    """Rows of the spots of an experiment whose bounding boxes reach into frames `first` to `stop`."""
    bbox = np.asarray(spots["bbox"])
    ids = np.asarray(spots["id"]) if "id" in spots else np.full(len(bbox), experiment_id)
    on_frames = (bbox[:, 4] < stop) & (bbox[:, 5] > first)
    # Spots of an unindexed table may all have the id -1.
    return np.flatnonzero(on_frames & ((ids == experiment_id) | (ids < 0)))
