"""Profile fitting on shoeboxes with known intensities: unbiased, with honest variances, byte-equal in any blocks."""

from __future__ import annotations

import numpy as np
import pytest
from fitting_data import Drawn, draw, make_experiment
from scipy.optimize import brentq

from xdp.experiment.pixels import px_to_s1
from xdp.integration.profiles._kernels_fit import SCATTER, fit_scale
from xdp.integration.profiles.fit import fit_profiles
from xdp.integration.profiles.reference import ReferenceGrid, ReferenceProfiles
from xdp.reflections.flags import Flag
from xdp.reflections.shoeboxes import Shoeboxes

pytestmark = pytest.mark.kernels

WAYS = [{"fit_method": "reciprocal_space"}, {"fit_method": "detector_space"},
        {"fit_method": "detector_space", "deconvolution": True}]
PRF = np.uint64(Flag.INTEGRATED_PRF)
FAILED = np.uint64(Flag.FAILED_DURING_PROFILE_FITTING)


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    """Six hundred reflections, of which deconvolution sees only those that do not touch."""
    return draw(make_experiment(), 600)


@pytest.fixture(scope="module")
def strong(drawn) -> Shoeboxes:
    return drawn.count(np.full(len(drawn.table), 3000.0), 1.0, seed=1)


def learned(drawn: Drawn, boxes: Shoeboxes, **options) -> ReferenceProfiles:
    sums = ReferenceGrid(drawn.grid(**options))
    assert sums.accumulate(drawn.table, boxes).all()
    return sums.finish()


def alone(drawn: Drawn) -> np.ndarray:
    """Reflections without another whose box meets theirs: deconvolution has nothing to do with them."""
    bbox = drawn.table["bbox"]
    meets = np.all((bbox[:, None, ::2] < bbox[None, :, 1::2]) & (bbox[None, :, ::2] < bbox[:, None, 1::2]), axis=2)
    return meets.sum(axis=1) == 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("intensity", [0.0, 30.0, 150.0])
def test_pulls_are_honest(drawn, strong, way, intensity):
    profiles = learned(drawn, strong, scan_step=20.0, grid_method="single", **way)
    pulls = []
    for seed in range(10):
        found = fit_profiles(profiles, drawn.table, drawn.count(np.full(len(drawn.table), intensity), 3.0, 10 + seed))
        ok = found["flags"] & PRF != 0
        assert ok.all()
        pull = (found["intensity.prf.value"] - intensity) / np.sqrt(found["intensity.prf.variance"])
        pulls.append(pull)
    pulls = np.concatenate(pulls)
    # 6000 pulls: their width is known to 1.5 %, their median to 0.02. The foreground holds 99 % of what was drawn, and
    # the mean of a likelihood's maximum is a little low
    width = np.subtract(*np.quantile(pulls, [0.75, 0.25])) / 1.349
    assert 0.93 < width < 1.07
    assert abs(np.median(pulls)) < 0.12


@pytest.mark.parametrize("way", WAYS)
def test_strong_intensities_are_found(drawn, strong, way):
    profiles = learned(drawn, strong, scan_step=20.0, **way)
    found = fit_profiles(profiles, drawn.table, strong)
    ratio = found["intensity.prf.value"] / 3000.0
    # 600 of them with 2 % each; the foreground holds 99 % of the Gaussian, and the profile is normalised to that
    assert np.median(ratio) == pytest.approx(0.99, abs=0.01)
    assert np.std(ratio) < 0.03
    assert np.mean(found["profile.correlation"]) > 0.95


def test_fitting_beats_summation_for_weak_reflections(drawn, strong):
    profiles = learned(drawn, strong)
    boxes = drawn.count(np.full(len(drawn.table), 30.0), 1.0, seed=5)
    found = fit_profiles(profiles, drawn.table, boxes)["intensity.prf.value"]
    is_fg = (boxes.mask & 4) != 0
    net = np.add.reduceat(np.where(is_fg, boxes.data - boxes.background, 0.0), boxes.offsets[:-1])
    assert np.std(found) < 0.75 * np.std(net)


@pytest.mark.parametrize("way", WAYS)
def test_missing_pixels_bias_nothing(drawn, strong, way):
    profiles = learned(drawn, strong, **way)
    intensity = np.full(len(drawn.table), 3000.0)
    boxes = drawn.count(intensity, 1.0, seed=8)
    mask = boxes.mask.copy()
    # the pixel at the predicted place, on all frames
    for r, (a, b) in enumerate(zip(boxes.offsets, boxes.offsets[1:], strict=False)):
        x, y = (drawn.table["xyzcal.px"][r, :2] - boxes.bbox[r, :4:2]).astype(int)
        mask[a:b].reshape(-1, 13, 13)[:, y, x] &= 0xFE
    holed = Shoeboxes(boxes.panel, boxes.bbox, boxes.offsets, boxes.data, mask, boxes.background)
    found = fit_profiles(profiles, drawn.table, holed)
    assert np.median(found["intensity.prf.value"]) == pytest.approx(2970, rel=0.02)


def test_threshold_and_fit_method_have_effect(drawn, strong):
    boxes = drawn.count(np.full(len(drawn.table), 300.0), 4.0, seed=9)
    values = [fit_profiles(learned(drawn, strong, **way), drawn.table, boxes)["intensity.prf.value"] for way in (
        {}, {"threshold": 0.2}, {"fit_method": "detector_space"}, {"fit_method": "detector_space", "threshold": 0.2},
        {"fit_method": "detector_space", "deconvolution": True}, {"grid_size": 3}, {"scan_step": 20.0},
        {"grid_method": "single"}, {"grid_method": "circular_grid"}, {"grid_method": "spherical_grid"})]
    for i, one in enumerate(values):
        for other in values[:i]:
            assert not np.array_equal(one, other)
            assert np.median(one / other) == pytest.approx(1.0, abs=0.02)


def test_without_foreground_fitting_fails_and_says_so(drawn, strong):
    profiles = learned(drawn, strong)
    mask = strong.mask.copy()
    first, second = strong.offsets[:2]
    mask[first:second] = 3
    flags = drawn.table["flags"].copy()
    flags[1] |= np.uint64(Flag.DONT_INTEGRATE)
    boxes = Shoeboxes(strong.panel, strong.bbox, strong.offsets, strong.data, mask, strong.background)
    found = fit_profiles(profiles, drawn.table.with_columns(flags=flags), boxes)
    assert found["flags"][:3].tolist() == [int(FAILED), 0, int(PRF)]
    assert found["intensity.prf.value"][:2].tolist() == [0.0, 0.0]
    assert found["intensity.prf.variance"][:2].tolist() == [-1.0, -1.0]


def test_fit_scale_maximises_the_likelihood_of_weak_reflections():
    rng = np.random.default_rng(2)
    background, profile = rng.random(40) + 0.2, rng.random(40)
    profile /= profile.sum()
    counts = rng.poisson(background + 60 * profile).astype(float)
    found, _, least = fit_scale(counts, background, profile, 40, counts.sum())
    trial = np.linspace(found - 30, found + 30, 6001)
    mean = background[:, None] + trial * profile[:, None]
    likelihood = (counts[:, None] * np.log(mean) - mean).sum(axis=0)
    # that of Poisson's distribution: scatter of the shape hardly changes weights here
    assert found == pytest.approx(trial[likelihood.argmax()], abs=0.05)
    assert least == 0.0


@pytest.mark.parametrize("intensity", [20.0, 300.0, 20000.0])
def test_fit_scale_solves_its_equation(intensity):
    rng = np.random.default_rng(3)
    background, profile = rng.random(40) + 0.2, rng.random(40) ** 3
    profile /= profile.sum()
    counts = rng.poisson(background + intensity * profile).astype(float)
    found, information, _ = fit_scale(counts, background, profile, 40, counts.sum())

    def weights(i: float) -> np.ndarray:
        return profile / (background + (i + SCATTER * i ** 2) * profile)

    wanted = brentq(lambda i: weights(i) @ (counts - background - i * profile), 0.1 * intensity, 3.0 * intensity)
    # rounds end when the change is a thousandth of the standard deviation
    assert found == pytest.approx(wanted, abs=2e-3 / np.sqrt(information))
    assert information == pytest.approx(weights(found) @ profile, rel=1e-3)


def poisson_fit(counts: np.ndarray, background: np.ndarray, profile: np.ndarray) -> float:
    """The most likely intensity if shapes were exact."""
    found = (counts - background).sum()
    for _ in range(50):
        w = profile / (background + found * profile)
        found = w @ (counts - background) / (w @ profile)
    return found


def test_strong_reflections_with_shapes_of_their_own():
    """Shapes drawn about the profile from Dirichlet's distribution: counts wander between points, none are lost."""
    rng = np.random.default_rng(4)
    profile = np.exp(-0.5 * np.linspace(-3, 3, 60) ** 2)
    profile /= profile.sum()
    background = np.full(60, 200.0)
    fits, plain, sigmas = [], [], []
    for _ in range(2000):
        shape = rng.dirichlet(profile * (1.0 / SCATTER - 1.0))
        counts = rng.poisson(background + 20000.0 * shape).astype(float)
        found, information, _ = fit_scale(counts, background, profile, 60, 20000.0)
        fits.append(found)
        plain.append(poisson_fit(counts, background, profile))
        sigmas.append(np.sqrt(1.0 / information - SCATTER * found ** 2))
    # 2000 of them: each width is known to 1.6 %
    assert np.std(fits) < 0.7 * np.std(plain)
    assert np.mean(fits) == pytest.approx(20000.0, rel=0.002)
    assert np.std((np.array(fits) - 20000.0) / sigmas) == pytest.approx(1.0, abs=0.07)


@pytest.mark.parametrize("way", WAYS)
def test_very_strong_reflections_have_a_variance(drawn, strong, way):
    """Parts of a profile may sum to a little more than 1: what scatter takes off a variance must not be all of it."""
    profiles = learned(drawn, strong, **way)
    boxes = drawn.count(np.full(len(drawn.table), 1e7), 1.0, seed=6)
    found = fit_profiles(profiles, drawn.table, boxes)
    assert np.all(found["flags"] & PRF != 0)
    assert np.all(found["intensity.prf.variance"] > 0.9 * found["intensity.prf.value"])


def test_no_counts_at_all_leave_a_variance():
    profile = np.full(10, 0.1)
    found, information, least = fit_scale(np.zeros(10), np.zeros(10), profile, 10, 0.0)
    # nothing seen, nothing expected beneath: zero, give or take a count
    assert (found, least) == (0.0, pytest.approx(1.0))
    assert 1.0 / information - SCATTER == pytest.approx(1.0)


def test_deconvolution_takes_overlapping_reflections_apart(drawn, strong):
    """Every pixel of a box gets the counts of a neighbour 2.5 pixels away, which is predicted too."""
    plain = learned(drawn, strong, scan_step=20.0, grid_method="single", fit_method="detector_space")
    joint = learned(drawn, strong, scan_step=20.0, grid_method="single", fit_method="detector_space",
                    deconvolution=True)
    rows = np.flatnonzero(alone(drawn))[:60]
    table, boxes = drawn.table.select(rows), drawn.boxes.select(rows)
    n = np.diff(boxes.offsets)
    shape = np.concatenate([drawn.shape[drawn.boxes.offsets[r]:drawn.boxes.offsets[r + 1]] for r in rows])
    other = np.concatenate([np.roll(s.reshape(-1, 13, 13), 3, axis=2).ravel()
                            for s in np.split(shape, np.cumsum(n)[:-1])])
    moved = table["xyzcal.px"] + [3.0, 0.0, 0.0]
    experiment = drawn.experiment
    turn = px_to_s1(experiment.detector, experiment.beam, 0, moved[:, :2]) - px_to_s1(
        experiment.detector, experiment.beam, 0, table["xyzcal.px"][:, :2])
    beside = table.with_columns(**{"xyzcal.px": moved, "s1": table["s1"] + turn})
    everything = type(table).concatenate([table, beside])
    data = np.random.default_rng(4).poisson(1.0 + 2000.0 * shape + 1000.0 * other)
    boxes = Shoeboxes(boxes.panel, boxes.bbox, boxes.offsets, data, boxes.mask, np.full(len(data), 1.0))
    wrong = fit_profiles(plain, table, boxes)["intensity.prf.value"]
    found = fit_profiles(joint, table, boxes, everything)
    assert np.median(wrong) > 2200.0
    assert np.median(found["intensity.prf.value"]) == pytest.approx(1980.0, rel=0.02)
    pull = (found["intensity.prf.value"] - 1980.0) / np.sqrt(found["intensity.prf.variance"])
    # 60 pulls; the profile of a neighbour 3 pixels off is that of its own place to a few per cent
    assert np.std(pull) < 2.0
