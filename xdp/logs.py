"""Log lines on the screen and in the log file."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextvars import ContextVar

import xdp
from xdp.errors import XdpError
from xdp.protection import refuse_input

_FORMAT = "%(message)s"
_subject: ContextVar[str | None] = ContextVar("xdp_log_subject", default=None)


def start_log(path: str | os.PathLike | None, verbosity: int = 0) -> logging.Logger:
    """Send the messages of `xdp` to the screen and, if a path is given, to a file that replaces an older one.

    Parameters
    ----------
    path : str or None
        The log file; its folder must exist.
    verbosity : int
        0: messages (INFO); 1: also details (DEBUG) in the file; 2: details on the screen too.

    Returns
    -------
    logging.Logger
        The logger "xdp", parent of those of all our modules.

    Raises
    ------
    XdpError
        If the log file cannot be written, or is an input of what runs now.
    """
    logger = logging.getLogger("xdp")
    stop_log()
    # The root logger would show each line a second time, in its own form.
    logger.propagate = False
    logger.setLevel(logging.DEBUG if verbosity else logging.INFO)
    screen = _Screen(sys.stdout)
    screen.setLevel(logging.DEBUG if verbosity > 1 else logging.INFO)
    handlers: list[logging.Handler] = [screen]
    if path:
        handlers.append(_file_handler(path))
    for handler in handlers:
        _prepare_handler(handler)
        logger.addHandler(handler)
    return logger


@contextlib.contextmanager
def log_subject(subject: str | None) -> Iterator[None]:
    """Begin the warnings of the block with what they are about, such as one of several sweeps.

    Parameters
    ----------
    subject : str or None
        None changes nothing: where there is one sweep, all is about it.
    """
    token = _subject.set(subject or _subject.get())
    try:
        yield
    finally:
        _subject.reset(token)


class _NameSubject(logging.Filter):
    """Puts the subject before warnings; those of lower level stand among lines that say it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record, once for all handlers; nothing is held back."""
        subject = _subject.get()
        if subject and record.levelno >= logging.WARNING and not hasattr(record, "xdp_subject"):
            record.msg, record.args, record.xdp_subject = f"{subject}: {record.getMessage()}", None, subject
        return True


def _prepare_handler(handler: logging.Handler) -> None:
    """Give a handler the form of our lines."""
    handler.setFormatter(logging.Formatter(_FORMAT))
    handler.addFilter(_NameSubject())


class _Screen(logging.StreamHandler):
    """Lines on the screen; a reader that has gone (`| head`) does not stop the work, nor fill the screen."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Be silent about a broken pipe."""
        # The work goes on for its files, whoever stopped reading the screen.
        if not isinstance(sys.exc_info()[1], BrokenPipeError):
            super().handleError(record)


class _LogFile(logging.FileHandler):
    """Lines in a file; a disk that takes no more does not stop the work, and is complained of once."""

    _failed = False

    def handleError(self, record: logging.LogRecord) -> None:
        """Say once that the log has a gap, where the disk is the reason."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._failed:
            self._failed = True
            sys.stderr.write(f"warning: {self.baseFilename}: the log is not complete: {error.strerror}\n")

    def close(self) -> None:
        """Close the file, though the last lines may not fit."""
        with contextlib.suppress(OSError):
            super().close()


def _file_handler(path: str | os.PathLike) -> logging.Handler:
    refuse_input(path)  # opening empties it
    try:
        return _LogFile(path, mode="w", encoding="utf-8")
    except OSError as error:
        raise XdpError(f"{os.fspath(path)}: cannot write the log file: {error.strerror}") from error


@contextlib.contextmanager
def stage_log(path: str | os.PathLike | None, *, quiet: bool) -> Iterator[None]:
    """Send messages to a further file while the block runs, as a stage of a longer run does.

    Parameters
    ----------
    path : path or None
        The stage's log, which replaces an older one.
    quiet : bool
        Show only warnings on the screen.
    """
    logger = logging.getLogger("xdp")
    # Levels are put back at the end: the next stage may be loud.
    screens = [(h, h.level) for h in logger.handlers if isinstance(h, _Screen)] if quiet else []
    for handler, _ in screens:
        handler.setLevel(logging.WARNING)
    # A handler in any case keeps the end of the block simple.
    extra = _file_handler(path) if path else logging.NullHandler()
    _prepare_handler(extra)
    logger.addHandler(extra)
    try:
        yield
    finally:
        logger.removeHandler(extra)
        extra.close()
        for handler, level in screens:
            handler.setLevel(level)


def stop_log() -> None:
    """Close the handlers that `start_log` made."""
    logger = logging.getLogger("xdp")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    logger.propagate = True


def log_start(command: str, changed: str, logger: logging.Logger | None = None) -> None:
    """Write what every log begins with: program, version, time, and the parameters that the user changed.

    Parameters
    ----------
    command : str
        The command's name.
    changed : str
        PHIL text; empty where nothing is changed.
    logger : Logger, optional
        By default that of ``xdp``.
    """
    logger = logger or logging.getLogger("xdp")
    logger.info("xdp %s: %s, %s", xdp.__version__, command, time.strftime("%Y-%m-%d %H:%M:%S"))
    if changed:
        logger.info("These parameters have been modified:\n\n%s", changed)


@contextlib.contextmanager
def silence_loggers(names: Sequence[str]) -> Iterator[None]:
    """Silence the loggers of steps that are repeated for each shot or crystal; errors still come through.

    Parameters
    ----------
    names : sequence of str
        Of the loggers; those below them follow.

    Examples
    --------
    >>> with silence_loggers(["xdp.prediction"]):
    ...     logging.getLogger("xdp.prediction").isEnabledFor(logging.WARNING)
    False
    """
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
