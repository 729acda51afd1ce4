"""Grid Engine: what its lists mean."""

from __future__ import annotations

import pytest
from fake_commands import put_command

from xdp.cluster.batch.dialects import DIALECTS, FAILED, QUEUED, RUNNING, Request
from xdp.cluster.batch.site import Site

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


@pytest.mark.parametrize(
    ("cores", "keys", "line"),
    [
        (6, {}, "-l h_vmem=1908M"),  # 4 GB for six cores are 636 MiB: a worker meets MemoryError as it starts
        (1, {}, "-l h_vmem=3815M"),
        (6, {"memory": "24GB"}, "-l h_vmem=3815M"),
        (6, {"memory_per_slot": False}, "-l h_vmem=11445M"),
        (6, {"slot_minimum": "1GiB"}, "-l h_vmem=1024M"),
        (6, {"slot_minimum": None}, "-l h_vmem=636M"),
        (6, {"memory_resource": "mem_free"}, "-l mem_free=636M"),  # memory in use, of which no more is needed
    ],
)
def test_address_space_is_asked_for_as_it_is_needed(cores, keys, line):
    site = Site(scheduler="sge", **keys)
    assert line in DIALECTS["sge"].make_directives(Request("n", "true", cores, site.memory_bytes, "/logs"), site)


LONG_LIST = """job-ID  prior   name       user         state submit/start at     queue                  slots ja-task-ID
-----------------------------------------------------------------------------------------------------------------
    121 0.25000 xdp-worker root         r     11/30/2026 15:32:38 all.q@vm                           1
       Full jobname:     xdp-worker-kfzt
       Master Queue:     all.q@vm
    119 0.75000 xdp-worker root         qw    11/30/2026 15:32:38                                   99
       Full jobname:     xdp-worker-kfzt
    118 0.75000 xdp-worker root         qw    11/30/2026 15:32:38                                   99
       Full jobname:     xdp-worker-kfzz
"""


def test_jobs_are_found_by_their_whole_names(tmp_path, monkeypatch):
    (tmp_path / "list").write_text(LONG_LIST)
    put_command(tmp_path, monkeypatch, "qstat", f"cat {tmp_path}/list")
    assert DIALECTS["sge"].find_jobs_by_name("xdp-worker-kfzt", 10) == ["121", "119"]
    assert DIALECTS["sge"].find_jobs_by_name("xdp-worker", 10) == []


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        ('scheduling info:            cannot run in PE "smp" because it only offers 0 slots\n'
         '                            queue instance "all.q@vm" dropped because it is full',
         'cannot run in PE "smp" because it only offers 0 slots; queue instance "all.q@vm" dropped because it is full'),
        ("scheduling info:            (Collecting of scheduler job information is turned off)",
         'Job 7 cannot run in PE "smp" because it only offers 0 slots; verification: no suitable queues'),
        ("job_type:                   NONE",
         'Job 7 cannot run in PE "smp" because it only offers 0 slots; verification: no suitable queues'),
    ],
)
def test_a_job_that_waits_says_why(tmp_path, monkeypatch, info, reason):
    (tmp_path / "info").write_text(f"job_number: 7\n{info}\n")
    put_command(tmp_path, monkeypatch, "qstat", f"cat {tmp_path}/info")
    put_command(tmp_path, monkeypatch, "qalter", """[ "$*" = "-w v 7" ] && printf 'Job 7 cannot run in PE "smp" """
                """because it only offers 0 slots\nverification: no suitable queues\n'""")
    assert DIALECTS["sge"].find_waiting_reason("7", 10) == reason
