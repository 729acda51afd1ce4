"""Laser-on over laser-off intensities of synchronised spots (the RATIO method).

References
----------
P. Coppens, M. Pitak, M. Gembicky, M. Messerschmidt, S. Scheins et al., J. Synchrotron Rad. 16 (2009) 226.
"""

from __future__ import annotations

import numpy as np

from xdp.laue.design import Design, match_frames

RATIO_COLUMNS = ("mask", "label", "frame_off", "frame_on", "I_off", "sigma_off", "I_on", "sigma_on", "ratio",
                 "sigma_ratio")


def make_ratio_table(spots: dict[str, np.ndarray], masks: list[np.ndarray], design: Design) -> dict[str, np.ndarray]:
    """Ratio R = I_on / I_off of each spot of each off/on pair of frames that share a mask.

    Frames without and with laser go together as `match_frames` says; others have no ratio. With sigma^2 of the two
    intensities and C the variance of the background that both subtract,

        sigma_R^2 = (sigma_on^2 + R^2 sigma_off^2 - 2 R C) / I_off^2.

    Intensities are the corrected ones. Spots with I_off <= 0 have no ratio (NaN).

    Returns
    -------
    dict of ndarray
        Columns `RATIO_COLUMNS`, sorted by mask, pair and label.
    """
    limits = np.searchsorted(spots["frame"], np.arange(design.n_frames + 1))
    parts = [_pair_spots(spots, limits, int(off), int(on))
             for frames in masks for off, on in match_frames(design, frames)[0]]
    # also without any pair there is a table, with all its columns
    empty = {name: np.empty(0, np.int32 if name in RATIO_COLUMNS[:4] else np.float64) for name in RATIO_COLUMNS}
    return {name: np.concatenate([empty[name], *(part[name] for part in parts)]) for name in RATIO_COLUMNS}


def _pair_spots(spots: dict[str, np.ndarray], limits: np.ndarray, off: int, on: int) -> dict[str, np.ndarray]:
    a, b = slice(limits[off], limits[off + 1]), slice(limits[on], limits[on + 1])
    i_off, i_on = spots["I_corrected"][a], spots["I_corrected"][b]
    s_off, s_on = spots["sigma_I"][a], spots["sigma_I"][b]
    ratio, sigma = compute_ratio(i_on, s_on, i_off, s_off, spots["background_variance"][a])
    n = len(i_off)
    return {"mask": spots["mask"][a], "label": spots["label"][a], "frame_off": np.full(n, off, np.int32),
            "frame_on": np.full(n, on, np.int32), "I_off": i_off, "sigma_off": s_off, "I_on": i_on, "sigma_on": s_on,
            "ratio": ratio, "sigma_ratio": sigma}


def compute_ratio(i_on: np.ndarray, s_on: np.ndarray, i_off: np.ndarray, s_off: np.ndarray,
                     common: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute R = I_on / I_off and its standard deviation, by the formula of `make_ratio_table`.

    Parameters
    ----------
    i_on, s_on, i_off, s_off : (n,) float64
        Intensities and their standard deviations, with and without laser.
    common : (n,) float64
        C, the variance of the background that both subtract.

    Returns
    -------
    ratio, sigma : (n,) float64
        NaN where I_off <= 0.

    Examples
    --------
    >>> ratio, sigma = compute_ratio(*(np.array([x]) for x in (12.0, 1.0, 10.0, 1.0, 0.0)))
    >>> float(ratio[0]), round(float(sigma[0]), 3)
    (1.2, 0.156)
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(i_off > 0, i_on / i_off, np.nan)
        # the background of both frames is the same numbers: its error cancels in part
        variance = s_on**2 + ratio**2 * s_off**2 - 2 * ratio * common
        return ratio, np.sqrt(np.maximum(variance, 0)) / i_off


def merge_ratios(table: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """One ratio a spot of a block: sum of I_on over sum of I_off of its pairs, errors added in quadrature.

    The sums, not the mean of ratios, since a mean of ratios of noisy numbers is biased. The standard deviation is the
    larger of that propagated and that from the scatter of the pairs (from three pairs on).

    Returns
    -------
    dict of ndarray
        ``mask``, ``label``, ``n_pairs``, ``ratio``, ``sigma_ratio``.
    """
    # labels of one mask are the same spots on all its frames
    keys = np.stack([table["mask"], table["label"]], axis=1)
    unique, inverse = np.unique(keys, axis=0, return_inverse=True)
    inverse = inverse.ravel()

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(inverse, values, len(unique))

    n = np.bincount(inverse, minlength=len(unique))
    i_on, i_off = total(table["I_on"]), total(table["I_off"])
    ratio, propagated = compute_ratio(i_on, np.sqrt(total(table["sigma_on"] ** 2)), i_off,
                                         np.sqrt(total(table["sigma_off"] ** 2)), np.zeros(len(unique)))
    residual = table["I_on"] - ratio[inverse] * table["I_off"]
    with np.errstate(divide="ignore", invalid="ignore"):
        # two pairs say nothing about scatter that could be told from chance
        scatter = np.where(n > 2, np.sqrt(total(residual**2) * n / np.maximum(n - 1, 1)) / i_off, 0)
    return {"mask": unique[:, 0].astype(np.int32), "label": unique[:, 1].astype(np.int32),
            "n_pairs": n.astype(np.int32), "ratio": ratio, "sigma_ratio": np.fmax(propagated, scatter)}
