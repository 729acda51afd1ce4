"""The kernel that looks over all pixels of a shot before it is used."""

from __future__ import annotations

import numpy as np

from xdp.kernels import kernel


@kernel
def find_extremes(panel, valid):
    """Lowest and highest value of the whole counts that may be used, and how many these are.

    Parameters
    ----------
    panel : integers (n,); valid : bool (n,)

    Returns
    -------
    int64, int64, int64 : the limits of the type, lowest above highest, where no pixel may be used
    """
    low, high, n = np.int64(np.iinfo(np.int64).max), np.int64(np.iinfo(np.int64).min), 0
    for k in range(panel.size):
        value = np.int64(panel[k])
        if valid[k]:
            n += 1
            if value < low:
                low = value
            if value > high:
                high = value
    return low, high, n
