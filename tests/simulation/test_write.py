from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from xdp.errors import XdpError
from xdp.experiment import Detector, ExperimentList, read_experiments
from xdp.images.formats.find import find_format
from xdp.simulation.write import write_minicbf_series, write_npy_series


def test_mini_cbf_holds_counts_and_models(series, tmp_path):
    paths = write_minicbf_series(series, tmp_path)
    assert [path.name for path in paths[:2]] == ["simulated_0001.cbf", "simulated_0002.cbf"]
    opened = find_format(paths[4])
    np.testing.assert_array_equal(opened.raw()[0], series.draw_frame(4)[0])
    models, truth = opened.models(), series.experiments[0]
    assert models.beam == truth.beam
    assert models.scan.oscillation == (2.0, 0.5)
    np.testing.assert_allclose(models.goniometer.rotation_axis_lab, truth.goniometer.rotation_axis_lab)
    # The header has the beam centre to 1e-3 px.
    np.testing.assert_allclose(models.detector.d_matrix(0), truth.detector.d_matrix(0), atol=1e-4)
    for name in ("image_size", "trusted_range", "thickness", "material", "px_mm_strategy", "type"):
        assert getattr(models.detector[0], name) == getattr(truth.detector[0], name), name
    assert models.detector[0].mu == pytest.approx(truth.detector[0].mu)


def test_a_geometry_that_no_header_states_is_refused(series, tmp_path):
    truth = series.experiments[0]
    tilted = dataclasses.replace(truth.detector[0], fast_axis=(0.96, 0.0, 0.28))
    odd = dataclasses.replace(truth, detector=Detector((tilted,)))
    with pytest.raises(XdpError, match="write_npy_series"):
        write_minicbf_series(dataclasses.replace(series, experiments=ExperimentList([odd])), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_npy_holds_counts_and_models_without_the_crystal(series, tmp_path):
    path = write_npy_series(series, tmp_path)
    (experiment,) = read_experiments(path)
    assert experiment.crystal is None
    assert experiment.detector.panel_shapes == [(260, 300)]
    np.testing.assert_array_equal(np.load(experiment.imageset.template)[3], series.draw_frame(3)[0])
