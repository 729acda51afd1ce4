"""DRMAA by a stand-in of its binding: errors, calls that hang, late jobs. The real one: test_cluster_sge."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest

from xdp.cluster.batch import drmaa
from xdp.cluster.batch.commands import SchedulerError
from xdp.cluster.batch.dialects import DIALECTS, QUEUED, RUNNING
from xdp.errors import XdpError


class DrmaaException(Exception):
    """All errors of the binding."""


class InvalidJobException(DrmaaException):
    """A job that is not known."""


class DrmCommunicationException(DrmaaException):
    """A silent master."""


class Session:
    """A session whose jobs have the states that a test gives them; an exception in their place is raised."""

    def __init__(self):
        self.states, self.ended, self.native = {}, [], []
        self.error, self.gate = None, threading.Event()
        self.gate.set()

    def _go(self):
        self.gate.wait(30)
        if self.error:
            raise self.error

    def createJobTemplate(self):
        return SimpleNamespace()

    def deleteJobTemplate(self, template):
        self.native.append(template.nativeSpecification)

    def runJob(self, template):
        self._go()
        self.states[str(len(self.states) + 1)] = "queued_active"
        return len(self.states)

    def jobStatus(self, job):
        self._go()
        if isinstance(self.states[job], Exception):
            raise self.states[job]
        return self.states[job]

    def control(self, job, action):
        self._go()
        if isinstance(self.states.get(job), Exception):
            raise self.states[job]
        self.ended.append((job, action))


@pytest.fixture
def session(monkeypatch):
    made = Session()
    binding = SimpleNamespace(
        errors=SimpleNamespace(DrmaaException=DrmaaException, InvalidJobException=InvalidJobException),
        JobControlAction=SimpleNamespace(TERMINATE="terminate"))
    monkeypatch.setattr(drmaa, "_import_drmaa", lambda: binding)
    monkeypatch.setattr(drmaa, "open_session", lambda: made)
    yield made
    made.gate.set()


def test_grid_engine_is_spoken_to_in_its_own_words(session):
    dialect = drmaa.Drmaa("sge")
    assert dialect.make_list_command() == DIALECTS["sge"].make_list_command()
    assert dialect.parse_list("") == DIALECTS["sge"].parse_list("")
    script = '#!/bin/bash\n#$ -S /bin/bash\n#$ -N x\n#$ -o "/a b/"\n#$ -l h_vmem=1M\necho\n'
    assert dialect.submit_script(script, "unused", 5) == "1"
    assert session.native == ['-N x -o "/a b/" -l h_vmem=1M -shell n -b y']


@pytest.mark.parametrize("scheduler", ["lsf", "pbs", "slurm"])
def test_other_batch_systems_are_refused(session, scheduler):
    with pytest.raises(XdpError, match=f"drmaa serves Grid Engine .*, not {scheduler}: use mp.method={scheduler}$"):
        drmaa.Drmaa(scheduler)


def test_jobs_that_are_forgotten_have_ended_and_others_go_on(session):
    dialect = drmaa.Drmaa()
    for _ in range(6):
        dialect.submit_script("", "", 5)
    session.states = {"1": "queued_active", "2": "running", "3": InvalidJobException("code 18: unknown"), "4": "done",
                      "5": "failed", "6": "user_suspended"}
    assert dialect.list_jobs(5) == {"1": QUEUED, "2": RUNNING, "6": RUNNING}


def test_a_silent_master_is_no_end_of_jobs(session):
    dialect = drmaa.Drmaa()
    dialect.submit_script("", "", 5)
    session.error = DrmCommunicationException("code 2: failed receiving gdi request")
    for call in (lambda: dialect.list_jobs(5), lambda: dialect.cancel_jobs(["1"], 5),
                 lambda: dialect.submit_script("", "", 5)):
        with pytest.raises(SchedulerError, match=r"^DRMAA said: code 2: failed receiving gdi request$"):
            call()


def test_cancelling_goes_past_jobs_that_are_gone_and_past_complaints(session):
    session.states = {"1": InvalidJobException("code 18"), "2": "running", "3": DrmCommunicationException("code 2"),
                      "4": "running"}
    dialect = drmaa.Drmaa()
    dialect.cancel_jobs(["1", "2"], 5)
    assert session.ended == [("2", "terminate")]
    with pytest.raises(SchedulerError, match="DRMAA said: code 2"):
        dialect.cancel_jobs(["3", "4"], 5)
    assert session.ended[1:] == [("4", "terminate")]


def test_calls_that_hang_are_left(session):
    dialect = drmaa.Drmaa()
    dialect.submit_script("", "", 5)
    session.gate.clear()
    start = time.monotonic()
    for call in (lambda: dialect.list_jobs(0.2), lambda: dialect.cancel_jobs(["1"], 0.2),
                 lambda: dialect.submit_script("", "", 0.2)):
        with pytest.raises(SchedulerError, match=r"^DRMAA did not answer within 0\.2 s$"):
            call()
    assert time.monotonic() - start < 20  # without limits each would take the 30 s of the gate


def test_a_job_that_comes_too_late_is_ended(session):
    dialect = drmaa.Drmaa()
    session.gate.clear()
    with pytest.raises(SchedulerError, match="did not answer"):
        dialect.submit_script("", "", 0.1)
    session.gate.set()
    end = time.monotonic() + 20
    while not session.ended and time.monotonic() < end:
        time.sleep(0.02)
    assert [(str(job), action) for job, action in session.ended] == [("1", "terminate")]
    assert dialect.list_jobs(5) == {}


def test_an_error_state_is_explained_by_the_batch_system(session, monkeypatch):
    monkeypatch.setattr(type(DIALECTS["sge"]), "find_reason",
                        lambda self, job, timeout: f"no folder for {job} ({timeout})")
    assert drmaa.Drmaa().find_reason("7", 3.0) == "no folder for 7 (3.0)"
