"""Files of global models, and what the algorithm needs."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from background_data import parse_gmodel_words

from xdp.errors import FormatError, OptionError, XdpError
from xdp.integration.background import fit_background
from xdp.integration.background.global_model import GlobalModel, read_model, write_model

pytestmark = pytest.mark.kernels


def test_a_model_is_read_as_it_was_written(model, boxes, tmp_path):
    """The effect of integration.background.gmodel.model."""
    write_model(tmp_path / "model.pickle", model)
    for mine, theirs in zip(read_model(tmp_path / "model.pickle").panels, model.panels, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    found = fit_background(boxes, parse_gmodel_words(f"gmodel.model={tmp_path / 'model.pickle'}"))
    np.testing.assert_array_equal(found.columns["background.scale"],
                                  fit_background(boxes, parse_gmodel_words(), model=model).columns["background.scale"])


def test_a_changed_model_file_is_read_again(model, tmp_path):
    path = tmp_path / "model.pickle"
    write_model(path, model)
    first = read_model(path)
    assert read_model(path) is first
    write_model(path, GlobalModel((np.ones((2, 2)),)))
    assert len(read_model(path).panels) == 1


def test_a_pickle_of_something_else_is_refused(tmp_path):
    (tmp_path / "evil.pickle").write_bytes(pickle.dumps(pytest.raises))
    with pytest.raises(FormatError, match=r"evil\.pickle"):
        read_model(tmp_path / "evil.pickle")
    np.save(tmp_path / "negative.npy", -np.ones((3, 3)))
    with pytest.raises(FormatError, match="panel 0"):
        read_model(tmp_path / "negative.npy")


def test_what_gmodel_needs(model, boxes, tmp_path):
    with pytest.raises(OptionError, match="model_background"):
        fit_background(boxes, parse_gmodel_words())
    with pytest.raises(OptionError, match="panel 1"):
        fit_background(boxes, parse_gmodel_words(), model=GlobalModel(model.panels[:1]))
    with pytest.raises(XdpError, match=r"nowhere\.pickle"):
        fit_background(boxes, parse_gmodel_words(f"gmodel.model={tmp_path / 'nowhere.pickle'}"))
