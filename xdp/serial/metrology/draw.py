"""Draw the indexed spots of many shots on a detector of many panels, whose true places are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from xdp.experiment.crystal import Crystal
from xdp.experiment.detector import Detector, Panel, flat_hierarchy
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.prediction.centroids import centroids_to_px
from xdp.prediction.near_sphere import list_indices_near_sphere
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable
from xdp.simulation.models import draw_rotation, make_beam, make_crystal

_REACH = 4e-4   # 1/Å: how far from the Ewald sphere lattice points are seen; some 100 for lysozyme to 2 Å
_HOLE = 3.0     # mm: half of the gap between quadrants, through which the beam leaves
_FALSE = 5.0    # px: false spots lie within so many of the place predicted, as wrongly indexed ones do


def make_quadrant_detector(distance: float = 120.0, pixels: tuple[int, int] = (180, 190), pixel: float = 0.11,
                           sensors: int = 4) -> Detector:
    """Make a detector of four quadrants about the beam, each a square of `sensors` panels, as a tree of two levels.

    Parameters
    ----------
    distance : float
        mm.
    pixels : (int, int)
        Of a panel, fast and slow.
    pixel : float
        mm.
    sensors : int
        Panels of a quadrant: a square number.

    Examples
    --------
    >>> detector = make_quadrant_detector()
    >>> len(detector), len(detector.hierarchy["children"])
    (16, 4)
    """
    side = round(sensors**0.5)
    width, height = pixels[0] * pixel + 0.5, pixels[1] * pixel + 0.5
    root = flat_hierarchy(1) | {"origin": [0.0, 0.0, -distance], "slow_axis": [0.0, -1.0, 0.0], "name": "root"}
    panels: list[Panel] = []
    nodes = []
    for q, (right, down) in enumerate(((0, 0), (1, 0), (1, 1), (0, 1))):
        origin = [_HOLE if right else -_HOLE - side * width, _HOLE if down else -_HOLE - side * height, 0.0]
        node = flat_hierarchy(1) | {"name": f"Q{q}", "origin": origin}
        children = []
        for s in range(sensors):
            children.append({"panel": len(panels)})
            panels.append(Panel((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), ((s % side) * width, (s // side) * height, 0.0),
                                pixels, (pixel, pixel), trusted_range=(0.0, 1e6), name=f"Q{q}S{s}"))
        nodes.append(node | {"children": children})
    return Detector(tuple(panels), root | {"children": nodes})


def draw_panel_shots(detector: Detector, n_shots: int = 50, seed: int = 1, *, models: Sequence[Experiment] = (),
                     n_spots: int = 40, sigma_px: float = 0.2, false_share: float = 0.0, cell_spread: float = 0.002,
                     d_min: float = 2.0, wavelength: float = 1.3) -> tuple[ExperimentList, ReflectionTable]:
    """Draw shots with the spots that a detector sees, indexed.

    Parameters
    ----------
    detector : Detector
        Where the panels truly are.
    n_shots : int
        Shots.
    seed : int
        Of orientations, cells, errors and choices.
    models : sequence of Experiment, optional
        Beams and crystals to take in turn, turned at random about the beam; by default lysozyme in any orientation.
    n_spots : int
        ShotSpots of a shot at most.
    sigma_px : float
        Error of positions, px.
    false_share : float
        Share of the spots that lie within 5 px of where they should.
    cell_spread : float
        Relative standard deviation of the cells' size.
    d_min : float
        Å.
    wavelength : float
        Å, without `models`.

    Returns
    -------
    ExperimentList, ReflectionTable
        With the true crystals and the given detector.

    Examples
    --------
    >>> experiments, table = draw_panel_shots(make_quadrant_detector(), 2, n_spots=10)
    >>> len(experiments), len(table)
    (2, 20)
    """
    rng = np.random.default_rng(seed)
    frames = np.array([detector.d_matrix(i) for i in range(len(detector))])
    sizes = np.array([panel.image_size_mm for panel in detector])
    shots, parts = [], []
    for number in range(n_shots):
        like = models[number % len(models)] if models else Experiment(
            "", make_beam(wavelength), crystal=make_crystal(orientation=draw_rotation(int(rng.integers(1 << 30)))))
        crystal = _vary_crystal(like.known.crystal, cell_spread, rng, turned=bool(models))
        shots.append(Experiment(f"shot-{seed}-{number}", like.beam, detector, crystal=crystal))
        parts.append(_draw_spots(shots[-1], np.linalg.inv(frames), sizes, n_spots, d_min, rng))
    panel, index, mm = (np.concatenate(column) for column in zip(*parts, strict=True))
    ids = np.repeat(np.arange(n_shots), [len(part[0]) for part in parts])
    xyz = centroids_to_px(shots[0], panel, np.column_stack([mm, np.zeros(len(mm))]))
    error = rng.normal(0.0, sigma_px, (len(mm), 2))
    # errors were drawn for all, so that the other spots are the same whatever the share of false ones
    wrong = rng.random(len(mm)) < false_share
    error[wrong] = rng.uniform(-_FALSE, _FALSE, (np.count_nonzero(wrong), 2))
    xyz[:, :2] += error
    # the middle of the only frame
    xyz[:, 2] = 0.5
    variance = np.tile([sigma_px**2, sigma_px**2, 1.0 / 12.0], (len(mm), 1))
    table = ReflectionTable({
        "id": ids.astype(np.int32), "panel": panel.astype(np.uint64), "miller_index": index.astype(np.int32),
        "xyzobs.px.value": xyz, "xyzobs.px.variance": variance,
        "flags": np.full(len(mm), int(Flag.INDEXED | Flag.STRONG), dtype=np.uint64)})
    return ExperimentList(shots), table


def _vary_crystal(crystal: Crystal, spread: float, rng: np.random.Generator, turned: bool) -> Crystal:
    """The crystal with another size, turned about the beam if it is one of a list."""
    real = crystal.real_space_matrix * (1.0 + rng.normal(0.0, spread))
    if turned:
        angle = rng.uniform(0.0, 2.0 * np.pi)
        turn = np.array([[np.cos(angle), -np.sin(angle), 0.0], [np.sin(angle), np.cos(angle), 0.0], [0.0, 0.0, 1.0]])
        real = real @ turn.T
    a, b, c = (tuple(float(v) for v in row) for row in real)
    return replace(crystal, real_space_a=a, real_space_b=b, real_space_c=c, extra={})


def _draw_spots(shot: Experiment, inverse: np.ndarray, sizes: np.ndarray, n_spots: int, d_min: float,
                rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Panels (n,), Miller indices (n, 3) and places (n, 2) in mm of a shot's spots."""
    s0, crystal = np.asarray(shot.known.beam.s0), shot.known.crystal
    index = list_indices_near_sphere(crystal, s0, d_min, constant=_REACH)
    q = index @ crystal.A.T
    k = np.linalg.norm(s0)
    unit = s0 / k
    squared, along = np.sum(q**2, axis=1), q @ unit
    across = q - along[:, None] * unit
    t = -squared / (2.0 * k)
    rays = s0 + t[:, None] * unit + across / np.linalg.norm(across, axis=1)[:, None] * np.sqrt(squared - t * t)[:, None]
    # candidates were listed with a margin: what counts is the distance from the sphere
    near = np.abs(np.linalg.norm(s0 + q, axis=1) - k) < _REACH
    # all rays on all panels: simple, and fast enough for some hundred rays
    places = np.einsum("pij,nj->pni", inverse, rays)
    with np.errstate(divide="ignore", invalid="ignore"):
        xy = places[..., :2] / places[..., 2:]
    inside = (places[..., 2] > 0.0) & np.all((xy > 0.0) & (xy < sizes[:, None]), axis=2) & near
    panel, row = np.nonzero(inside)
    order = rng.permutation(len(row))[:n_spots]
    order = np.sort(order)
    return panel[order], index[row[order]], xy[panel[order], row[order]]
