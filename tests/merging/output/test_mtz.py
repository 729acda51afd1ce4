"""The MTZ object of merged data."""

from __future__ import annotations

from scaling_data import make_scaled

import xdp
from xdp.merging.output.mtz import make_mtz


def test_halves_are_columns_of_their_own():
    merged = xdp.merge(*make_scaled(), halves=True, anomalous=False)
    mtz = make_mtz(merged)
    labels = [c.label for c in mtz.columns]
    assert {"IHALF1", "SIGIHALF1", "IHALF2", "SIGIHALF2"} < set(labels)
    one, two = (mtz.column_with_label(f"IHALF{k}").array for k in (1, 2))
    from xdp.merging.statistics import correlate

    # in single precision
    assert abs(correlate(one, two) - merged.shells[-1].cc_half) < 1e-4
