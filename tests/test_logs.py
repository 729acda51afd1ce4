"""Log lines on the screen and in files."""

from __future__ import annotations

import logging

import pytest

from xdp.errors import XdpError
from xdp.logs import log_start, log_subject, stage_log, start_log, stop_log
from xdp.protection import Input, Inputs, protect


@pytest.fixture(autouse=True)
def closed():
    """No log is left open."""
    yield
    stop_log()


def test_lines_go_to_the_screen_and_the_file(tmp_path, capsys):
    log = start_log(tmp_path / "a.log")
    log.info("seen")
    log.debug("a detail")
    stop_log()
    assert capsys.readouterr().out == "seen\n"
    assert (tmp_path / "a.log").read_text() == "seen\n"


@pytest.mark.parametrize(("verbosity", "on_screen", "in_file"), [(0, "", ""), (1, "", "detail\n"),
                                                                 (2, "detail\n", "detail\n")])
def test_verbosity_shows_details(tmp_path, capsys, verbosity, on_screen, in_file):
    start_log(tmp_path / "a.log", verbosity).debug("detail")
    stop_log()
    assert capsys.readouterr().out == on_screen
    assert (tmp_path / "a.log").read_text() == in_file


def test_a_stage_has_its_own_file_and_shows_only_warnings(tmp_path, capsys):
    log = start_log(tmp_path / "whole.log")
    with stage_log(tmp_path / "stage.log", quiet=True):
        log.info("quiet")
        log.warning("loud")
    log.info("after")
    stop_log()
    assert capsys.readouterr().out == "loud\nafter\n"
    assert (tmp_path / "stage.log").read_text() == "quiet\nloud\n"
    assert (tmp_path / "whole.log").read_text() == "quiet\nloud\nafter\n"


def test_each_log_begins_with_program_and_parameters(tmp_path):
    start_log(tmp_path / "a.log")
    log_start("index", "d_min = 2\n")
    stop_log()
    text = (tmp_path / "a.log").read_text()
    assert text.startswith("xdp ")
    assert ": index, " in text
    assert text.endswith("These parameters have been modified:\n\nd_min = 2\n\n")


def test_an_input_is_not_emptied_and_a_missing_folder_is_named(tmp_path):
    path = tmp_path / "image.cbf"
    path.write_text("counts")
    with protect(Inputs(lambda: [Input(str(path), "an input of this run")])), \
            pytest.raises(XdpError, match="would replace"):
        start_log(path)
    assert path.read_text() == "counts"
    with pytest.raises(XdpError, match="cannot write the log file"):
        start_log(tmp_path / "none" / "a.log")


def test_a_full_disk_is_told_once(tmp_path, capsys):
    class Full:
        """A stream that takes nothing."""

        def write(self, text):
            raise OSError(28, "No space left on device")

        def flush(self):
            pass

        def close(self):
            pass

    log = start_log(tmp_path / "a.log")
    next(h for h in log.handlers if isinstance(h, logging.FileHandler)).stream = Full()
    log.info("one")
    log.info("two")
    err = capsys.readouterr().err
    assert err.count("the log is not complete: No space left on device") == 1


def test_warnings_begin_with_what_they_are_about(tmp_path, capsys):
    log = start_log(tmp_path / "a.log")
    with log_subject("sweep 1 (b_##.cbf 1-9)"):
        log.info("200 spots")
        log.warning("%d spots are few", 3)
        with log_subject(None), stage_log(tmp_path / "s.log", quiet=False):
            log.warning("again")
    log.warning("of all")
    stop_log()
    text = "200 spots\nsweep 1 (b_##.cbf 1-9): 3 spots are few\nsweep 1 (b_##.cbf 1-9): again\nof all\n"
    assert (tmp_path / "a.log").read_text() == capsys.readouterr().out == text
    assert (tmp_path / "s.log").read_text() == "sweep 1 (b_##.cbf 1-9): again\n"
