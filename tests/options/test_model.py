"""Option models: frozen, bounded, hashable, and the word Auto."""

from __future__ import annotations

import copy
import pickle

import pytest
from pydantic import ValidationError

from xdp.options import AUTO, Auto, Options, option


class Threshold(Options):
    size: int | Auto | None = option(AUTO, "pixels", ge=1)
    box: tuple[int, int] = option((3, 3), "pixels", ge=0, le=20)
    fraction: float = option(0.5, "of all", gt=0, lt=1)


def test_auto_is_one_object_whatever_happens_to_it():
    assert Auto() is AUTO
    assert pickle.loads(pickle.dumps(AUTO)) is AUTO
    assert copy.deepcopy(AUTO) is AUTO
    assert repr(AUTO) == "Auto"


def test_auto_is_accepted_as_word_and_survives_json():
    options = Threshold(size="auto")
    assert options.size is AUTO
    assert Threshold.model_validate_json(options.model_dump_json()) == options


def test_models_are_frozen_and_hashable():
    options = Threshold(size=4)
    with pytest.raises(ValidationError, match="frozen"):
        options.size = 5
    assert hash(options) == hash(Threshold(size=4))
    assert pickle.loads(pickle.dumps(options)) == options


def test_unknown_names_are_errors():
    with pytest.raises(ValidationError, match="sise"):
        Threshold(sise=4)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": 0}, "size must be at least 1, got 0"),
        ({"box": (3, 21)}, "box must be at most 20, got 21"),
        ({"box": (-1, 3)}, "box must be at least 0, got -1"),
        ({"fraction": 0.0}, "fraction must be greater than 0, got 0.0"),
        ({"fraction": 1.0}, "fraction must be less than 1, got 1.0"),
        ({"fraction": float("nan")}, "finite"),
        ({"size": "many"}, "size"),
    ],
)
def test_values_out_of_bounds_are_refused(values, message):
    with pytest.raises(ValidationError, match=message):
        Threshold(**values)


def test_none_and_auto_are_never_compared_with_bounds():
    assert Threshold(size=None).size is None
    assert Threshold(size=AUTO).size is AUTO


def test_a_bound_of_zero_is_a_bound():
    class Zero(Options):
        length: float = option(1.0, "mm", ge=0)

    with pytest.raises(ValidationError, match="length must be at least 0"):
        Zero(length=-1e-9)


def test_paths_of_pathlib_are_names_of_files(tmp_path):
    from pathlib import Path

    from xdp.merging.options import MergeOptions
    from xdp.options.named import make_options

    assert MergeOptions(output={"mtz": tmp_path / "a.mtz"}).output.mtz == str(tmp_path / "a.mtz")
    assert make_options(MergeOptions, {"output.mtz": Path("b.mtz")}).output.mtz == "b.mtz"
