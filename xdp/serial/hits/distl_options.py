"""Parameters of the Spotfinder recipe: names and defaults as in Spotfinder (scope ``distl``)."""

from __future__ import annotations

from xdp.options import Options, option


class DistlResolutionOptions(Options):
    """Range of resolution."""

    outer: float | None = option(None, "Boxes wholly finer than this are not searched, Å. None: no limit.", gt=0)
    inner: float | None = option(
        None, "Accepted for Spotfinder's later filters: it does not change the spots that are counted here.", gt=0)


class DistlOptions(Options):
    """The Spotfinder recipe."""

    scanbox_windows: tuple[int, int, int] = option(
        (101, 51, 51), "Least sides of the boxes in which the background plane is fitted, in each of the three passes, "
        "pixels.", ge=10)
    minimum_signal_height: float | None = option(
        None, "Pixels scoring below this are background in the next pass, standard deviations. None: 1.5, as "
        "Spotfinder uses; its program distl.signal_strength takes 2.5 on a Pilatus, and 4 on an Eiger.")
    minimum_spot_height: float | None = option(
        None, "Pixels scoring above this belong to a spot, standard deviations. None: 3.5.")
    minimum_spot_area: int | None = option(
        None, "Spots are kept that have more pixels than this: Spotfinder drops those that have exactly as many, too. "
        "None: 10.", ge=1)
    spot_area_maximum_factor: float | None = option(
        None, "Spots of more pixels than this times minimum_spot_area are dropped. None: 5.")
    peak_intensity_maximum_factor: float | None = option(
        None, "Spots are dropped whose peak's score exceeds the median by more than this times the spread from the 5th "
        "to the 95th percentile. None: 10.")
    compactness_filter: bool = option(False, "Drop stringy spots: those with few pairs of neighbouring pixels.")
    peripheral_margin: int = option(
        20, "Pixels along the edges of the image, and of each tile, that are not searched.", ge=0)
    report_overloads: bool = option(
        False, "Whether overloaded pixels are used like others. False: a peak there makes no spot.")
    res: DistlResolutionOptions = option(DistlResolutionOptions(), "Range of resolution.")


CXI_SETTINGS = DistlOptions(minimum_spot_area=3, peak_intensity_maximum_factor=10000.0, compactness_filter=True,
                            peripheral_margin=1)
"""What cctbx.xfel's hit finder sets before it reads a user's file: small spots, and no limit to their intensity."""
