"""Commands run in this process."""

from __future__ import annotations

from pathlib import Path

from xdp.cli.main import main
from xdp.logs import stop_log


def run_command(folder: Path, command: str, *words: str, **outputs: str) -> None:
    """Run an xdp command on files in `folder`, its ``output.*`` parameters given by name; it must succeed."""
    out = [f"output.{kind}={folder / name}" for kind, name in outputs.items()]
    inputs = [str(folder / word) if word.endswith((".expt", ".refl")) else word for word in words]
    try:
        assert main([command, *inputs, *out]) == 0
    finally:
        stop_log()
