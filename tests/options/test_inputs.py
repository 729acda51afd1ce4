"""Options that all commands have that read pairs of files."""

from __future__ import annotations

import pytest

from xdp.errors import OptionError
from xdp.exporting.options import ExportOptions
from xdp.indexing.command_options import IndexOptions, RefineSettingsOptions, ReindexOptions
from xdp.integration.options import IntegrateOptions
from xdp.options.reader import parse
from xdp.refinement.command_options import RefineOptions


@pytest.mark.parametrize("model", [IndexOptions, RefineSettingsOptions, ReindexOptions, RefineOptions, IntegrateOptions,
                                   ExportOptions])
def test_identifiers_are_compared_unless_the_user_says_otherwise(model):
    assert model().input.identifiers == "check"
    assert parse(model, ["input.identifiers=ignore"])[0].input.identifiers == "ignore"
    with pytest.raises(OptionError, match="identifiers"):
        parse(model, ["input.identifiers=perhaps"])
