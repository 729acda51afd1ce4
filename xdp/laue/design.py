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
        """Whether the laser was on in any frame."""
        return bool(self.has_laser.any())

    @property
    def has_off_and_on(self) -> bool:
        """Whether there are frames both with and without laser."""
        return self.is_laser and not bool(self.has_laser.all())


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


def require_laser(design: Design, asked_by: str, *, off_and_on: bool = False) -> None:
    """Stop where an option needs laser data and there are none.

    Parameters
    ----------
    design : Design
    asked_by : str
        The option, for the message.
    off_and_on : bool
        Frames without laser are needed, too.

    Raises
    ------
    XdpError
        If the laser was on in no frame, or, if that is asked for, in all of them.
    """
    if off_and_on and design.is_laser and not design.has_off_and_on:
        raise XdpError(f"{asked_by} needs frames with and without laser; according to lauecollect/laser (or "
                       "lauecollect/delay) it was on in all of these")
    if not design.is_laser:
        raise XdpError(f"{asked_by} needs 'laser' data: frames with laser according to lauecollect/laser (or "
                       "lauecollect/delay); in these frames it was never on")


def group_frames(design: Design, sync: str) -> list[np.ndarray]:
    """Which frames share a mask.

    Parameters
    ----------
    design : Design
        The scan.
    sync : str
        ``none``: each frame has its own; ``pairs``: the frame without laser and that with laser of one repetition at
        an angle, see `match_frames`; ``blocks``: all frames at one angle.

    Returns
    -------
    list of ndarray of int
        The frames of each mask, ascending; masks in the order of their first frames.

    Raises
    ------
    XdpError
        If frames are to be synchronised that were taken without laser, or are not pairs. Blocks may have been taken
        with the laser on throughout.
    """
    if sync == "none":
        return [np.array([frame]) for frame in range(design.n_frames)]
    require_laser(design, f"sync={sync} (-S {sync})", off_and_on=sync == "pairs")
    groups = group_by_angle(design.angle)
    members = [np.flatnonzero(groups == group) for group in range(groups.max() + 1)]
    if sync == "pairs":
        members = [pair for frames in members for pair in _pair_frames(design, frames)]
    elif design.has_off_and_on:
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
    pairs, alone = match_frames(design, frames)
    if alone:
        n_on = int(design.has_laser[frames].sum())
        count = f"{len(frames) - n_on} frames without and {n_on} with laser at {design.angle[frames[0]]:g} deg"
        one = f"frame {alone[0]}" if design.repeat is None else f"frame {alone[0]} (repeat {design.repeat[alone[0]]})"
        raise XdpError(f"sync=pairs (-S pairs): {count} are not pairs, {one} has no partner; use sync=blocks")
    return [np.sort(pair) for pair in pairs]


def match_frames(design: Design, frames: np.ndarray) -> tuple[list[tuple[int, int]], list[int]]:
    """Match frames without laser with frames with laser, at one angle.

    Frames of the same ``repeat`` belong together; of several with the same one, the first with the first. Where
    repetitions are not known, or no number in the whole scan stands for frames of both kinds (they then count all
    frames), the k-th frame without laser goes with the k-th with laser, in the order of these numbers and the frames.

    Parameters
    ----------
    design : Design
    frames : (n,) int
        At one angle, ascending.

    Returns
    -------
    pairs : list of (int, int)
        Frame without, frame with laser; in the order of their repetitions.
    alone : list of int
        Frames without a partner, ascending.

    Raises
    ------
    XdpError
        If a repetition is not a number.

    Examples
    --------
    >>> laser, repeat = np.array([False, False, True, True]), np.array([1, 2, 2, 3])
    >>> match_frames(Design(np.zeros(4), laser, repeat=repeat), np.arange(4))
    ([(1, 2)], [0, 3])
    """
    repeat = np.zeros(design.n_frames, np.int64) if design.repeat is None else design.repeat
    if not np.isfinite(repeat).all():
        bad = int(np.flatnonzero(~np.isfinite(repeat))[0])
        raise XdpError(f"lauecollect/repeat: the repetition of frame {bad} is not a number, and pairs have one")
    laser = design.has_laser[frames]
    off, on = (_number_frames(frames[kind], repeat) for kind in (~laser, laser))
    if design.repeat is None or not np.intersect1d(repeat[design.has_laser], repeat[~design.has_laser]).size:
        off, on = ({(0, k): frame for k, (_, frame) in enumerate(sorted(kind.items()))} for kind in (off, on))
    pairs = [(off[key], on[key]) for key in sorted(off) if key in on]
    matched = {frame for pair in pairs for frame in pair}
    return pairs, [frame for frame in frames.tolist() if frame not in matched]


def _number_frames(frames: np.ndarray, repeat: np.ndarray) -> dict[tuple[int, int], int]:
    """Frames by repetition, and by their number among those of the same repetition."""
    numbered: dict[tuple[int, int], int] = {}
    for frame in frames.tolist():
        place = 0
        while (int(repeat[frame]), place) in numbered:
            place += 1
        numbered[int(repeat[frame]), place] = frame
    return numbered


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
