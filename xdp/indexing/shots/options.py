"""The options of the search for a known cell in the spots of one shot."""

from __future__ import annotations

from xdp.options.model import Options, option


class ShotSearch(Options):
    """How lattices of a known cell are sought in a shot, and which are believed."""

    false_alarm_probability: float = option(
        1e-4, "A lattice is believed if spots without a lattice would give one as good with at most this probability.",
        gt=0, le=1)
    max_lattices: int | None = option(None, "Largest number of lattices; None: as many as are believed.", ge=1)
    # eight of a shot's own spots are found in all 30 hits of stills_dev (benchmarks/serial_indexing.py)
    min_spots: int = option(8, "Fewest spots of a lattice.", ge=4)
    # a cell of a run differs from shot to shot by some tenths of a percent; by more, it is another crystal form
    cell_error: float = option(0.003, "Relative standard deviation of a shot's cell axes about the known cell; 0: the "
                               "cell is kept.", ge=0, le=0.05)
    cell_tolerance: float = option(0.03, "Largest relative difference of an axis from the known cell.", gt=0, le=0.2)
    rmsd_max_px: float = option(2.0, "Largest root mean square distance of spots from their predictions, px.", gt=0)
    max_proximal_volume: float | None = option(
        None, "Largest volume, 1/Å³, of the layer on one side of the Ewald sphere in which the lattice's points are "
        "seen. None: no limit.", gt=0)
    proximal_d_min: float = option(2.0, "Resolution, Å, to which that volume is counted.", gt=0)
    tries_others: bool = option(True, "Where the likeliest orientation is refused, the next ones are tried.")
    rejects_outliers: bool = option(True, "Outliers are left out of the RMSD.")
    min_separation: float = option(
        2.0, "A further lattice is refused if its orientation is closer than this, degrees, to an earlier one.", ge=0)
