"""Gaps between the modules of counting detectors, which their images show but cannot measure."""

from __future__ import annotations

from dataclasses import dataclass

Rectangle = tuple[int, int, int, int]


@dataclass(frozen=True)
class Modules:
    """How a family of detectors is tiled: pixels of a module and of the gap between two, (fast, slow)."""

    module: tuple[int, int]
    gap: tuple[int, int]

    def count(self, image_size: tuple[int, int]) -> tuple[int, int] | None:
        """Modules along fast and slow in an image of this size, None where it is no whole number of them."""
        counts = []
        for size, module, gap in zip(image_size, self.module, self.gap, strict=True):
            n, rest = divmod(size + gap, module + gap)
            if rest or n < 1:
                return None
            counts.append(n)
        return counts[0], counts[1]

    def gaps(self, image_size: tuple[int, int]) -> tuple[Rectangle, ...]:
        """The gaps as (fast0, slow0, fast1, slow1), ends excluded: columns first, then rows."""
        counts = self.count(image_size)
        if counts is None:
            return ()
        fast, slow = image_size
        columns = [(start, 0, start + self.gap[0], slow) for start in self._starts(0, counts[0])]
        rows = [(0, start, fast, start + self.gap[1]) for start in self._starts(1, counts[1])]
        return tuple(columns + rows)

    def _starts(self, axis: int, n_modules: int) -> list[int]:
        pitch = self.module[axis] + self.gap[axis]
        return [i * pitch + self.module[axis] for i in range(n_modules - 1)]


PILATUS = Modules((487, 195), (7, 17))
EIGER = Modules((1030, 514), (10, 37))
EIGER2 = Modules((1028, 512), (12, 38))


def gaps_of(image_size: tuple[int, int], families: tuple[Modules, ...] = (PILATUS, EIGER, EIGER2)) -> tuple[
        Rectangle, ...]:
    """The gaps of an image of (fast, slow) pixels by the first family it fits, none where it fits no family.

    An image that was turned by 90 degrees has its gaps turned too.
    """
    for family in families:
        if found := family.gaps(image_size):
            return found
    for family in families:
        if found := family.gaps((image_size[1], image_size[0])):
            return tuple((s0, f0, s1, f1) for f0, s0, f1, s1 in found)
    return ()
