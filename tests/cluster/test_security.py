"""Certificates: private, needed, and enough."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import subprocess
import sys

import pytest

from xdp.cluster.security import load_security, make_credentials, remove_credentials
from xdp.errors import XdpError


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_keys_are_for_the_user_alone(tmp_path):
    old = os.umask(0)
    try:
        folder = make_credentials(tmp_path / "tls")
    finally:
        os.umask(old)
    assert mode(tmp_path / "tls") == mode(folder) == 0o700
    assert {path.name: mode(path) for path in folder.iterdir()} == {"ca.pem": 0o600, "key.pem": 0o600}
    remove_credentials(folder)
    assert not folder.exists()


def test_each_run_has_its_own(tmp_path):
    first, second = make_credentials(tmp_path / "tls"), make_credentials(tmp_path / "tls")
    assert first != second
    assert (first / "key.pem").read_text() != (second / "key.pem").read_text()


def test_what_a_killed_driver_left_is_removed(tmp_path):
    mine = make_credentials(tmp_path / "tls")
    dead = mine.with_name(mine.name.replace(f"-{os.getpid()}-", f"-{2**22 + 1}-"))
    elsewhere = mine.with_name(f"tls-other-{2**22 + 1}-x")
    shutil.copytree(mine, dead)
    shutil.copytree(mine, elsewhere)
    second = make_credentials(tmp_path / "tls")
    assert sorted((tmp_path / "tls").iterdir()) == sorted([mine, elsewhere, second])


def test_an_open_folder_is_refused(tmp_path):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o755)
    with pytest.raises(XdpError, match=r"mode 0700 only.*cluster\.tls_folder"):
        make_credentials(tmp_path / "open")


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(XdpError, match=r"file/tls: cannot keep the certificates there"):
        make_credentials(tmp_path / "file" / "tls")


def test_without_home_the_user_is_asked(monkeypatch):
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.raises(XdpError, match="no home folder for the certificates"):
        make_credentials(None)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(XdpError, match=r"ca\.pem: the certificate is missing"):
        load_security(tmp_path)


@pytest.fixture
def scheduler(tmp_path):
    """A scheduler in a process of its own that only holders of the certificate may use; its address and folder."""
    folder = make_credentials(tmp_path / "tls")
    code = (
        "import asyncio, sys\n"
        "from distributed import Scheduler\n"
        "from xdp.cluster.security import load_security\n"
        "async def main():\n"
        "    async with Scheduler(host='127.0.0.1', port=0, protocol='tls://', dashboard=False,\n"
        "                         security=load_security(sys.argv[1])) as scheduler:\n"
        "        print(scheduler.address, flush=True)\n"
        "        await scheduler.finished()\n"
        "asyncio.run(main())\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True)
    yield process.stdout.readline().strip(), folder
    process.kill()
    process.wait()


def join(address, security):
    """Try to connect as a client or worker would; the error, or None."""
    from distributed.comm import connect

    async def attempt():
        arguments = security.get_connection_args("worker") if security else {}
        comm = await connect(address, timeout=3, **arguments)
        await comm.write({"op": "identity", "reply": True})
        answer = await comm.read()
        await comm.close()
        return answer

    try:
        return asyncio.run(attempt())
    except Exception as error:
        return error


def test_only_holders_of_the_certificate_get_in(scheduler, tmp_path):
    address, folder = scheduler
    assert join(address, load_security(folder))["type"] == "Scheduler"
    stranger = make_credentials(tmp_path / "other")
    assert isinstance(join(address, load_security(stranger)), OSError)
    assert isinstance(join(address.replace("tls://", "tcp://"), None), OSError)


def test_a_worker_without_the_certificate_cannot_join(scheduler, tmp_path):
    address, _ = scheduler
    stranger = make_credentials(tmp_path / "other")
    command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-nanny", "--death-timeout", "4",
               "--tls-ca-file", str(stranger / "ca.pem"), "--tls-cert", str(stranger / "ca.pem"), "--tls-key",
               str(stranger / "key.pem"), "--local-directory", str(tmp_path), "--no-dashboard"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "Registered to" not in done.stderr
    assert "Timed out" in done.stderr or done.returncode != 0
