"""Backgrounds against slow twins, by hand where that is possible, and the effect of every parameter."""

from __future__ import annotations

from types import SimpleNamespace

import background_twins as twins
import numpy as np
import pytest

from xdp.errors import OptionError
from xdp.experiment import Experiment, ImageSet
from xdp.integration.background import fit_background, resolve_algorithm
from xdp.integration.background._kernels_poisson import poisson_expectations
from xdp.integration.background.options import BackgroundOptions
from xdp.options import parse
from xdp.reflections.flags import MaskCode
from xdp.reflections.shoeboxes import Shoeboxes

pytestmark = pytest.mark.kernels


def options(*words: str) -> BackgroundOptions:
    """Options from PHIL words."""
    return parse(BackgroundOptions, list(words))[0]


def make(n: int = 20, shape=(3, 9, 10), level=None, seed: int = 1, outliers: float = 0.01) -> Shoeboxes:
    """Boxes of one shape: Poisson background with a slope, a foreground disc, invalid and overlapped pixels."""
    rng = np.random.default_rng(seed)
    depth, height, width = shape
    z, y, x = np.indices(shape)
    levels = 10.0 ** rng.uniform(0.0, 2.5, n) if level is None else np.full(n, float(level))
    mean = levels[:, None, None, None] * np.exp(0.04 * (x - width / 2) - 0.03 * (y - height / 2) + 0.05 * z)
    data = rng.poisson(mean).astype(np.float32)
    mask = np.full((n, *shape), 3, np.uint8)
    disc = (x - width / 2 + 0.5) ** 2 + (y - height / 2 + 0.5) ** 2 < 6
    mask[:, disc] = 5
    mask[rng.random(mask.shape) < 0.03] = 2
    mask[rng.random(mask.shape) < 0.03] |= np.uint8(MaskCode.OVERLAPPED)
    data[rng.random(mask.shape) < outliers] += 300
    bbox = np.tile([0, width, 0, height, 0, depth], (n, 1))
    return Shoeboxes(np.zeros(n), bbox, np.arange(n + 1) * np.prod(shape), data.ravel(), mask.ravel())


def each(boxes: Shoeboxes):
    """Number, data, mask and background of each box."""
    for i in range(len(boxes)):
        yield i, *boxes.box(i)


def used(boxes: Shoeboxes) -> np.ndarray:
    return boxes.mask & MaskCode.BACKGROUND_USED != 0


@pytest.mark.parametrize("mean", [1e-6, 0.03, 0.9, 7.3, 250.0, 40_000.0])
@pytest.mark.parametrize("tuning", [0.5, 1.345, 6.0, 300.0])
def test_expectations_are_those_of_the_whole_distribution(mean, tuning):
    # Probabilities of counts of 40,000 are good to 1e-10: their logarithms are differences of numbers near 400,000.
    np.testing.assert_allclose(poisson_expectations(mean, tuning), twins.expectations(mean, tuning), rtol=1e-7,
                               atol=1e-10 * tuning)


@pytest.mark.parametrize("tuning", [0.8, 1.345, 4.0])
def test_glm_constant3d_solves_its_equation(tuning):
    boxes = make()
    found = fit_background(boxes, options("algorithm=glm", f"glm.robust.tuning_constant={tuning}"))
    for i, data, mask, background in each(boxes):
        expected = twins.robust_mean(data[twins.usable(mask)].astype(float), tuning)
        # The steps end when one is shorter than a thousandth of the logarithm, at most 6: what is left is less.
        assert found.columns["background.mean"][i] == pytest.approx(expected, rel=6e-3)
        assert np.ptp(background) == 0.0
        assert np.array_equal(mask & 16 != 0, twins.usable(mask))
    assert not found.failed.any()


def test_glm_without_a_tuning_constant_is_the_mean():
    boxes = make(outliers=0.05)
    found = fit_background(boxes, options("algorithm=glm", "glm.robust.tuning_constant=None"))
    for i, data, mask, _ in each(boxes):
        assert found.columns["background.mean"][i] == pytest.approx(data[twins.usable(mask)].mean(), rel=2e-3)


def test_glm_is_hardly_moved_by_outliers():
    clean, spoilt = make(200, level=5, outliers=0.0), make(200, level=5, outliers=0.03)
    glm = [fit_background(b, options("algorithm=glm")).columns["background.mean"].mean() for b in (clean, spoilt)]
    mean = [fit_background(b, options("algorithm=simple")).columns["background.mean"].mean() for b in (clean, spoilt)]
    # 3 % of pixels at 300 raise the mean by 9; Huber's cut lets each count as one of 1.3 sigma.
    assert mean[1] - mean[0] > 8.0
    assert glm[1] - glm[0] < 0.2


@pytest.mark.parametrize("seed", range(3))
def test_glm_is_unbiased_for_poisson_counts(seed):
    boxes = make(400, level=1.3, seed=seed, outliers=0.0)
    flat = Shoeboxes(boxes.panel, boxes.bbox, boxes.offsets,
                     np.random.default_rng(seed).poisson(1.3, boxes.n_pixels).astype(np.float32), boxes.mask)
    mean = fit_background(flat, options("algorithm=glm")).columns["background.mean"].mean()
    # 400 boxes of some 200 pixels: sigma 1.14 / sqrt(80000) = 0.004, and 5 % more for robustness; 4 sigma.
    assert mean == pytest.approx(1.3, abs=0.017)


def test_a_frame_of_glm_constant2d_is_a_box_of_constant3d():
    boxes = make(shape=(4, 8, 8))
    frames = Shoeboxes(np.zeros(80), np.tile([0, 8, 0, 8, 0, 1], (80, 1)), np.arange(81) * 64, boxes.data, boxes.mask)
    fit_background(boxes, options("algorithm=glm", "glm.model.algorithm=constant2d"))
    fit_background(frames, options("algorithm=glm", "glm.model.algorithm=constant3d"))
    np.testing.assert_array_equal(boxes.background, frames.background)
    assert len(np.unique(boxes.box(0)[2])) == 4


@pytest.mark.parametrize("surface", ["loglinear2d", "loglinear3d"])
def test_loglinear_glm_solves_its_equations(surface):
    boxes = make(6, level=20)
    found = fit_background(boxes, options("algorithm=glm", f"glm.model.algorithm={surface}"))
    assert not found.failed.any()
    for _, data, mask, background in each(boxes):
        good = twins.usable(mask)
        parts = range(len(data)) if surface.endswith("2d") else [slice(None)]
        for part in parts:
            mean, counts = background[part][good[part]].astype(float), data[part][good[part]]
            psi = np.clip((counts - mean) / np.sqrt(mean), -1.345, 1.345)
            first, second = np.array([twins.expectations(m, 1.345) for m in mean]).T
            y, x = np.indices(data.shape)[1:, part][:, good[part]]
            design = np.column_stack([np.ones(len(mean)), y, x])
            score = design.T @ ((psi - first) * np.sqrt(mean))
            normal = (design.T * (second * mean**1.5)) @ design
            # The step that would still be due is shorter than the one that ended the iteration: 1e-3 of beta.
            step = np.linalg.solve(normal, score)
            assert np.linalg.norm(step) < 5e-3


def test_loglinear_follows_a_slope_that_a_constant_cannot():
    boxes = make(100, level=50, outliers=0.0)
    z, y, x = np.indices((3, 9, 10))
    truth = 50 * np.exp(0.04 * (x - 5) - 0.03 * (y - 4.5) + 0.05 * z)
    error = {}
    for surface in ("constant3d", "loglinear2d", "loglinear3d"):
        fit_background(boxes, options("algorithm=glm", f"glm.model.algorithm={surface}"))
        error[surface] = np.sqrt(np.mean((boxes.background.reshape(-1, 3, 9, 10) - truth) ** 2))
    assert error["loglinear3d"] < error["loglinear2d"] < 0.5 * error["constant3d"]


def test_nothing_but_zeros_is_no_background():
    boxes = make(3)
    boxes.data[:] = 0
    found = fit_background(boxes, options("algorithm=glm"))
    assert not found.failed.any()
    assert 0.0 <= boxes.background.max() < 1e-12


@pytest.mark.parametrize("spoil", ["few", "negative"])
def test_where_glm_fails(spoil):
    boxes = make(3)
    if spoil == "few":
        boxes.mask[300:540] = 2
    else:
        boxes.data[270], boxes.mask[270] = -1, 3
    found = fit_background(boxes, options("algorithm=glm", "glm.min_pixels=31"))
    assert found.failed.tolist() == [False, True, False]
    assert found.columns["background.mean"][1] == 0.0
    assert not boxes.background[270:540].any()
    assert not used(boxes)[270:540].any()


@pytest.mark.parametrize("algorithm", ["glm", "simple", "median"])
def test_a_box_without_pixels_has_failed(algorithm):
    boxes = make(2).without_pixels()
    assert fit_background(boxes, options(f"algorithm={algorithm}")).failed.all()


@pytest.mark.parametrize("scale", [1.0, 0.37])
def test_median(scale):
    boxes = make(30)
    boxes.data[:] *= scale  # Counts that are not whole take another way through the kernel.
    found = fit_background(boxes, options("algorithm=median"))
    for i, data, mask, _ in each(boxes):
        counts = np.sort(data[twins.usable(mask)])
        assert found.columns["background.mean"][i] == counts[len(counts) // 2]


def test_null_leaves_no_background():
    boxes = make(4)
    boxes.background[:] = 7.0
    found = fit_background(boxes, options("algorithm=null"))
    assert not boxes.background.any()
    assert not found.failed.any()
    assert found.columns == {}
    assert not used(boxes).any()


@pytest.mark.parametrize("model", ["constant2d", "constant3d", "linear2d", "linear3d"])
@pytest.mark.parametrize("outlier", ["null", "nsigma", "truncated", "normal", "plane", "tukey"])
def test_simple_is_its_twin(outlier, model):
    boxes = make(15, seed=3)
    found = fit_background(boxes, options("algorithm=simple", f"simple.outlier.algorithm={outlier}",
                                          f"simple.model.algorithm={model}"))
    assert not found.failed.any()
    for i, data, mask, background in each(boxes):
        data = data.astype(float)
        good = twins.usable(mask)
        if outlier == "plane":
            keep = twins.rejected_from_plane(data, mask)
        else:
            keep = np.zeros(data.shape, bool)
            keep[good] = twins.rejected(data[good], outlier)
        np.testing.assert_array_equal(mask & 16 != 0, keep)
        expected = twins.least_squares(data, keep, model)
        # Stored in single precision, good to 6e-8.
        np.testing.assert_allclose(background, expected, rtol=1e-6, atol=1e-5)
        assert found.columns["background.mean"][i] == pytest.approx(data[keep].mean())
        assert found.columns["background.mse"][i] == pytest.approx(np.mean((expected - data)[keep] ** 2), rel=1e-5)
        assert found.columns["background.dispersion"][i] == pytest.approx(
            data[keep].var(ddof=1) / data[keep].mean(), rel=1e-5)


EFFECTS = {
    "nsigma.lower=1": "nsigma", "nsigma.upper=1": "nsigma", "truncated.lower=0.3": "truncated",
    "truncated.upper=0.3": "truncated", "plane.n_sigma=1": "plane", "tukey.lower=0.1": "tukey",
    "tukey.upper=0.1": "tukey",
}


@pytest.mark.parametrize("word", EFFECTS)
def test_limits_of_rejection(word):
    """A tighter limit rejects more; the sides differ; None rejects nothing there."""
    algorithm = EFFECTS[word]
    words = ["algorithm=simple", f"simple.outlier.algorithm={algorithm}"]
    without = word.split("=")[0] + "=None"
    n_used, mean = {}, {}
    for name in ("", word, without):
        boxes = make(20, level=30)
        found = fit_background(boxes, options(*words, *([f"simple.outlier.{name}"] if name else [])))
        n_used[name], mean[name] = used(boxes).sum(), found.columns["background.mean"].mean()
    assert n_used[word] < n_used[""] <= n_used[without]
    if "upper" in word:
        assert mean[word] < mean[""]
    if "lower" in word:
        assert mean[word] > mean[""]


def test_plane_fraction_leaves_the_highest_pixels_out_of_the_plane():
    boxes = [make(20, level=30, outliers=0.1) for _ in range(2)]
    for b, fraction in zip(boxes, (1.0, 0.7), strict=True):
        fit_background(b, options("algorithm=simple", "outlier.algorithm=plane", f"plane.fraction={fraction}"))
    outlying = boxes[0].data > 200
    assert used(boxes[1])[outlying].sum() < used(boxes[0])[outlying].sum() or not used(boxes[0])[outlying].any()
    assert used(boxes[0]).sum() != used(boxes[1]).sum()


@pytest.mark.parametrize("words", ["algorithm=glm glm.min_pixels", "algorithm=simple simple.min_pixels",
                                   "algorithm=simple outlier.algorithm=normal normal.min_pixels"])
def test_min_pixels(words):
    for more in (0, 1):
        boxes = make(1)
        boxes.data[:] = 1e4 + np.arange(boxes.n_pixels) % 7  # None of them looks unlike a normal distribution.
        wanted = int(twins.usable(boxes.mask).sum()) + more
        found = fit_background(boxes, options(*f"{words}={wanted}".split()))
        assert found.failed.tolist() == [more == 1]


def test_negative_mean_fails_simple():
    boxes = make(2)
    boxes.data[:270] -= 1000
    found = fit_background(boxes, options("algorithm=simple"))
    assert found.failed.tolist() == [True, False]
    assert found.columns["background.mean"][0] < 0
    assert found.columns["background.mse"][0] == 0


def test_boxes_do_not_know_of_each_other():
    """The same box alone, or among others in another order, gets the same bytes."""
    for algorithm in ("glm", "simple", "median"):
        boxes, order = make(12), np.random.default_rng(0).permutation(12)
        shuffled = boxes.select(order)
        whole = fit_background(boxes, options(f"algorithm={algorithm}"))
        other = fit_background(shuffled, options(f"algorithm={algorithm}"))
        assert boxes.select(order) == shuffled
        np.testing.assert_array_equal(whole.columns["background.mean"][order], other.columns["background.mean"])


@pytest.mark.parametrize(("gain", "kind", "expected"), [(1.0, "SENSOR_PAD", "glm"), (1.0, "SENSOR_CCD", "simple"),
                                                        (0.9, "SENSOR_PAD", "simple")])
def test_auto(gain, kind, expected):
    good = SimpleNamespace(gain=1.0, pedestal=0.0, type="SENSOR_PAD")
    experiments = [Experiment(detector=[good, good]),
                   Experiment(detector=[good, SimpleNamespace(gain=gain, pedestal=0.0, type=kind)])]
    assert resolve_algorithm(experiments) == expected
    assert resolve_algorithm(experiments, options("algorithm=median")) == "median"


@pytest.mark.parametrize("name", ["gain", "pedestal"])
def test_auto_is_simple_where_counts_are_corrected(name):
    panel = SimpleNamespace(gain=1.0, pedestal=0.0, type="SENSOR_PAD")
    images = ImageSet("ImageSet", images=("a.npy",), single_file_indices=(0,), **{name: "map.npy"})
    assert resolve_algorithm([Experiment(detector=[panel], imageset=images)]) == "simple"
    panel.pedestal = 10.0
    assert resolve_algorithm([Experiment(detector=[panel])]) == "simple"


def test_auto_must_be_resolved():
    with pytest.raises(OptionError, match="resolve_algorithm"):
        fit_background(make(1), BackgroundOptions())
    assert not fit_background(make(1), BackgroundOptions(), algorithm="glm").failed.any()
