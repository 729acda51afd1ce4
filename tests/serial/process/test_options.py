"""Parameters that stills_process has beyond those of the stages: each is there, with its default and its effect."""

import logging

import numpy as np
import pytest
from shot_data import CELL, NAMED, draw_shots, write_shots

import xdp
from xdp.errors import OptionError
from xdp.experiment import ExperimentList
from xdp.options.named import make_options
from xdp.options.tree import build_tree
from xdp.serial.process.options import StillsProcessOptions
from xdp.serial.process.process import stills_process, stills_process_to_files

#: Parameters of integration and indexing with another default than in xdp index and xdp integrate.
DEFAULTS = {
    "indexing.method": "fft1d", "refinement.parameterisation.auto_reduction.min_nref_per_parameter": 1,
    "refinement.parameterisation.auto_reduction.action": "fix", "refinement.parameterisation.beam.fix": ("all",),
    "refinement.parameterisation.detector.fix": "all", "refinement.reflections.weighting_strategy.override": "stills",
    "refinement.reflections.outlier.algorithm": "null", "integration.integrator": "stills",
    "integration.profile.fitting": False, "integration.background.algorithm": "simple",
    "integration.background.simple.outlier.algorithm": "plane",
    "integration.background.simple.model.algorithm": "linear2d", "profile.gaussian_rs.min_spots.overall": 0,
    "dispatch.refine": False, "dispatch.squash_errors": True, "dispatch.hit_finder.minimum_number_of_reflections": 16,
    "output.composite_output": True, "output.indexed_filename": "%s_indexed.refl", "mp.method": "multiprocessing",
    "profile.gaussian_rs.parameters.sigma_b_cutoff": 0.1, "indexing.stills.rmsd_min_px": 2.0,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("options")
    stack, geometry = write_shots(folder, *draw_shots(((1,), ())))
    return stack, {"events.geometry": geometry.partition("=")[2], "integration.partiality.enable": False, **NAMED}


@pytest.fixture(scope="module")
def plain(run):
    return stills_process(*run)


def to_files(run, **named):
    return stills_process_to_files([run[0]], make_options(StillsProcessOptions, run[1], named))


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults(name):
    value = StillsProcessOptions()
    for part in name.split("."):
        value = getattr(value, part)
    assert value == DEFAULTS[name]


def test_every_parameter_of_the_lists_is_there(shared_data):
    import csv

    for table in ("stills_process_extra.tsv",):
        path = shared_data.parent / "serial" / table
        if not path.exists():
            pytest.skip("the list is not here")
        known = {item.path for item in build_tree(StillsProcessOptions).definitions()}
        rows = list(csv.DictReader(path.open(), delimiter="\t"))
        assert [row["parameter"] for row in rows if row["type"] != "scope" and row["parameter"] not in known] == []


def test_names_of_files(run, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    to_files(run, **{"output.output_dir": str(out), "output.table": str(out / "t.zarr"),
                     "output.experiments_filename": "%s_imported.expt", "output.strong_filename": "%s_strong.refl",
                     "output.profile_filename": "%s_profile.json", "output.indexed_filename": None,
                     "output.logging_dir": str(tmp_path / "logs")})
    assert {path.name for path in out.iterdir()} == {
        "idx-0000_imported.expt", "idx-0000_strong.refl", "idx-0000_profile.json", "idx-0000_refined.expt",
        "idx-0000_integrated.refl", "idx-0000_integrated.expt", "t.zarr", "debug"}
    assert "sigma_b" in (out / "idx-0000_profile.json").read_text()
    assert "run_00000: " in (tmp_path / "logs" / "log_rank0000.out").read_text()
    strong = xdp.read_reflections(out / "idx-0000_strong.refl")
    assert "shoebox" in strong


@pytest.mark.parametrize(("named", "message"), [
    ({"output.output_dir": "nowhere"}, "must be a folder"), ({"output.strong_filename": "strong.refl"}, "must hold %s"),
    ({"output.strong_filename": "%s_indexed.refl"}, "give them different names")])
def test_names_that_do_not_serve(run, tmp_path, monkeypatch, named, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OptionError, match=message):
        to_files(run, **named)


def test_sets_of_files_and_the_record(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("xdp.serial.process.process.SET", 1)
    named = {"mp.chunksize": 1, "hit_finder.enable": False, "output.strong_filename": "%s_strong.refl"}
    to_files(run, **named, **{"mp.debug.output_debug_logs": False, "output.shoeboxes": False})
    assert (tmp_path / "idx-0000_integrated.refl").exists()
    assert not (tmp_path / "debug").exists()
    assert "shoebox" not in xdp.read_reflections("idx-0000_strong.refl")
    to_files(run, **named, **{"mp.composite_stride": 2})
    assert (tmp_path / "debug").exists()


def test_all_files_are_looked_at_first(run, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    with caplog.at_level(logging.INFO):
        to_files(run, **{"dispatch.pre_import": True})
    assert "1 files were looked at, 0 of them cannot be opened" in caplog.text


def test_refinement_after_indexing(run, plain):
    refined = stills_process(*run, **{"dispatch.refine": True})
    assert refined.table["verdict"][0] == "integrated"
    assert refined.experiments[0].crystal != plain.experiments[0].crystal


def test_a_gain_that_is_said_twice(run):
    named = {"geometry.detector.panel": ({"id": 0, "gain": 2.0},), "spotfinder.threshold.dispersion.gain": 2.0}
    with pytest.raises(OptionError, match="has a gain of 2, and spotfinder"):
        stills_process(*run, **named)
    assert len(stills_process(*run, **named, **{"input.ignore_gain_mismatch": True}).table["index"]) == 2


def test_a_reference_geometry(run, plain, tmp_path):
    import dataclasses

    model = plain.experiments[0]
    panel = dataclasses.replace(model.detector[0], origin=(*model.detector[0].origin[:2], -71.0), name="other",
                                trusted_range=(0.0, 500.0))
    moved = dataclasses.replace(model.detector, panels=(panel,))
    xdp.write_experiments(tmp_path / "moved.expt", ExperimentList([dataclasses.replace(model, detector=moved,
                                                                                       crystal=None)]))
    named = {"input.reference_geometry": str(tmp_path / "moved.expt"), "dispatch.index": False,
             "output.strong_filename": "%s.refl"}
    for sync, name in ((True, model.detector[0].name), (False, "other")):
        found = stills_process(*run, **named, **{"input.sync_reference_geom": sync})
        assert found.table["verdict"][0] == "hit"
        # with the reference's own limit of 500 counts strong spots are masked
        assert (found.table["n_strong_pixels"][0] == plain.table["n_strong_pixels"][0]) == sync
        assert name


def count(found):
    return int(found.table["n_integrated"][0])


def test_integration_has_a_trusted_range_of_its_own(run, plain):
    found = stills_process(*run, **{"integration.integration_only_overrides.trusted_range": (-1.0, 60.0)})
    assert found.table["n_peaks"].tolist() == plain.table["n_peaks"].tolist()
    assert count(found) < count(plain)


def test_wide_spots_are_rejected(run):
    found = stills_process(*run, **{"profile.gaussian_rs.parameters.sigma_b_cutoff": 0.001})
    assert found.table["verdict"][0] == "indexed"
    assert "sigma_b_cutoff" in found.table["message"][0]


def test_absorption_by_the_tape(run, plain):
    found = stills_process(*run, **{"integration.absorption_correction": (
        {"apply": True, "algorithm": "fuller_kapton"},)})
    a, b = (table.reflections["intensity.sum.value"] for table in (plain, found))
    assert a.shape == b.shape
    # rays that go through the tape gain, the others stay as they are
    factors = (b / np.where(a == 0, 1, a))[a != 0]
    assert factors.min() > 0.999
    assert factors.max() > 1.01


@pytest.mark.parametrize("number", [0, 5])
def test_the_negative_control_names_its_doubling(run, tmp_path, monkeypatch, number):
    monkeypatch.chdir(tmp_path)
    to_files(run, **{"dispatch.coset": True, "integration.coset.transformation": number})
    assert len(xdp.read_reflections(f"idx-0000_coset{number}.refl")) > 10
    assert (tmp_path / f"idx-0000_coset{number}.expt").exists()


def test_a_fixed_mosaicity(run, plain):
    found = stills_process(*run, **{"indexing.stills.set_mosaic_half_deg_value": 0.05,
                                    "indexing.stills.set_domain_size_ang_value": 1000.0})
    assert found.experiments[0].crystal.extra["ML_half_mosaicity_deg"] == 0.05
    assert found.experiments[0].crystal.extra["ML_domain_size_ang"] == 1000.0
    narrow = stills_process(*run, **{"indexing.stills.set_mosaic_half_deg_value": 0.01})
    assert count(narrow) < count(found)


def test_methods_in_turn_and_isoforms(run):
    bare = {k: v for k, v in run[1].items() if k not in NAMED}
    forms = ({"name": "wrong", "cell": (50.0, 65.0, 90.0, 90.0, 105.0, 90.0), "lookup_symbol": "P21"},
             {"name": "right", "cell": CELL, "lookup_symbol": "P43212"})
    found = stills_process(run[0], bare, **{"indexing.stills.isoforms": forms})
    np.testing.assert_allclose(found.experiments[0].crystal.unit_cell, CELL, rtol=0.01)
    strict = (forms[1] | {"rmsd_target_mm": 1e-4},)
    found = stills_process(run[0], bare, **{"indexing.stills.isoforms": strict, "dispatch.integrate": False})
    assert found.table["verdict"][0] == "not indexed"
    assert "rmsd_target_mm" in found.table["message"][0]
    found = stills_process(run[0], run[1] | {"indexing.stills.method_list": ("fft3d", "fft1d")},
                           **{"dispatch.integrate": False})
    assert found.table["verdict"][0] == "indexed"
    found = stills_process(*run, **{"indexing.stills.rmsd_min_px": 1e-3})
    assert found.table["verdict"][0] == "not indexed"


def test_known_orientations(run, plain, tmp_path):
    xdp.write_experiments(tmp_path / "earlier.expt", plain.experiments)
    bare = {k: v for k, v in run[1].items() if k not in NAMED}
    named = {"indexing.stills.known_orientations": (str(tmp_path / "*.expt"),),
             "indexing.stills.require_known_orientation": True, "hit_finder.enable": False}
    found = stills_process(run[0], bare, **named)
    assert found.table["verdict"][0] == "integrated"
    assert found.experiments[0].crystal.unit_cell == plain.experiments[0].crystal.unit_cell
