"""Parameters of prediction: names, types and defaults as in DIALS (``shared/parameters.tsv``)."""

from __future__ import annotations

from xdp.options import Options, option


class PredictionOptions(Options):
    """Which reflections are predicted."""

    d_min: float | None = option(
        None, "The maximum resolution limit, Å; None: that of the detector's farthest corner", gt=0,
        phil="float(allow_none=True)")
    d_max: float | None = option(None, "The minimum resolution limit, Å", gt=0, phil="float(allow_none=True)")
    margin: int | None = option(
        1, "The margin to use to scan varying prediction: indices about the Ewald sphere's path over a frame that are "
        "tried. Every index is tried here, so that any margin from 0 gives all reflections", ge=0,
        phil="int(allow_none=True)")
    force_static: bool = option(False, "For scan-varying prediction force scan-static prediction")
    padding: float | None = option(1.0, "The padding in degrees, before and after the scan", ge=0)
