"""What the user's geometry spares a header."""

from __future__ import annotations

from importing import make_import_options

from xdp.images.importing.given import list_given


def test_overrides_give_what_they_replace():
    panel = {"origin": (0.0, 0.0, -100.0), "material": "Si"}
    assert list_given(make_import_options()) == {"images"}
    for changes, given in [
        ({"geometry__beam__wavelength": 1.0}, {"wavelength"}),
        ({"geometry__detector__mosflm_beam_centre": (1.0, 2.0)}, {"beam_centre"}),
        ({"geometry__detector__panel": (panel,)}, {"distance", "beam_centre", "material"}),
        ({"geometry__scan__oscillation": (0.0, 0.1)}, {"oscillation"}),
        ({"geometry__convert_sequences_to_stills": True}, {"oscillation"}),
        ({"input__reference_geometry": "a.expt", "input__use_detector_reference": False}, {"wavelength"}),
    ]:
        assert list_given(make_import_options(**changes)) == given | {"images"}
