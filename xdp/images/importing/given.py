"""What the user gives of the geometry, so that a header that lacks it is complete enough."""

from __future__ import annotations

from xdp.images.formats.base import EVERYTHING
from xdp.images.importing.options import ImportOptions

# Quantities by the fields of a panel that give them.
_PANEL = {"pixel_size": ("pixel_size",), "trusted_range": ("trusted_range",), "material": ("material",),
          "thickness": ("thickness",), "origin": ("distance", "beam_centre")}
# A reference must have the pixels that the header has: their size is not given by it.
_OF_DETECTOR = EVERYTHING - {"wavelength", "oscillation", "pixel_size"}
_BEAM_CENTRES = ("mosflm_beam_centre", "fast_slow_beam_centre", "slow_fast_beam_centre")


def list_given(options: ImportOptions) -> frozenset[str]:
    """List the quantities that the options give, so that no header need state them.

    Parameters
    ----------
    options : ImportOptions
        Overrides of the geometry, and perhaps a reference.

    Returns
    -------
    frozenset of str
        Of :data:`~xdp.images.formats.base.EVERYTHING`.

    Examples
    --------
    >>> from xdp.images.importing.options import ImportOptions
    >>> sorted(list_given(ImportOptions.model_validate({"geometry": {"detector": {"distance": 200.0}}})))
    ['distance', 'images']
    """
    geometry, detector = options.geometry, options.geometry.detector
    # Whether all images are there is checked when the user's range of images is known.
    given = {"images"}
    if options.input.reference_geometry is not None:
        given |= {"wavelength"} if options.input.use_beam_reference else set()
        given |= _OF_DETECTOR if options.input.use_detector_reference else set()
    if geometry.beam.wavelength is not None:
        given.add("wavelength")
    if detector.distance is not None:
        given.add("distance")
    if any(getattr(detector, name) is not None for name in _BEAM_CENTRES):
        given.add("beam_centre")
    for panel in detector.panel:
        for name, quantities in _PANEL.items():
            if getattr(panel, name) is not None:
                given |= set(quantities)
    if geometry.scan.oscillation is not None or geometry.convert_sequences_to_stills:
        given.add("oscillation")
    return frozenset(given)
