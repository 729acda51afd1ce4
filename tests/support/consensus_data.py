"""Stills of crystals with known cells, for tests of the search for cells over many shots."""

from xdp.serial.consensus.candidates import map_shot, pool_shot
from xdp.simulation.spot_lists import draw_crystal
from xdp.simulation.still_spots import make_still_spots

P21 = (50.0, 65.0, 90.0, 90.0, 105.0, 90.0)


def pool_stills(lattice, cell, seeds, *, n_spots=60, n_spurious=0, options=None, name="shot"):
    """Pool a shot of a lattice in a random orientation for each seed."""
    shots = []
    for seed in seeds:
        crystals = [draw_crystal(lattice, cell, seed)]
        experiment, spots = make_still_spots(n_spots, n_spurious, seed, crystals=crystals)
        shots.append(pool_shot(spots, experiment, options, key=f"{name} {seed}"))
    return shots


def map_still(crystal, seed, *, n_spots=50, n_spurious=0):
    """The spots of a crystal in one shot, without candidate cells, which take most of the time."""
    experiment, spots = make_still_spots(n_spots, n_spurious, seed, crystals=[crystal])
    return map_shot(spots, experiment, key=f"shot {seed}")
