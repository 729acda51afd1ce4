from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from xdp.experiment import Crystal, Experiment, Goniometer, Scan
from xdp.prediction._kernels_crossings import find_crossings
from xdp.prediction.indices import list_lattice_indices
from xdp.prediction.rays import make_rotation_matrices
from xdp.prediction.reflections import predict_rotation
from xdp.prediction.scan_varying import (
    _bound_change,
    has_varying_models,
    make_frame_models,
    pad_frames,
    predict_scan_varying,
)
from xdp.reflections.table import ReflectionTable
from xdp.simulation import make_beam, make_crystal, make_detector, make_goniometer, make_scan

pytestmark = pytest.mark.kernels
TURNED = Goniometer.multi_axis([(1, 0, 0), (0.6, 0.8, 0), (0.1, 0.9, 0.2)], [30.0, 20.0, 10.0],
                               ["phi", "kappa", "omega"], 1)
N_FRAMES = 12


@pytest.fixture(scope="module")
def still_models() -> Experiment:
    """An experiment whose models do not change."""
    return Experiment("x", make_beam(), make_detector((300, 260), distance=70.0), make_goniometer(),
                      make_scan(N_FRAMES, 0.5), make_crystal((40.0, 45.0, 50.0, 85, 95, 100), " P 1"))


def drifting(crystal: Crystal, turn: float, stretch: float) -> Crystal:
    """The crystal turning about (1, 2, 3) by `turn` degrees and growing by a share `stretch` over the scan."""
    share = np.linspace(-0.5, 0.5, N_FRAMES + 1)
    turns = make_rotation_matrices((1, 2, 3), np.deg2rad(turn) * share)
    points = turns @ crystal.A / (1.0 + stretch * share)[:, None, None]
    return dataclasses.replace(crystal, A_at_scan_points=tuple(map(tuple, points.reshape(-1, 9).tolist())))


def varying(experiment: Experiment, turn=1.0, stretch=0.004, beam_shift=0.0, goniometer=None) -> Experiment:
    """The experiment with drifting crystal, and beam where asked for."""
    beam = experiment.beam
    if beam_shift:
        path = beam.s0 + beam_shift * np.linspace(-1, 1, N_FRAMES + 1)[:, None] * np.array([0.6, 0.8, 0.1])
        beam = dataclasses.replace(beam, extra={"s0_at_scan_points": path.tolist()})
    return dataclasses.replace(experiment, crystal=drifting(experiment.crystal, turn, stretch), beam=beam,
                               goniometer=goniometer or experiment.goniometer)


def slow_crossings(hkl: np.ndarray, models) -> set[tuple[int, int]]:
    """Twin of the kernel: the sign of g at both ends of every frame."""
    ends = []
    for a, s0 in ((models.begin, models.beam_begin), (models.end, models.beam_end)):
        r = np.einsum("fij,nj->nfi", a, hkl)
        ends.append((2.0 * (r * s0).sum(axis=2) + np.square(r).sum(axis=2)) >= 0.0)
    return set(zip(*(v.tolist() for v in np.nonzero(ends[0] != ends[1])), strict=True))


@pytest.mark.parametrize(("turn", "stretch", "beam_shift", "padding"), [
    (0.0, 0.0, 0.0, 0.0), (1.0, 0.004, 0.0, 1.5), (20.0, 0.1, 0.0, 3.0), (1.0, 0.01, 0.02, 2.0)])
def test_no_crossing_is_skipped(still_models, turn, stretch, beam_shift, padding):
    experiment = varying(still_models, turn, stretch, beam_shift)
    hkl = list_lattice_indices(experiment.crystal, 4.0).astype(np.float64)
    models = make_frame_models(experiment, padding)
    rows, frames = np.empty((2, 10000), np.int64)
    n = find_crossings(hkl, models.begin, models.end, models.beam_begin, models.beam_end, _bound_change(models), rows,
                       frames)
    expected = slow_crossings(hkl, models)
    assert n == len(expected)
    assert set(zip(rows[:n].tolist(), frames[:n].tolist(), strict=True)) == expected


def test_more_crossings_than_room_are_counted(still_models):
    models = make_frame_models(still_models)
    hkl = list_lattice_indices(still_models.crystal, 6.0).astype(np.float64)
    rows, frames = np.full((2, 5), -1, np.int64)
    n = find_crossings(hkl, models.begin, models.end, models.beam_begin, models.beam_end, _bound_change(models), rows,
                       frames)
    assert n == len(slow_crossings(hkl, models)) > 5
    assert (rows >= 0).all()


def by_index(table: ReflectionTable) -> ReflectionTable:
    """The rows in order of index and side; those of nearly the same angle may change places else."""
    return table.select(np.lexsort((table["entering"], *table["miller_index"].T)))


def test_models_that_do_not_change_give_the_static_prediction(still_models):
    steady = varying(still_models, 0.0, 0.0)
    assert has_varying_models(steady)
    assert not has_varying_models(still_models)
    ours, static = (by_index(t) for t in (predict_scan_varying(steady, 3.0), predict_rotation(still_models, 3.0)))
    assert len(ours) > 100
    for name in ("miller_index", "panel", "entering"):
        np.testing.assert_array_equal(ours[name], static[name])
    # a chord stands for the arc over half a degree: it is off by its sagitta, (0.25 degrees)^2 / 2 of |r|
    np.testing.assert_allclose(ours["s1"], static["s1"], atol=1e-5)
    np.testing.assert_allclose(ours["d"], static["d"])


@pytest.mark.parametrize("goniometer", [make_goniometer(), TURNED], ids=["single", "kappa"])
def test_every_prediction_lies_on_the_line_and_on_the_sphere(still_models, goniometer):
    experiment = varying(still_models, goniometer=goniometer)
    table = predict_scan_varying(experiment, 3.0, padding=1.0)
    assert len(table) > 100
    z = table["xyzcal.px"][:, 2]
    assert z.min() < 0.0
    assert z.max() > N_FRAMES
    models = make_frame_models(experiment, 1.0)
    frame = np.floor(z).astype(int) - models.first
    fraction = (z - np.floor(z))[:, None]
    begin, end = (np.einsum("nij,nj->ni", a[frame], table["miller_index"]) for a in (models.begin, models.end))
    np.testing.assert_allclose(table["s1"] - experiment.beam.s0, begin + fraction * (end - begin), atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(table["s1"], axis=1), 1 / experiment.beam.wavelength, rtol=1e-13)
    outside = np.linalg.norm(experiment.beam.s0 + begin, axis=1) > 1 / experiment.beam.wavelength
    np.testing.assert_array_equal(table["entering"], outside)
    np.testing.assert_allclose(table["xyzcal.mm"][:, 2], np.deg2rad(z * 0.5), atol=1e-12)
    assert np.all(np.diff(table["xyzcal.mm"][:, 2]) >= 0.0)


def test_a_wandering_beam_moves_the_spots(still_models):
    steady, wandering = varying(still_models), varying(still_models, beam_shift=0.002)
    assert not np.any(np.isnan(predict_scan_varying(wandering, 3.0)["s1"]))
    a, b = (predict_scan_varying(e, 3.0) for e in (steady, wandering))
    shift = {}
    for name, table in (("a", a), ("b", b)):
        keys = map(tuple, np.column_stack([table["miller_index"], table["entering"]]).tolist())
        shift[name] = dict(zip(keys, table["s1"], strict=True))
    both = shift["a"].keys() & shift["b"].keys()
    assert len(both) > 0.9 * len(a)
    moved = np.array([shift["b"][k] - shift["a"][k] for k in both])
    assert 2e-4 < np.linalg.norm(moved, axis=1).mean() < 4e-3
    lengths = np.linalg.norm(b["s1"], axis=1)
    # s0 changes its length by 1e-4 to both sides
    np.testing.assert_allclose(lengths, 1 / steady.beam.wavelength, rtol=1e-3)


def test_margin_reaches_indices_that_only_a_growing_crystal_brings_within_the_limit(still_models):
    growing = varying(still_models, 0.0, 0.04)
    none, one = (predict_scan_varying(growing, 4.0, margin=margin) for margin in (0, 1))
    assert len(one) > len(none)
    assert none["d"].min() >= 4.0
    assert one["d"].min() < 4.0
    assert len(predict_scan_varying(growing, 4.0, margin=3)) == len(one)


def test_resolution_limits(still_models):
    experiment = varying(still_models)
    everything = predict_scan_varying(experiment, 3.0)
    coarse = everything["d"] > 8.0
    assert 0 < coarse.sum() < len(coarse)
    assert len(predict_scan_varying(experiment, 3.0, d_max=8.0)) == len(everything) - coarse.sum()
    at_corner = predict_scan_varying(experiment)
    assert at_corner["d"].min() < 2.6


@pytest.mark.parametrize(("scan", "padding", "expected"), [
    (Scan((1, 10), (0.0, 0.5)), 1.0, (-2, 12)), (Scan((1, 10), (0.0, 0.5)), 0.0, (0, 10)),
    (Scan((5, 8), (100.0, -0.7)), 1.0, (3, 9)), (Scan((1, 3), (0.0, 2.0)), 0.9, (0, 3))])
def test_padding_is_rounded_to_frames(still_models, scan, padding, expected):
    assert pad_frames(dataclasses.replace(still_models, scan=scan), padding) == expected


def test_points_of_another_number_of_frames_are_not_used(still_models):
    experiment = varying(still_models, 5.0)
    cut = dataclasses.replace(experiment, scan=make_scan(N_FRAMES - 1, 0.5))
    assert not has_varying_models(cut)
    np.testing.assert_allclose(make_frame_models(cut).begin[0], make_frame_models(still_models).begin[0], atol=1e-15)


def test_without_a_crystal_there_is_nothing_to_predict(still_models):
    with pytest.raises(ValueError, match="crystal"):
        predict_scan_varying(dataclasses.replace(still_models, crystal=None), 3.0)
