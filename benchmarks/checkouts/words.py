"""What a program says, compared: changed wording is one thing, changed numbers are another.

Logs and printed lines may be reworded where results stay the same. So their changed lines are sorted: lines that
differ in numbers only are differences of results; all others are changes of wording, which are counted over all
commands, with ``#`` in place of each number.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from typing import NamedTuple

NUMBER = re.compile(r"(?<![A-Za-z])[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


class Rewording(NamedTuple):
    """A change of wording.

    Attributes
    ----------
    before, after : str
        The lines, joined by `` / ``, with ``#`` in place of numbers; empty where there are none.
    same_numbers : bool
        Whether both hold the same numbers, in any order.
    """

    before: str
    after: str
    same_numbers: bool

    def __str__(self) -> str:
        note = "" if self.same_numbers else "  (their numbers differ)"
        return f"-{self.before}\n+{self.after}{note}"


def compare_words(first: str, second: str) -> tuple[str, Counter[Rewording]]:
    """What differs in numbers only (a description, empty if nothing does), and the changes of wording."""
    left, right = ([line.strip() for line in text.splitlines()] for text in (first, second))
    in_numbers: list[tuple[str, str]] = []
    rewordings: Counter[Rewording] = Counter()
    for kind, a, b, c, d in difflib.SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        pairs = list(zip(left[a:b], right[c:d], strict=True)) if b - a == d - c else [_join(left[a:b], right[c:d])]
        for one, two in pairs:
            if _hide_numbers(one) == _hide_numbers(two):
                in_numbers.append((one, two))
            else:
                numbers = [sorted(NUMBER.findall(text)) for text in (one, two)]
                rewordings[Rewording(_hide_numbers(one), _hide_numbers(two), numbers[0] == numbers[1])] += 1
    return describe_numbers(in_numbers), rewordings


def describe_numbers(pairs: list[tuple[str, str]]) -> str:
    """Number of pairs of lines that differ in numbers, the largest relative difference, the first pair."""
    if not pairs:
        return ""
    before, after = pairs[0]
    return (f"{len(pairs)} line{'s' * (len(pairs) > 1)} with other numbers, max rel {largest_difference(pairs):.3g}: "
            f"-{shorten(before)} +{shorten(after)}")


def differ_in_numbers_only(pairs: list[tuple[str, str]]) -> bool:
    """Whether all pairs of lines are the same but for numbers; False for no pairs."""
    return bool(pairs) and all(_hide_numbers(one) == _hide_numbers(two) for one, two in pairs)


def largest_difference(pairs: list[tuple[str, str]]) -> float:
    """The largest relative difference of the numbers in pairs of lines."""
    values = [(float(x), float(y)) for one, two in pairs
              for x, y in zip(NUMBER.findall(one), NUMBER.findall(two), strict=True)]
    return max((abs(x - y) / (max(abs(x), abs(y)) or 1.0) for x, y in values), default=0.0)


def shorten(text: str, length: int = 60) -> str:
    """The beginning of a text, without blanks around it."""
    text = text.strip()
    return text if len(text) <= length else text[: length - 3] + "..."


def _join(first: list[str], second: list[str]) -> tuple[str, str]:
    """Lines that are no pairs, as one text each."""
    return " / ".join(filter(None, first)), " / ".join(filter(None, second))


def _hide_numbers(text: str) -> str:
    """The text with ``#`` in place of numbers, and one blank in place of several: columns grow with their numbers."""
    return re.sub(r"\s+", " ", NUMBER.sub("#", text))
