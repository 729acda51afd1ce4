from __future__ import annotations

import importlib
import sys
import types

import numpy as np
import pytest

from xdp.errors import OptionError, XdpError
from xdp.experiment import Experiment
from xdp.experiment.pixels import px_to_s1
from xdp.integration.corrections import absorption
from xdp.integration.corrections.absorption import (
    FACTOR,
    SIGMA,
    apply_factors,
    check_absorption,
    compute_absorption_factors,
    correct_absorption,
    load_user_model,
    needs_shoeboxes,
)
from xdp.integration.corrections.absorption_options import AbsorptionOptions
from xdp.integration.corrections.kapton import (
    Tape,
    compute_box_path,
    compute_infinite_tape_path,
    compute_kapton_attenuation,
)
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable
from xdp.simulation import make_beam, make_detector, make_goniometer, make_scan

N = 80


def case():
    """An experiment, reflections all over its panel, and their shoeboxes; the last has no foreground."""
    experiment = Experiment("a", make_beam(1.3), make_detector(), make_goniometer(), make_scan())
    rng = np.random.default_rng(1)
    corner = rng.integers(2, 470, (N, 2))
    bbox = np.stack([corner[:, 0], corner[:, 0] + 6, corner[:, 1], corner[:, 1] + 5, np.full(N, 3), np.full(N, 5)], 1)
    mask = np.tile(np.where(rng.random(60) < 0.6, 5, 3), N).astype(np.uint8)
    mask[-60:] = 3
    boxes = Shoeboxes(np.zeros(N), bbox, np.arange(N + 1) * 60, np.ones(60 * N), mask)
    table = ReflectionTable({
        "id": np.zeros(N, np.int32), "panel": np.zeros(N, np.uint64),
        "s1": px_to_s1(experiment.detector, experiment.beam, 0, corner + np.array([3.0, 2.5])),
        "xyzcal.mm": np.column_stack([corner * 0.172, rng.uniform(0, 1, N)]),
        "intensity.sum.value": rng.normal(100.0, 50.0, N), "intensity.sum.variance": rng.uniform(50.0, 200.0, N),
        "intensity.prf.value": rng.normal(100.0, 50.0, N), "intensity.prf.variance": rng.uniform(50.0, 200.0, N)})
    return [experiment], table, boxes


def kapton(algorithm="kapton_2019", *, apply=True, **tape):
    """Options of a tape."""
    return AbsorptionOptions(apply=apply, algorithm=algorithm, fuller_kapton=tape)


@pytest.mark.parametrize(("algorithm", "path"), [("kapton_2019", compute_box_path),
                                                 ("fuller_kapton", compute_infinite_tape_path)])
def test_within_spots_the_factor_is_the_mean_over_the_centres_of_the_foreground(algorithm, path):
    experiments, table, boxes = case()
    found, sigmas = compute_absorption_factors(experiments, table, boxes, kapton(algorithm, smart_sigmas=True))
    plain, none = compute_absorption_factors(experiments, table, boxes, kapton(algorithm, within_spot_sigmas=False))
    assert none is None
    assert found[-1] == plain[-1]
    tape, mu = Tape(0.02, 0.05, 1.5875, np.deg2rad(1.15)), compute_kapton_attenuation(1.3)
    experiment = experiments[0]
    spread = 0
    for i in range(N - 1):
        _, mask, _ = boxes.box(i)
        _, slow, fast = np.nonzero(mask == 5)
        xy = np.stack([fast + boxes.bbox[i, 0], slow + boxes.bbox[i, 2]], axis=1) + 0.5
        s1 = px_to_s1(experiment.detector, experiment.beam, 0, xy)
        factors = np.exp(mu * path(tape, s1 / np.linalg.norm(s1, axis=1, keepdims=True)))
        assert found[i] == pytest.approx(factors.mean(), rel=1e-12)
        assert sigmas[i] >= factors.std(ddof=1) - 1e-12
        spread += factors.std() > 1e-4
    assert spread > 10


@pytest.mark.parametrize("name", ["xtal_height_above_kapton_mm", "rotation_angle_deg", "kapton_half_width_mm",
                                  "kapton_thickness_mm"])
@pytest.mark.parametrize("algorithm", ["fuller_kapton", "kapton_2019"])
def test_each_property_of_the_tape_has_its_effect(algorithm, name):
    experiments, table, boxes = case()
    tape = {other: {"sigma": 0.0} for other in ("xtal_height_above_kapton_mm", "rotation_angle_deg",
                                                "kapton_half_width_mm", "kapton_thickness_mm")}
    still = kapton(algorithm, smart_sigmas=True, within_spot_sigmas=False, **tape)
    factors, sigmas = compute_absorption_factors(experiments, table, boxes, still)
    assert np.all(sigmas == 0.0)
    assert 1.0 == factors.min() < factors.max()
    value = getattr(still.fuller_kapton, name).value
    moved = kapton(algorithm, smart_sigmas=True, within_spot_sigmas=False, **tape | {name: {"value": 1.5 * value}})
    changed = compute_absorption_factors(experiments, table, boxes, moved)[0]
    assert np.max(np.abs(changed - factors)) > 1e-3
    unsure = kapton(algorithm, smart_sigmas=True, within_spot_sigmas=False,
                    **tape | {name: {"value": value, "sigma": 0.5 * value}})
    sigmas = compute_absorption_factors(experiments, table, boxes, unsure)[1]
    assert np.all(sigmas >= np.abs(changed - factors) - 1e-12)


def test_intensities_and_variances_are_multiplied():
    columns = {"intensity.sum.value": np.array([10.0, 0.0, -4.0]), "intensity.sum.variance": np.array([9.0, 4.0, 1.0])}
    factors, sigmas = np.array([2.0, 3.0, 1.0]), np.array([0.1, 0.2, 0.5])
    plain = apply_factors(columns, factors, None)
    assert plain["intensity.sum.value"].tolist() == [20.0, 0.0, -4.0]
    assert plain["intensity.sum.variance"].tolist() == [36.0, 36.0, 1.0]
    assert SIGMA not in plain
    assert "intensity.prf.value" not in plain
    smart = apply_factors(columns, factors, sigmas)
    np.testing.assert_allclose(smart["intensity.sum.variance"], [36.0 + 1.0, 36.0, 1.0 + 4.0])
    np.testing.assert_array_equal(smart[SIGMA], sigmas)


def test_models_apply_one_after_the_other_and_only_where_asked():
    experiments, table, boxes = case()
    one, two = kapton(), kapton("fuller_kapton")
    assert correct_absorption(experiments, table, boxes, [kapton(apply=False)]) is table
    assert not needs_shoeboxes([kapton(apply=False), kapton(within_spot_sigmas=False)])
    assert needs_shoeboxes([one])
    both = correct_absorption(experiments, table, boxes, [one, two])
    product = np.prod([compute_absorption_factors(experiments, table, boxes, o)[0] for o in (one, two)], axis=0)
    np.testing.assert_allclose(both[FACTOR], product)
    for kind in ("sum", "prf"):
        np.testing.assert_allclose(both[f"intensity.{kind}.value"], product * table[f"intensity.{kind}.value"])
        np.testing.assert_allclose(both[f"intensity.{kind}.variance"], product**2 * table[f"intensity.{kind}.variance"])


def test_an_algorithm_must_be_named():
    with pytest.raises(OptionError, match="fuller_kapton, kapton_2019 or other"):
        check_absorption([kapton(None)])
    with pytest.raises(OptionError, match="thickness"):
        check_absorption([kapton(kapton_thickness_mm={"value": -1.0})])
    check_absorption([kapton(None, apply=False), kapton()])


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A distribution that offers models of absorption, as pip would have installed it."""
    module = types.ModuleType("dummy_absorption")

    def loop(experiment, s1, phi, panel):
        assert np.allclose(np.linalg.norm(s1, axis=1), 1.0)
        assert len(panel) == len(phi) == len(s1)
        return 1.0 + 0.1 * np.cos(phi)

    module.loop = loop
    module.unsure = lambda experiment, s1, phi, panel: (np.full(len(phi), 2.0), np.full(len(phi), 0.25))
    module.short = lambda experiment, s1, phi, panel: np.ones(3)
    monkeypatch.setitem(sys.modules, "dummy_absorption", module)

    def install(*names):
        info = tmp_path / "dummy_absorption-1.0.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dummy-absorption\nVersion: 1.0\n")
        lines = [f"{name} = dummy_absorption:{name}" for name in names]
        (info / "entry_points.txt").write_text("\n".join([f"[{absorption.GROUP}]", *lines]) + "\n")
        importlib.invalidate_caches()
        load_user_model.cache_clear()

    monkeypatch.syspath_prepend(str(tmp_path))
    yield install
    load_user_model.cache_clear()


def test_a_user_s_model_is_found_and_used(installed):
    installed("loop")
    experiments, table, _ = case()
    found = correct_absorption(experiments, table, None, [AbsorptionOptions(apply=True, algorithm="other")])
    np.testing.assert_allclose(found[FACTOR], 1.0 + 0.1 * np.cos(table["xyzcal.mm"][:, 2]))
    np.testing.assert_allclose(found["intensity.sum.value"], found[FACTOR] * table["intensity.sum.value"])


def test_a_user_s_model_is_chosen_by_name_and_may_give_sigmas(installed):
    installed("loop", "unsure", "short", "absent")
    experiments, table, _ = case()
    chosen = AbsorptionOptions(apply=True, algorithm="other", name="unsure")
    factors, sigmas = compute_absorption_factors(experiments, table, None, chosen)
    assert set(factors) == {2.0}
    assert set(sigmas) == {0.25}
    for name, message in ((None, "needs one model .* installed: absent, loop, short, unsure"),
                          ("mine", "needs 'mine'"), ("absent", "cannot import dummy_absorption:absent"),
                          ("short", "must return 80 finite numbers")):
        with pytest.raises(XdpError, match=message):
            compute_absorption_factors(experiments, table, None, chosen.model_copy(update={"name": name}))


def test_without_a_user_s_model_the_message_says_so(installed):
    installed()
    with pytest.raises(XdpError, match=r"entry point group xdp\.absorption, installed: none"):
        check_absorption([AbsorptionOptions(apply=True, algorithm="other")])
