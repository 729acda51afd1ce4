"""A forward model of crystals on detectors: demonstration data, and ground truth for tests."""

from xdp.simulation.images import Simulation
from xdp.simulation.models import make_beam, make_crystal, make_detector, make_goniometer, make_scan
from xdp.simulation.options import SimulationOptions
from xdp.simulation.rotation import simulate_rotation
from xdp.simulation.spot_lists import make_spots
from xdp.simulation.stills import simulate_stills
from xdp.simulation.tables import make_integrated

__all__ = ["Simulation", "SimulationOptions", "make_beam", "make_crystal", "make_detector", "make_goniometer",
           "make_integrated", "make_scan", "make_spots", "simulate_rotation", "simulate_stills"]
