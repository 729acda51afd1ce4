"""How far spots spread: sums over frames, and the mosaicity that makes them likeliest."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from mosaicity_twin import slow_likelihood
from scipy import optimize, special

from xdp.experiment import Experiment
from xdp.experiment.pixels import px_to_s1
from xdp.integration.profiles import spot_spread
from xdp.integration.profiles._kernels_spot_spread import mosaicity_likelihood
from xdp.integration.profiles.spot_spread import (
    SpotFrames,
    compute_divergence_variances,
    estimate_sigma_m,
    measure_spot_frames,
)
from xdp.prediction.options import PredictionOptions
from xdp.prediction.predict import predict
from xdp.prediction.rays import rotate_to_crystal
from xdp.reflections.flags import MaskCode
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable
from xdp.simulation import make_beam, make_crystal, make_detector, make_goniometer, make_scan

pytestmark = pytest.mark.kernels
STRONG = int(MaskCode.VALID | MaskCode.FOREGROUND)


@pytest.fixture(scope="module", params=[False, True], ids=["flat", "parallax"])
def experiment(request) -> Experiment:
    detector = make_detector((300, 260), distance=70.0)
    if request.param:
        panel = dataclasses.replace(detector[0], px_mm_strategy="ParallaxCorrectedPxMmStrategy", mu=3.0, thickness=0.45)
        detector = dataclasses.replace(detector, panels=(panel,))
        assert detector[0].corrects_parallax
    return Experiment("x", make_beam(), detector, make_goniometer(), make_scan(20, 0.5), make_crystal())


@pytest.fixture(scope="module")
def spots(experiment) -> ReflectionTable:
    """Reflections with boxes of 3 x 5 x 31 random pixels that reach to their neighbours; some lack pixels."""
    generator = np.random.default_rng(12)
    table = predict(experiment, PredictionOptions(d_min=3.0))
    table = table.select((np.abs(table["zeta"]) > 0.5) & (np.abs(table["xyzcal.px"][:, 2] - 10.0) < 5.0))
    corner = np.floor(table["xyzcal.px"]).astype(int) - (15, 2, 1)
    bbox = np.stack([corner, corner + np.array([31, 5, 3])], axis=2).reshape(-1, 6)
    sizes = np.where(np.arange(len(table)) % 5 == 3, 0, 31 * 5 * 3)
    n = sizes.sum()
    mask = generator.choice([0, int(MaskCode.VALID | MaskCode.BACKGROUND), STRONG], n, p=[0.3, 0.2, 0.5])
    boxes = Shoeboxes(table["panel"], bbox, np.append(0, np.cumsum(sizes)), generator.poisson(2.0, n),
                      mask.astype(np.uint8))
    return table.with_columns(shoebox=boxes)


def slow_measure(experiment, table, centres) -> dict[tuple[int, int], list[float]]:
    """Twin: pixel by pixel, with the arc cosine and the functions of geometry and prediction."""
    result = {}
    to_index = np.linalg.inv(experiment.crystal.A).T
    for i in range(len(table)):
        data, mask, _ = table["shoebox"].box(i)
        for z, y, x in np.argwhere(mask):
            frame = int(table["shoebox"].bbox[i, 4] + z)
            point = table["shoebox"].bbox[i, [0, 2]] + (x, y) + np.array(0.5)
            s1 = px_to_s1(experiment.detector, experiment.beam, 0, point)
            angle = np.arccos(s1 @ centres[i] / np.linalg.norm(s1) / np.linalg.norm(centres[i]))
            borders = np.deg2rad(experiment.scan.angle(np.array([frame, frame + 1])))
            q = rotate_to_crystal(experiment.goniometer, np.tile(s1 - experiment.beam.s0, (2, 1)), borders)
            is_own = mask[z, y, x] == STRONG and np.all(np.rint(q @ to_index) == table["miller_index"][i])
            sums = result.setdefault((i, frame), [0.0, 0.0, 0.0])
            for k, value in enumerate((1.0, angle**2, is_own)):
                sums[k] += float(data[z, y, x]) * value
    return result


def test_sums_of_the_frames_equal_their_twin(experiment, spots):
    some = spots.select(np.arange(12))
    seen = measure_spot_frames(experiment, some, some["s1"])
    expected = slow_measure(experiment, some, some["s1"])
    assert set(zip(seen.spot.tolist(), seen.frame.tolist(), strict=True)) == expected.keys()
    sums = np.array([expected[key] for key in zip(seen.spot.tolist(), seen.frame.tolist(), strict=True)])
    np.testing.assert_allclose(seen.total, sums[:, 0])
    # the twin's arc cosine loses digits at angles of 0.001
    np.testing.assert_allclose(seen.moment, sums[:, 1], rtol=1e-7)
    np.testing.assert_allclose(seen.own, sums[:, 2])
    assert 0 < seen.own.sum() < seen.total.sum()


def test_stills_have_no_neighbours(experiment, spots):
    still = dataclasses.replace(experiment, goniometer=None, scan=None)
    seen = measure_spot_frames(still, spots, spots["s1"])
    turning = measure_spot_frames(experiment, spots, spots["s1"])
    np.testing.assert_array_equal(seen.moment, turning.moment)
    assert not seen.own.any()


def test_boxes_without_pixels_leave_nothing(experiment, spots):
    empty = spots.select(np.arange(len(spots)) % 5 == 3)
    assert len(measure_spot_frames(experiment, empty, empty["s1"]).spot) == 0


def test_variance_of_two_pixels():
    # counts 3 and 2 at angles 0.1 and 0.2; a single count tells nothing
    total, moment = np.array([5.0, 1.0, 0.0]), np.array([3 * 0.01 + 2 * 0.04, 0.5, 0.0])
    np.testing.assert_allclose(compute_divergence_variances(total, moment), [0.11 / 4.0])


def frames_of(spot, frame, counts) -> SpotFrames:
    """Spots with counts of their own on frames."""
    return SpotFrames(np.asarray(spot), np.asarray(frame), counts, 0.0 * counts, counts)


@pytest.fixture(scope="module")
def seen(experiment) -> tuple[SpotFrames, np.ndarray, np.ndarray]:
    """Counts per frame of 400 spots of 0.2 degrees mosaicity, with their angles and zetas."""
    generator = np.random.default_rng(2)
    z, zeta = generator.uniform(2, 18, 400), generator.uniform(0.2, 1.0, 400) * generator.choice([-1, 1], 400)
    edges = np.arange(21)[None, :]
    scale = 0.5 * np.abs(zeta)[:, None] / 0.2 / np.sqrt(2.0)
    share = 0.5 * np.diff(special.erf((edges - z[:, None]) * scale), axis=1)
    counts = generator.poisson(500.0 * share).astype(float)
    spot, frame = np.nonzero(counts > 20)
    return frames_of(spot, frame, counts[spot, frame]), np.deg2rad(0.5 * z), zeta


def test_true_mosaicity_is_found(experiment, seen):
    # 400 spots of 500 counts tell sigma to 1 %; frames with few counts, which spot finding misses, make it smaller
    found = np.rad2deg(estimate_sigma_m(experiment, *seen, basic=False))
    assert found == pytest.approx(0.2, rel=0.06)


@pytest.mark.parametrize("basic", [False, True])
def test_maximum_of_the_likelihood(experiment, seen, basic):
    counts, phi, zeta = seen
    sigma = estimate_sigma_m(experiment, counts, phi, zeta, basic=basic)
    factor = np.abs(zeta[counts.spot]) / np.sqrt(2)
    early, late = ((np.deg2rad(0.5 * (counts.frame + end)) - phi[counts.spot]) * factor for end in (0, 1))
    offsets = np.append(np.unique(counts.spot, return_index=True)[1], len(early))
    n = np.ones(len(early)) if basic else counts.own
    offsets = np.arange(len(early) + 1) if basic else offsets
    best = optimize.minimize_scalar(lambda x: -slow_likelihood(early, late, n, offsets, np.exp(x)),
                                    bounds=(np.log(1e-4), np.log(0.1)), method="bounded", options={"xatol": 1e-7})
    assert sigma == pytest.approx(np.exp(best.x), rel=1e-5)


@pytest.mark.parametrize("basic", [False, True])
def test_some_of_the_spots_tell_where_to_begin(experiment, seen, basic, monkeypatch):
    used = []
    monkeypatch.setattr(spot_spread, "mosaicity_likelihood",
                        lambda *a: used.append(a[-2]) or mosaicity_likelihood(*a))
    sigma = estimate_sigma_m(experiment, *seen, basic=basic)
    assert set(used) == {1}
    n_alone = len(used)
    monkeypatch.setattr(spot_spread, "_SAMPLE", 50)
    # both find the maximum to about 1e-6 of sigma
    assert estimate_sigma_m(experiment, *seen, basic=basic) == pytest.approx(sigma, rel=2e-6)
    assert used[n_alone] > 1
    assert used[n_alone:].count(1) < n_alone


def test_without_a_maximum_the_angles_scatter_counts(experiment):
    # each spot on one frame, in its middle: the smaller the mosaicity, the likelier
    z = np.arange(2, 12) + 0.5
    counts = frames_of(np.arange(10), np.arange(2, 12), np.full(10, 100.0))
    assert 0.0 < estimate_sigma_m(experiment, counts, np.deg2rad(0.5 * z), np.ones(10), basic=False) < np.deg2rad(0.01)
