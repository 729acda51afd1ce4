"""Panels whose rows and columns are not quite at right angles, as refined geometry files have them.

DIALS' files cannot hold such axes: it stops at more than a rounding error. The file gets the nearest axes at a right
angle, which any reader takes, and beside them those that are meant.
"""

from __future__ import annotations

from typing import Any

import numpy as np

#: Key of a panel in a file, and in ``Panel.extra``, whose axes are meant as they are.
EXACT_AXES = "xdp_axes"

# Reading refuses axes above this without the key: 1e-6 is 0.2 arc seconds, what six decimals may leave.
_MOST_SKEW = 1e-6
# Axes in the file and those that are meant belong together to this; a refined panel has moved away. A choice.
_NEAR = 1e-9
# No detector is skewed by more than this cosine (6 degrees): such axes are a slip, or damaged.
_LARGEST = 0.1


def make_right_angle(fast: Any, slow: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Turn two axes by equal angles so that they are at a right angle.

    Parameters
    ----------
    fast, slow : (3,)
        Axes, not parallel.

    Returns
    -------
    fast, slow : (3,) tuple
        Unit vectors.

    Examples
    --------
    >>> fast, slow = make_right_angle((1.0, 0.0, 0.0), (0.02, 1.0, 0.0))
    >>> abs(sum(a * b for a, b in zip(fast, slow))) < 1e-15
    True
    """
    f, s = (np.asarray(v, np.float64) / np.linalg.norm(v) for v in (fast, slow))
    # The sum and the difference of two unit vectors are at a right angle.
    half, other = f + s, f - s
    half, other = half / np.linalg.norm(half), other / np.linalg.norm(other)
    f, s = (half + other) / np.sqrt(2.0), (half - other) / np.sqrt(2.0)
    return tuple(f.tolist()), tuple(s.tolist())


def is_skewed(fast: Any, slow: Any, extra: dict[str, Any]) -> bool:
    """Whether a panel's axes must be written twice.

    Parameters
    ----------
    fast, slow : (3,)
        Axes.
    extra : dict
        Further keys of the panel: :data:`EXACT_AXES` among them says so for whatever small angle.

    Returns
    -------
    bool
    """
    f, s = (np.asarray(v, np.float64) for v in (fast, slow))
    cosine = abs(float(f @ s)) / float(np.linalg.norm(f) * np.linalg.norm(s))
    return cosine > _MOST_SKEW or (EXACT_AXES in extra and cosine > 0.0)


def write_axes(fast: Any, slow: Any) -> dict[str, Any]:
    """Write skewed axes as keys of a panel in a file.

    Parameters
    ----------
    fast, slow : (3,)
        Axes as they are meant.

    Returns
    -------
    dict
        ``fast_axis`` and ``slow_axis`` at a right angle, and those that are meant under :data:`EXACT_AXES`.
    """
    right = make_right_angle(fast, slow)
    return {"fast_axis": list(right[0]), "slow_axis": list(right[1]),
            EXACT_AXES: {"fast_axis": list(fast), "slow_axis": list(slow)}}


def restore_axes(fast: Any, slow: Any, entry: Any) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Restore the axes that are meant.

    Parameters
    ----------
    fast, slow : (3,)
        Axes of the file.
    entry : object
        What it has under :data:`EXACT_AXES`.

    Returns
    -------
    (fast, slow) or None
        None where the entry is damaged, or another program has moved the panel since.
    """
    try:
        exact = [np.asarray([float(v) for v in entry[key]]) for key in ("fast_axis", "slow_axis")]
        if any(v.shape != (3,) or not 0.0 < np.linalg.norm(v) < np.inf for v in exact):
            return None
        cosine = float(exact[0] @ exact[1]) / float(np.linalg.norm(exact[0]) * np.linalg.norm(exact[1]))
    except (TypeError, ValueError, KeyError, IndexError):
        return None
    if not abs(cosine) < _LARGEST:
        return None
    right = make_right_angle(*exact)
    found = [np.asarray(v, np.float64) / np.linalg.norm(v) for v in (fast, slow)]
    if max(np.abs(np.asarray(a) - b).max() for a, b in zip(right, found, strict=True)) > _NEAR:
        return None
    return tuple(exact[0].tolist()), tuple(exact[1].tolist())
