"""Intensities of `rot_dev` against the truth it was simulated from, by the measure that ships with the data."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from xdp.cli.main import main

from .conftest import dials_environment, dials_python


@pytest.fixture(scope="module")
def refined(shared_data, tmp_path_factory):
    """A folder with rot_dev indexed in its space group and refined, all by xdp."""
    folder = tmp_path_factory.mktemp("truth")
    images = [str(path) for path in sorted((shared_data / "rot_dev" / "cbf").glob("*.cbf.gz"))]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in (["import", *images], ["find_spots", "imported.expt"],
                        ["index", "imported.expt", "strong.refl", "space_group=P43212"],
                        ["refine", "indexed.expt", "indexed.refl"]):
            assert main(command) == 0
    return folder


@pytest.fixture(scope="module")
def integrated(refined):
    """The prefix of integrated files: with hot pixels masked, and without."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(refined)
        for name, mask in (("masked", "True"), ("plain", "False")):
            assert main(["integrate", "refined.expt", "refined.refl", f"integration.hot_pixels.mask={mask}",
                         f"output.reflections={name}.refl", f"output.experiments={name}.expt",
                         f"output.log={name}.log"]) == 0
    return refined


def against_truth(dials, shared_data, folder, name, kind):
    """What truth_cc.py says of all reflections, and of those away from bad pixels."""
    tool = Path(shared_data).parent / "tools" / "truth_cc.py"
    if not tool.exists():
        pytest.skip("needs truth_cc.py of the shared tools")
    data = shared_data / "rot_dev"
    done = subprocess.run([dials_python(), tool, f"{name}.refl", f"{name}.expt", data / "truth_asu.hkl",
                           data / "truth.json", kind], cwd=folder, env=dials_environment(), capture_output=True,
                          text=True, check=True)
    result = {}
    for line in done.stdout.splitlines():
        which, *words = line.split()
        result[which] = dict(zip(words[::2], map(float, words[1::2]), strict=True))
    return result


# The weak third of summation: DIALS reaches 0.7275 with the same models in the run that integrates the stated 18354
# reflections (0.732 is stated, which no route gave). That of fits is 0.92102 with DIALS' models (DIALS 0.9203).
@pytest.mark.parametrize(("kind", "cc", "weak", "n"), [("prf", 0.9990, 0.9205, 16851), ("sum", 0.9985, 0.727, 16576)])
def test_intensities_correlate_with_the_truth(dials, shared_data, integrated, kind, cc, weak, n):
    found = against_truth(dials, shared_data, integrated, "masked", kind)
    for which in ("clean", "all"):
        assert found[which]["cc"] >= cc
        assert found[which]["cc_weak_third"] >= weak
    # n: of full partiality, as DIALS integrates them with the same models.
    assert found["all"]["n"] >= 0.99 * n


@pytest.mark.parametrize("kind", ["prf", "sum"])
def test_standard_deviations_are_honest(dials, shared_data, integrated, kind):
    clean = against_truth(dials, shared_data, integrated, "masked", kind)["clean"]
    for bounds in ("-9_1", "1_3", "3_6", "6_12"):
        # Of about 4000 reflections in each bin the quartiles' width is known to 2 %.
        assert 0.93 <= clean[f"pull_{bounds}"] <= 1.07


def test_hot_and_dead_pixels_are_masked_and_named(shared_data, integrated):
    truth = json.loads((shared_data / "rot_dev" / "truth.json").read_text())["bad_pixels"]
    text = (integrated / "masked.log").read_text()
    for name, key in (("hot", "unflagged_hot"), ("dead", "unflagged_dead_always_0")):
        line = re.search(rf"{name} \(fast, slow\): (.*)", text).group(1)
        found = {(int(slow), int(fast)) for fast, slow in re.findall(r"\((\d+), (\d+)\)", line)}
        assert found == set(map(tuple, truth[key]))
    assert "switched off" in (integrated / "plain.log").read_text()


def test_masking_saves_the_weak_reflections(dials, shared_data, integrated):
    masked = against_truth(dials, shared_data, integrated, "masked", "prf")["all"]["cc_weak_third"]
    plain = against_truth(dials, shared_data, integrated, "plain", "prf")["all"]["cc_weak_third"]
    assert masked >= 0.85
    assert plain < 0.6
