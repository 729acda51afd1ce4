"""What would stop an integration half-way is refused before anything is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from integration_data import make_series, options

from xdp.errors import OptionError, XdpError
from xdp.integration.checks import check_inputs, check_output_names, count_shells
from xdp.integration.integrate import integrate_to_file
from xdp.integration.options import OutputOptions, SignificanceOptions

pytestmark = pytest.mark.kernels


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return make_series(tmp_path_factory.mktemp("small"), 6)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder that is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


BAD = [(("background.algorithm=gmodel",), "needs background.gmodel.model"),
       (("background.algorithm=gmodel", "gmodel.model=missing.pickle"), "missing.pickle: cannot be read"),
       (("background.algorithm=gmodel", "gmodel.model=nonsense.pickle"), "nonsense.pickle"),
       (("background.algorithm=gmodel", "gmodel.model=small.npy"), "its images are 3 x 4, the panels"),
       (("lookup.mask=missing.pickle",), "missing.pickle"),
       (("debug.output=True", "debug.select=colour"), "debug.select must be COLUMN"),
       (("debug.output=True", "debug.select=colour>1"), "no column of numbers 'colour'; there are background"),
       (("debug.output=True", "debug.select=s1>1"), "no column of numbers 's1'"),
       (("debug.output=True", "debug.during=modelling", "debug.select=intensity.prf.i_over_sigma>1"), "no column"),
       (("debug.output=True", "profile.fitting=False", "debug.select=intensity.prf.value>1"), "no column"),
       (("significance_filter.enable=True", "significance_filter.n_bins=-1"), "n_bins must be at least 1"),
       (("output.experiments=nowhere/x.expt",), "nowhere/x.expt: cannot write into nowhere"),
       (("output.report=tables.txt",), "must end in .json or .xml"),
       (("exclude_images=99",), "exclude_images=99")]


@pytest.mark.parametrize(("words", "message"), BAD, ids=[" ".join(words) for words, _ in BAD])
def test_a_refused_run_leaves_no_work_folder(small, place, words, message):
    (place / "nonsense.pickle").write_bytes(b"nonsense")
    np.save(place / "small.npy", np.ones((3, 4)))
    before = sorted(place.iterdir())
    with pytest.raises(XdpError, match=message):
        integrate_to_file(small.experiments, small.reference, options(*words))
    assert sorted(place.iterdir()) == before


def test_a_refused_run_keeps_the_results_of_an_interrupted_one(small, place):
    folder = Path(".xdp-integrated.refl.work")
    folder.mkdir()
    (folder / "sums-0.npz").write_bytes(b"kept")
    with pytest.raises(OptionError):
        integrate_to_file(small.experiments, small.reference, options("background.algorithm=gmodel"))
    assert [p.name for p in folder.iterdir()] == ["sums-0.npz"]


def test_a_model_of_these_panels_serves(small, place):
    shape = small.experiments[0].detector[0].image_size[::-1]
    np.save(place / "model.npy", np.ones(shape))
    check_inputs(options("background.algorithm=gmodel", "gmodel.model=model.npy"), small.experiments)


def test_outputs_in_folders_that_are_there_serve(place):
    (place / "there").mkdir()
    check_output_names(OutputOptions(experiments="there/x.expt", report=str(place / "there" / "x.XML")))
    check_output_names(OutputOptions(report=None))


def test_shells_are_twenty_unless_said_otherwise():
    assert count_shells(SignificanceOptions()) == 20
    assert count_shells(SignificanceOptions(n_bins=7)) == 7
