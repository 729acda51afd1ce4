"""Parameters of hot and dead pixels: what distinguishes them from reflections. All are of xdp."""

from __future__ import annotations

from xdp.options import Options, option


class HotPixelOptions(Options):
    """Hot and dead pixels, found while the images are read, and masked (of xdp's own)."""

    mask: bool = option(True, "Find pixels that are hot or dead through the whole scan and leave them out.")
    # docs/hot_pixels.md has what was tried
    min_ratio: float = option(
        3.0, "A hot pixel counts at least so many times what the highest of its neighbours counts.", gt=1, expert=1)
    min_sigma: float = option(
        8.0, "And it stands above that by so many standard deviations of counting statistics.", ge=0, expert=1)
    min_fraction: float = option(
        0.75, "And it does so in this part of the scan at least.", gt=0, le=1, expert=1)
    min_widths: float = option(
        2.0, "And for so many times the rotation that a reflection at that place would last: where the scan is too "
        "short for that, a pixel is hot only where it is far narrower than any reflection.", ge=0, expert=1)
    dead_probability: float = option(
        1e-2, "A pixel is dead when, beside its neighbours, so few counts would turn up anywhere on the detector by "
        "chance with a lower probability than this.", gt=0, lt=1, expert=1)
