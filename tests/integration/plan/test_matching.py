"""Predictions paired with reference spots."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.errors import XdpError
from xdp.integration.plan.matching import mark_reference, match, select_reference
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable


def table(rows, flags=Flag.PREDICTED):
    """Reflections of (h, entering, x, y, z)."""
    n = len(rows)
    return ReflectionTable({
        "miller_index": np.array([[r[0], 0, 1] for r in rows], np.int32).reshape(n, 3),
        "entering": np.array([r[1] for r in rows], bool), "id": np.zeros(n, np.int32), "panel": np.zeros(n, np.uint64),
        "xyzcal.px": np.array([r[2:] for r in rows], float).reshape(n, 3),
        "flags": np.full(n, int(flags), np.uint64)})


def slow_match(predicted, observed):
    """Each prediction takes its nearest spot of the same key; a spot keeps the nearest of those that took it."""
    taken = {}
    for i in range(len(predicted)):
        options = [(np.linalg.norm(predicted["xyzcal.px"][i] - observed["xyzcal.px"][j]), j)
                   for j in range(len(observed))
                   if all(np.array_equal(predicted[k][i], observed[k][j]) for k in ("miller_index", "entering", "id",
                                                                                     "panel"))]
        if options:
            distance, j = min(options)
            if j not in taken or distance < taken[j][0]:
                taken[j] = (distance, i)
    return sorted((i, j) for j, (_, i) in taken.items())


def test_matches_are_those_of_the_slow_twin():
    generator = np.random.default_rng(0)

    def some(n):
        return table(np.column_stack([generator.integers(-2, 3, n), generator.integers(0, 2, n),
                                      generator.random((n, 3)) * 4]).tolist())

    predicted, observed = some(60), some(40)
    found = match(predicted, observed)
    assert list(zip(found.predicted.tolist(), found.observed.tolist(), strict=True)) == slow_match(predicted, observed)
    distance = np.linalg.norm(predicted["xyzcal.px"][found.predicted] - observed["xyzcal.px"][found.observed], axis=1)
    assert np.array_equal(found.is_close, distance < 2.0)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_experiments_are_matched_each_for_itself(n_threads):
    generator = np.random.default_rng(5)

    def some(n, ids):
        one = table(np.column_stack([generator.integers(-2, 3, n), generator.integers(0, 2, n),
                                     generator.random((n, 3)) * 4]).tolist(), Flag.STRONG)
        one["id"] = ids.astype(np.int32)
        return one

    predicted = some(90, np.sort(generator.choice([0, 1, 3], 90)))  # the experiment 2 has none, the last no spots
    observed = some(60, generator.integers(0, 3, 60))  # in no order
    pairs = match(predicted, observed)
    flags = predicted["flags"].copy()
    flags[pairs.predicted[pairs.is_close]] |= np.uint64(Flag.REFERENCE_SPOT)
    reference, is_unmatched = mark_reference(predicted, observed, n_threads)
    assert np.array_equal(predicted["flags"] & np.uint64(Flag.REFERENCE_SPOT), flags & np.uint64(Flag.REFERENCE_SPOT))
    assert np.array_equal(np.flatnonzero(~is_unmatched), np.sort(pairs.observed[pairs.is_close]))
    assert np.array_equal(reference["xyzcal.px"], predicted["xyzcal.px"][pairs.predicted[pairs.is_close]])


def test_no_prediction_matches_nothing():
    with pytest.raises(XdpError, match="no reference spot was matched"):
        mark_reference(table([(1, 0, 5, 5, 5)]).select(np.zeros(0, int)), table([(1, 0, 5, 5, 5)], Flag.STRONG))


def test_flags_travel_with_matches():
    predicted = table([(1, 0, 5, 5, 5), (2, 0, 5, 5, 5), (3, 0, 5, 5, 5)])
    observed = table([(1, 0, 5, 6, 5), (2, 0, 5, 5, 9), (4, 0, 5, 5, 5)], Flag.STRONG | Flag.INDEXED)
    observed["weight"] = np.array([1.0, 2.0, 3.0])
    reference, is_unmatched = mark_reference(predicted, observed)
    assert [Flag(int(f)) for f in predicted["flags"]] == [
        Flag.PREDICTED | Flag.STRONG | Flag.INDEXED | Flag.REFERENCE_SPOT, Flag.PREDICTED | Flag.STRONG | Flag.INDEXED,
        Flag.PREDICTED]
    assert is_unmatched.tolist() == [False, True, True]
    assert reference["weight"].tolist() == [1.0]
    assert reference["xyzcal.px"].tolist() == [[5, 5, 5]]


@pytest.mark.parametrize("name", ["miller_index", "flags", "id", "xyzcal.px"])
def test_a_missing_column_is_named(name):
    observed = table([(1, 0, 5, 5, 5)], Flag.STRONG | Flag.INDEXED)
    del observed[name]
    with pytest.raises(XdpError, match=f"no {name}: .* refined.refl"):
        mark_reference(table([(1, 0, 5, 5, 5)]), select_reference(observed)[0])


def test_no_match_is_an_error():
    with pytest.raises(XdpError, match="belong together"):
        mark_reference(table([(1, 0, 5, 5, 5)]), table([(2, 0, 5, 5, 5)]))


def test_unusable_spots_are_set_apart():
    spots = table([(1, 0, 5, 5, 5), (2, 0, 5, 5, 5), (3, 0, 5, 5, 5), (0, 0, 5, 5, 5)], Flag.INDEXED)
    spots["flags"] = spots["flags"] & np.array([~0, 0, ~0, ~0], np.int64).astype(np.uint64)
    spots["flags"][2] |= np.uint64(Flag.CENTROID_OUTLIER)
    spots["miller_index"][3] = 0
    good, bad = select_reference(spots)
    assert good["miller_index"][:, 0].tolist() == [1]
    assert bad["miller_index"][:, 0].tolist() == [2, 3, 0]
    with pytest.raises(XdpError, match="no indexed spots"):
        select_reference(bad)
    good["id"] = np.array([-1], np.int32)
    with pytest.raises(XdpError, match="invalid experiment id"):
        select_reference(good)
