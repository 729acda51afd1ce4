"""Names of jobs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from xdp.cluster.batch.job_names import make_driver_name, make_worker_name


def test_each_run_has_a_name_of_its_own():
    names = {make_worker_name() for _ in range(20)}
    assert len(names) > 15
    # 15 letters are what PBS takes, and digits would be taken for the number of a job as logs are looked for
    assert all(re.fullmatch("xdp-worker-[b-z]{4}", name) for name in names)


@pytest.mark.parametrize("label", ["69", "my run; rm -rf", "a very long name"])
def test_a_driver_s_name_tells_its_folder(tmp_path, label):
    name = make_driver_name(tmp_path / "a", label)
    assert re.fullmatch(r"xdp-[\w-]{1,6}-[b-z]{4}", name)
    assert len(name) <= 15
    assert make_driver_name(tmp_path / "a", label) == name
    assert make_driver_name(tmp_path / "b", label) != name


def test_a_relative_folder_is_the_same_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert make_driver_name(Path("a"), "x") == make_driver_name(tmp_path / "a", "x")
