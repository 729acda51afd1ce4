"""What the demonstrations share."""

import pytest

from xdp.cli.demo_steps import print_rows, run_quietly, time_step
from xdp.errors import XdpError


def test_steps_are_timed_and_shown(capsys):
    rows = []
    with time_step("one", rows) as said:
        said.append("all well")
    print_rows(rows, "title")
    assert rows[0][0] == "one"
    assert capsys.readouterr().out == f"one           {rows[0][1]:>6} s  all well\n"


def test_a_step_that_fails_is_named(monkeypatch, tmp_path, capsys):
    import xdp.cli.show

    monkeypatch.setattr(xdp.cli.show, "run", lambda words: print(words) or 3)
    with pytest.raises(XdpError, match="the step 'look' ended with status 3"):
        run_quietly("look", "show", ["a.expt"], tmp_path)
    assert capsys.readouterr().out == ""
