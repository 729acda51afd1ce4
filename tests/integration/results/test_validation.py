"""Groups of reference spots, and how well profiles fit spots that did not make them."""

from __future__ import annotations

import numpy as np
import pytest
from integration_data import run

from xdp.integration.options import ValidationOptions
from xdp.integration.results.validation import draw_partitions
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable


def table(n_reference: int, n_other: int) -> ReflectionTable:
    flags = np.zeros(n_reference + n_other, np.uint64)
    flags[:n_reference] = np.uint64(Flag.REFERENCE_SPOT)
    return ReflectionTable({"flags": np.random.default_rng(0).permutation(flags)})


@pytest.mark.parametrize(("wanted", "least", "n"), [(1, 100, None), (4, 100, 4), (4, 200, 2), (4, 400, None),
                                                    (None, 100, None), (3, None, 3)])
def test_there_are_as_many_groups_as_asked_for_unless_they_would_be_small(wanted, least, n):
    spots = table(450, 50)
    found = draw_partitions(spots, ValidationOptions(number_of_partitions=wanted, min_partition_size=least))
    if n is None:
        assert found is None
        return
    counts = np.bincount(found[spots.flags(Flag.REFERENCE_SPOT)], minlength=n)
    assert len(counts) == n
    assert counts.max() - counts.min() <= 1
    assert not found[~spots.flags(Flag.REFERENCE_SPOT)].any()
    assert np.array_equal(found, draw_partitions(spots, ValidationOptions(number_of_partitions=wanted,
                                                                          min_partition_size=least)))


@pytest.mark.kernels
def test_held_out_spots_are_reported(series):
    words = ["integration.profile.validation.number_of_partitions=2",
             "integration.profile.validation.min_partition_size=10"]
    plain, told = run(series), run(series, *words)
    assert "profile validation" not in plain.report.text()
    lines = told.report.text().split("profile validation")[1].splitlines()
    rows = [[cell.strip() for cell in line.strip(" |").split("|")] for line in lines if line.count("|") == 5]
    values = [row for row in rows if row[0] == "0"]
    assert [row[1] for row in values] == ["0", "1"]
    for row in values:
        assert int(row[2]) > 10
        assert 0.5 < float(row[3]) <= 1.0
    # intensities do not hang on whether profiles are validated
    assert np.array_equal(plain.reflections["intensity.prf.value"], told.reflections["intensity.prf.value"])
