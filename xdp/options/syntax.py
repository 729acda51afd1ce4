"""User text to a tree of names and words, by freephil's grammar and nothing else of freephil.

Several of freephil's entry points evaluate or execute what the user wrote: ``extract`` and ``extract_format`` (and
with them ``fetch`` of a repeated parameter) call ``eval`` on numbers; ``parse`` itself evaluates ``.type``,
``.expert_level`` and ``.call`` attributes; ``include scope`` imports Python objects. So attributes are dropped by
the token stream before the grammar sees them, types are never given to freephil, includes of scopes are refused and
includes of files are followed here.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import types
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from xdp.errors import OptionError
from xdp.files import open_input

#: Bytes of a parameter file. A choice: parameters fill some thousand, an image given by mistake has millions.
_MAX_BYTES = 1_000_000
#: Scopes within scopes: a choice far above what parameters need; Python's stack ends near a thousand calls.
_MAX_DEPTH = 60
#: $NAME or $(NAME), unless a backslash stands before it.
_VARIABLE = re.compile(r"(?<!\\)\$(?:\(([A-Za-z_][A-Za-z0-9_.]*)\)|([A-Za-z_][A-Za-z0-9_]*))")


@dataclass
class Statement:
    """A definition (`words`) or a scope (`children`) as written; `origin`: command-line word, and statement in it."""

    name: str
    words: list | None = None
    children: list[Statement] = field(default_factory=list)
    origin: tuple[int, int] | None = None

    def definitions(self, parent: str = "") -> list[tuple[str, list]]:
        """All definitions below, as (path, words)."""
        path = f"{parent}.{self.name}" if parent else self.name
        if self.words is not None:
            return [(path, self.words)]
        return [item for child in self.children for item in child.definitions(path)]


def parse_text(text: str, where: str) -> list[Statement]:
    """Parse PHIL text, for instance one command-line word.

    Raises
    ------
    OptionError
        If the text is not PHIL; the message begins with `where`.
    """
    if len(text) > _MAX_BYTES:
        raise OptionError(f"{where[:40]}...: too long for a parameter")
    return _sources(_parse(text, where), where, None, ())


def parse_file(path: str | os.PathLike, _stack: tuple[str, ...] = ()) -> list[Statement]:
    """Parse a PHIL file; ``include file OTHER`` is followed, relative to the file's folder.

    Raises
    ------
    OptionError
        If the file cannot be read, is not PHIL, or includes itself.
    """
    name = os.fspath(path)
    # By its real path: a link to itself is a circle too.
    real = os.path.realpath(name)
    if real in _stack:
        raise OptionError(f"{name}: the file includes itself")
    try:
        with open_input(name) as handle:
            # One byte more than allowed shows that there is more, however long the file is.
            raw = handle.read(_MAX_BYTES + 1)
        text = raw.decode("utf-8")
    except OSError as error:
        raise OptionError(f"{name}: cannot read the parameter file: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise OptionError(f"{name}: not a parameter file (it is not text)") from error
    if len(raw) > _MAX_BYTES or "\0" in text:
        raise OptionError(f"{name}: not a parameter file (too long, or not text)")
    return _sources(_parse(text, name), name, Path(name).parent, (*_stack, real))


def _parse(text: str, where: str) -> Any:
    """Run freephil's grammar over the token stream without attributes."""
    freephil, parser, iterator = _freephil()
    root = freephil.scope(name="", primary_id=0)
    try:
        parser.collect_objects(
            word_iterator=iterator(text),
            converter_registry={},
            primary_id_generator=count(1),
            primary_parent_scope=root,
        )
    except RecursionError:
        raise OptionError(f"{where}: scopes are nested too deeply") from None
    # What freephil raises at wrong text, its own words included.
    except (RuntimeError, AssertionError, IndexError) as error:
        raise OptionError(f"{where}: {str(error) or 'not a parameter definition'}") from None
    return root


def _sources(scope: Any, where: str, folder: Path | None, stack: tuple[str, ...], depth: int = 0) -> list[Statement]:
    """Freephil's objects as `Source` trees, includes resolved, disabled (``!``) ones left out."""
    if depth > _MAX_DEPTH:
        raise OptionError(f"{where}: scopes are nested too deeply")
    result: list[Statement] = []
    for item in scope.objects:
        # An exclamation mark before a name comments it out.
        if item.is_disabled:
            continue
        if item.is_scope:
            result.append(Statement(item.name, None, _sources(item, where, folder, stack, depth + 1)))
        elif item.name == "include":
            result.extend(_included([word.value for word in item.words], where, folder, stack))
        else:
            result.append(Statement(item.name, _words(item, where)))
    return result


def _words(item: Any, where: str) -> list:
    """The words of a definition; ``$NAME`` and ``$(NAME)`` become the environment variable's text, as in PHIL.

    PHIL also substitutes other parameters; that is left out, since a few lines of it can fill the memory.
    """
    for word in item.words:
        if word.quote_token not in ("'", "'''") and "$" in word.value:
            word.value = _VARIABLE.sub(lambda match: _environment(match, where, item.name), word.value)
    return item.words


def _environment(match: re.Match, where: str, name: str) -> str:
    variable = match[1] or match[2]
    value = os.environ.get(variable)
    if value is None:
        raise OptionError(f"{where}: {name}: no environment variable {variable} (quote '$' with single quotes)")
    return value


def _included(words: list[str], where: str, folder: Path | None, stack: tuple[str, ...]) -> list[Statement]:
    # A word of the command line has no folder: it must not include anything.
    if len(words) != 2 or words[0].lower() != "file" or folder is None:
        raise OptionError(f"{where}: 'include {' '.join(words)}' is refused: only files may include, and only files")
    return parse_file(folder / words[1], stack)


@cache
def _freephil() -> tuple[Any, Any, type]:
    """Import freephil (late: command lines without parameters do without) and make the guarded token stream."""
    with _without_pkg_resources():
        import freephil
        from freephil import parser, tokenizer

    # The two readings of freephil: of names, and of values, which may hold = and #.
    settings = [
        tokenizer.settings(
            unquoted_single_character_words="{}=",
            contiguous_word_characters="",
            comment_characters="#",
            meta_comment="phil",
        ),
        tokenizer.settings(unquoted_single_character_words="{};", contiguous_word_characters=""),
    ]

    class Words(tokenizer.word_iterator):
        """Freephil's tokens without attribute assignments, which freephil would evaluate."""

        def __init__(self, text: str) -> None:
            super().__init__(input_string=text, list_of_settings=settings)

        def __next__(self, settings_index: int = 0) -> Any:
            """The next word; where a name is expected (`settings_index` 0), attributes are skipped."""
            word = super().__next__(settings_index)
            while settings_index == 0 and word.quote_token is None and word.value.startswith((".", "!.")):
                super().__next__(0).assert_expected("=")
                parser.collect_assigned_words(self, word)
                word = super().__next__(0)
            return word

    return freephil, parser, Words


@contextlib.contextmanager
def _without_pkg_resources():
    """Stand in for pkg_resources while freephil is imported.

    freephil asks it for plug-in value converters, which we never use. The real one takes 0.2 s to import and is gone
    from setuptools 82 and later, so that freephil would not import at all on a fresh installation.
    """
    if "pkg_resources" in sys.modules:
        yield
        return
    stand_in = types.ModuleType("pkg_resources")
    stand_in.iter_entry_points = lambda group: iter(())  # type: ignore[attr-defined]
    sys.modules["pkg_resources"] = stand_in
    try:
        yield
    finally:
        if sys.modules.get("pkg_resources") is stand_in:
            del sys.modules["pkg_resources"]
