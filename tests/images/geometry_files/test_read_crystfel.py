"""The reader of CrystFEL geometries: what it takes, and that each fault is an error with its line."""

from __future__ import annotations

import random
import re

import pytest

from xdp.errors import FormatError
from xdp.images.geometry_files.crystfel import Quantity
from xdp.images.geometry_files.crystfel_detector import build_geometry_detector, mark_bad_pixels
from xdp.images.geometry_files.read_crystfel import parse_crystfel_geometry, read_crystfel_geometry
from xdp.images.geometry_files.write_crystfel import format_crystfel_geometry

PANEL = ["a/min_fs = 0", "a/max_fs = 9", "a/min_ss = 0", "a/max_ss = 4", "a/corner_x = -5.0", "a/corner_y = 2.5",
         "a/res = 1e4"]

FULL = """; a comment
photon_energy = /LCLS/photon_energy keV
clen = /LCLS/detector_1/EncoderValue mm
coffset = 0.5
res = 9090.91
adu_per_eV = 0.00338
max_adu = 14000
data = /entry_1/data_1/data
dim0 = %
dim1 = ss
dim2 = fs
mask0_data = /entry_1/data_1/mask
mask0_goodbits = 0x0000
mask0_badbits = 0xffff
mask3_data = /other
mask3_file = masks.h5
mask3_badbits = 1
flag_lessthan = -300
flag_morethan = 65000
flag_equal = 12
mask_edge_pixels = 1
bandwidth = 1e-3
peak_list = /entry_1/result_1
peak_list_type = cxi
rigid_group_q0 = a,b
rigid_group_collection_quads = q0
group_all = q0
bad_stop/min_x = -2
bad_stop/max_x = 2
bad_stop/min_y = -2
bad_stop/max_y = 2
a/min_fs = 0
a/max_fs = 9
a/min_ss = 0
a/max_ss = 4
a/corner_x = -5.0
a/corner_y = 2.5
a/fs = +1.0x -0.001y
a/ss = +0.001x +1.0y +1e-4z
coffset = 0.6
b/min_fs = 10
b/max_fs = 19
b/min_ss = 0
b/max_ss = 4
b/corner_x = 5.0
b/corner_y = 2.5
b/no_index = 1
b/saturation_map = /sat
"""


def test_everything_is_taken():
    geometry = parse_crystfel_geometry(FULL)
    a, b = geometry.panels
    assert geometry.photon_energy == Quantity(None, "/LCLS/photon_energy", "keV")
    assert a.clen == Quantity(None, "/LCLS/detector_1/EncoderValue", "mm")
    assert (a.coffset, b.coffset) == (0.5, 0.6)  # a default holds for the panels that follow
    assert a.fs == (1.0, -0.001, 0.0)
    assert a.ss == (0.001, 1.0, 1e-4)
    assert b.fs == (1.0, 0.0, 0.0)
    assert a.dims == ("%", "ss", "fs")
    assert a.masks[0].bad == 0xFFFF
    assert a.masks[3]._asdict() == {"data": "/other", "file": "masks.h5", "good": 0, "bad": 1}
    assert (a.flag_lessthan, a.flag_morethan, a.flag_equal) == (-300.0, 65000.0, 12.0)
    assert (a.no_index, b.no_index, b.saturation_map) == (False, True, "/sat")
    assert geometry.collections == {"quads": ("q0",)}
    assert geometry.notes == ("line 41: coffset is given again; the last one counts",) or geometry.notes == ()
    again = parse_crystfel_geometry(format_crystfel_geometry(geometry))
    assert [p._facts() for p in again.panels] == [p._facts() for p in geometry.panels]
    assert again.groups == geometry.groups
    assert again.rigid == {"q0"}


def test_the_unit_of_a_camera_length_depends_on_where_it_is():
    geometry = parse_crystfel_geometry("\n".join(["clen = 50 mm", *PANEL]))
    assert build_geometry_detector(geometry).panels[0].d_matrix[2, 2] == pytest.approx(-50.0)
    geometry = parse_crystfel_geometry("\n".join(["clen = 0.05", *PANEL]))
    assert build_geometry_detector(geometry).panels[0].d_matrix[2, 2] == pytest.approx(-50.0)


@pytest.mark.parametrize(("line", "wanted"), [
    ("a/min_fs = x", r"line 1: a/min_fs: a whole number"), ("a/min_fs = -1", "line 1"), ("a/min_fs = 0.5", "line 1"),
    ("a/fs = 1.0", "line 1: a/fs: a direction"), ("a/fs = 0x", "length"), ("a/fs = x x", "line 1"),
    ("a/fs = 1x 1x", "line 1"), ("a/fs = nanx", "line 1"), ("res = 0", "above 0"), ("res = inf", "a number"),
    ("res = 1_0", "a number"), ("res = 1e999", "finite"), ("clen = 5 parsec", "unit 'parsec'"),
    ("clen = a b c", "line 1"), ("photon_energy = 0", "above 0"), ("photon_energy = 9 A", "unit"),
    ("dim0 = xx", "ss, fs, %"), ("dim40 = ss", "at most 32"), ("nonsense", "key = value"), ("= 5", "key = value"),
    ("a b = 5", "key = value"), ("wrong_key = 5", "wrong_key: is not known"), ("a/wrong = 5", "a/wrong: is not known"),
    ("bad_x/wrong = 5", "not known"), ("bad_x/min_fs = ?", "a number"), ("mask_bad = 0xg", "bits"),
    ("mask0_badbits = 99999999999999999999999", "bits"), ("data = data", "begins with /"), ("group_ = a", "name"),
    ("group_g = a,,b", "names"), ("group_g = a,a", "once"), ("group_g = zz", "no panel or group 'zz'"),
    ("rigid_group_collection_c = zz", "no group 'zz'"), ("group_g = g", "holds g"), ("a/no_index = 2", "0 or 1"),
    ("/min_fs = 2", "PANEL/key"), ("bad_a/min_fs = 1", "has no max_fs"), ("a/dim1 = ss", "has no dim0"),
    ("peak_list_type =", "a name")])
def test_each_fault_is_an_error_with_its_line(line, wanted):
    with pytest.raises(FormatError, match=r"g\.geom, line \d+: ") as error:
        parse_crystfel_geometry("\n".join([line, *PANEL]), "g.geom")
    assert re.search(wanted, str(error.value)), error.value


@pytest.mark.parametrize("missing", range(len(PANEL)))
def test_a_panel_needs_its_numbers(missing):
    lines = [line for i, line in enumerate(PANEL) if i != missing]
    with pytest.raises(FormatError, match=r"line 1: panel a has no " + PANEL[missing].split("/")[1].split(" ")[0]):
        parse_crystfel_geometry("\n".join(lines))


@pytest.mark.parametrize(("lines", "wanted"), [
    (["a/max_fs = 5", "a/min_fs = 7"], "min_fs must not be above"), (["a/ss = x"], "right angle"),
    (["photon_energy = 9000", "wavelength = 1 A"], "only one of them"), (["a/dim0 = ss", "a/dim1 = ss"], "exactly one"),
    (["bad_r/min_fs = 1", "bad_r/min_x = 1"], "one kind"), (["group_g = h", "group_h = g"], "holds"),
    (["bad_r/min_fs=5", "bad_r/max_fs=4", "bad_r/min_ss=0", "bad_r/max_ss=1"], "must not be above max"),
    (["bad_r/min_fs=5", "bad_r/max_fs=9", "bad_r/min_ss=0", "bad_r/max_ss=1", "bad_r/panel=zz"], "no panel 'zz'"),
    (["group_g = a", "group_g = a"], "there already, on line")])
def test_what_does_not_fit_together_is_an_error_with_a_line(lines, wanted):
    with pytest.raises(FormatError, match=rf"line \d+: .*{wanted}"):
        parse_crystfel_geometry("\n".join([*PANEL, *lines]))


def test_files_that_are_no_geometry(tmp_path):
    for content, wanted in ((b"", "no panel"), (b"\x89HDF\r\n\x1a\n\xff", "line 1: is no text"),
                            (b"a = b\n\xfe = 3\n", "line 2: is no text")):
        (tmp_path / "x.geom").write_bytes(content)
        with pytest.raises(FormatError, match=wanted):
            read_crystfel_geometry(tmp_path / "x.geom")
    with pytest.raises(FormatError, match="cannot be read"):
        read_crystfel_geometry(tmp_path / "absent.geom")


N_FUZZED = 2000


def damage(text, rng):
    """A text with something wrong in it."""
    lines = text.split("\n")
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(lines))
        line = lines[at]
        kind = rng.randrange(9)
        place = rng.randrange(len(line) + 1)
        if kind == 0:
            lines[at] = line[:place] + rng.choice("xyz%/;=,+-.eE0123456789\0\t éß") + line[place:]
        elif kind == 1:
            lines[at] = line[:place] + line[place + 1:]
        elif kind == 2:
            del lines[at:at + rng.randint(1, 9)]
            lines = lines or [""]
        elif kind == 3:
            lines.insert(rng.randrange(len(lines) + 1), line)
        elif kind == 4:
            lines[at] = line.partition("=")[0] + "= " + rng.choice(
                ["", "nan", "inf", "-1", "1e308", "99999999999", "x", "/a/%/b", "0x10", "%", "ss", "1x +1x", "a,b",
                 "\x7f"])
        elif kind == 5:
            lines[at] = line.replace("=", rng.choice(["", "==", ":"]), 1)
        elif kind == 6:
            lines[at] = line.upper()
        elif kind == 7:
            lines[at] = rng.choice(["bad", "group_", "rigid_group_", "mask9_", "dim"]) + line
        else:
            lines = lines[:at + 1]
            lines[at] = line[:place]
    return "\n".join(lines)


def try_to_parse(text):
    """The geometry of a text, or the message of its error."""
    try:
        return parse_crystfel_geometry(text, "g.geom"), ""
    except FormatError as error:
        return None, str(error)


def test_damaged_files_are_errors_with_a_line_or_are_read(tmp_path):
    rng = random.Random(17)
    n_read = n_refused = 0
    for _ in range(N_FUZZED):
        text = damage(FULL, rng)
        geometry, message = try_to_parse(text)
        if geometry is None:
            assert re.match(r"g\.geom, line \d+: |g\.geom: no panel", message), message
            n_refused += 1
            continue
        # What is taken has a meaning: a detector, masks, and the same text again.
        n_read += 1
        build_geometry_detector(geometry, 0.1)
        mark_bad_pixels(geometry)
        again = parse_crystfel_geometry(format_crystfel_geometry(geometry), "again")
        assert [p._facts() for p in again.panels] == [p._facts() for p in geometry.panels]
    assert n_refused > 0.3 * N_FUZZED
    assert n_read > 0.05 * N_FUZZED
