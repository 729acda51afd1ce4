"""Parameters of the search for cells over many shots."""

from __future__ import annotations

from xdp.options import Options, option


class ConsensusOptions(Options):
    """How the cells of a run's crystals are found where none is known."""

    # 79 Å axes of lysozyme are found with 65, as vectors up to twice the length are looked at; each step doubles it
    max_cell: tuple[float, ...] = option(
        (65.0, 130.0, 260.0), "Longest axes to look for in turn, Å, as long as the shot is not well explained.", gt=0)
    min_cell: float = option(3.0, "Shortest axis in Å.", ge=0)
    min_cell_volume: float = option(25.0, "Smallest cell volume in Å³.", ge=0)
    # most places of the right cell were below 100 in shots with half of their spots false, where it was found at all
    max_candidates: int = option(100, "Candidate cells of a shot that are pooled at most.", ge=1)
    min_spots: int = option(10, "Shots with fewer spots are not pooled.", ge=4)
    max_spots: int = option(500, "Spots of a shot that are used at most, a fixed random choice.", ge=10)
    max_shots: int = option(100, "Shots that a pool holds at most, those that come first by name.", ge=2)
    # a cell that two shots share by chance was not seen; the third makes sure
    min_shots: int = option(3, "Fewest shots of a crystal form.", ge=1)
    # lengths of candidates are off by 1 % as they come from the grid, and crystals of one form differ by as much
    length_tolerance: float = option(
        0.03, "Lattices are alike if the lengths of their short vectors differ by less than this, relatively.", gt=0,
        lt=0.2)
    max_forms: int = option(4, "Crystal forms that are sought at most.", ge=1)
