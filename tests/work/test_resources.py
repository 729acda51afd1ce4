"""What a stage works with."""

from __future__ import annotations

from xdp.work.progress import no_progress
from xdp.work.resources import Resources


def test_by_default_threads_of_this_process_work_and_nothing_is_shown():
    assert Resources() == Resources(None, no_progress)
    with Resources().progress(3, "frames") as advance:
        assert advance(3) is None
