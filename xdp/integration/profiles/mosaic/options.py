"""Parameters of the widths that grow with resolution."""

from __future__ import annotations

from xdp.options import Options, option


class MosaicOptions(Options):
    """Widths of reflections that grow with resolution, as mosaic rotation, domain size and bandwidth make them."""

    enable: bool = option(
        True, "Let the width of reflections grow with resolution where reference spots show it; False: one sigma_b for "
        "all.")
    anisotropic: bool = option(
        True, "Where spots show it clearly, let mosaic blocks be turned by different amounts about the crystal's axes.")
    bandwidth: float | None = option(
        None, "Standard deviation of the wavelength as a part of it, where it is known: 0.001 is 0.1 %. "
        "What widens spots along e2 beyond it is taken as domain size. None: estimated from the spots, from which the "
        "two cannot be told apart.", ge=0, lt=0.1)
    # below three errors a term would often be made of noise
    least_significance: float = option(
        3.0, "A term of the width is left out if it is smaller than this many of its standard deviations.", ge=0)
