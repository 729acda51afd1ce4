"""Parameters of xtc_process: those of the original, with its defaults."""

import csv

import pytest

from xdp.options.tree import build_tree
from xdp.serial.process.lcls.options import XtcProcessOptions

#: Defaults of the original, a few of each scope.
DEFAULTS = {"dispatch.dump_indexed": True, "dispatch.refine": False, "debug.skip_bad_events": False,
            "input.sync_reference_geom": True, "format.file_format": "cbf", "format.cbf.rayonix.bin_size": 2,
            "output.strong_filename": "%s_strong.refl", "mp.method": "mpi", "mp.mpi.method": "client_server",
            "joint_reintegration.minimum_results": 30, "db.port": 3306, "indexing.method": "fft1d"}


@pytest.fixture(scope="module")
def known():
    return {item.path: item.default for item in build_tree(XtcProcessOptions).definitions()}


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults(known, name):
    assert known[name] == DEFAULTS[name]


def test_every_parameter_of_the_list_is_there_with_its_default(known, shared_data):
    path = shared_data.parent / "serial" / "xtc_process_parameters.tsv"
    if not path.exists():
        pytest.skip("the list is not here")
    with path.open() as stream:
        rows = [row for row in csv.DictReader(stream, delimiter="\t") if row["type"] != "scope"]
    assert [row["parameter"] for row in rows if row["parameter"] not in known] == []
    # None and nothing are one for repeated parameters; cells are shown without their brackets
    other = {row["parameter"] for row in rows if str(known[row["parameter"]]) != row["default"]}
    assert other == {"debug.event_timestamp", "border_mask.resolution_range", "border_mask.ice_rings.unit_cell"}
