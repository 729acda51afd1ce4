from __future__ import annotations

import dataclasses
import zlib

import numpy as np
import pytest

from xdp.experiment import Detector, Goniometer
from xdp.prediction.reflections import predict_rotation
from xdp.simulation import (
    SimulationOptions,
    make_beam,
    make_crystal,
    make_detector,
    make_goniometer,
    make_scan,
    simulate_rotation,
)
from xdp.simulation.background import expect_background


def test_photons_on_the_images_are_those_of_the_truth(series, quiet):
    experiment = series.experiments[0]
    floor = expect_background(experiment.detector, experiment.beam, 0, quiet.background).sum()
    drawn = sum(series.expected(frame)[0].sum() - floor for frame in range(series.n_frames))
    # Fractions below 1e-6 of a reflection are not drawn; pixels are float32.
    assert drawn == pytest.approx(series.truth["intensity.sum.value"].sum(), rel=1e-5)


def test_a_reflection_lies_where_and_when_predicted(series, quiet):
    experiment, truth = series.experiments[0], series.truth
    x, y, z = truth["xyzcal.px"].T
    apart = _isolated(truth["xyzcal.px"])
    inside = apart & (z > 3) & (z < 7) & (x > 12) & (x < 288) & (y > 12) & (y < 248) & (np.abs(truth["zeta"]) > 0.5)
    row = np.flatnonzero(inside)[np.argmax(truth["photons"][inside])]
    floor = expect_background(experiment.detector, experiment.beam, 0, quiet.background)
    cut = np.s_[int(y[row]) - 6 : int(y[row]) + 7, int(x[row]) - 6 : int(x[row]) + 7]
    first = int(z[row]) - 2
    shoebox = np.stack([(series.expected(frame)[0] - floor)[cut] for frame in range(first, first + 5)])
    frames, slow, fast = np.indices(shoebox.shape) + 0.5
    total = shoebox.sum()
    found = [(shoebox * fast).sum() / total + cut[1].start, (shoebox * slow).sum() / total + cut[0].start,
             (shoebox * frames).sum() / total + first]
    np.testing.assert_allclose(found, truth["xyzcal.px"][row], atol=0.05)
    assert total == pytest.approx(truth["photons"][row], rel=0.01)


def _isolated(xyz: np.ndarray) -> np.ndarray:
    """Reflections without a neighbour within 16 px and 4 frames."""
    near = (np.abs(xyz[:, None] - xyz[None]) < [16, 16, 4]).all(axis=2)
    return near.sum(axis=1) == 1


def test_the_truth_holds_all_predictions_of_the_scan(series, quiet):
    predicted = predict_rotation(series.experiments[0], quiet.d_min)
    inside, truth = (set(map(tuple, np.column_stack([table["miller_index"], table["entering"]]).tolist()))
                     for table in (predicted, series.truth))
    # Those beside the axis are left out of the truth.
    assert len(inside - truth) < 0.05 * len(inside)
    full = series.truth["partiality"] > 0.999
    assert full.sum() > 100


def test_partial_reflections_at_the_ends(series):
    z = series.truth["xyzcal.px"][:, 2]
    beyond = (z < 0) | (z > series.n_frames)
    assert beyond.any()
    assert series.truth["partiality"][beyond].max() < 0.5 + 1e-9


def test_the_seed_changes_noise_alone(quiet):
    models = (make_crystal(), make_beam(), make_detector((100, 90)), make_goniometer(), make_scan(2))
    one, two = (simulate_rotation(*models, options=quiet, seed=seed) for seed in (1, 2))
    assert one.truth == two.truth
    np.testing.assert_array_equal(one.expected(0)[0], two.expected(0)[0])
    assert not np.array_equal(one.draw_frame(0)[0], two.draw_frame(0)[0])
    again = simulate_rotation(*models, options=quiet, seed=1)
    np.testing.assert_array_equal(one.draw_frame(1)[0], again.draw_frame(1)[0])


def test_several_panels_and_a_turned_goniometer(quiet):
    panel = make_detector((120, 100), distance=80.0, gaps=False)[0]
    left = dataclasses.replace(panel, origin=(-25.0, 8.6, -80.0))
    right = dataclasses.replace(panel, origin=(3.0, 8.6, -78.0), fast_axis=(0.96, 0.0, 0.28))
    goniometer = Goniometer.multi_axis([(1, 0, 0), (0.6, 0.8, 0), (1, 0, 0)], [30.0, 20.0, 0.0],
                                       ["phi", "kappa", "omega"], 2)
    simulation = simulate_rotation(make_crystal(), make_beam(), Detector((left, right)), goniometer, make_scan(3),
                                   options=quiet)
    assert set(np.unique(simulation.truth["panel"])) == {0, 1}
    assert simulation.stack().shape == (3, 2, 100, 120)
    for index in (0, 1):
        rows = simulation.truth["panel"] == index
        strongest = np.flatnonzero(rows)[np.argmax(simulation.truth["intensity.sum.value"][rows])]
        x, y, z = simulation.truth["xyzcal.px"][strongest]
        image = simulation.expected(int(np.clip(z, 0, 2)))[index]
        assert image[int(np.clip(y, 0, 99)), int(np.clip(x, 0, 119))] > 5 * np.median(image)


def test_no_reflections_leave_the_background(quiet):
    options = quiet.model_copy(update={"d_min": 100.0})
    models = (make_crystal(), make_beam(), make_detector((60, 50)), make_goniometer(), make_scan(2))
    simulation = simulate_rotation(*models, options=options)
    assert len(simulation.truth) == 0
    assert simulation.draw_frame(1)[0].shape == (50, 60)


#: All that real crystals and beams add.
REAL = {"eta_axes": (0.1, 0.3, 0.2), "point_size": 3e-4, "bandwidth": 2e-3, "divergence": 0.03, "scale_wave": 0.2,
        "scale_jitter": 0.05, "slip": (0.0, 0.2, 0.3), "slip_frame": 4}


def test_plain_images_stay_as_they_were():
    simulation = simulate_rotation(make_crystal(orientation=2), make_beam(), make_detector((120, 100), distance=60.0),
                                   make_goniometer(), make_scan(4), options=SimulationOptions(d_min=2.5), seed=5)
    # Checksums of the version before mosaic rotations. Rounded to 1e-4 counts, since libraries may differ in the last
    # digits; the Poisson counts follow from these, so far as NumPy keeps its generator.
    expected = np.stack([simulation.expected(frame)[0] for frame in range(4)])
    assert zlib.crc32(np.rint(expected * 1e4).astype(np.int64).tobytes()) == 3959606126
    assert zlib.crc32(simulation.stack().tobytes()) == 2106258285


@pytest.mark.parametrize("change", [{"eta": 0.3}, {"scale_wave": 0.3, "scale_jitter": 0.1}, REAL])
def test_photons_of_real_crystals_are_those_of_the_truth(change, quiet):
    options = quiet.model_copy(update=change)
    simulation = simulate_rotation(make_crystal(), make_beam(), make_detector((300, 260), distance=70.0),
                                   make_goniometer(), make_scan(10), options=options, seed=5)
    beam = simulation.experiments[0].beam
    floor = expect_background(simulation.experiments[0].detector, beam, 0, quiet.background).sum()
    bare = simulate_rotation(make_crystal(), make_beam(), make_detector((300, 260), distance=70.0), make_goniometer(),
                             make_scan(10), options=options.model_copy(update={"photons": 0.0}), seed=5)
    drawn = sum(simulation.expected(k)[0].sum() - bare.expected(k)[0].sum() for k in range(10))
    assert floor > 0
    # tails beyond four standard deviations are cut from each slice, spots at the edges move across them
    assert drawn == pytest.approx(simulation.truth["intensity.sum.value"].sum(), rel=2e-3)
    jitter = np.array([bare.expected(k)[0].sum() / floor for k in range(10)])
    assert (jitter.std() > 0.01) == bool(options.scale_jitter)


def test_two_crystals_lie_in_the_beam_together(quiet):
    one, two = make_crystal(orientation=1), make_crystal(orientation=2)
    rest = (make_beam(), make_detector((150, 130), distance=70.0), make_goniometer(), make_scan(4))
    both = simulate_rotation([one, two], *rest, options=quiet)
    alone = [simulate_rotation(crystal, *rest, options=quiet) for crystal in (one, two)]
    assert len(both.experiments) == 2
    assert [e.crystal for e in both.experiments] == [one, two]
    assert np.bincount(both.truth["id"]).tolist() == [len(single.truth) for single in alone]
    floor = expect_background(rest[1], rest[0], 0, quiet.background)
    np.testing.assert_allclose(both.expected(2)[0] - floor,
                               sum(single.expected(2)[0] - floor for single in alone), atol=1e-6)


def test_a_slip_moves_the_reflections_after_it(quiet):
    rest = (make_beam(), make_detector((150, 130), distance=70.0), make_goniometer(), make_scan(6))
    options = quiet.model_copy(update={"slip": (0.0, 0.0, 1.0), "slip_frame": 2})
    slipped, still = (simulate_rotation(make_crystal(orientation=1), *rest, options=o) for o in (options, quiet))
    for frame, alike in [(0, True), (1, True), (2, False), (5, False)]:
        # tails below 1e-5 of a reflection are not drawn: a hundredth of a count
        assert np.allclose(slipped.expected(frame)[0], still.expected(frame)[0], atol=0.02) == alike
    # each row says what is recorded on its side of the slip
    assert slipped.truth["partiality"].max() <= 1.0 + 1e-12


def test_images_without_reflections_may_be_wide(quiet):
    options = quiet.model_copy(update={"d_min": 100.0, "eta": 0.2})
    models = (make_crystal(), make_beam(), make_detector((60, 50)), make_goniometer(), make_scan(2))
    assert simulate_rotation(*models, options=options).draw_frame(1)[0].shape == (50, 60)
