"""Every option of the search in a shot does something."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from xdp.experiment.experiment import Experiment
from xdp.indexing.options import KnownSymmetry
from xdp.indexing.shots.options import ShotSearch
from xdp.indexing.shots.shot import ShotLattices, find_shot_lattices
from xdp.reflections.table import ReflectionTable
from xdp.simulation.models import LYSOZYME_CELL, draw_rotation, make_crystal
from xdp.simulation.still_spots import make_still_spots

KNOWN = KnownSymmetry(unit_cell=LYSOZYME_CELL, space_group="P43212")
LONGER = tuple(1.01 * v for v in LYSOZYME_CELL[:3]) + LYSOZYME_CELL[3:]


@cache
def shot(name: str) -> tuple[Experiment, ReflectionTable]:
    """A shot by what is special of it."""
    if name == "two":
        return make_still_spots(60, crystals=[make_crystal(orientation=draw_rotation(k)) for k in (1, 2)])
    if name == "near":
        first = draw_rotation(3)
        second = first @ np.array([[np.cos(0.06), -np.sin(0.06), 0], [np.sin(0.06), np.cos(0.06), 0], [0, 0, 1]])
        return make_still_spots(90, crystals=[make_crystal(orientation=u) for u in (first, second)])
    if name == "longer":
        return make_still_spots(60, crystals=[make_crystal(LONGER, orientation=draw_rotation(1))])
    if name == "rough":
        return make_still_spots(100, sigma_px=1.2)
    return make_still_spots({"few": 9}.get(name, 60), mosaicity=0.3 if name == "mosaic" else 0.08)


def search(name: str, **options: object) -> ShotLattices:
    """The lattices of a shot."""
    return find_shot_lattices(*shot(name), KNOWN, ShotSearch(**options))


@pytest.mark.parametrize(("name", "options", "usual", "changed"), [
    ("two", {"max_lattices": 1}, 2, 1), ("two", {"false_alarm_probability": 1e-300}, 2, 0),
    ("plain", {"min_spots": 61}, 1, 0), ("longer", {"cell_tolerance": 0.005}, 1, 0),
    ("plain", {"rmsd_max_px": 0.1}, 1, 0), ("mosaic", {"max_proximal_volume": 1e-4}, 1, 0),
    ("near", {"min_separation": 10.0}, 2, 1)])
def test_limits(name, options, usual, changed):
    assert len(search(name).lattices) == usual
    assert len(search(name, **options).lattices) == changed


def test_the_cell_is_kept():
    assert search("plain", cell_error=0.0).lattices[0].crystal.unit_cell == pytest.approx(LYSOZYME_CELL, rel=1e-9)
    assert search("plain").lattices[0].crystal.unit_cell != pytest.approx(LYSOZYME_CELL, rel=1e-7)
    assert search("longer").lattices[0].crystal.unit_cell == pytest.approx(LONGER, rel=3e-3)


def test_the_volume_counts_to_a_resolution():
    limit = {"max_proximal_volume": 1e-3}
    assert not search("mosaic", **limit, proximal_d_min=1.5).lattices
    assert len(search("mosaic", **limit, proximal_d_min=5.0).lattices) == 1


def test_outliers_count_in_the_rmsd():
    most = search("rough", rejects_outliers=False).lattices[0].rmsd_px
    assert search("rough").lattices[0].rmsd_px < most


def test_other_orientations_are_tried():
    # no orientation passes; the reason is that of the last one that was tried
    assert not search("plain", rmsd_max_px=0.1, tries_others=False).lattices
    assert not search("plain", rmsd_max_px=0.1).lattices
