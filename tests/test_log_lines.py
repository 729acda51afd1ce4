"""Log lines on the screen and in the file."""

from __future__ import annotations

import logging

import pytest

from xdp.errors import XdpError
from xdp.logs import log_start, start_log, stop_log


@pytest.fixture(autouse=True)
def _quiet():
    yield
    stop_log()


def test_messages_go_to_screen_and_file(tmp_path, capsys):
    path = tmp_path / "xdp.log"
    start_log(path)
    logging.getLogger("xdp.spotfinding.filter").info("12 spots")
    logging.getLogger("xdp.spotfinding.filter").debug("a detail")
    assert capsys.readouterr().out == "12 spots\n"
    stop_log()
    assert path.read_text() == "12 spots\n"


@pytest.mark.parametrize(("verbosity", "on_screen"), [(1, False), (2, True)])
def test_details_are_asked_for(tmp_path, capsys, verbosity, on_screen):
    start_log(tmp_path / "xdp.log", verbosity)
    logging.getLogger("xdp.images").debug("a detail")
    stop_log()
    assert ("a detail" in capsys.readouterr().out) == on_screen
    assert "a detail" in (tmp_path / "xdp.log").read_text()


def test_a_new_log_replaces_the_old_one_and_its_handlers(tmp_path, capsys):
    for _ in range(3):
        logger = start_log(tmp_path / "xdp.log")
    logger.info("once")
    assert capsys.readouterr().out == "once\n"
    assert len(logger.handlers) == 2


def test_no_path_means_no_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    start_log(None).info("x")
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out == "x\n"


def test_a_log_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(XdpError, match=r"none/xdp\.log: cannot write the log file: No such file"):
        start_log(tmp_path / "none" / "xdp.log")


def test_the_head_lists_what_was_changed(capsys):
    log_start("find_spots", "d_min = 2\n", start_log(None))
    out = capsys.readouterr().out
    assert "find_spots" in out
    assert "modified:\n\nd_min = 2\n" in out
    log_start("find_spots", "", start_log(None))
    assert "modified" not in capsys.readouterr().out
