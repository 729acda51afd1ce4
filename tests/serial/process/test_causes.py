"""The likeliest causes follow the evidence."""

import pytest

from xdp.options.named import make_options
from xdp.serial.process.causes import explain_no_lattice
from xdp.serial.process.options import StillsProcessOptions

GOOD = {"n_peaks": 200, "d_min_spots": 2.0, "n_found": 210, "n_too_small": 10, "photon_energy": 9500.0}
FEW = GOOD | {"n_peaks": 17, "n_found": 20, "n_too_small": 3, "d_min_spots": 7.0}
NOISE = GOOD | {"n_peaks": 60, "n_found": 900, "n_too_small": 840, "d_min_spots": 5.0}


@pytest.mark.parametrize(("row", "cell", "first"), [
    (GOOD, None, "beam centre or distance"), (GOOD, (79, 79, 38, 90, 90, 90), "beam centre or distance"),
    (FEW, None, "too few spots: 100 %"), (NOISE, None, "spots that are noise")])
def test_the_first_cause(row, cell, first):
    options = make_options(StillsProcessOptions, None, {} if cell is None else {
        "indexing.known_symmetry.unit_cell": cell})
    lines = explain_no_lattice([row] * 50, options).splitlines()
    assert lines[0].startswith("None of 50 hits has a lattice. Tried: indexing.method=fft1d with")
    assert f"{row['n_peaks']} spots a shot" in lines[0]
    assert lines[2].startswith(f"  1. {first}")
    assert len(lines) == 5
    if cell is not None:
        assert "the known cell is not that of these crystals" in "\n".join(lines)
