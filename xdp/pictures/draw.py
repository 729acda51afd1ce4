"""Pictures of diffraction images, or sums of them, with resolution rings and the spots that were found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from xdp.errors import OptionError
from xdp.images.masks.static import read_static_mask
from xdp.images.reader import Reader, open_reader
from xdp.pictures.canvas import Canvas
from xdp.pictures.colours import colour_picture
from xdp.pictures.layout import compute_layout
from xdp.pictures.options import DrawOptions
from xdp.pictures.rings import choose_rings, find_beam_centre, trace_ring

if TYPE_CHECKING:
    from PIL.Image import Image

    from xdp.experiment import Experiment
    from xdp.reflections import ReflectionTable

RING_COLOUR = (40, 110, 200)
# Spots must stand out from the colours of each scheme.
SPOT_COLOURS = {"greyscale": (220, 30, 30), "inverse_greyscale": (255, 90, 60), "heatmap": (0, 230, 255),
                "rainbow": (255, 255, 255)}
CENTROID_COLOUR = (0, 150, 60)
BEAM_COLOUR = (20, 140, 140)


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
        How many are added up, 1 by default.
    spots : ReflectionTable, optional
        Found spots, as in ``strong.refl``: those of this experiment and these frames are drawn.
    options : DrawOptions, optional
        How it looks.
    experiment_id : int
        The ``id`` of the experiment's spots, 0 by default.

    Returns
    -------
    PIL.Image.Image
        RGB.

    Raises
    ------
    OptionError
        If the experiment has no beam or detector, or there are no such frames.
    FormatError
        If an image cannot be read.
    """
    if experiment.detector is None or experiment.beam is None:
        raise OptionError("a picture needs an experiment with a beam and a detector")
    options = options or DrawOptions()
    reader = open_reader(experiment)
    if not 0 <= frame < frame + n_frames <= reader.n_frames:
        raise OptionError(f"images must be in 1 to {reader.n_frames}, got {frame + 1} to {frame + n_frames}")
    layout = compute_layout(experiment.detector)
    picture = colour_picture(layout.assemble(_add_frames(experiment, reader, frame, n_frames)), options)
    canvas = Canvas(picture, layout, options.binning)
    labels = _draw_rings(canvas, experiment, options)
    if options.show_beam_centre and (centre := find_beam_centre(experiment)) is not None:
        canvas.draw_cross(*centre, BEAM_COLOUR, 8)
    if spots is not None:
        first = frame + (0 if experiment.scan is None else experiment.scan.array_range[0])
        _draw_spots(canvas, spots, select_spots(spots, first, first + n_frames, experiment_id), options)
    # Names of rings come last: they must be readable.
    for panel, xy, text in labels:
        canvas.draw_label(panel, xy, text, RING_COLOUR)
    if options.caption:
        canvas.draw_caption(compose_caption(experiment, frame, n_frames))
    return canvas.image


def compose_caption(experiment: Experiment, frame: int, n_frames: int) -> str:
    """Write the numbers and angles of the images shown.

    Parameters
    ----------
    experiment : Experiment
        Of the images; one without a scan, or of stills, has no angles.
    frame, n_frames : int
        First frame, from 0, and how many.

    Returns
    -------
    str
        Such as ``images 1 to 5   0.00 to 0.50 deg``.
    """
    scan = experiment.scan
    first = frame + 1 if scan is None else scan.image_range[0] + frame
    words = f"image {first}" if n_frames == 1 else f"images {first} to {first + n_frames - 1}"
    if scan is None or scan.is_still:
        return words
    start, stop = (float(scan.angle(scan.array_range[0] + z)) for z in (frame, frame + n_frames))
    return f"{words}   {start:.2f} to {stop:.2f} deg"


def _add_frames(experiment: Experiment, reader: Reader, frame: int, n_frames: int) -> list[np.ndarray]:
    """Panels of added frames, float32: NaN where masked or below the trusted range, infinity where overloaded."""
    masks = read_static_mask(experiment, reader)
    totals: list[np.ndarray] = []
    for z in range(frame, frame + n_frames):
        # NaN and infinity stay what they are when counts are added to them.
        panels = [_mark_untrusted(p, model.trusted_range) for p, model in
                  zip(reader.read(z), experiment.known.detector, strict=True)]
        totals = [t + p for t, p in zip(totals, panels, strict=True)] if totals else panels
    for total, mask in zip(totals, masks or (), strict=False):
        total[~mask] = np.nan
    return totals


def _mark_untrusted(image: np.ndarray, trusted_range: Sequence[float]) -> np.ndarray:
    """Counts as float32, infinity above the trusted range and NaN below it."""
    result = image.astype(np.float32)
    result[image > trusted_range[1]] = np.inf
    result[image < trusted_range[0]] = np.nan
    return result


def _draw_rings(canvas: Canvas, experiment: Experiment, options: DrawOptions) -> list[tuple[int, np.ndarray, str]]:
    """Draw the rings; where their names belong: panel, point and name."""
    rings = options.resolution_rings
    if rings is None:
        return []
    labels = []
    for d in rings if isinstance(rings, tuple) else choose_rings(experiment):
        traced = trace_ring(experiment, float(d))
        for panel, lines in traced:
            for line in lines:
                canvas.draw_line(panel, line, RING_COLOUR)
        if traced:
            # The first point upwards of the beam, or the nearest to it that is on the panel.
            panel, lines = traced[0]
            labels.append((panel, lines[0][0], f"{float(d):g} Å"))
    return labels


def _draw_spots(canvas: Canvas, spots: ReflectionTable, rows: np.ndarray, options: DrawOptions) -> None:
    """Draw bounding boxes, some pixels wider than they are, and centroids."""
    for row in rows:
        panel = int(spots["panel"][row])
        x0, x1, y0, y1 = spots["bbox"][row][:4]
        margin = options.spots.margin
        x0, x1, y0, y1 = x0 - margin, x1 + margin, y0 - margin, y1 + margin
        if options.spots.boxes:
            canvas.draw_line(panel, np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)], float),
                             SPOT_COLOURS[options.colour_scheme])
        if options.spots.centroids:
            canvas.draw_cross(panel, spots["xyzobs.px.value"][row][:2], CENTROID_COLOUR, 3)


def select_spots(spots: ReflectionTable, first: int, stop: int, experiment_id: int) -> np.ndarray:
    """Select the spots of an experiment whose bounding boxes reach into some frames.

    Parameters
    ----------
    spots : ReflectionTable
        With bounding boxes; without the column ``id`` all spots are of the experiment.
    first, stop : int
        First frame (array index) and the one behind the last.
    experiment_id : int
        The ``id`` of the experiment's spots.

    Returns
    -------
    (n,) int
        Their rows.
    """
    bbox = np.asarray(spots["bbox"])
    ids = np.asarray(spots["id"]) if "id" in spots else np.full(len(bbox), experiment_id)
    on_frames = (bbox[:, 4] < stop) & (bbox[:, 5] > first)
    # Spots of an unindexed table may all have the id -1.
    return np.flatnonzero(on_frames & ((ids == experiment_id) | (ids < 0)))
