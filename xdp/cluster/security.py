"""Certificates of one run: whoever has them may run code as the user, so only the user can read them."""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from xdp.errors import XdpError

if TYPE_CHECKING:
    from distributed.security import Security

FILES = ("ca.pem", "key.pem")


def make_credentials(base: str | os.PathLike | None) -> Path:
    """Make certificates for one run in a new folder (mode 0700, files 0600) below `base`.

    Parameters
    ----------
    base : path or None
        A folder that all nodes see; by default ``~/.xdp``. It is made if need be, and must belong to the user and be
        closed to others.

    Raises
    ------
    XdpError
        If the folder cannot be made or is open to others.
    """
    from distributed.security import Security

    private = _make_private_folder(base)
    # a killed driver cannot remove its own
    _remove_abandoned(private)
    folder = Path(tempfile.mkdtemp(prefix=f"tls-{_make_host_word()}-{os.getpid()}-", dir=private))
    made = Security.temporary()
    # opened with the mode: a file that is closed to others only afterwards may have been read before
    for name, text in zip(FILES, (made.tls_ca_file, made.tls_worker_key), strict=True):
        handle = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(text)
    return folder


def _make_host_word() -> str:
    """This machine's name, as part of a folder's name."""
    return re.sub(r"[^A-Za-z0-9.]", "_", socket.gethostname())


def _remove_abandoned(private: Path) -> None:
    """Remove what killed drivers of this machine left: nobody can use it any more, and keys should not lie about."""
    for folder in private.glob(f"tls-{_make_host_word()}-*"):
        owner = folder.name.removeprefix(f"tls-{_make_host_word()}-").split("-")[0]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists() and Path("/proc/self").exists():
            remove_credentials(folder)


def _make_private_folder(base: str | os.PathLike | None) -> Path:
    folder = Path(os.path.expanduser("~/.xdp") if base is None else base)
    if base is None and not folder.is_absolute():
        raise XdpError("no home folder for the certificates; name one that all nodes see by cluster.tls_folder")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except OSError as error:
        raise XdpError(f"{folder}: cannot keep the certificates there: {error.strerror}; name a folder that all nodes "
                       "see by cluster.tls_folder") from error
    # also a folder that was there before may be open to others, or another's
    if status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise XdpError(f"{folder}: certificates are kept in a folder of your own with mode 0700 only; chmod 700 it, or "
                       "name another by cluster.tls_folder")
    return folder.resolve()


def load_security(folder: str | os.PathLike) -> Security:
    """Dask's security object for the certificates in a folder.

    Raises
    ------
    XdpError
        If a file is missing.
    """
    from distributed.security import Security

    ca, key = (Path(folder) / name for name in FILES)
    for path in (ca, key):
        if not path.is_file():
            raise XdpError(f"{path}: the certificate is missing; cluster.tls_folder names a run's folder of them")
    # one certificate for all three roles: they are processes of one user in one run
    roles = {f"tls_{role}_{kind}": str(path) for role in ("scheduler", "worker", "client")
             for kind, path in (("cert", ca), ("key", key))}
    return Security(require_encryption=True, tls_ca_file=str(ca), **roles)


def remove_credentials(folder: Path) -> None:
    """Remove a run's certificates; that they are gone already is no error."""
    shutil.rmtree(folder, ignore_errors=True)
