"""What a stage works with: the workers that run its tasks, and what shows its progress."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from xdp.work.progress import Progress, no_progress

if TYPE_CHECKING:
    from distributed import Client


@dataclass(frozen=True)
class Resources:
    """Where the work of a stage is done, and what shows how far it is.

    Attributes
    ----------
    client : distributed.Client or None
        Whose workers run the tasks; None: threads of this process.
    progress : Progress
        ``with resources.progress(total, label) as advance: advance(n)``.
    """

    client: Client | None = None
    progress: Progress = no_progress
