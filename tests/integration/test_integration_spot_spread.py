from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import optimize, special

from xdp.experiment import Experiment
from xdp.experiment.pixels import px_to_lab
from xdp.integration._kernels_profile_model import mosaicity_likelihood
from xdp.integration.spot_spread import (
    FrameCounts,
    SpotPixels,
    divergence_variances,
    frame_counts,
    mosaicity,
    spot_pixels,
    without_neighbours,
)
from xdp.prediction.options import PredictionOptions
from xdp.prediction.predict import predict
from xdp.reflections.flags import MaskCode
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable
from xdp.simulation import make_beam, make_crystal, make_detector, make_goniometer, make_scan

pytestmark = pytest.mark.kernels
STRONG = int(MaskCode.VALID | MaskCode.FOREGROUND)


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    return Experiment("x", make_beam(), make_detector((300, 260), distance=70.0), make_goniometer(),
                      make_scan(20, 0.5), make_crystal())


def boxes(bbox, data, mask) -> Shoeboxes:
    """Shoeboxes of flat pixels on panel 0."""
    bbox = np.asarray(bbox).reshape(-1, 6)
    sizes = np.prod(bbox[:, 1::2] - bbox[:, ::2], axis=1)
    return Shoeboxes(np.zeros(len(bbox)), bbox, np.append(0, np.cumsum(sizes)), data, np.asarray(mask, np.uint8))


def test_pixels_know_their_place(experiment):
    # a box of 2 frames, 2 rows, 3 columns; two pixels are marked
    mask = np.zeros(12, np.uint8)
    mask[[4, 9]] = STRONG, MaskCode.BACKGROUND
    table = ReflectionTable({"shoebox": boxes([10, 13, 20, 22, 5, 7], np.arange(12.0), mask)})
    pixels = spot_pixels(experiment, table)
    assert pixels.spot.tolist() == [0, 0]
    assert pixels.frame.tolist() == [5, 6]
    assert pixels.counts.tolist() == [4.0, 9.0]
    assert pixels.is_strong.tolist() == [True, False]
    lab = px_to_lab(experiment.detector, 0, [[11.5, 21.5], [10.5, 21.5]])
    np.testing.assert_allclose(pixels.ray, lab / np.linalg.norm(lab, axis=1, keepdims=True), rtol=1e-14)


def slow_variances(pixels: SpotPixels, centre: np.ndarray) -> dict[int, float]:
    """Twin: spot by spot, with the arc cosine."""
    result = {}
    for i in range(pixels.n_spots):
        rows = pixels.spot == i
        total = pixels.counts[rows].sum()
        if total > 1:
            cosine = pixels.ray[rows] @ centre[i] / np.linalg.norm(centre[i])
            result[i] = (pixels.counts[rows] * np.arccos(np.minimum(cosine, 1.0)) ** 2).sum() / (total - 1)
    return result


def test_variances_of_the_divergence():
    generator = np.random.default_rng(8)
    centre = generator.normal(size=(6, 3))
    spot = np.sort(generator.integers(0, 6, 60))
    ray = centre[spot] / np.linalg.norm(centre[spot], axis=1, keepdims=True) + generator.normal(0, 0.01, (60, 3))
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    counts = generator.poisson(5.0, 60).astype(float)
    counts[spot == 2] = 0.0
    pixels = SpotPixels(spot, np.zeros(60, int), counts, ray, np.ones(60, bool), 6)
    groups, variances = divergence_variances(pixels, centre)
    expected = slow_variances(pixels, centre)
    assert groups.tolist() == sorted(expected) != list(range(6))
    # the twin's arc cosine loses digits at angles of 0.01
    np.testing.assert_allclose(variances, [expected[i] for i in groups], rtol=1e-9)


def test_variances_of_parts(experiment):
    generator = np.random.default_rng(9)
    ray = np.array([0.0, 0.0, -1.0]) + generator.normal(0, 0.01, (40, 3))
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    pixels = SpotPixels(np.zeros(40, int), np.repeat([3, 4], 20), np.full(40, 2.0), ray, np.ones(40, bool), 1)
    groups, variances = divergence_variances(pixels, np.array([[0.0, 0.0, -2.0]]), pixels.frame)
    assert groups.tolist() == [3, 4]
    for frame, variance in zip(groups, variances, strict=True):
        rows = pixels.frame == frame
        part = SpotPixels(pixels.spot[rows], pixels.frame[rows], pixels.counts[rows], ray[rows], rows[rows], 1)
        assert variance == pytest.approx(slow_variances(part, np.array([[0.0, 0.0, -2.0]]))[0], rel=1e-9)


def test_pixels_nearer_to_a_neighbour_are_left_out(experiment):
    table = predict(experiment, PredictionOptions(d_min=3.0))
    middle = table.select((np.abs(table["zeta"]) > 0.6) & (np.abs(table["xyzcal.px"][:, 2] - 10.0) < 5.0))
    x, y, z = np.floor(middle["xyzcal.px"]).astype(int).T
    # a row of pixels through each reflection, which reaches its neighbours
    n = 81
    bbox = np.column_stack([x - 40, x + 41, y, y + 1, z, z + 1])
    table = middle.with_columns(shoebox=boxes(bbox, np.arange(n * len(middle)), np.full(n * len(middle), STRONG)))
    pixels = spot_pixels(experiment, table)
    own = without_neighbours(experiment, table["miller_index"], pixels)
    assert 0 < len(own.spot) < len(pixels.spot)
    # near the prediction pixels stay, at the ends of the row most go, and what is left hangs together
    distance = own.counts.astype(int) % n - 40  # counts are the pixels' numbers
    for i in range(len(middle)):
        mine = distance[own.spot == i]
        assert np.all(np.diff(mine) == 1)
    assert np.count_nonzero(distance == 0) > 0.9 * len(middle)
    assert np.count_nonzero(np.abs(distance) == 40) < 0.1 * len(middle)


def test_a_frame_counts_once_a_spot():
    pixels = SpotPixels(np.array([0, 0, 0, 2, 2]), np.array([7, 7, 8, 5, 6]), np.array([1.0, 2, 3, 4, 0]),
                        np.zeros((5, 3)), np.ones(5, bool), 3)
    seen = frame_counts(pixels)
    assert seen.spot.tolist() == [0, 0, 2]
    assert seen.frame.tolist() == [7, 8, 5]
    assert seen.counts.tolist() == [3.0, 3.0, 4.0]


def slow_likelihood(early, late, counts, offsets, sigma) -> float:
    """Twin of the kernel."""
    share = np.maximum(0.5 * (special.erf(late / sigma) - special.erf(early / sigma)), 1e-10)
    result = 0.0
    for first, last in itertools.pairwise(offsets):
        z, n = share[first:last], counts[first:last]
        result += np.log(z.sum()) + (n * np.log(z)).sum() - n.sum() * np.log(z.sum())
    return result


def test_likelihood_equals_its_twin():
    generator = np.random.default_rng(1)
    offsets = np.array([0, 1, 4, 6])
    early = generator.uniform(-1, 1, 6)
    late = early + 0.3
    early[2:4], late[1:3] = late[1], late[1]  # frames that follow each other
    late[3] = early[3] + 0.3
    counts = generator.poisson(50.0, 6).astype(float)
    for sigma in (0.01, 0.3, 2.0):
        # the sums run in another order
        assert mosaicity_likelihood(early, late, counts, offsets, sigma) == pytest.approx(
            slow_likelihood(early, late, counts, offsets, sigma), rel=1e-12)


@pytest.fixture(scope="module")
def seen(experiment) -> tuple[FrameCounts, np.ndarray, np.ndarray]:
    """Counts per frame of 400 spots of 0.2 degrees mosaicity, with their angles and zetas."""
    generator = np.random.default_rng(2)
    z, zeta = generator.uniform(2, 18, 400), generator.uniform(0.2, 1.0, 400) * generator.choice([-1, 1], 400)
    edges = np.arange(21)[None, :]
    scale = 0.5 * np.abs(zeta)[:, None] / 0.2 / np.sqrt(2.0)
    share = 0.5 * np.diff(special.erf((edges - z[:, None]) * scale), axis=1)
    counts = generator.poisson(500.0 * share).astype(float)
    spot, frame = np.nonzero(counts > 20)
    return FrameCounts(spot, frame, counts[spot, frame]), np.deg2rad(0.5 * z), zeta


def test_true_mosaicity_is_found(experiment, seen):
    # 400 spots of 500 counts tell sigma to 1 %; frames with few counts, which spot finding misses, make it smaller
    found = np.rad2deg(mosaicity(experiment, *seen, basic=False))
    assert found == pytest.approx(0.2, rel=0.06)


@pytest.mark.parametrize("basic", [False, True])
def test_maximum_of_the_likelihood(experiment, seen, basic):
    counts, phi, zeta = seen
    sigma = mosaicity(experiment, counts, phi, zeta, basic=basic)
    factor = np.abs(zeta[counts.spot]) / np.sqrt(2)
    early, late = ((np.deg2rad(0.5 * (counts.frame + end)) - phi[counts.spot]) * factor for end in (0, 1))
    offsets = np.append(np.unique(counts.spot, return_index=True)[1], len(early))
    n = np.ones(len(early)) if basic else counts.counts
    offsets = np.arange(len(early) + 1) if basic else offsets
    best = optimize.minimize_scalar(lambda x: -slow_likelihood(early, late, n, offsets, np.exp(x)),
                                    bounds=(np.log(1e-4), np.log(0.1)), method="bounded", options={"xatol": 1e-7})
    assert sigma == pytest.approx(np.exp(best.x), rel=1e-5)


def test_without_a_maximum_the_angles_scatter_counts(experiment):
    # each spot on one frame, in its middle: the smaller the mosaicity, the likelier
    z = np.arange(2, 12) + 0.5
    counts = FrameCounts(np.arange(10), np.arange(2, 12), np.full(10, 100.0))
    assert 0.0 < mosaicity(experiment, counts, np.deg2rad(0.5 * z), np.ones(10), basic=False) < np.deg2rad(0.01)
