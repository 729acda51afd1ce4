"""How the frames of a scan belong together: by angle, with and without laser, in pairs and blocks."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from xdp.errors import XdpError

#: Angles that differ by less (degrees) are one angle: what a goniometer's read-back scatters.
ANGLE_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Design:
    """What the ``lauecollect`` group says about each frame.

    Attributes
    ----------
    angle : ndarray, shape (n_frames,), float64
        Goniometer angle, degrees.
    laser : ndarray of bool, shape (n_frames,), or None
        Whether the laser was on; None where the data were taken without one.
    delay : ndarray, shape (n_frames,), float64, or None
        Time from pump to probe, seconds; NaN without laser.
    repeat : ndarray of int, shape (n_frames,), or None
        Number of the repetition.
    """

    angle: np.ndarray
    laser: np.ndarray | None = None
    delay: np.ndarray | None = field(default=None)
    repeat: np.ndarray | None = field(default=None)

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return len(self.angle)

    @property
    def has_laser(self) -> np.ndarray:
        """Whether the laser was on in each frame; False throughout for data without laser."""
        return np.zeros(self.n_frames, bool) if self.laser is None else self.laser

    @property
    def is_laser(self) -> bool:
        """Whether there are frames both with and without laser."""
        return bool(self.has_laser.any()) and not bool(self.has_laser.all())


def group_by_angle(angle: np.ndarray, tolerance: float = ANGLE_TOLERANCE) -> np.ndarray:
    """Number each frame's angle.

    Parameters
    ----------
    angle : (n,) float
        Degrees.
    tolerance : float
        Neighbouring angles that differ by more belong to different groups, degrees.

    Returns
    -------
    (n,) int64
        0 for the lowest angle.

    Examples
    --------
    >>> group_by_angle(np.array([2.0, 0.0, 0.0001, 4.0])).tolist()
    [1, 0, 0, 2]
    """
    order = np.argsort(angle, kind="stable")
    # neighbours in order are compared, not fixed bins: no angle lies on a border
    steps = np.diff(angle[order]) > tolerance
    groups = np.empty(len(angle), np.int64)
    groups[order] = np.concatenate([[0], np.cumsum(steps)])
    return groups


def check_angles(design: Design, minimum: int, name: str = "lauecollect/angle") -> None:
    """Require at least `minimum` different angles.

    Raises
    ------
    XdpError
        If there are fewer, or an angle is not a number.
    """
    if not np.isfinite(design.angle).all():
        bad = int(np.flatnonzero(~np.isfinite(design.angle))[0])
        raise XdpError(f"{name}: the angle of frame {bad} is not a number")
    # few angles: a spot that lasts over a quarter of them would pass for background
    n = int(group_by_angle(design.angle).max()) + 1
    if n < minimum:
        raise XdpError(f"{name}: {n} different angles, at least {minimum} are wanted (angles={minimum}); "
                       "take more angles into the scan, or lower angles= (-a)")


def require_laser(design: Design, asked_by: str) -> None:
    """Stop where an option needs frames with and without laser and there are none.

    Raises
    ------
    XdpError
        If so; the message names the option.
    """
    if not design.is_laser:
        raise XdpError(f"{asked_by} needs 'laser' data: frames with and without laser according to lauecollect/laser "
                       "(or lauecollect/delay); these frames are all alike")


def group_frames(design: Design, sync: str) -> list[np.ndarray]:
    """Which frames share a mask.

    Parameters
    ----------
    design : Design
        The scan.
    sync : str
        ``none``: each frame has its own; ``pairs``: the k-th frame without laser and the k-th with laser at an angle
        (k counts repetitions where these are known, else in the order of frames); ``blocks``: all frames at one angle.

    Returns
    -------
    list of ndarray of int
        The frames of each mask, ascending; masks in the order of their first frames.

    Raises
    ------
    XdpError
        If frames are to be synchronised that were taken without laser, or are not pairs.
    """
    if sync == "none":
        return [np.array([frame]) for frame in range(design.n_frames)]
    require_laser(design, f"sync={sync} (-S {sync})")
    groups = group_by_angle(design.angle)
    members = [np.flatnonzero(groups == group) for group in range(groups.max() + 1)]
    if sync == "pairs":
        members = [pair for frames in members for pair in _pair_frames(design, frames)]
    else:
        _check_blocks(design, members)
    return sorted(members, key=lambda frames: int(frames[0]))


def _check_blocks(design: Design, members: list[np.ndarray]) -> None:
    for frames in members:
        laser = design.has_laser[frames]
        if laser.all() or not laser.any():
            raise XdpError(f"sync=blocks (-S blocks): at {design.angle[frames[0]]:g} deg there are only frames "
                           f"{'with' if laser[0] else 'without'} laser")


def _pair_frames(design: Design, frames: np.ndarray) -> list[np.ndarray]:
    """The off/on pairs among the frames of one angle."""
    if design.repeat is not None:
        frames = frames[np.argsort(design.repeat[frames], kind="stable")]
    laser = design.has_laser[frames]
    off, on = frames[~laser], frames[laser]
    if len(off) != len(on):
        raise XdpError(f"sync=pairs (-S pairs): {len(off)} frames without and {len(on)} with laser at "
                       f"{design.angle[frames[0]]:g} deg are not pairs; use sync=blocks")
    return [np.sort(pair) for pair in zip(off, on, strict=True)]


def estimate_kruskal_power(group_of_frame: np.ndarray, alpha: float, n_draws: int = 2000, seed: int = 0) -> float:
    """How often the Kruskal-Wallis test finds one group brighter than all others, however bright.

    Ranks do not grow with brightness: where a group is small against the whole, its taking the top ranks moves H by
    little. The group of median size gets the top ranks, the others' ranks are drawn at random.

    Parameters
    ----------
    group_of_frame : (n_frames,) int
        Number of each frame's group, from 0.
    alpha : float
        Level of the test.
    n_draws : int
        Random rankings.
    seed : int
        Of the random numbers.

    Returns
    -------
    float
        The share of `n_draws` draws with p < alpha.
    """
    from scipy import stats

    sizes = np.sort(np.bincount(group_of_frame))
    # groups may differ in size: the median one stands for them
    size = int(sizes[len(sizes) // 2])
    rest = np.delete(sizes, len(sizes) // 2)
    n = int(sizes.sum())
    limits = np.concatenate([[0], np.cumsum(rest)])
    rng = np.random.default_rng(seed)
    # R² / n_g of the group with the highest ranks n - size + 1 ... n
    top = size * (n - (size - 1) / 2) ** 2
    h = np.empty(n_draws)
    for draw in range(n_draws):
        sums = np.add.reduceat(rng.permutation(n - size) + 1.0, limits[:-1])
        h[draw] = 12 / (n * (n + 1)) * (top + np.sum(sums**2 / rest)) - 3 * (n + 1)
    return float(np.mean(h > stats.chi2.isf(alpha, len(sizes) - 1)))
