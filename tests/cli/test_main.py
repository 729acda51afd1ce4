"""The command `xdp` itself."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
import types

import pytest

import xdp
from xdp.cli import main as main_module
from xdp.cli.main import COMMANDS, main
from xdp.errors import OptionError


@pytest.fixture
def command(monkeypatch):
    """Install a command `probe` that does what it is told."""

    def install(run):
        module = types.ModuleType("xdp.cli.probe")
        module.run = run
        monkeypatch.setitem(sys.modules, "xdp.cli.probe", module)
        monkeypatch.setitem(COMMANDS, "probe", "does what the test wants")

    return install


@pytest.mark.parametrize("args", [[], ["-h"], ["--help"], ["help"]])
def test_overview_lists_all_commands(args, capsys):
    assert main(args) == 0
    out = capsys.readouterr().out
    for name, help in COMMANDS.items():
        assert f"  {name}" in out
        assert help in out


@pytest.mark.parametrize("args", [[], ["--help"], ["--version"]])
def test_overview_needs_the_standard_library_only(args):
    code = (
        "import sys; from xdp.cli.main import main; main(sys.argv[1:])\n"
        "third = [n for n, m in sys.modules.items()"
        " if 'site-packages' in (getattr(m, '__file__', None) or '') and not n.startswith('_distutils')]\n"
        "heavy = [n for n in ('argparse', 'asyncio', 'numpy', 'pydantic') if n in sys.modules]\n"
        "sys.exit(repr((third, heavy)) if third or heavy else 0)"
    )
    # -S and an explicit path: no .pth file of some other package imports anything before we do
    environment = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(xdp.__file__))}
    command = [sys.executable, "-S", "-c", code, *args]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"xdp {xdp.__version__}\n"


def test_arguments_reach_the_command(command):
    seen = []
    command(lambda args: seen.append(args) or 0)
    assert main(["probe", "a=1", "-v"]) == 0
    assert seen == [["a=1", "-v"]]


def test_a_dash_in_the_name_is_an_underscore(command, monkeypatch):
    command(lambda args: 0)
    monkeypatch.setitem(COMMANDS, "pro_be", "")
    monkeypatch.setitem(sys.modules, "xdp.cli.pro_be", sys.modules["xdp.cli.probe"])
    assert main(["pro-be"]) == 0


def test_user_errors_are_one_line(command, capsys):
    def run(args):
        raise OptionError("d_min must be a number, got 'x'")

    command(run)
    assert main(["probe"]) == 1
    captured = capsys.readouterr()
    assert captured.err == "xdp probe: error: d_min must be a number, got 'x'\n"
    assert captured.out == ""


def test_defects_keep_their_traceback(command):
    def run(args):
        raise ZeroDivisionError

    command(run)
    with pytest.raises(ZeroDivisionError):
        main(["probe"])


def test_unknown_command_suggests_the_nearest(capsys):
    assert main(["find_spot"]) == 1
    assert "did you mean find_spots?" in capsys.readouterr().err


def test_system_exit_gives_its_status(command):
    def run(args):
        raise SystemExit(3)

    command(run)
    assert main(["probe"]) == 3


def run_program(code: str, **kwargs):
    body = (
        "import sys, types; from xdp.cli.main import main, COMMANDS\n"
        "m = types.ModuleType('xdp.cli.probe'); sys.modules['xdp.cli.probe'] = m; COMMANDS['probe'] = ''\n"
        f"def run(args):\n{code}\nm.run = run\nsys.exit(main(['probe']))"
    )
    return subprocess.Popen([sys.executable, "-c", body], text=True, **kwargs)


def test_interrupt_ends_with_130():
    # a shell's background jobs, and so their children, ignore the signal unless told otherwise
    code = ("    import signal, time; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "    print('ready', flush=True); time.sleep(60)")
    with run_program(code, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == "interrupted\n"


def test_a_closed_pipe_ends_quietly():
    code = "    [print('x' * 1000) for _ in range(100000)]"
    with run_program(code, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
        process.wait(timeout=30)
    assert process.returncode == 128 + signal.SIGPIPE
    assert err == ""


def test_only_the_program_sets_the_garbage_collector(command, monkeypatch):
    settings = gc.get_threshold(), gc.get_freeze_count()
    command(lambda args: 0)
    assert main(["probe"]) == 0
    assert (gc.get_threshold(), gc.get_freeze_count()) == settings

    calls = []
    monkeypatch.setattr(main_module.gc, "set_threshold", calls.append)
    monkeypatch.setattr(main_module.gc, "freeze", lambda: calls.append("freeze"))
    command(lambda args: calls.append(args))
    monkeypatch.setattr(sys, "argv", ["xdp", "probe", "a"])
    assert main() == 0
    assert calls == [10_000, ["a"], "freeze"]


def test_every_listed_command_exists_and_has_help():
    for name in COMMANDS:
        path = os.path.join(os.path.dirname(main_module.__file__), f"{main_module._MODULES.get(name, name)}.py")
        if not os.path.exists(path):
            pytest.skip(f"xdp {name} is not written yet")
        with open(path, encoding="utf-8") as handle:
            assert handle.read(3) == '"""'


def test_help_of_a_command_is_that_of_its_option(capsys):
    assert main(["find_spots", "-h"]) == 0
    wanted = capsys.readouterr().out
    for words in (["help", "find_spots"], ["help", "find-spots"], ["help", "-h", "find_spots"]):
        assert main(words) == 0
        assert capsys.readouterr().out == wanted
    for name in COMMANDS:
        assert main(["help", name]) == 0
        assert capsys.readouterr().out


def test_help_of_what_is_no_command(capsys):
    assert main(["help", "dials.index"]) == 1
    assert "use xdp index" in capsys.readouterr().err
    assert main(["help", "index", "refine"]) == 1
    assert "help takes one command, got index refine" in capsys.readouterr().err


@pytest.mark.parametrize(("typed", "said"), [
    ("FIND_SPOTS", "did you mean find_spots?"), ("xdp.index", "did you mean index?"),
    ("xdp", "leave out the second xdp"), ("-x", "no option -x: the command comes first"),
    ("--find_spots", "the command comes first"), ("a.expt", "a.expt is a file, and the command comes first: xdp show"),
])
def test_what_stands_where_the_command_should(typed, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.expt").write_text("{}")
    assert main([typed, "imported.expt"]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert main(["help", "help"]) == 0
