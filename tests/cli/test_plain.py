"""Words of commands without parameters."""

from __future__ import annotations

import pytest

from xdp.cli.plain import refuse_options
from xdp.errors import OptionError


def test_folders_pass_and_options_are_refused():
    refuse_options(["run1", "a-b"], "status")
    with pytest.raises(OptionError, match=r"^unknown option --all; xdp status -h explains them$"):
        refuse_options(["run1", "--all"], "status")
