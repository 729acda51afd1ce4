"""Run DIALS' commands and scripts in forks of one process that has imported DIALS.

DIALS' own Python runs this file, not ours. Imports take most of the time of a short command (1 to 3 s of CPU), and a
fork has them already. A request is a line of JSON on standard input with

- ``words``: the command and its words, such as ``["dials.import", "a.cbf"]``; of a script, ``["-c", ...]``;
- ``code``: the text of a script, null for a command;
- ``folder``: where it runs;
- ``output``: the prefix of two files for what it prints, ``.out`` and ``.err``.

The answer is a line with the exit status: negative, the number of the signal that ended the process.
"""

from __future__ import annotations

import ast
import atexit
import contextlib
import importlib
import json
import os
import sys
import traceback
import types
from importlib.metadata import distribution
from typing import NoReturn


def load_commands() -> dict:
    """The entry points of DIALS' commands by name."""
    return {e.name: e for e in distribution("dials").entry_points if e.group == "console_scripts"}


def import_formats() -> None:
    """Import all image formats, which each import of images would do again (pint alone reads its units for 1 s)."""
    from dxtbx.format.Registry import get_format_class_for, get_format_class_index

    for name in get_format_class_index():
        with contextlib.suppress(Exception):  # a format that needs a package that is not installed
            get_format_class_for(name)


def import_ahead(request: dict, commands: dict) -> None:
    """Import here what the request imports, so that its fork and later ones find it."""
    if request["code"] is None:
        names = [commands[request["words"][0]].module]
    else:
        names = []
        for node in ast.walk(ast.parse(request["code"])):
            if isinstance(node, ast.ImportFrom):
                names.append(node.module)
            elif isinstance(node, ast.Import):
                names.extend(alias.name for alias in node.names)
    for name in names:
        with contextlib.suppress(Exception):  # the fork meets the error again, and reports it
            importlib.import_module(name)


def run_request(request: dict, commands: dict) -> int:
    """Run the request in this process, as if Python had been started with it; the exit status."""
    os.chdir(request["folder"])
    for number, suffix in ((1, ".out"), (2, ".err")):
        os.dup2(os.open(request["output"] + suffix, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.argv = list(request["words"])
    sys.modules["__main__"] = main = types.ModuleType("__main__")
    try:
        if request["code"] is None:
            sys.exit(commands[sys.argv[0]].load()())
        sys.path.insert(0, "")
        exec(compile(request["code"], "<string>", "exec"), main.__dict__)
    except SystemExit as ended:
        if isinstance(ended.code, int | None):
            return ended.code or 0
        print(ended.code, file=sys.stderr)  # as Python does
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        main.__dict__.clear()  # closes files that the script left open
    return 0


def leave(status: int) -> NoReturn:
    """End this process without taking down its modules one by one, which takes 0.4 s of CPU in a fork."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def serve(commands: dict) -> dict | None:
    """Answer requests until the input ends (None). In each fork: the request that it is to run."""
    # What the requests or their imports print must not reach the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    import_formats()
    print("ready", file=answers, flush=True)
    requests = os.fdopen(os.dup(0), "r")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for line in requests:
        request = json.loads(line)
        import_ahead(request, commands)
        child = os.fork()
        if child == 0:
            requests.close()
            answers.close()
            return request
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(status, file=answers, flush=True)
    return None


if __name__ == "__main__":
    del sys.path[0]  # the folder of our tests' modules
    known = load_commands()
    asked = serve(known)
    if asked is not None:
        leave(run_request(asked, known))
