"""Rounds of a run: the shots of each are integrated with what those of the earlier ones say about widths of points."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

FIRST_ROUND = 80
"""Shots of the first round, whose crystals have the usual prior. With hits in every tenth shot it has more than the
five crystals from which a prior can be learned. A choice."""


def cut_rounds(numbers: Sequence[int], size: int) -> Iterator[list[Sequence[int]]]:
    """Cut the shots of a run into rounds, each twice as long as the one before, and each round into bags.

    Rounds end at the same shots whatever the size of bags and the number of workers, so that results depend on neither.
    Workers wait at the end of each round; there are few, since their length doubles.

    Parameters
    ----------
    numbers : sequence of int
        Of the shots.
    size : int
        Shots of a bag.

    Yields
    ------
    list of sequence of int
        The bags of a round.

    Examples
    --------
    >>> [len(bags) for bags in cut_rounds(range(1000), 10)]
    [8, 16, 32, 44]
    """
    first, length = 0, FIRST_ROUND
    while first < len(numbers):
        own = numbers[first:first + length]
        yield [own[k:k + size] for k in range(0, len(own), size)]
        first, length = first + length, 2 * length
