"""Option models from keyword arguments and dictionaries."""

from __future__ import annotations

import pytest

from xdp.errors import OptionError
from xdp.exporting.options import ExportOptions
from xdp.images.importing.options import ImportOptions
from xdp.indexing.command_options import IndexOptions
from xdp.options import AUTO, parse
from xdp.options.named import make_options
from xdp.refinement.command_options import RefineOptions
from xdp.spotfinding.options import FindSpotsOptions


@pytest.mark.parametrize(("model", "named", "words"), [
    (FindSpotsOptions, {"d_min": 2.0}, ["d_min=2"]),
    (FindSpotsOptions, {"threshold": {"algorithm": "dispersion"}}, ["threshold.algorithm=dispersion"]),
    (FindSpotsOptions, {"spotfinder.mp.nproc": "Auto", "kernel_size": "4,4"}, ["mp.nproc=Auto", "kernel_size=4,4"]),
    (FindSpotsOptions, {"scan_range": [(1, 3), (5, 9)]}, ["scan_range=1,3", "scan_range=5,9"]),
    (FindSpotsOptions, {"mp": {"nproc": 3}, "mp.njobs": 2}, ["mp.nproc=3", "njobs=2"]),
    (FindSpotsOptions, {"mp.method": "none"}, []),
    (IndexOptions, {"unit_cell": "79,79,38", "space_group": "P43212"}, ["unit_cell=79,79,38", "space_group=P43212"]),
    (ImportOptions, {"panel": [{"pixel_size": (0.1, 0.1)}]}, ["geometry.detector.panel.pixel_size=0.1,0.1"]),
    (ImportOptions, {"geometry.detector.panel.pixel_size": (0.1, 0.1)}, ["geometry.detector.panel.pixel_size=0.1,0.1"]),
    (RefineOptions, {"tie_to_target.values": (9.0, 9.0, 9.0, 90.0, 90.0, 90.0), "tie_to_target.id": (0,)},
     ["tie_to_target.values=9,9,9,90,90,90", "tie_to_target.id=0"]),
    (ExportOptions, {"intensity": "sum+profile"}, ["intensity=sum+profile"]),
    (ExportOptions, {"intensity": "sum"}, ["intensity=sum"]),
])
def test_names_and_values_mean_what_they_mean_on_the_command_line(model, named, words):
    assert make_options(model, None, named) == parse(model, words)[0]
    assert make_options(model, named) == parse(model, words)[0]


@pytest.mark.parametrize(("named", "message"), [
    ({"d_mn": 2}, "unknown parameter d_mn; did you mean spotfinder.filter.d_min"),
    ({"filter": {"d_mn": 3}}, "unknown parameter"),
    ({"d_min": "x"}, r"spotfinder.filter.d_min must be a number >= 0 or None, got 'x'"),
    ({"d_min": [3]}, "spotfinder.filter.d_min"),
    ({"mp": 3}, "spotfinder.mp"),
    ({"algorithm": "foo"}, "must be one of: dispersion"),
    ({"max_spot_size": 0}, "max_spot_size must be at least 1, got 0"),
])
def test_wrong_names_and_values_are_one_line(named, message):
    with pytest.raises(OptionError, match=message):
        make_options(FindSpotsOptions, None, named)


def test_what_is_given_is_laid_over_a_model_which_stays_as_it_is():
    base = make_options(FindSpotsOptions, {"d_min": 2.0})
    changed = make_options(FindSpotsOptions, base, {"d_max": 20.0, "nproc": AUTO})
    assert (changed.spotfinder.filter.d_min, changed.spotfinder.filter.d_max) == (2.0, 20.0)
    assert base.spotfinder.filter.d_max is None
    assert make_options(FindSpotsOptions, base) is base


def test_options_of_another_stage_are_refused():
    with pytest.raises(OptionError, match="options must be FindSpotsOptions, a dictionary or None, got IndexOptions"):
        make_options(FindSpotsOptions, IndexOptions())


def test_text_is_never_evaluated():
    with pytest.raises(OptionError):
        make_options(FindSpotsOptions, None, {"d_min": "__import__('os').getpid()"})
