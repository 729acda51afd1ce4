"""Names of jobs: one for each run, so that its jobs are found even where a submission was given up and no id came."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

LETTERS = "bcdfghjklmnpqrstvwxz"
"""Letters of the part that tells runs apart: without vowels, so that no words come about, and without digits, by which
the log of a job is found. Four of them make 160,000 names."""


def make_worker_name() -> str:
    """Make up a name for the jobs of workers of one run: ``xdp-worker-kfzt``, 15 letters, as many as PBS allows."""
    return f"xdp-worker-{_make_mark(secrets.token_bytes(4))}"


def make_driver_name(out: Path, label: str) -> str:
    """Make the name of a driver's job: always the same for one folder, and another one for any other folder.

    Parameters
    ----------
    out : Path
        The run's folder.
    label : str
        What the user calls the run; the name begins with it.

    Returns
    -------
    str
        At most 15 letters, as many as PBS allows.

    Examples
    --------
    >>> make_driver_name(Path("/data/r0069"), "69")
    'xdp-69-xcbs'
    """
    plain = "".join(letter if letter.isalnum() else "-" for letter in label)
    return f"xdp-{plain[:6]}-{_make_mark(hashlib.sha256(os.fsencode(out.absolute())).digest()[:4])}"


def _make_mark(numbers: Iterable[int]) -> str:
    """Letters that stand for bytes."""
    return "".join(LETTERS[number % len(LETTERS)] for number in numbers)
