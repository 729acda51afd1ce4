"""Models of every kind, and a still whose spots are drawn photon by photon from an ellipsoid model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xdp.experiment.experiment import Experiment
from xdp.integration.profiles.ellipsoid.geometry import intersect_panels
from xdp.integration.profiles.ellipsoid.predict import add_boxes, predict_ellipsoid
from xdp.integration.profiles.ellipsoid.shape import ELEMENTS, EllipsoidModel
from xdp.integration.profiles.ellipsoid.sphere import cut_points
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable
from xdp.simulation.models import make_beam, make_crystal, make_detector

S0 = np.array([0.01, -0.02, -1.02])
BACKGROUND = 1.0
"""Counts a pixel."""


def make_models(rng: np.random.Generator) -> list[EllipsoidModel]:
    """A model of each parameterisation, with random widths of 1 to 2 per 1000 Å."""
    return [EllipsoidModel(name, tuple(1e-3 * (1.0 + rng.random(len(cells))))) for name, cells in ELEMENTS.items()]


def make_still(*cell: float) -> Experiment:
    """A crystal on a small detector close by: of lysozyme, or orthorhombic of another cell."""
    crystal = make_crystal((*cell, 90.0, 90.0, 90.0), "P 2 2", orientation=3) if cell else make_crystal(orientation=3)
    return Experiment("still", make_beam(), make_detector((300, 260), distance=60.0, gaps=False),
                      crystal=crystal)


@dataclass
class DrawnStill:
    """A still with spots of known shape, and what cuts boxes out of its image."""

    experiment: Experiment
    model: EllipsoidModel
    image: np.ndarray
    spots: ReflectionTable

    def cut(self, panel: np.ndarray, limits: np.ndarray) -> Shoeboxes:
        """Boxes with the limits (n, 4), on frame 0; pixels beyond the panel are not valid."""
        height, width = self.image.shape
        data, mask = [], []
        for x0, x1, y0, y1 in limits.tolist():
            y, x = np.mgrid[y0:y1, x0:x1]
            is_in = (y >= 0) & (y < height) & (x >= 0) & (x < width)
            data.append(np.where(is_in, self.image[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)], 0.0).ravel())
            mask.append(is_in.ravel().astype(np.uint8))
        n = len(limits)
        bbox = np.column_stack([limits, np.zeros(n, int), np.ones(n, int)]).astype(np.int32)
        offsets = np.append(0, np.cumsum([len(part) for part in data]))
        return Shoeboxes(panel, bbox, offsets, np.concatenate(data), np.concatenate(mask))

    def fit_background(self, boxes: Shoeboxes) -> np.ndarray:
        """The true background; never fails."""
        boxes.background[:] = BACKGROUND
        return np.zeros(len(boxes), bool)


def draw_still(model: EllipsoidModel, photons: int = 2000, seed: int = 1) -> DrawnStill:
    """Photons of each reflection fall along rays drawn from the cut of its point with the Ewald sphere.

    The spots of the table are those of more than 200 photons, with boxes in which pixels of more than 4 counts are
    strong.
    """
    # a small cell, so that spots lie apart
    rng, still = np.random.default_rng(seed), make_still(25.0, 28.0, 31.0)
    table = add_boxes(still, model, predict_ellipsoid(still, model, 2.0))
    s0, panel = still.beam.s0, np.zeros(len(table), np.int64)
    cuts = cut_points(model, table["s2"] - s0, s0)
    image = rng.poisson(BACKGROUND, (260, 300)).astype(np.float32)
    counts = rng.poisson(photons * np.minimum(table["partiality"], 1.0))
    positions = np.zeros((len(table), 3))
    for i, n in enumerate(counts):
        across = rng.multivariate_normal(cuts.mean[i], cuts.covariance[i], n)
        rays = np.column_stack([across, np.full(n, np.linalg.norm(s0))]) @ cuts.frames[i]
        xy = intersect_panels(still.detector, np.zeros(n, np.int64), rays)[1]
        is_in = np.all((xy >= 0) & (xy < (300, 260)), axis=1)
        np.add.at(image, tuple(np.floor(xy[is_in]).astype(int).T[::-1]), 1.0)
        positions[i, :2] = xy.mean(axis=0) if n else np.nan
    strong = np.flatnonzero(counts > 200)
    drawn = DrawnStill(still, model, image, table.select(strong))
    corner = np.floor(positions[strong, :2]).astype(int) - 4
    boxes = drawn.cut(panel[strong], np.column_stack([corner[:, 0], corner[:, 0] + 9, corner[:, 1], corner[:, 1] + 9]))
    is_strong = boxes.data > 4
    found = Shoeboxes(boxes.panel, boxes.bbox, boxes.offsets, np.where(is_strong, boxes.data, 0.0),
                      np.where(is_strong, 5, 0).astype(np.uint8))
    drawn.spots = drawn.spots.with_columns(shoebox=found, **{"xyzobs.px.value": positions[strong]})
    return drawn
