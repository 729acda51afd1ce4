"""How every Numba kernel of xdp is compiled: without the GIL, cached on disk, checked where asked.

``NUMBA_BOUNDSCHECK=1`` checks every index; give such a run a ``NUMBA_CACHE_DIR`` of its own, since Numba ignores the
variable where an unchecked kernel is cached, and leaves checked kernels in the cache.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def _hidden(*names: str) -> Iterator[None]:
    """Let modules seem not to be installed, unless they are imported already."""
    absent = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in absent:
            sys.modules.pop(name, None)


# Numba imports these only to see whether they are there, which takes each command 0.15 s that it does not need. A
# kernel that multiplies matrices still finds scipy's BLAS: Numba looks for it again when it compiles one.
with _hidden("yaml", "cffi", "scipy.linalg.cython_blas"):
    import numba
    import numba.core.typing.cffi_utils
    import numba.np.arraymath


CACHE_VARIABLE = "XDP_KERNEL_CACHE"
"""Names a folder that the machines of a cluster share, where each kind of machine keeps its compiled kernels."""


def _has_writable_cache() -> bool:
    """Whether Numba will find a place for its cache: beside the sources, or in the user's own cache folder."""
    if os.environ.get("NUMBA_CACHE_DIR"):
        return True
    if os.access(Path(__file__).parent, os.W_OK):
        return True
    home = os.path.expanduser("~")
    return os.path.isdir(home) and os.access(home, os.W_OK)


def _private_cache() -> str | None:
    """A cache folder for a read-only install without HOME: ours alone (0700), since cache files are pickles."""
    try:
        folder = Path(tempfile.gettempdir()) / f"xdp-numba-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError:
        return None
    is_ours = status.st_uid == os.getuid() and not status.st_mode & 0o077 and not folder.is_symlink()
    return str(folder) if is_ours else None


def machine_key() -> str:
    """What compiled kernels depend on beside their source: versions of xdp and Numba, and the processor."""
    import hashlib

    from llvmlite import binding

    import xdp

    processor = f"{binding.get_host_cpu_name()} {binding.get_host_cpu_features().flatten()}"
    return f"xdp{xdp.__version__}-numba{numba.__version__}-{hashlib.sha256(processor.encode()).hexdigest()[:12]}"


def shared_cache(base: str | os.PathLike) -> Path | None:
    """This machine's folder of kernels below `base`, which several machines share; made if need be.

    None where it cannot be made or others could write to it: cache files are pickles, and would run their code.
    """
    try:
        folder = Path(base).expanduser() / machine_key()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
    except (OSError, RuntimeError):
        return None
    is_ours = status.st_uid == os.getuid() and not status.st_mode & 0o077 and not folder.is_symlink()
    return folder if is_ours else None


def _choose_cache() -> bool:
    """Make Numba's cache usable; False, with one warning, where there is no place for one."""
    base = os.environ.get(CACHE_VARIABLE)
    if base and not os.environ.get("NUMBA_CACHE_DIR"):
        shared = shared_cache(base)
        if shared is not None:
            numba.config.CACHE_DIR = str(shared)  # type: ignore[attr-defined]
            return True
        warnings.warn(f"{CACHE_VARIABLE}={base}: not a folder that only you can write to; kernels are kept elsewhere",
                      stacklevel=2)
    if _has_writable_cache():
        return True
    folder = _private_cache()
    if folder is None:
        warnings.warn("no writable folder for compiled kernels: each run compiles anew; set NUMBA_CACHE_DIR",
                      stacklevel=2)
        return False
    numba.config.CACHE_DIR = folder  # type: ignore[attr-defined]
    return True


_CACHE = _choose_cache()


def kernel(function: Callable) -> Callable:
    """Compile `function` with Numba: nogil, cached between runs; arguments are arrays, numbers, and named tuples."""
    return _compile(function)


def sum_kernel(function: Callable) -> Callable:
    """Compile `function` as :func:`kernel` does, and let it add in any order: several additions are then done at once.

    Sums of whole numbers are exact in float64 up to 2**53 and stay the same; others change in their last digits.
    """
    return _compile(function, fastmath={"reassoc", "nsz", "contract"})


def _compile(function: Callable, **how: Any) -> Callable:
    """Compile a function with Numba."""
    compiled = numba.njit(nogil=True, cache=_CACHE, error_model="numpy", **how)(function)
    if _CACHE:
        _ignore_unreadable_index(compiled)
    return compiled


def _ignore_unreadable_index(compiled: Any) -> None:
    """Compile anew where what is cached cannot be read, instead of ending with an error.

    The index of a kernel's cache names the classes of its arguments. Numba unpickles it before it looks whether it is
    of the same source: after an update that renames a class this fails, in every run, until the cache is deleted.
    """
    file = compiled._cache._cache_file
    load = file._load_index

    def load_index() -> dict:
        try:
            return load()
        except (AttributeError, ImportError, pickle.UnpicklingError, EOFError):
            return {}

    file._load_index = load_index
