"""The four wedges of L-cysteine, one crystal on a goniometer that is not quite where it says, beside dials.refine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from xdp.cli.main import main
from xdp.experiment import read_experiments
from xdp.logs import stop_log
from xdp.reflections.flags import Flag
from xdp.reflections.refl import read_reflections

pytestmark = pytest.mark.peer


def command(folder: Path, name: str, *words: str) -> None:
    """Run a command of ours in a folder."""
    assert main([name, *words]) == 0, name
    stop_log()


@pytest.fixture(scope="module")
def wedges(shared_data, tmp_path_factory) -> Path:
    """Indexed jointly in P1, and refined, at defaults."""
    folder = tmp_path_factory.mktemp("wedges")
    images = sorted(map(str, (shared_data / "lcysteine_pilatus2m").glob("*.cbf.gz")))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        command(folder, "import", *images)
        command(folder, "find_spots", "imported.expt")
        command(folder, "index", "imported.expt", "strong.refl")
        command(folder, "refine", "indexed.expt", "indexed.refl")
    return folder


def rmsds(path: Path) -> np.ndarray:
    """Of the reflections used in each of the four experiments, px and images."""
    table = read_reflections(path)
    table = table.select(table.flags(Flag.USED_IN_REFINEMENT))
    squares = (table["xyzcal.px"] - table["xyzobs.px.value"]) ** 2
    return np.sqrt([squares[table["id"] == k].mean(axis=0) for k in range(4)])


def test_models_are_as_good_as_those_of_dials(wedges, dials):
    dials.command("dials.refine", "indexed.expt", "indexed.refl", "output.experiments=dials.expt",
                  "output.reflections=dials.refl", cwd=wedges)
    ours, theirs = rmsds(wedges / "refined.refl"), rmsds(wedges / "dials.refl")
    # theirs have 85 parameters for 86 spots, ours 31 for 76
    assert np.all(ours.mean(axis=0) < 1.1 * theirs.mean(axis=0))
    assert read_reflections(wedges / "refined.refl").flags(Flag.USED_IN_REFINEMENT).sum() >= 70
    # the crystal is orthorhombic, which nothing has told
    crystals = [e.crystal for e in read_experiments(wedges / "refined.expt")]
    assert all(np.all(np.abs(np.asarray(c.unit_cell)[3:] - 90.0) < 0.05) for c in crystals)
    apart = [np.abs(np.asarray(e.crystal.unit_cell)[3:] - 90.0).max() for e in read_experiments(wedges / "dials.expt")]
    assert max(apart) > 0.05


def test_dials_goes_on_with_own_orientations(wedges, dials):
    """The copies come back as four crystals."""
    shown = dials.command("dials.show", "refined.expt", cwd=wedges)
    assert shown.count("Unit cell: 5.42") == 4
