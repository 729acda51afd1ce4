"""What the commands without parameters share."""

from __future__ import annotations

from collections.abc import Sequence

from xdp.errors import OptionError


def refuse_options(words: Sequence[str], command: str) -> None:
    """Refuse words that look like options, which would else be taken for folders.

    Raises
    ------
    OptionError
        At the first one.
    """
    for word in words:
        if word.startswith("-"):
            raise OptionError(f"unknown option {word}; xdp {command} -h explains them")
