"""Commands of batch systems that a test makes up."""

from __future__ import annotations

import os


def put_command(folder, monkeypatch, name, body):
    """Put a command of that name first on the path; `body` is shell text."""
    path = folder / name
    path.write_text(f"#!/bin/bash\n{body}\n")
    path.chmod(0o755)
    if str(folder) not in os.environ["PATH"].split(os.pathsep):
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
