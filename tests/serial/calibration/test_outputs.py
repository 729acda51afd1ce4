"""Names and forms of averages."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.errors import XdpError
from xdp.images.formats.find import find_format
from xdp.serial.calibration import AverageOptions, average_events
from xdp.serial.calibration.outputs import list_average_files, write_averages
from xdp.serial.events import open_events


def test_names():
    options = AverageOptions(experiment="CXI1", run=7, outputdir="out", minimum=True)
    assert list_average_files(options, ["a.cxi"]) == {
        "mean": "out/cxi1_avg-r0007.h5", "stddev": "out/cxi1_stddev-r0007.h5", "maximum": "out/cxi1_max-r0007.h5",
        "minimum": "out/cxi1_min-r0007.h5"}
    assert list_average_files(AverageOptions(), ["/data/run{1}.cxi"])["mean"] == "./run{1}_avg.h5"
    assert list_average_files(AverageOptions(averagebase="x{run:03d}", as_pickle=True))["mean"] == "./x-01.pickle"


def test_mini_cbf_of_one_panel(shared_data, tmp_path):
    options = AverageOptions(outputdir=str(tmp_path), format="cbf", numevents=4)
    averages = average_events(open_events(shared_data / "stills_dev/stills_dev.h5"), options)
    files = write_averages(averages, options, ["stills_dev.h5"])
    opened = find_format(files["mean"])
    assert np.array_equal(opened.raw(0)[0], np.rint(averages.mean[0]))
    assert opened.models(0).detector[0].distance == pytest.approx(80.0)


def test_a_mini_cbf_holds_one_panel(shared_data, tmp_path):
    options = AverageOptions(outputdir=str(tmp_path), format="cbf")
    averages = average_events(open_events(shared_data / "thermolysin_cspad"), options)
    with pytest.raises(XdpError, match="one panel, the shots have 64"):
        write_averages(averages, options)
    assert averages.wavelength == pytest.approx(1.2726, abs=1e-3)
