"""How each batch system is spoken to: directives of a job script, commands, and the lists they print."""

from __future__ import annotations

from xdp.cluster.batch.dialects.base import FAILED, QUEUED, RUNNING, Dialect, Listing, Request, quote_path
from xdp.cluster.batch.dialects.lsf import Lsf
from xdp.cluster.batch.dialects.pbs import Pbs
from xdp.cluster.batch.dialects.sge import Sge
from xdp.cluster.batch.dialects.slurm import Slurm

DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in (Sge(), Lsf(), Pbs(), Slurm())}
"""The batch systems that are reached by their commands, by the name of their method (DRMAA makes its own: it needs a
session)."""

__all__ = ["DIALECTS", "FAILED", "QUEUED", "RUNNING", "Dialect", "Listing", "Request", "quote_path"]
