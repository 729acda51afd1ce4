"""Tags of shots."""

import pytest

from xdp.serial.process.tags import make_tag


@pytest.mark.parametrize(("name", "tag"), [
    ("/a b/run 1.cxi //7", "run 1_00007"), ("x/shot_0001.cbf.gz", "shot_0001.cbf"), ("run.h5 //123456", "run_123456"),
    ("run.h5 a/b//3", "run_a_b_3"), ("exp=cxi:run=3 //5", "exp=cxi:run=3_00005")])
def test_a_tag(name, tag):
    assert make_tag(name) == tag
