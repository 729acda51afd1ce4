"""Parameters that have no effect on a kind of data are named, and have none."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from integration_data import options, run
from parameter_tables import reference_rows
from stills_data import make_shots

from xdp.integration.integrate import integrate
from xdp.integration.plan.unused import _NOT_FOR_ROTATION, _NOT_FOR_STILLS, find_unused_parameters
from xdp.reflections.flags import Flag

pytestmark = pytest.mark.kernels

#: A value other than the default of each parameter that the tables cover.
STILLS = ["sampling.reflections_per_degree=3", "integration.block.size=2", "integration.block.units=frames",
          "integration.block.threshold=0.5", "integration.block.force=True", "integration.block.max_memory_usage=1e-9",
          "integration.debug.reference.filename=p.refl", "integration.debug.reference.output=True",
          "integration.profile.fitting=False", "integration.profile.valid_foreground_threshold=1",
          "integration.profile.validation.number_of_partitions=3",
          "integration.profile.validation.min_partition_size=5", "integration.filter.min_zeta=0.9",
          "integration.mp.multiprocessing.n_subset_split=3", "integration.hot_pixels.mask=False",
          "integration.hot_pixels.min_ratio=2", "integration.hot_pixels.min_sigma=2",
          "integration.hot_pixels.min_fraction=0.1", "integration.hot_pixels.min_widths=1",
          "integration.hot_pixels.dead_probability=0.5",
          "profile.gaussian_rs.scan_varying=True", "profile.gaussian_rs.min_spots.per_degree=1",
          "profile.gaussian_rs.sigma_m_algorithm=basic", "profile.gaussian_rs.filter.min_zeta=0.9",
          "profile.gaussian_rs.fitting.scan_step=1", "profile.gaussian_rs.fitting.grid_size=3",
          "profile.gaussian_rs.fitting.threshold=0.1", "profile.gaussian_rs.fitting.grid_method=single",
          "profile.gaussian_rs.fitting.fit_method=detector_space",
          "profile.gaussian_rs.fitting.detector_space.deconvolution=True",
          "prediction.margin=3", "prediction.force_static=True", "prediction.padding=5"]
ROTATION = ["integration.summation.detector_gain=4", "profile.ellipsoid.prediction.d_min=3",
            "profile.ellipsoid.rlp_mosaicity.model=simple6", "profile.ellipsoid.unit_cell.fixed=True"]


def names(words):
    return sorted(word.split("=")[0] for word in words)


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if "no effect" in record.getMessage()]


def test_all_that_the_table_of_stills_covers_is_tried():
    rows = [row["parameter"] for row in reference_rows("integrate")]
    covered = [name for name in rows for path in _NOT_FOR_STILLS if name == path or name.startswith(f"{path}.")]
    assert set(covered) <= set(names(STILLS))
    assert all(any(name == p or name.startswith(f"{p}.") for p in _NOT_FOR_STILLS) for name in names(STILLS))
    assert all(any(name == p or name.startswith(f"{p}.") for p in _NOT_FOR_ROTATION) for name in names(ROTATION))


def test_stills_name_them_in_one_warning_and_stay_the_same(tmp_path, caplog):
    shots = make_shots(tmp_path, ((1,),), size=(200, 200))
    with caplog.at_level(logging.WARNING):
        plain = integrate(shots.experiments, shots.reference,
                          options("output_unintegrated_reflections=True")).reflections
        assert not warnings(caplog)
        found = integrate(shots.experiments, shots.reference,
                          options("output_unintegrated_reflections=True", *STILLS)).reflections
    [warning] = warnings(caplog)
    assert warning.startswith("For stills ")
    assert sorted(warning.split(": ")[1].split(", ")) == names(STILLS)
    assert len(plain) == len(found) > 100
    for name in plain:
        if name != "flags":
            assert np.array_equal(plain[name], found[name]), name
    # what is not given anyway may say that it is not to be given
    others = ~np.uint64(Flag.DONT_INTEGRATE)
    assert np.array_equal(plain["flags"] & others, found["flags"] & others)


def test_rotation_data_name_them_in_one_warning_and_stay_the_same(series, caplog):
    with caplog.at_level(logging.WARNING):
        plain = run(series, "profile.fitting=False").reflections
        assert not warnings(caplog)
        found = run(series, "profile.fitting=False", *ROTATION).reflections
    [warning] = warnings(caplog)
    assert warning.startswith("For rotation data ")
    assert sorted(warning.split(": ")[1].split(", ")) == names(ROTATION)
    assert found == plain


def test_parameters_that_have_an_effect_are_not_named():
    assert find_unused_parameters(options(), stills=True) == find_unused_parameters(options(), stills=False) == []
    some = options("prediction.d_min=3", "min_spots.overall=3", "detector_gain=2")
    assert find_unused_parameters(some, stills=True) == []
    assert find_unused_parameters(options(*STILLS), stills=False) == []
