"""Limits of the shell (``ulimit``) behind errors of libraries that could not be loaded or started.

Under a limit of memory, Numba, LLVM, OpenBLAS and HDF5 fail with words that do not name it: "failed to map segment",
"can't start new thread", "Could not find/load shared object file". Some end the process by themselves, so that a small
limit is told beforehand. Only the standard library is imported here.
"""

from __future__ import annotations

import errno
import re
import resource
import sys

#: Bytes of address space below which a warning comes first. Tried with ulimit -v: with two cores find_spots fails below
#: 500 MB; OpenBLAS takes more for each further core.
_ENOUGH = 1 << 30
#: What libraries say that find no memory, each seen under a limit between 30 and 550 MB.
_SIGNS = re.compile(r"failed to map segment|cannot allocate memory|can't start new thread|bad_alloc|shared object file"
                    r"|cluster failed to start|error return without exception|unable to allocate|out of memory"
                    r"|error importing numpy|multiarray|libllvmlite|cannot import name", re.IGNORECASE)


def warn_of_limit() -> None:
    """Say on stderr that the memory is limited to so little that libraries may end the process without a reason."""
    limit = _read_limit("RLIMIT_AS")
    if limit is not None and limit < _ENOUGH:
        sys.stderr.write(f"warning: {_describe_memory(limit)}: libraries may fail to load; {_ADVICE}\n")


def explain_limit(error: BaseException) -> str | None:
    """Say which limit is behind an error, if it is one that a limit brings about.

    Parameters
    ----------
    error : exception
        What a command raised.

    Returns
    -------
    str or None
        One line that names the limit and what failed. None if the error is none of memory or threads, or if nothing is
        limited, MemoryError aside.
    """
    sign = _find_sign(error)
    if sign is None:
        return None
    memory, data = _read_limit("RLIMIT_AS"), _read_limit("RLIMIT_DATA")
    if memory is not None or data is not None:
        said = _describe_memory(memory) if memory is not None else _describe_memory(data or 0, "d")
        return f"{said}, which is too little: {sign}; {_ADVICE}"
    processes = _read_limit("RLIMIT_NPROC")
    if "new thread" in sign and processes is not None:
        return f"no further thread can be started ({sign}); this shell allows {processes} processes (ulimit -u)"
    return f"the memory is not enough: {sign}" if isinstance(error, MemoryError) else None


_ADVICE = "lift the limit (ulimit -v unlimited), or ask the batch system for more memory"


def _read_limit(name: str) -> int | None:
    """The soft limit of a resource, None without one."""
    soft = resource.getrlimit(getattr(resource, name))[0]
    return None if soft == resource.RLIM_INFINITY else soft


def _describe_memory(limit: int, letter: str = "v") -> str:
    """A limit in MB, and as the shell counts it."""
    return f"the memory of this shell is limited to {limit / 1e6:.0f} MB (ulimit -{letter} {limit // 1024})"


def _find_sign(error: BaseException | None) -> str | None:
    """The words of a library, in one line, that stand for lacking memory in an error or in what brought it about."""
    while error is not None:
        text = " ".join(str(error).split()) or type(error).__name__
        no_memory = isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM
        if no_memory or (isinstance(error, (ImportError, OSError, RuntimeError, SystemError)) and _SIGNS.search(text)):
            match = re.search(r"[^:]*: failed to map segment[^:]*", text)
            return match[0].strip() if match else text[:120]
        error = error.__cause__ or error.__context__
    return None
