"""Words for what is given and not used: columns of unknown names, and numbers of experiments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

MOST_NAMED = 5
"""Experiments that a line names; of more it gives the number. A choice."""

#: Columns that spot finding, indexing, refinement and integration write, here and in DIALS: that a stage has no use for
#: some of them is no news.
_KNOWN = frozenset({"bbox", "d", "entering", "flags", "id", "imageset_id", "lp", "miller_index", "n_signal", "panel",
                    "qe", "rlp", "s0", "s1", "s2", "shoebox", "zeta"})
#: What the names of further ones begin with.
_FAMILIES = ("background.", "delpsical", "intensity.", "kapton_", "num_pixels.", "partial", "profile.", "xyzcal.",
             "xyzobs.")


def list_unknown_columns(names: Iterable[str]) -> list[str]:
    """List the names that no stage of processing writes, in their order.

    Examples
    --------
    >>> list_unknown_columns(["id", "xyzobs.px.value", "colour", "age"])
    ['age', 'colour']
    """
    return sorted(name for name in names if name not in _KNOWN and not name.startswith(_FAMILIES))


def name_experiments(numbers: Sequence[int], n_experiments: int) -> str:
    """Name some experiments in brackets; nothing where there is only one.

    Parameters
    ----------
    numbers : sequence of int
        Those that are meant, from 0.
    n_experiments : int
        How many there are.

    Examples
    --------
    >>> name_experiments([0, 2], 3), name_experiments([0], 1), name_experiments(range(9), 20)
    (' (experiments 0, 2)', '', ' (9 experiments)')
    """
    if n_experiments == 1:
        return ""
    if len(numbers) > MOST_NAMED:
        return f" ({len(numbers)} experiments)"
    return f" (experiment{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))})"
