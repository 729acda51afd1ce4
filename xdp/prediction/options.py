"""Parameters of prediction: names, types and defaults as in DIALS (``shared/parameters.tsv``)."""

from __future__ import annotations

from xdp.options import Options, option


class PredictionOptions(Options):
    """Which reflections are predicted."""

    d_min: float | None = option(
        None, "Finest resolution that is predicted, Å; None: that of the detector's farthest corner.", gt=0,
        phil="float(allow_none=True)")
    d_max: float | None = option(
        None, "Coarsest resolution that is predicted, Å; None: no limit.", gt=0, phil="float(allow_none=True)")
    # with the static cell an index may be just beyond the limit, which cell and setting of some frame bring within it
    margin: int | None = option(
        1, "For a crystal that changes over the scan: indices this many lattice steps beyond d_min are followed too, "
        "since the change may bring them within it.", ge=0, phil="int(allow_none=True)")
    force_static: bool = option(
        False, "Predict with one crystal for the whole scan, even where it has been refined frame by frame.")
    padding: float | None = option(
        1.0, "Predict this much before and after the scan too, degrees: reflections there may reach into it.", ge=0)
