"""Shoeboxes of Gaussian reflections with known intensities, drawn without the code under test."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
from scipy.special import erf

from xdp.experiment import Experiment
from xdp.experiment.pixels import px_to_s1
from xdp.integration.profiles.fitting_options import DetectorSpaceOptions, ProfileFittingOptions
from xdp.integration.profiles.reference import ProfileGrid, ReferenceGrid, ReferenceProfiles
from xdp.prediction.kabsch import compute_signed_zeta as zeta_of
from xdp.prediction.kabsch import to_kabsch
from xdp.prediction.reflections import predict_rotation
from xdp.reflections.flags import Flag
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable
from xdp.simulation.models import make_beam, make_crystal, make_detector, make_goniometer, make_scan

SIGMA_B, SIGMA_M = np.deg2rad(0.10), np.deg2rad(0.12)
HALF = 6
"""Boxes reach so many pixels from the predicted one."""
POINTS = 6
"""Points along the side of a pixel at which the Gaussian is taken."""
VALID_FOREGROUND, VALID_BACKGROUND = np.uint8(5), np.uint8(19)


@dataclass
class Drawn:
    """Reflections, the mean counts of each pixel per unit of intensity, and the boxes' geometry."""

    experiment: Experiment
    model: SimpleNamespace
    table: ReflectionTable
    boxes: Shoeboxes
    shape: np.ndarray

    def count(self, intensity: np.ndarray, background: float, seed: int) -> Shoeboxes:
        """Boxes with counts; the background is estimated from the background pixels, as a mean."""
        rng = np.random.default_rng(seed)
        sizes = np.diff(self.boxes.offsets)
        data = rng.poisson(background + np.repeat(intensity, sizes) * self.shape).astype(np.float32)
        is_bg = (self.boxes.mask & 2) != 0
        mean = [data[a:b][is_bg[a:b]].mean() for a, b in zip(self.boxes.offsets, self.boxes.offsets[1:], strict=False)]
        return Shoeboxes(self.boxes.panel, self.boxes.bbox, self.boxes.offsets, data, self.boxes.mask,
                         np.repeat(mean, sizes))

    def grid(self, **options) -> ProfileGrid:
        """The grid with some options; ``deconvolution`` among them."""
        deconvolution = options.pop("deconvolution", False)
        return ProfileGrid.from_model(self.experiment, self.model, ProfileFittingOptions(
            **options, detector_space=DetectorSpaceOptions(deconvolution=deconvolution)))


def make_experiment(n_frames: int = 40) -> Experiment:
    """A small detector close by, half-degree frames."""
    return Experiment("drawn", make_beam(), make_detector((240, 200), distance=80.0, gaps=False), make_goniometer(),
                      make_scan(n_frames, 0.5), make_crystal(orientation=1))


def draw(experiment: Experiment, n: int) -> Drawn:
    """Boxes about `n` predicted reflections that lie whole on the detector and within the scan."""
    table = predict_rotation(experiment, 2.3)
    xyz = table["xyzcal.px"]
    zeta = zeta_of(table["s1"], experiment.beam.s0, experiment.goniometer.rotation_axis_lab)
    depth = 3.0 * SIGMA_M / np.maximum(np.abs(zeta), 0.05) / np.deg2rad(0.5)
    low, high = np.floor(xyz[:, 2] - depth).astype(int), np.ceil(xyz[:, 2] + depth).astype(int)
    is_in = (np.abs(zeta) > 0.2) & (low >= 0) & (high <= experiment.scan.n_frames)
    for k, size in ((0, 240), (1, 200)):
        is_in &= (xyz[:, k] > HALF + 2) & (xyz[:, k] < size - HALF - 2)
    rows = np.sort(np.random.default_rng(7).permutation(np.flatnonzero(is_in))[:n])
    table, zeta = table.select(rows), zeta[rows]
    x, y = np.floor(table["xyzcal.px"][:, :2]).astype(int).T
    bbox = np.column_stack([x - HALF, x + HALF + 1, y - HALF, y + HALF + 1, low[rows], high[rows]]).astype(np.int32)
    shapes, masks = zip(*(_box(experiment, table, zeta[i], bbox[i], i) for i in range(len(table))), strict=True)
    offsets = np.concatenate([[0], np.cumsum([s.size for s in shapes])])
    mask = np.concatenate([m.ravel() for m in masks])
    boxes = Shoeboxes(table["panel"], bbox, offsets, np.zeros(len(mask)), mask)
    flags = np.full(len(table), int(Flag.REFERENCE_SPOT | Flag.INTEGRATED_SUM), np.uint64)
    table = table.with_columns(flags=flags, bbox=bbox, partiality=np.ones(len(table)))
    # sigma_b of a model is estimated from counts in pixels, and holds their size
    pixel = 0.172 / 80.0
    model = SimpleNamespace(n_sigma=3.0, sigma_b=np.sqrt(SIGMA_B ** 2 + pixel ** 2 / 12.0), sigma_m=SIGMA_M)
    return Drawn(experiment, model, table, boxes, np.concatenate([s.ravel() for s in shapes]))


def _box(experiment: Experiment, table: ReflectionTable, zeta: float, bbox: np.ndarray, i: int):
    """Parts of the Gaussian in the pixels of a box, and the mask: foreground within three sigma."""
    x0, x1, y0, y1, z0, z1 = (int(v) for v in bbox)
    fine = (np.arange(POINTS) + 0.5) / POINTS
    xs, ys = (np.arange(x0, x1)[:, None] + fine).ravel(), (np.arange(y0, y1)[:, None] + fine).ravel()
    points = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    rays = px_to_s1(experiment.detector, experiment.beam, 0, points)
    # parallax is taken as constant over a box: the ray to the predicted pixel is s1 itself
    at = px_to_s1(experiment.detector, experiment.beam, 0, table["xyzcal.px"][i, :2][None])
    c = to_kabsch(rays + (table["s1"][i] - at), 0.0, table["s1"][i], experiment.beam.s0,
                  experiment.goniometer.rotation_axis_lab, 0.0)
    square = (c[:, 0] ** 2 + c[:, 1] ** 2).reshape(len(ys), len(xs))
    density = np.exp(-0.5 * square / SIGMA_B ** 2)

    def by_pixel(values: np.ndarray) -> np.ndarray:
        return values.reshape(y1 - y0, POINTS, x1 - x0, POINTS).mean(axis=(1, 3))

    plane = by_pixel(density)
    turn = np.deg2rad(0.5) * (np.arange(z0, z1 + 1) - table["xyzcal.px"][i, 2]) * abs(zeta)
    frames = 0.5 * np.diff(erf(turn / (np.sqrt(2.0) * SIGMA_M)))
    is_foreground = by_pixel((square < (3.3 * SIGMA_B) ** 2).astype(float)) > 0.0
    mask = np.where(is_foreground, VALID_FOREGROUND, VALID_BACKGROUND)
    return frames[:, None, None] * plane / plane.sum(), np.broadcast_to(mask, (z1 - z0, *mask.shape))


def learn_profiles(drawn: Drawn, boxes: Shoeboxes, **options) -> ReferenceProfiles:
    """Profiles that all reflections are references of."""
    sums = ReferenceGrid(drawn.grid(**options))
    assert sums.accumulate(drawn.table, boxes).all()
    return sums.finish()


def find_isolated(drawn: Drawn) -> np.ndarray:
    """Reflections without another whose box meets theirs: deconvolution has nothing to do with them."""
    bbox = drawn.table["bbox"]
    meets = np.all((bbox[:, None, ::2] < bbox[None, :, 1::2]) & (bbox[None, :, ::2] < bbox[:, None, 1::2]), axis=2)
    return meets.sum(axis=1) == 1
