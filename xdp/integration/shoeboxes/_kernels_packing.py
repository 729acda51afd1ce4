"""A Numba kernel that takes numbers to few bytes."""

from __future__ import annotations

from xdp.kernels import kernel


@kernel
def shorten(values, escape, short):
    """Copy numbers that are whole, not negative and below `escape`; `escape` stands for the others.

    Parameters
    ----------
    values : (n,) of any number type
    escape : the type of `short`
        The highest number that `short` holds.
    short : (n,) uint8 or uint16
        Filled.
    """
    top = values.dtype.type(escape)
    zero = values.dtype.type(0)
    for i in range(values.shape[0]):
        value = values[i]
        # taken to `short` only where it fits: what a conversion makes of other numbers is not defined
        whole = short.dtype.type(value if (value > zero) & (value < top) else zero)
        short[i] = whole if whole == value else escape
