"""Examples of the documentation: the blocks of a page, and how a line of a shell example is run in this process."""

from __future__ import annotations

import glob
import os
import re
import shlex
import shutil
from pathlib import Path

from xdp.cli.main import main
from xdp.logs import stop_log
from xdp.options import parse
from xdp.spotfinding.options import FindSpotsOptions

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^(?:<!-- ([^\n]*) -->\n)?```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LAUE_ROW = "{file}\t{angle}\t{laser}\n"


def list_blocks(page: Path, language: str) -> list[tuple[str, str]]:
    """The (mark, text) of a page's fenced blocks in a language; the mark is a comment right before the block."""
    return [(mark, text) for mark, kind, text in BLOCK.findall(page.read_text(encoding="utf-8")) if kind == language]


def words_of(line: str) -> list[str]:
    """The words of a line as a shell makes them: variables and patterns replaced, comments gone."""
    words = shlex.split(os.path.expandvars(re.sub(r"(^|\s)#.*", "", line)))
    return [name for word in words for name in (sorted(glob.glob(word)) if "*" in word else [word])]


def run_line(line: str) -> None:
    """Run a line of a shell example, or as much of it as a machine without a batch system can.

    The folder /data of the examples is the folder data of the current one.
    """
    program, *words = words_of(line)
    if program == "cp":
        source, target = (os.path.expanduser(word) for word in words)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy(ROOT / source, target)
        return
    command, *words = [word.replace("/data/", f"{os.getcwd()}/data/") for word in words]
    assert program == "xdp"
    if any(word.startswith("mp.method=") and word != "mp.method=none" for word in words):
        assert command == "find_spots"
        assert parse(FindSpotsOptions, words)[1] == ["imported.expt"]
        return
    if command in ("status", "logs", "cancel"):
        words = ["-h"]
    if command == "submit":
        words = ["--dry-run", *words]
        assert "--" in words
    assert main([command, *words]) == 0, line
    stop_log()  # whose screen is the captured one of this test


def write_laue_log(folder: Path) -> None:
    import imagecodecs

    from xdp.simulation.laue import LaueScan, simulate_laue

    scan = simulate_laue(LaueScan(shape=(48, 48), n_angles=10, n_repeats=1, n_spots=1))
    rows = ["# " + LAUE_ROW.format(file="file", angle="angle", laser="laser_on")]
    for i, image in enumerate(scan.images):
        (folder / f"laue_{i}.jp2").write_bytes(imagecodecs.jpeg2k_encode(image, reversible=True, level=0))
        rows.append(LAUE_ROW.format(file=f"laue_{i}.jp2", angle=scan.angle[i], laser=int(scan.laser[i])))
    (folder / "scan.log").write_text("".join(rows))
