"""What files of merged data are made of."""

from __future__ import annotations

from scaling_data import make_scaled

import xdp
from xdp.merging.merged import MergedIntensities


def test_the_outer_shell_of_table_one_is_the_finest():
    found = xdp.merge(*make_scaled(), n_bins=4)
    assert isinstance(found, MergedIntensities)
    rows = {label: (value, outer) for label, value, outer in found.table_one.rows}
    assert rows["Unique reflections"] == (str(found.shells[-1].n_unique), str(found.shells[-2].n_unique))
    assert rows["Space group"][0] == found.space_group.xhm()
