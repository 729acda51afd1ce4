"""Why shots cannot be used: reasons of errors, and checks of what could be read."""

from __future__ import annotations

import errno

import numpy as np
import pytest

from xdp.errors import DiskError, FormatError
from xdp.experiment import Detector, Experiment, Panel
from xdp.serial.events.failures import check_shot, explain_failure
from xdp.serial.events.options import ShotChecks
from xdp.serial.events.shot import REASONS, Shot, ShotError


@pytest.mark.parametrize(("error", "reason"), [
    (ShotError("no energy", "x"), "no energy"), (DiskError("full"), "disk full"),
    (OSError(errno.ENOSPC, "x"), "disk full"), (FormatError("a.cxi: is truncated"), "truncated"),
    (FormatError("a.cxi: no such file"), "missing file"),
    (FormatError("frame 3 has shape (2, 2), wanted (3, 3)"), "wrong shape"), (FormatError("odd"), "damaged"),
    (ZeroDivisionError("x"), "error"), (RuntimeError(), "error")])
def test_reasons(error, reason):
    failure = explain_failure(error)
    assert failure.reason == reason
    assert failure.reason in REASONS
    assert "\n" not in failure.message


def make_shot(image, **values):
    panel = Panel((1.0, 0, 0), (0, -1.0, 0), (0, 0, -100.0), (3, 2), (0.1, 0.1), trusted_range=(0.0, 100.0))
    return Shot(0, "a.cxi //0", [np.asarray(image)], experiment=Experiment(detector=Detector((panel,))),
                **({"photon_energy": 9500.0, "distance": 100.0} | values))


GOOD = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]


@pytest.mark.parametrize(("shot", "reason"), [
    (make_shot(GOOD), None), (make_shot(GOOD, photon_energy=None), "no energy"),
    (make_shot(GOOD, photon_energy=0.0), "no energy"), (make_shot(GOOD, photon_energy=float("nan")), "no energy"),
    (make_shot(GOOD, distance=None), "no distance"), (make_shot(GOOD, distance=-5.0), "no distance"),
    (make_shot([[1.0, np.nan, 3.0], [4.0, 5.0, 6.0]]), "not finite"),
    (make_shot([[1.0, np.inf, 3.0], [4.0, 5.0, 6.0]]), "not finite"), (make_shot(np.full((2, 3), 7)), "blank"),
    (make_shot([[1, 200, 300], [4, 5, 6]]), "saturated"), (make_shot([[1, 200, 3], [4, 5, 6]]), "saturated")])
def test_checks(shot, reason):
    failure = check_shot(shot).failure
    assert (None if failure is None else failure.reason) == reason


def test_checks_may_be_switched_off_and_masks_count():
    checks = ShotChecks(energy=False, distance=False, blank=False, saturated=None)
    assert check_shot(make_shot(np.full((2, 3), 700), photon_energy=None, distance=None), checks).failure is None
    shot = make_shot([[1.0, np.nan, 3.0], [4.0, 5.0, 6.0]],
                     valid=[np.array([[True, False, True], [True, True, True]])])
    assert check_shot(shot).failure is None
