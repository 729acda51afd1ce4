"""Stills integrated against the truth of a simulation, and what each parameter does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from integration_data import options

from xdp.errors import OptionError, XdpError
from xdp.experiment.experiment import ExperimentList
from xdp.experiment.imageset import ImageSet
from xdp.integration.integrate import integrate
from xdp.integration.plan.selection import are_stills
from xdp.integration.stills.integrate_stills import integrate_stills
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable

pytestmark = pytest.mark.kernels

ELLIPSOID = "profile.algorithm=ellipsoid"


def against_truth(found, shots):
    """Integrated reflections and the true ones of the same experiment and index: rows of either."""
    rows = {(i, *h): k for k, (i, h) in enumerate(
        zip(shots.truth["id"].tolist(), shots.truth["miller_index"].tolist(), strict=True))}
    names = [e.identifier for e in shots.experiments]
    numbers = [names.index(e.identifier) for e in found.experiments]
    same = [rows.get((numbers[i], *h), -1) for i, h in
            zip(found.reflections["id"].tolist(), found.reflections["miller_index"].tolist(), strict=True)]
    ours = np.flatnonzero(np.array(same) >= 0)
    return ours, np.array(same)[ours]


@pytest.mark.parametrize("words", [(), (ELLIPSOID,)])
def test_sums_are_the_photons_that_arrived_with_honest_variances(shots, words):
    found = shots.integrate(*words)
    ours, true = against_truth(found, shots)
    assert len(found.experiments) == 4
    assert len(ours) > 0.7 * len(found.reflections)  # beyond four sigma_m nothing is simulated, but something predicted
    intensity, photons = found.reflections["intensity.sum.value"][ours], shots.truth["intensity.sum.value"][true]
    pull = (intensity - photons) / np.sqrt(found.reflections["intensity.sum.variance"][ours])
    alone = (found.reflections["shares"][ours] & 1) == 0  # no neighbour on its foreground
    intensity, photons, pull = intensity[alone], photons[alone], pull[alone]
    width = np.subtract(*np.quantile(pull, [0.75, 0.25])) / 1.349
    assert np.corrcoef(intensity, photons)[0, 1] > 0.999
    assert abs(np.median(pull)) < 0.15  # 1 / sqrt(n) is 0.03; three sigmas leave 1 % of a spot outside
    assert 0.9 < width < 1.1  # known to 1 / sqrt(2 n), 0.02


def test_partiality_of_the_ellipsoid_brings_intensities_nearer_to_the_full_ones(shots):
    found = shots.integrate(ELLIPSOID)
    ours, true = against_truth(found, shots)
    recorded = found.reflections["partiality"][ours]
    some = recorded > 0.3
    intensity, full = found.reflections["intensity.sum.value"][ours][some], shots.truth["photons"][true][some]
    corrected = intensity / recorded[some]
    assert np.corrcoef(recorded, shots.truth["partiality"][true])[0, 1] > 0.85
    assert np.corrcoef(corrected, full)[0, 1] > np.corrcoef(intensity, full)[0, 1]


def test_bags_threads_and_a_work_folder_give_the_same(shots, tmp_path, monkeypatch):
    whole = shots.integrate()
    monkeypatch.setattr("xdp.integration.stills.integrate_stills.IMAGES_A_TASK", 1)
    apart = shots.integrate("nproc=2", folder=tmp_path)
    monkeypatch.setattr("xdp.integration.stills.integrate_stills.integrate_image", None)  # nothing is integrated again
    again = shots.integrate("nproc=2", folder=tmp_path)
    for name, column in whole.reflections.items():
        np.testing.assert_array_equal(column, apart.reflections[name], err_msg=name)
        np.testing.assert_array_equal(column, again.reflections[name], err_msg=name)
    assert [e.profile for e in again.experiments] == [e.profile for e in whole.experiments]
    assert [e.crystal for e in again.experiments] == [e.crystal for e in whole.experiments]


def test_a_changed_parameter_or_damaged_file_is_integrated_again(shots, tmp_path):
    first = shots.integrate(which=slice(0, 1), folder=tmp_path)
    for path in tmp_path.glob("*.npz"):
        path.write_bytes(b"damaged")
    again = shots.integrate(which=slice(0, 1), folder=tmp_path)
    np.testing.assert_array_equal(first.reflections["intensity.sum.value"], again.reflections["intensity.sum.value"])
    other = shots.integrate("prediction.d_min=4", which=slice(0, 1), folder=tmp_path)
    assert len(other.reflections) < len(first.reflections)


def test_spots_with_shoeboxes_are_not_those_without(shots, tmp_path):
    """A run that failed for want of shoeboxes leaves its work folder; with them the stills are integrated."""
    bare = replace(shots, reference=ReflectionTable({
        name: shots.reference[name] for name in shots.reference if name != "shoebox"}))
    with pytest.raises(XdpError, match="the reference spots have no shoeboxes"):
        bare.integrate(which=slice(0, 1), folder=tmp_path)
    found = shots.integrate(which=slice(0, 1), folder=tmp_path)
    assert len(found.reflections) == len(shots.integrate(which=slice(0, 1)).reflections) > 0


def test_an_experiment_without_spots_is_left_out_and_said_so(shots, caplog):
    spots = shots.reference.select(shots.reference["id"] != 1)
    found = integrate_stills(shots.experiments, spots, options(ELLIPSOID))
    assert [number for number, _ in found.failures] == [1]
    assert len(found.experiments) == 3
    assert "Experiment 1 was not integrated" in caplog.text
    assert sorted(found.reflections.identifiers) == [0, 1, 2]
    assert set(found.reflections["id"]) == {0, 1, 2}


def test_given_widths_serve_without_spots_and_replace_those_of_a_model(shots):
    given = options("sigma_b=0.2", "n_sigma=4", "create_profile_model=False")
    models = ExperimentList([replace(e, profile=None) for e in shots.experiments])
    first = integrate_stills(models, None, given)
    assert first.experiments[0].profile["sigma_b"] == pytest.approx(0.2)
    assert first.experiments[0].profile["n_sigma"] == 4.0
    kept = integrate_stills(first.experiments, None, options())
    assert kept.experiments[0].profile == first.experiments[0].profile
    changed = integrate_stills(first.experiments, None, options("sigma_b=0.1"))
    assert changed.experiments[0].profile["sigma_b"] == pytest.approx(0.1)


def test_an_own_profile_model_serves_without_spots(shots):
    for words in ((), (ELLIPSOID,)):
        first = shots.integrate(*words, which=slice(0, 1))
        again = integrate_stills(first.experiments, None, options(*words))
        np.testing.assert_array_equal(first.reflections["intensity.sum.value"],
                                      again.reflections["intensity.sum.value"])
        with pytest.raises(XdpError, match="no profile model"):
            integrate_stills(ExperimentList(list(shots.experiments)[:1]), None, options(*words))


def test_a_model_is_kept_where_none_is_to_be_made(shots):
    first = shots.integrate(ELLIPSOID, which=slice(0, 1))
    spots = shots.reference.select(shots.reference["id"] == 0)
    again = integrate_stills(first.experiments, spots, options(ELLIPSOID, "create_profile_model=False"))
    assert again.experiments[0].profile == first.experiments[0].profile
    np.testing.assert_array_equal(first.reflections["intensity.sum.value"], again.reflections["intensity.sum.value"])
    assert again.reflections.flags(Flag.REFERENCE_SPOT).any()


def test_tasks_travel_to_workers(shots):
    import pickle

    from xdp.integration.stills import integrate_stills as stills

    work = stills._build_work(shots.experiments, shots.reference, options(), None)
    here = stills.integrate_bag(work, 0, 2)
    there = stills.integrate_bag(pickle.loads(pickle.dumps(work)), 0, 2)
    for a, b in zip(here, there, strict=True):
        np.testing.assert_array_equal(a.table["intensity.sum.value"], b.table["intensity.sum.value"])


def test_an_image_that_cannot_be_read_is_left_out_and_said_so(shots, tmp_path, caplog):
    damaged = tmp_path / "damaged.npy"
    damaged.write_bytes((shots.folder / "shots.npy").read_bytes()[:5000])
    imageset = ImageSet("ImageSet", images=(str(damaged),), single_file_indices=(0,))
    experiments = ExperimentList([*shots.experiments[:3], replace(shots.experiments[3], imageset=imageset)])
    found = integrate_stills(experiments, shots.reference, options())
    assert [number for number, _ in found.failures] == [3]
    assert len(found.experiments) == 3
    assert "damaged.npy" in caplog.text


def test_excluding_the_only_image_is_refused(shots):
    with pytest.raises(OptionError, match="exclude_images leaves no image"):
        shots.integrate("exclude_images=0")


@pytest.mark.parametrize("words", [(), (ELLIPSOID,)])
def test_what_was_integrated_can_be_integrated_again(shots, words):
    first = integrate(shots.experiments, shots.reference, options(*words))
    again = integrate(first.experiments, first.reflections, options(*words))
    np.testing.assert_array_equal(again.reflections["miller_index"], first.reflections["miller_index"])
    np.testing.assert_array_equal(again.reflections["intensity.sum.value"], first.reflections["intensity.sum.value"])


def first_shot(shots, *words):
    return shots.integrate(ELLIPSOID, *words, which=slice(0, 1))


@pytest.mark.parametrize("name", ["simple1", "simple6", "angular2", "angular4"])
def test_each_mosaicity_model_is_refined_and_written(shots, name):
    profile = first_shot(shots, f"ellipsoid.rlp_mosaicity.model={name}").experiments[0].profile
    assert profile["parameterisation"] == name
    assert np.linalg.eigvalsh(profile["sigma"])[0] > 0.0


def test_cell_and_orientation_are_refined_unless_fixed(shots):
    old = shots.experiments[0].crystal
    free = first_shot(shots).experiments[0].crystal
    cell = first_shot(shots, "ellipsoid.unit_cell.fixed=True").experiments[0].crystal
    turn = first_shot(shots, "ellipsoid.orientation.fixed=True").experiments[0].crystal
    none = first_shot(shots, "ellipsoid.unit_cell.fixed=True", "ellipsoid.orientation.fixed=True").experiments[0]
    assert none.crystal == old
    np.testing.assert_allclose(cell.unit_cell, old.unit_cell, rtol=1e-9)
    assert np.abs(cell.U - old.U).max() > 1e-6
    np.testing.assert_allclose(turn.U, old.U, atol=1e-12)
    assert np.abs(np.array(turn.unit_cell) - old.unit_cell).max() > 1e-4
    assert np.abs(np.array(free.unit_cell) - old.unit_cell).max() < 0.1  # the truth was the start


def test_bad_indices_are_corrected_or_refused(shots):
    spots = shots.reference.select(shots.reference["id"] == 0)
    spots["miller_index"][3] += 1
    one = ExperimentList(list(shots.experiments)[:1])
    good = integrate_stills(one, spots, options(ELLIPSOID))
    same = first_shot(shots)
    assert good.experiments[0].profile == same.experiments[0].profile
    with pytest.raises(XdpError, match="fail_on_bad_index"):
        integrate_stills(one, spots, options(ELLIPSOID, "indexing.fail_on_bad_index=True"))


@pytest.mark.parametrize("word", ["refinement.max_separation=0.15", "outlier_probability=0.3", "n_cycles=1",
                                  "n_macro_cycles=2"])
def test_parameters_of_refinement_change_the_model(shots, word):
    assert first_shot(shots, word).experiments[0].profile != first_shot(shots).experiments[0].profile


def test_too_few_spots_are_refused_by_number(shots):
    with pytest.raises(XdpError, match="min_n_reflections"):
        first_shot(shots, "min_n_reflections=5000")


def test_prediction_parameters_of_the_ellipsoid(shots):
    usual = first_shot(shots).reflections
    assert len(first_shot(shots, "ellipsoid.prediction.probability=0.3").reflections) < len(usual)
    coarse = first_shot(shots, "ellipsoid.prediction.d_min=4").reflections
    assert coarse["d"].min() >= 4.0 > usual["d"].min()
    np.testing.assert_array_equal(coarse["d"], first_shot(shots, "prediction.d_min=4").reflections["d"])


def test_columns_of_stills_in_the_whole_flow(shots):
    found = integrate(ExperimentList(list(shots.experiments)[:1]), shots.reference.select(shots.reference["id"] == 0))
    for name in ("lp", "d", "delpsical.rad", "partiality", "bbox", "xyzobs.mm.value", "intensity.sum.value"):
        assert name in found.reflections
    assert "shares" not in found.reflections
    assert found.reflections.flags(Flag.REFERENCE_SPOT).sum() > 50
    assert np.all(found.reflections["bbox"][:, 4:] == [0, 1])


def test_stills_and_rotation_are_told_apart(shots, series):
    assert are_stills(shots.experiments, options())
    assert not are_stills(series.experiments, options())
    with pytest.raises(OptionError, match="ellipsoid"):
        are_stills(series.experiments, options(ELLIPSOID))
    with pytest.raises(OptionError, match="scan_range"):
        are_stills(shots.experiments, options("scan_range=1,2"))


PARTIALITY = "integration.partiality.enable=True"


@pytest.mark.parametrize("words", [(), (ELLIPSOID,)])
def test_fitted_partialities_bring_intensities_nearer_to_the_full_ones(shots, words):
    found = shots.integrate(PARTIALITY, *words)
    plain = shots.integrate(*words)
    assert len(found.experiments) == 4
    correlations = []
    for result in (found, plain):
        ours, true = against_truth(result, shots)
        table = result.reflections
        some = shots.truth["partiality"][true] > 0.2
        full = table["intensity.sum.value"][ours] / table["partiality"][ours]
        # these shots have no domains: what is recorded on the sphere is the same at all resolutions, not less by 1 / q
        height = table["d"][ours] if result is found else np.ones(len(ours))
        correlations.append(np.corrcoef((full * height)[some], shots.truth["photons"][true][some])[0, 1])
    assert correlations[0] > correlations[1]
    # bright neighbours share pixels in the ellipsoid's sums
    assert correlations[0] > 0.9
    assert np.all(found.reflections["partiality.variance"] >= 0.0)
    assert all("partiality" in e.crystal.extra for e in found.experiments)


@pytest.mark.parametrize(("words", "name"), [
    (("integration.partiality.bandwidth=0.003",), "partiality"),
    (("integration.partiality.prediction_sigmas=2",), "partiality"),
    (("integration.partiality.prediction_cycles=1",), "partiality"),
    (("integration.partiality.refine_orientation=False",), "partiality"),
    (("integration.partiality.refine_cell=False",), "partiality")])
def test_each_parameter_of_partialities_has_an_effect(shots, words, name):
    plain, other = (shots.integrate(PARTIALITY, *w, which=slice(0, 1)).reflections for w in ((), words))
    assert len(plain) != len(other) or not np.array_equal(plain[name], other[name])


def test_shoeboxes_are_not_kept_with_partialities(shots):
    with pytest.raises(OptionError, match="switch one of the two off"):
        shots.integrate(PARTIALITY, "integration.debug.output=True")


def test_partialities_without_spots_use_the_models_that_are_there(shots):
    found = shots.integrate(PARTIALITY)
    again = integrate_stills(found.experiments, None, options(PARTIALITY))
    assert len(again.experiments) == 4
    first, second = ({(i, *h): p for i, h, p in zip(r["id"].tolist(), r["miller_index"].tolist(),
                                                    r["partiality"].tolist(), strict=True)}
                     for r in (found.reflections, again.reflections))
    common = sorted(set(first) & set(second))
    assert len(common) > 0.9 * len(first)
    assert np.corrcoef([first[k] for k in common], [second[k] for k in common])[0, 1] > 0.95
