"""The pool: candidates of many shots, put together in any order to the same pool."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from xdp.serial.consensus.candidates import ShotCandidates


@dataclass(frozen=True)
class CandidatePool:
    """Candidates of some shots of a run.

    Attributes
    ----------
    shots : tuple of ShotCandidates
        In an order that depends on their keys only; each key once.
    """

    shots: tuple[ShotCandidates, ...] = ()

    def __len__(self) -> int:
        return len(self.shots)


def merge_pools(parts: Iterable[CandidatePool | ShotCandidates], max_shots: int = 100) -> CandidatePool:
    """Put pools and single shots together.

    The result is exactly the same in whatever order and groups they come. Where there are more than `max_shots`, a
    random choice is kept that depends on the shots' keys only: it is spread over the run, and no worker need know what
    another one has.

    Parameters
    ----------
    parts : iterable of CandidatePool or ShotCandidates
        A shot may come several times, as tasks may run twice.
    max_shots : int
        Shots that are kept at most; the same in all calls.

    Returns
    -------
    CandidatePool
        Shots without spots are left out.

    Examples
    --------
    >>> from xdp.simulation.still_spots import make_still_spots
    >>> from xdp.serial.consensus.candidates import pool_shot
    >>> shots = []
    >>> for seed in (1, 2, 3):
    ...     experiment, spots = make_still_spots(seed=seed)
    ...     shots.append(pool_shot(spots, experiment, key=f"shot {seed}"))
    >>> one, other = merge_pools(shots), merge_pools([merge_pools(shots[1:]), shots[0]])
    >>> [s.key for s in one.shots] == [s.key for s in other.shots]
    True
    """
    shots: dict[str, ShotCandidates] = {}
    for part in parts:
        for shot in part.shots if isinstance(part, CandidatePool) else (part,):
            # of two shots with one key, which should be equal, the same one is kept in whatever order they come
            if len(shot.points) and (shot.key not in shots or _list_bytes(shot) < _list_bytes(shots[shot.key])):
                shots[shot.key] = shot
    chosen = sorted(shots.values(), key=lambda s: hashlib.sha256(s.key.encode()).digest())[:max_shots]
    return CandidatePool(tuple(chosen))


def _list_bytes(shot: ShotCandidates) -> tuple[bytes, ...]:
    return shot.points.tobytes(), shot.rays.tobytes(), shot.bases.tobytes(), shot.scores.tobytes()
