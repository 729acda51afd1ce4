"""Gaps between the modules of counting detectors, which their images show but cannot measure."""

from __future__ import annotations

from dataclasses import dataclass

Rectangle = tuple[int, int, int, int]
"""Pixels (fast0, slow0, fast1, slow1), the ends excluded."""


@dataclass(frozen=True)
class Modules:
    """How a family of detectors is tiled.

    Attributes
    ----------
    module : (int, int)
        Pixels of a module, (fast, slow).
    gap : (int, int)
        Pixels between two modules, (fast, slow).
    """

    module: tuple[int, int]
    gap: tuple[int, int]

    def count(self, image_size: tuple[int, int]) -> tuple[int, int] | None:
        """Count the modules in an image.

        Parameters
        ----------
        image_size : (int, int)
            Pixels (fast, slow).

        Returns
        -------
        (int, int) or None
            Modules along fast and slow; None where the image is no whole number of them.

        Examples
        --------
        >>> PILATUS.count((2463, 2527))
        (5, 12)
        """
        counts = []
        for size, module, gap in zip(image_size, self.module, self.gap, strict=True):
            # n modules have n - 1 gaps: one more gap makes n pitches.
            n, rest = divmod(size + gap, module + gap)
            if rest or n < 1:
                return None
            counts.append(n)
        return counts[0], counts[1]

    def list_gaps(self, image_size: tuple[int, int]) -> tuple[Rectangle, ...]:
        """List the gaps of an image.

        Parameters
        ----------
        image_size : (int, int)
            Pixels (fast, slow).

        Returns
        -------
        tuple of (fast0, slow0, fast1, slow1)
            Ends excluded: columns first, then rows; empty where the image is no whole number of modules.
        """
        counts = self.count(image_size)
        if counts is None:
            return ()
        fast, slow = image_size
        columns = [(start, 0, start + self.gap[0], slow) for start in self._list_gap_starts(0, counts[0])]
        rows = [(0, start, fast, start + self.gap[1]) for start in self._list_gap_starts(1, counts[1])]
        return tuple(columns + rows)

    def _list_gap_starts(self, axis: int, n_modules: int) -> list[int]:
        """First pixel of each gap along fast (0) or slow (1)."""
        pitch = self.module[axis] + self.gap[axis]
        return [i * pitch + self.module[axis] for i in range(n_modules - 1)]


# Sizes as Dectris states them: a Pilatus 6M is 5 x 12 modules in 2463 x 2527 pixels, an Eiger 16M 4 x 8 in 4150 x 4371,
# an Eiger2 16M 4 x 8 in 4148 x 4362.
PILATUS = Modules((487, 195), (7, 17))
EIGER = Modules((1030, 514), (10, 37))
EIGER2 = Modules((1028, 512), (12, 38))


def find_gaps(image_size: tuple[int, int], families: tuple[Modules, ...] = (PILATUS, EIGER, EIGER2)) -> tuple[
        Rectangle, ...]:
    """Find the gaps of an image by the first family of detectors that it fits.

    An image that was turned by 90 degrees has its gaps turned too.

    Parameters
    ----------
    image_size : (int, int)
        Pixels (fast, slow).
    families : tuple of Modules
        Those that are tried, in this order; all by default.

    Returns
    -------
    tuple of (fast0, slow0, fast1, slow1)
        Ends excluded; empty where the image fits no family.

    Examples
    --------
    >>> find_gaps((487, 407))
    ((0, 195, 487, 212),)
    """
    for family in families:
        if found := family.list_gaps(image_size):
            return found
    for family in families:
        if found := family.list_gaps((image_size[1], image_size[0])):
            return tuple((s0, f0, s1, f1) for f0, s0, f1, s1 in found)
    return ()
