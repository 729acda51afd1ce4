"""Profile-fitted intensities beside DIALS', on the same shoeboxes with the same references."""

from __future__ import annotations

import numpy as np
import pytest
from fitting_data import draw, make_experiment

from xdp.experiment import ExperimentList, write_experiments
from xdp.integration.profiles.fit import fit_profiles
from xdp.integration.profiles.reference import ReferenceGrid
from xdp.reflections.refl import write_reflections

pytestmark = [pytest.mark.peer, pytest.mark.kernels]

SCRIPT = """
import sys
import numpy as np
from dials.array_family import flex
from dials.algorithms.profile_model.gaussian_rs import GaussianRSProfileModeller as Modeller
from dxtbx import flumpy
from dxtbx.model.experiment_list import ExperimentList
e = ExperimentList.from_file("drawn.expt", check_format=False)[0]
sigma_b, sigma_m, n_steps, method = float(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
modeller = Modeller(e.beam, e.detector, e.goniometer, e.scan, sigma_b, sigma_m, 4.5, 5, n_steps, 0.02,
                    int(Modeller.GridMethod.names[method].real), int(Modeller.FitMethod.names["reciprocal_space"].real))
modeller.model(flex.reflection_table.from_file("strong.refl"))
modeller.finalize()
table = flex.reflection_table.from_file("drawn.refl")
for name in ("intensity.prf.value", "intensity.prf.variance", "profile.correlation"):
    table[name] = flex.double(len(table), 0)
success = modeller.fit(table)
profiles = [modeller.data(i).as_numpy_array() if modeller.valid(i) else np.full((11, 11, 11), np.nan)
            for i in range(modeller.size())]
np.savez("out.npz", value=flumpy.to_numpy(table["intensity.prf.value"]), success=flumpy.to_numpy(success),
         correlation=flumpy.to_numpy(table["profile.correlation"]), profiles=np.array(profiles))
"""


@pytest.mark.parametrize("method", ["regular_grid", "circular_grid", "single"])
def test_intensities_and_profiles_beside_dials(dials, tmp_path, method):
    drawn = draw(make_experiment(), 600)
    n = len(drawn.table)
    strong = drawn.count(np.full(n, 3000.0), 1.0, seed=1)
    intensity = np.random.default_rng(2).choice([100.0, 300.0, 1000.0, 5000.0], n)
    boxes = drawn.count(intensity, 2.0, seed=3)
    write_experiments(tmp_path / "drawn.expt", ExperimentList([drawn.experiment]))
    write_reflections(tmp_path / "strong.refl", drawn.table.with_columns(shoebox=strong))
    write_reflections(tmp_path / "drawn.refl", drawn.table.with_columns(shoebox=boxes))
    theirs = dials.script(SCRIPT, float(drawn.model.sigma_b), float(drawn.model.sigma_m), 4, method, cwd=tmp_path)
    sums = ReferenceGrid(drawn.grid(grid_method=method))
    assert sums.accumulate(drawn.table, strong).all()
    profiles = sums.finish()
    ours = fit_profiles(profiles, drawn.table, boxes)
    ok = theirs["success"] & (theirs["value"] > 0)
    assert ok.mean() > 0.98
    ratio = ours["intensity.prf.value"][ok] / theirs["value"][ok]
    # the bound; DIALS keeps points that no pixel reached in the fit, which makes it a little lower
    assert np.median(ratio) == pytest.approx(1.0, abs=0.004)
    difference = (ours["intensity.prf.value"] - theirs["value"])[ok] / np.sqrt(ours["intensity.prf.variance"][ok])
    assert np.subtract(*np.quantile(difference, [0.75, 0.25])) / 1.349 < 0.3
    # both correlate what is on the grid
    assert np.median(np.abs(ours["profile.correlation"] - theirs["correlation"])[ok]) < 0.02
    # pixels are shared by sample points here, by areas there, and references far from a profile are left out here
    many = profiles.n_references > 20
    there = theirs["profiles"].reshape(profiles.profiles.shape)[many]
    assert np.abs(profiles.profiles[many] - there).max() < 0.15 * there.max()
