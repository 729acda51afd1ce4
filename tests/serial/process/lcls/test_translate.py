"""Parameters of cctbx.xfel in terms of ours."""

import pytest

from xdp.errors import OptionError
from xdp.options.named import make_options
from xdp.serial.process.lcls.options import StreamMpOptions, XtcProcessOptions
from xdp.serial.process.lcls.translate import (
    NOT_USED,
    Rank,
    find_address,
    find_rank,
    find_run,
    list_unused_parameters,
    make_event_options,
    make_extras,
    make_stills_options,
)

NAMED = {"input.experiment": "cxi49812", "input.run_num": 69, "input.address": "CxiDs1.0:Cspad.0",
         "geometry_file": "a.geom", "format.cbf.detz_offset": 581.0}


def options(**named):
    return make_options(XtcProcessOptions, None, NAMED | named)


def test_the_run():
    assert find_run(options()) == ("cxi49812", 69, None)
    assert find_run(options(**{"dispatch.datasource": "exp=xpp/xppa1:run=3:dir=/d:smd"})) == ("xppa1", 3, "/d")
    with pytest.raises(OptionError, match="must hold exp=NAME"):
        find_run(options(**{"dispatch.datasource": "shmem=psana"}))


@pytest.mark.parametrize(("address", "expected"), [
    ("CxiDs1-0|Cspad-0", ("CxiDs1.0:Cspad.0", "CXI:DS1:MMS:06.RBV")),
    ("DetInfo(CxiDs2.0:Cspad.0)", ("CxiDs2.0:Cspad.0", "CXI:DS2:MMS:06.RBV")),
    ("MfxEndstation.0:Rayonix.0", ("MfxEndstation.0:Rayonix.0", None))])
def test_the_detector(address, expected):
    assert find_address(options(**{"input.address": address})) == expected


def test_energy_and_distance():
    found = make_event_options(options())
    assert (found.detz_offset, found.distance, found.energy) == (581.0, None, None)
    found = make_event_options(options(**{"format.cbf.override_distance": 90.0, "format.cbf.override_energy": 9500.0}))
    assert (found.distance, found.energy) == (90.0, 9500.0)
    # where there is no encoder the offset is the distance itself
    found = make_event_options(options(**{"input.address": "XppEndstation.0:Rayonix.0"}))
    assert found.distance == 581.0


def test_limits_masks_and_dumps():
    extras = make_extras(options(**{
        "input.override_spotfinding_trusted_max": 9000, "input.override_spotfinding_trusted_min": -5,
        "input.override_integration_trusted_max": 8000, "format.cbf.invalid_pixel_mask": "m.pickle",
        "border_mask.border": 2, "dispatch.dump_indexed": False, "dispatch.dump_strong": True,
        "format.file_format": "pickle", "debug.event_timestamp": ("2016-07-08T22:05Z24.133",)}))
    assert extras.spot_limits == (-5, 9000)
    assert extras.integration_limits == (None, 8000)
    assert extras.mask == "m.pickle"
    assert extras.border_mask.border == 2
    assert extras.dumps == {"hit"}
    assert extras.dump_form == "pickle"
    assert extras.timestamps == {"2016-07-08T22:05Z24.133"}
    assert make_extras(options()).border_mask is None


def test_the_same_scopes():
    found = make_stills_options(options(**{
        "indexing.known_symmetry.unit_cell": (79, 79, 38, 90, 90, 90), "spotfinder.filter.min_spot_size": 2,
        "dispatch.index": False, "dispatch.hit_finder.minimum_number_of_reflections": 30, "output.output_dir": "x",
        "dispatch.max_events": 7, "mp.composite_stride": 3, "input.known_orientations_folder": "earlier"}))
    assert found.indexing.known_symmetry.unit_cell == (79, 79, 38, 90, 90, 90)
    assert found.indexing.stills.known_orientations == ("earlier",)
    assert found.indexing.stills.require_known_orientation
    assert found.spotfinder.filter.min_spot_size == 2
    assert not found.dispatch.index
    assert found.dispatch.hit_finder.minimum_number_of_reflections == 30
    assert (found.output.output_dir, found.output.strong_filename) == ("x", "%s_strong.refl")
    assert found.input.max_images == 7
    assert (found.mp.method, found.mp.composite_stride) == ("multiprocessing", 3)


def test_ranks():
    assert find_rank(StreamMpOptions(), {}) == Rank(0, 1)
    assert find_rank(StreamMpOptions(), {"OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_SIZE": "8"}) == Rank(2, 8)
    assert find_rank(StreamMpOptions(), {"PMI_RANK": "0", "PMI_SIZE": "4"}) == Rank(0, 4)
    # outside an array of jobs
    assert find_rank(StreamMpOptions(method="sge"), {"SGE_TASK_ID": "undefined"}) == Rank(0, 1)
    with pytest.raises(OptionError, match="must be numbers"):
        find_rank(StreamMpOptions(method="sge"), {"SGE_TASK_ID": "1"})
    found = make_stills_options(options(), Rank(2, 8))
    assert (found.output.table, found.output.log) == ("shots_rank0002.zarr", "xdp.xtc_process_rank0002.log")
    assert found.mp.method == "none"


GIVEN = {"input.stream": (1, 2), "input.calib_dir": "c", "input.use_ffb": True, "format.cbf.rayonix.bin_size": 4,
         "output.delete_integration_shoeboxes": False, "output.tmp_output_dir": "/tmp", "input.cfg": "a.cfg",
         "format.pickle.out_key": "k", "format.cbf.cspad.mask_nonbonded_pixels": True,
         "format.cbf.cspad.per_pixel_gain": True, "format.cbf.cspad.common_mode.algorithm": "default",
         "format.cbf.cspad.common_mode.custom_parameterization": (1, 2)}


@pytest.mark.parametrize("name", NOT_USED)
def test_what_has_no_effect_is_said(name):
    line, = list_unused_parameters(options(**{name: GIVEN[name]}))
    assert line.startswith(f"{name}: accepted and not used")
    assert list_unused_parameters(options()) == []


@pytest.mark.parametrize("name", ["host", "name", "user", "password"])
def test_the_database_is_not_used(name):
    line, = list_unused_parameters(options(**{f"db.{name}": "secret"}))
    assert "no database is written" in line
    assert "secret" not in line


def test_the_tape_is_corrected_in_intensities_not_in_images():
    line, = list_unused_parameters(options(**{"format.per_pixel_absorption_correction.apply": True}))
    assert "integration.absorption_correction corrects" in line
