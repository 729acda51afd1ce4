"""Work that is one task."""

from __future__ import annotations

import contextlib

import pytest
from clients import InlineClient

from xdp.work.single import run_as_one_task


@contextlib.contextmanager
def keep(log, total, label):
    log.append((total, label))
    yield log.append


@pytest.mark.parametrize("client", [None, InlineClient()])
def test_the_result_comes_back_and_its_end_is_shown(client):
    log = []
    found = run_as_one_task(divmod, 17, 5, label="numbers", client=client,
                            progress=lambda total, label: keep(log, total, label))
    assert found == (3, 2)
    assert log == [(1, "numbers"), 1]


@pytest.mark.parametrize("client", [None, InlineClient()])
def test_an_error_comes_back(client):
    with pytest.raises(ZeroDivisionError):
        run_as_one_task(divmod, 1, 0, label="numbers", client=client)
