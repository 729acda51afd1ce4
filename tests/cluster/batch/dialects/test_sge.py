"""Grid Engine: what its lists mean."""

from __future__ import annotations

from xdp.cluster.batch.dialects import DIALECTS, FAILED, QUEUED, RUNNING

SGE_LIST = """job-ID  prior   name       user         state submit/start at     queue    slots ja-task-ID
-----------------------------------------------------------------------------------------------------------------
     12 0.55500 xdp-worker root         r     11/21/2026 01:44:31 all.q@vm                           2
     13 0.55500 xdp-worker root         qw    11/21/2026 01:44:31                                    2
     14 0.55500 xdp-worker root         Eqw   11/21/2026 01:44:31                                    2
     15 0.55500 xdp-worker root         hqw   11/21/2026 01:44:31                                    2
     16 0.55500 xdp-worker root         dr    11/21/2026 01:44:31 all.q@vm                           2
     17 0.55500 xdp-worker root         t     11/21/2026 01:44:31 all.q@vm                           2
"""


def test_the_list_of_jobs():
    states = {"12": RUNNING, "13": QUEUED, "14": FAILED, "15": QUEUED, "16": RUNNING, "17": RUNNING}
    assert DIALECTS["sge"].parse_list(SGE_LIST) == states
    assert DIALECTS["sge"].parse_list("") == {}
