"""Abbreviated parameter paths, resolved as DIALS resolves them.

The rules are those of libtbx's command-line interpreter, found by trying it: among all full paths that contain what
was typed, an equal path is best, then one that ends with it after a dot, then one that ends with it, then any. If
several are equally good, the lowest expert level wins, with a note; several of that level too are an error.
"""

from __future__ import annotations

import logging

from xdp.errors import OptionError, UnknownParameterError
from xdp.options.tree import Definition, Scope, build_tree

logger = logging.getLogger(__name__)


def resolve(root: Scope, typed: str) -> Definition:
    """The parameter that a full or abbreviated path means.

    Where nothing contains the whole of `typed`, its first part may name an outermost scope, and the rest is then read
    as if that scope were all there is: ``integrate.background.algorithm`` is what ``background.algorithm`` is to the
    command ``integrate``.

    Raises
    ------
    OptionError
        If no path contains `typed` (the nearest names are suggested), or if the best match is not unique.
    """
    # All parameters, a few hundred, are looked at: fast enough, and nothing is missed.
    scored = [(_score(typed, item.path), item) for item in root.definitions()]
    best = max((score for score, _ in scored), default=0)
    if best == 0:
        return _within_a_scope(root, typed)
    matches = [item for score, item in scored if score == best]
    if len(matches) == 1:
        return matches[0]
    # A parameter that everybody sees comes before one that only experts see.
    lowest = min(item.level for item in matches)
    chosen = [item for item in matches if item.level == lowest]
    names = ", ".join(item.path for item in matches)
    if len(chosen) > 1:
        raise OptionError(f"{typed} is ambiguous: it may mean {names}; write more of the path")
    logger.warning("%s may mean %s; %s is taken", typed, names, chosen[0].path)
    return chosen[0]


def _within_a_scope(root: Scope, typed: str) -> Definition:
    """The parameter that the rest of a path means within the outermost scope that its first part names."""
    first, _, rest = typed.partition(".")
    scope = root.child(first)
    inner = build_tree(scope.model) if rest and isinstance(scope, Scope) else None
    if inner is None or not any(rest in item.path for item in inner.definitions()):
        raise describe_unknown(root, typed)
    # The model within does not know the scope in which it stands here.
    path = f"{first}.{resolve(inner, rest).path}"
    return next(item for item in root.definitions() if item.path == path)


def _score(typed: str, path: str) -> int:
    if typed not in path:
        return 0
    if typed == path:
        return 4
    if path.endswith("." + typed):
        return 3
    return 2 if path.endswith(typed) else 1


def describe_unknown(root: Scope, typed: str, file: str | None = None) -> OptionError:
    """Make the error for a name that no parameter has, with the nearest one.

    Parameters
    ----------
    root : Scope
        All parameters.
    typed : str
        The name.
    file : str, optional
        The file that holds it, with which the message begins.

    Returns
    -------
    OptionError
        To be raised by the caller.
    """
    suggestion = find_nearest_name(root, typed)
    hint = f"; did you mean {suggestion}?" if suggestion else "; -c -e 3 lists all parameters"
    place = f"{file}: " if file else ""
    return UnknownParameterError(f"{place}unknown parameter {typed}{hint}", typed)


def find_nearest_name(root: Scope, typed: str) -> str | None:
    """Find the full path nearest to what was typed, compared both as a whole and by its last parts.

    Returns
    -------
    str or None
        None if nothing is alike: a wrong suggestion is worse than none.
    """
    import difflib  # late: only a mistyped name pays for it

    depth = typed.count(".") + 1
    best, path = 0.0, None
    for item in root.definitions():
        tail = ".".join(item.path.split(".")[-depth:])
        ratio = max(
            difflib.SequenceMatcher(None, typed.lower(), candidate.lower()).ratio() for candidate in (tail, item.path)
        )
        if ratio > best:
            best, path = ratio, item.path
    return path if best >= 0.6 else None
