"""PBS: what its lists mean, and the forms of its ids."""

from __future__ import annotations

from fake_commands import put_command

from xdp.cluster.batch.dialects import DIALECTS, QUEUED, RUNNING

PBS_LIST = """Job id            Name             User              Time Use S Queue
----------------  ---------------- ----------------  -------- - -----
1.vm              xdp-worker       root              00:00:01 R workq
2.vm              xdp-worker       root                     0 Q workq
3.vm              xdp-worker       root              00:00:01 E workq
4.vm              xdp-worker       root              00:00:01 F workq
"""


def test_the_list_of_jobs():
    assert DIALECTS["pbs"].parse_list(PBS_LIST) == {"1": RUNNING, "2": QUEUED, "3": RUNNING}
    assert DIALECTS["pbs"].parse_list("") == {}


PBS_CUT = """Job id            Name             User              Time Use S Queue
----------------  ---------------- ----------------  -------- - -----
38438.master      test-pbs         someone                  0 Q romeq
38439.master.gw*  test-pbs         someone           00:00:01 R romeq
38440[].master    test-pbs         someone                  0 B romeq
38441[4].master   test-pbs         someone                  0 Q romeq
38442             test-pbs         someone                  0 Q romeq
"""


def test_pbs_jobs_are_known_by_every_form_of_their_ids(tmp_path, monkeypatch):
    (tmp_path / "list").write_text(PBS_CUT)
    put_command(tmp_path, monkeypatch, "qstat", f"cat {tmp_path}/list")
    jobs = DIALECTS["pbs"].list_jobs(10)
    for job in ("38438", "38439", "38440[]", "38441[4]", "38442"):
        for form in (job, f"{job}.master", f"{job}.master.gw4.metoffice.gov.uk"):
            assert form in jobs
            assert jobs[form] == jobs.get(form) == (RUNNING if job in ("38439", "38440[]") else QUEUED)
    assert len(jobs) == 5
    assert all(job in jobs for job in jobs)
    for job in ("3843.master", "38441[5].master", "38441.master", "384380.master"):
        assert job not in jobs
        assert jobs.get(job) is None
        assert jobs.get(job, "gone") == "gone"


def test_pbs_deletes_a_job_by_its_whole_id(tmp_path, monkeypatch):
    put_command(tmp_path, monkeypatch, "qdel", f'echo "$@" > {tmp_path}/deleted')
    DIALECTS["pbs"].cancel_jobs(["38438.master.gw4.metoffice.gov.uk", "38441[4].master"], 10)
    assert (tmp_path / "deleted").read_text() == "38438.master.gw4.metoffice.gov.uk 38441[4].master\n"


def test_a_job_that_waits_says_why(tmp_path, monkeypatch):
    (tmp_path / "full").write_text(
        "Job Id: 7.vm\n    Job_Name = xdp-worker-kfzt\n    comment = Not Running: Insufficient amount of resource: "
        "ncpus (R: 99 A:\n\t 4 T: 4)\n    etime = Mon Nov 30 10:00:00 2026\n")
    put_command(tmp_path, monkeypatch, "qstat", f'[ "$*" = "-f 7.vm" ] && cat {tmp_path}/full')
    reason = DIALECTS["pbs"].find_waiting_reason("7.vm", 10)
    assert reason == "Not Running: Insufficient amount of resource: ncpus (R: 99 A: 4 T: 4)"
    assert DIALECTS["pbs"].find_waiting_reason("8.vm", 10) == ""


def test_jobs_are_found_by_their_name(tmp_path, monkeypatch):
    body = """case "$*" in "-N xdp-worker-kfzt "*) printf '7.vm\\n8.vm\\n';; esac"""
    put_command(tmp_path, monkeypatch, "qselect", body)
    assert DIALECTS["pbs"].find_jobs_by_name("xdp-worker-kfzt", 10) == ["7.vm", "8.vm"]
    assert DIALECTS["pbs"].find_jobs_by_name("xdp-worker-none", 10) == []
