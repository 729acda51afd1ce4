"""Damaged files and random command lines end in work or in one line: no traceback, no crash, no hang, no warning.

A twentieth of what is worth running now and then: ``python tests/support/fuzzing.py 10000 2000``.
"""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import h5py
import isolation
import numpy as np
import pytest
from damage import damage_hdf5, damage_text
from isolation import run_once

SUPPORT = Path(__file__).parents[1] / "support"
FILES, COMMANDS = 500, 100


def test_damaged_files_and_random_command_lines():
    # A process of its own: its children start from what it has loaded, without the threads of other tests.
    done = subprocess.run([sys.executable, str(SUPPORT / "fuzzing.py"), str(FILES), str(COMMANDS), "1"], text=True,
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert done.stdout.split("\n\n") == [f"{FILES} runs, 0 kinds of trouble", f"{COMMANDS} runs, 0 kinds of trouble\n"]


def explode(words):
    {"raise": lambda: [][0], "abort": lambda: __import__("os").abort(), "exit": lambda: __import__("os")._exit(3),
     "spin": lambda: sum(1 for _ in iter(int, 1)), "wait": lambda: __import__("time").sleep(60),
     "eat": lambda: np.ones(3 << 27).sum(), "warn": lambda: np.float64(1.0) / 0.0, "grumble": lambda: None}[words[0]]()
    return {"grumble": 1}.get(words[0], 0)


@pytest.mark.parametrize(("word", "trouble"), [
    ("raise", "IndexError"), ("abort", "killed by signal 6"), ("exit", "ended the process with 3"),
    ("spin", "hangs: more than 0.5 s of processor time"), ("wait", "hangs: waits"), ("eat", "takes more than"),
    ("warn", "divide by zero"), ("grumble", "no one line of complaint")])
def test_each_trouble_of_a_child_is_seen(monkeypatch, word, trouble):
    monkeypatch.setattr(isolation, "main", explode)
    # A busy machine gives a child little of its time: only the one that waits is stopped by the clock.
    monkeypatch.setattr(isolation, "SECONDS_WAITING", 20 if word == "wait" else 1000)
    assert trouble in run_once([word], 0.5 if word in ("spin", "wait") else 10).trouble


def test_work_is_no_trouble():
    outcome = run_once(["--version"])
    assert (outcome.status, outcome.trouble) == (0, "")
    assert outcome.said.startswith("xdp ")
    complaint = run_once(["show", "none.expt"])
    assert (complaint.status, complaint.trouble) == (1, "")
    assert "none.expt" in complaint.said


def test_damage_is_the_same_for_a_seed(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x/y"], file["x/z"] = np.arange(6).reshape(2, 3), "text"
        file["x/y"].attrs["units"] = "mm"
    (tmp_path / "a.geom").write_text("clen = 0.1\np/min_fs = 0\n")
    texts = [damage_text(tmp_path / "a.geom", random.Random(seed)) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    kept = 0
    for seed in range(60):
        damage_hdf5(tmp_path / "a.h5", random.Random(seed), tmp_path / "b.h5")
        kept += (tmp_path / "b.h5").read_bytes() == (tmp_path / "a.h5").read_bytes()
    assert kept < 10
