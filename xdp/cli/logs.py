"""Print the logs of a run: of its commands and of its jobs, oldest first.

Usage: xdp logs [-n LINES] FOLDER

  -n LINES    only so many last lines of each (default 50; 0: all)

Examples:

  xdp logs run1
  xdp logs -n 0 run1
"""

from __future__ import annotations

import sys

from xdp.cli.plain import refuse_options
from xdp.errors import OptionError


def run(args: list[str]) -> int:
    """Print the last lines of each log of a run under the log's name, oldest log first.

    Raises
    ------
    XdpError
        If the folder does not exist, or the number of lines is none.
    """
    from xdp.cluster.batch.submission import list_log_files

    if "-h" in args or "--help" in args:
        sys.stdout.write(__doc__)
        return 0
    lines, folder = _read_arguments(args)
    for path in list_log_files(folder):
        text = path.read_text(encoding="utf-8", errors="replace").splitlines()
        sys.stdout.write(f"==> {path}\n")
        sys.stdout.write("".join(f"{line}\n" for line in text[-lines if lines else 0 :]))
    return 0


def _read_arguments(args: list[str]) -> tuple[int, str]:
    words, lines = list(args), "50"
    if "-n" in words:
        place = words.index("-n")
        lines = words[place + 1] if place + 1 < len(words) else ""
        del words[place : place + 2]
    refuse_options(words, "logs")
    if not lines.isdigit() or len(words) != 1:
        raise OptionError("logs needs the folder of one run, and -n a number of lines")
    return int(lines), words[0]
