"""Parameters of ``xdp plan``."""

from __future__ import annotations

from xdp.options import Options, option
from xdp.spotfinding.options import FindSpotsOptions


class SampleOptions(Options):
    """What is timed, and how far the forecast looks."""

    # a choice: a few seconds of work on a large detector, ten frames in each of four places
    sample: int = option(40, "Frames that are timed", ge=1)
    max_jobs: int = option(1024, "The most jobs to look at", ge=1)


class PlanOptions(FindSpotsOptions):
    """All parameters of ``xdp plan``."""

    plan: SampleOptions = option(SampleOptions(), "The forecast.")
