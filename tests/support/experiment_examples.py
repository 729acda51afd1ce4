"""Small models that several tests of this room need."""

from __future__ import annotations

import numpy as np

from xdp.experiment import Beam, Crystal, Detector, Experiment, ExperimentList, Goniometer, ImageSet, Panel, Scan

WAVELENGTH = 1.0


def flat_panel(**changes) -> Panel:
    """100 x 80 pixels of 0.1 mm, 50 mm downstream, the beam in the middle of the panel."""
    values = {"fast_axis": (1.0, 0.0, 0.0), "slow_axis": (0.0, -1.0, 0.0), "origin": (-5.0, 4.0, -50.0),
              "image_size": (100, 80), "pixel_size": (0.1, 0.1), "trusted_range": (0.0, 65535.0),
              "type": "SENSOR_PAD"}
    return Panel(**(values | changes))


def thick_panel(**changes) -> Panel:
    """The same panel with 0.45 mm of silicon and the parallax correction."""
    return flat_panel(thickness=0.45, material="Si", mu=3.9,
                      px_mm_strategy="ParallaxCorrectedPxMmStrategy", **changes)


def beam() -> Beam:
    """Along -z, 1 Å."""
    return Beam((0.0, 0.0, 1.0), WAVELENGTH)


def mounted_detector() -> Detector:
    """Two panels on a node that is turned a right angle about z and moved to z = -50 mm."""
    frame = {"fast_axis": [0.0, 1.0, 0.0], "slow_axis": [-1.0, 0.0, 0.0], "origin": [0.0, 0.0, -50.0]}
    root = {"fast_axis": [1.0, 0.0, 0.0], "slow_axis": [0.0, 1.0, 0.0], "origin": [0.0, 0.0, 0.0]}
    tree = {"name": "root", **root,
            "children": [{"name": "arm", **frame, "children": [{"panel": 1}, {"panel": 0}]}]}
    panels = (flat_panel(origin=(1.0, 2.0, 0.0)), flat_panel(origin=(20.0, 2.0, 0.5)))
    return Detector(panels, tree)


def experiments() -> ExperimentList:
    """Two experiments that share all models but the crystal."""
    shared = {"beam": beam(), "detector": Detector((flat_panel(),)), "goniometer": Goniometer(),
              "scan": Scan((1, 3), (0.0, 0.1), (0.1,) * 3, (0.0,) * 3),
              "imageset": ImageSet("ImageSequence", template="a_###.cbf")}
    crystals = [Crystal((40.0, 0.0, 0.0), (0.0, 50.0, 0.0), (0.0, 0.0, length), " P 2ac 2ab") for length in (60., 70.)]
    return ExperimentList(Experiment(identifier=f"id{i}", crystal=c, **shared) for i, c in enumerate(crystals))


def random_rotation(rng: np.random.Generator) -> np.ndarray:
    """A proper rotation, uniformly distributed enough for tests."""
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.sign(np.linalg.det(q))
