"""Real batch systems take what the stand-ins take: folders with blanks in their names, jobs that ask for no memory."""

from __future__ import annotations

import os

import pytest

from xdp.cluster import ClusterOptions, MpOptions, connect

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("name", ["sge", "slurm"])
def test_a_folder_with_a_blank_and_no_memory(request, tmp_path, monkeypatch, name):
    request.getfixturevalue(name)
    folder = tmp_path / "my data (new)"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (tmp_path / "site.yaml").write_text(f"scheduler: {name}\nmemory:\n")
    chosen = ClusterOptions(config=str(tmp_path / "site.yaml"), dashboard="none", tls_folder=str(tmp_path / "tls"))
    with connect(MpOptions(method=name, njobs=1, nproc=1), chosen) as client:
        assert client.submit(os.getcwd).result(60) == str(folder)
        assert all(worker["memory_limit"] > 0 for worker in client.scheduler_info()["workers"].values())
    assert list((folder / "xdp-logs").iterdir())
