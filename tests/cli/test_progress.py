"""The progress bar."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest

from xdp.cli.progress import draw_progress


def test_off_a_terminal_nothing_is_drawn_or_imported():
    code = (
        "import sys; from xdp.cli.progress import draw_progress\n"
        "with draw_progress(3, 'frames') as advance:\n    advance(2); advance()\n"
        "print('rich' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    assert done.stderr == ""


class _Terminal(io.StringIO):
    def isatty(self):
        return True


def test_on_a_terminal_the_bar_counts(monkeypatch):
    screen = _Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with draw_progress(4, "frames") as advance:
        advance(1)
        advance(2)
    assert "frames" in screen.getvalue()
    assert "3/4" in screen.getvalue()


def test_errors_pass_through():
    with pytest.raises(ZeroDivisionError), draw_progress(1, "x"):
        raise ZeroDivisionError
