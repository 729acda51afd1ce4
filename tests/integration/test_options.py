"""Every parameter of integrate: it exists with the reference's type and default, and it has an effect.

The table is a copy of the reference's (tests/data/parameters.tsv). A parameter without an entry in EFFECTS fails.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from integration_data import options, run
from parameter_tables import check_declaration, reference_rows, registry

from xdp.cli import integrate as command
from xdp.errors import OptionError, XdpError
from xdp.experiment import ExperimentList, read_experiments
from xdp.images.masks.pickles import write_mask_pickle
from xdp.integration.integrate import integrate
from xdp.integration.options import IntegrateOptions
from xdp.reflections.flags import Flag
from xdp.reflections.refl import read_reflections, write_reflections

pytestmark = pytest.mark.kernels

ROWS = reference_rows("integrate")
NAMES = [row["parameter"] for row in ROWS]
EFFECTS, effect = registry()
COMPARED = {}


def changing(name, *words, columns=()):
    """The parameter `name` has its effect when `words` change the integrated table (in `columns`, if they are given).

    Words before the last also hold for what is compared with.
    """
    def check(place, series, plain):
        *common, last = words
        before = integrated_once(series, *common) if common else plain.reflections
        after = run(series, *common, last).reflections
        if columns and len(before) == len(after):
            assert any(not np.array_equal(before[c], after[c], equal_nan=True) for c in columns)
        else:
            assert before != after

    EFFECTS[name] = check


def integrated_once(series, *words, phil=""):
    """The table for these words and this PHIL text, with which several parameters are compared: not to be changed."""
    key = (series.folder, words, phil)
    if key not in COMPARED:
        (series.folder / "compared.phil").write_text(phil)
        COMPARED[key] = run(series, *words, *([str(series.folder / "compared.phil")] if phil else [])).reflections
    return COMPARED[key]


def command_line(series, *words):
    """The command in the current folder."""
    assert command.run([*series.files, *words]) == 0


@pytest.fixture(scope="module")
def plain(series):
    """The series integrated with all defaults."""
    return run(series)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder that is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- the table -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_parameter_has_the_type_default_and_level_of_the_reference(row):
    check_declaration(IntegrateOptions, row, own_multiples="absorption_correction")


#: Tests of other modules that show the effect of parameters: of stills, by name.
_ELLIPSOID = "profile.ellipsoid."
OF_STILLS = {
    "integration.summation.detector_gain": "test_filters_samples_and_gain",
    "profile.algorithm": "test_partiality_of_the_ellipsoid_brings_intensities_nearer_to_the_full_ones",
    f"{_ELLIPSOID}rlp_mosaicity.model": "test_each_mosaicity_model_is_refined_and_written",
    f"{_ELLIPSOID}unit_cell.fixed": "test_cell_and_orientation_are_refined_unless_fixed",
    f"{_ELLIPSOID}orientation.fixed": "test_cell_and_orientation_are_refined_unless_fixed",
    f"{_ELLIPSOID}indexing.fail_on_bad_index": "test_bad_indices_are_corrected_or_refused",
    f"{_ELLIPSOID}refinement.max_separation": "test_parameters_of_refinement_change_the_model",
    f"{_ELLIPSOID}refinement.outlier_probability": "test_parameters_of_refinement_change_the_model",
    f"{_ELLIPSOID}refinement.n_macro_cycles": "test_parameters_of_refinement_change_the_model",
    f"{_ELLIPSOID}refinement.n_cycles": "test_parameters_of_refinement_change_the_model",
    f"{_ELLIPSOID}refinement.min_n_reflections": "test_too_few_spots_are_refused_by_number",
    f"{_ELLIPSOID}prediction.d_min": "test_prediction_parameters_of_the_ellipsoid",
    f"{_ELLIPSOID}prediction.probability": "test_prediction_parameters_of_the_ellipsoid",
}


@pytest.mark.parametrize("name", NAMES)
def test_parameter_has_an_effect(name, place, series, plain):
    if name in OF_STILLS:
        texts = [path.read_text(encoding="utf-8") for path in (Path(__file__).parent / "stills").glob("test_*.py")]
        text = next((text for text in texts if f"def {OF_STILLS[name]}(" in text), "")
        assert f"def {OF_STILLS[name]}(" in text
        assert name.split(".")[-1] in text or name.startswith("profile.algorithm")
        return
    if name not in EFFECTS:  # global background models have theirs in a module of their own
        others = [path for path in Path(__file__).parent.rglob("test_*.py") if path != Path(__file__)]
        named = [path.name for path in others if f"effect of {name}" in path.read_text(encoding="utf-8")]
        assert named, f"no test shows the effect of {name}: add one to EFFECTS, or say 'effect of {name}' where it is"
        return
    EFFECTS[name](place, series, plain)


# --- output ----------------------------------------------------------------------------------------------------------

@effect("output.experiments", "output.reflections", "output.log", "output.phil", "output.report")
def output_files(place, series, plain):
    command_line(series, "output.experiments=a.expt", "output.reflections=a.refl", "output.log=a.log",
                 "output.phil=a.phil", "output.report=a.json", "profile.fitting=False")
    assert {p.name for p in place.iterdir()} == {"a.expt", "a.refl", "a.log", "a.phil", "a.json"}
    assert read_experiments("a.expt")[0].profile["__id__"] == "gaussian_rs"
    assert len(read_reflections("a.refl")) == len(integrated_once(series, "profile.fitting=False"))
    assert "Summary vs image number" in Path("a.log").read_text()
    assert "fitting = False" in Path("a.phil").read_text()
    assert "integration.image.summary" in json.loads(Path("a.json").read_text())["tables"]


@effect("output.output_unintegrated_reflections")
def output_unintegrated(place, series, plain):
    every = integrated_once(series, "output_unintegrated_reflections=True")
    assert len(every) > len(plain.reflections)
    assert every.select(every.any_flags(Flag.INTEGRATED)) == plain.reflections


@effect("output.include_bad_reference")
def include_bad_reference(place, series, plain):
    table = run(series, "include_bad_reference=True").reflections
    bad = table.flags(Flag.BAD_REFERENCE)
    n_unindexed = np.count_nonzero(~series.reference.flags(Flag.INDEXED))
    assert np.count_nonzero(bad) >= n_unindexed > 0
    assert not table.select(bad).any_flags(Flag.INTEGRATED).any()
    assert len(table) - np.count_nonzero(bad) == len(plain.reflections)


# --- what is integrated ----------------------------------------------------------------------------------------------

@effect("scan_range")
def scan_range(place, series, plain):
    found = run(series, "scan_range=0,4", "scan_range=6,12")
    assert [e.scan.image_range for e in found.experiments] == [(1, 4), (7, 12)]
    z = found.reflections["bbox"][:, 4:]
    assert z[found.reflections["id"] == 0].max() == 4
    assert z[found.reflections["id"] == 1].min() == 6
    with pytest.raises(OptionError, match="within 0,12"):
        run(series, "scan_range=3,13")


@effect("create_profile_model")
def create_profile_model(place, series, plain):
    with pytest.raises(XdpError, match="no profile model"):
        run(series, "create_profile_model=False")
    given = replace(series.experiments[0],
                    profile={"__id__": "gaussian_rs", "n_sigma": 3.0, "sigma_b": 0.05, "sigma_m": 0.15})
    found = integrate(ExperimentList([given]), series.reference, options("create_profile_model=False"))
    assert found.experiments[0].profile == pytest.approx(given.profile)
    assert 0.04 < plain.experiments[0].profile["sigma_b"] < 0.1  # simulated: 0.04, besides the width of a pixel


@effect("sampling.reflections_per_degree", "sampling.minimum_sample_size", "sampling.maximum_sample_size",
        "sampling.integrate_all_reflections", "sampling.random_seed")
def sampling(place, series, plain):
    words = ["integrate_all_reflections=False", "output_unintegrated_reflections=True"]

    def found(*more):
        return run(series, *words, *more).reflections

    assert len(found("minimum_sample_size=0", "reflections_per_degree=20")) == 120  # of six degrees
    assert len(found("minimum_sample_size=200", "reflections_per_degree=20")) == 200
    assert len(found("minimum_sample_size=200", "maximum_sample_size=150")) == 150
    first, second = (found("minimum_sample_size=100", f"random_seed={seed}", "reflections_per_degree=1")
                     for seed in (1, 2))
    assert len(first) == len(second) == 100
    assert not np.array_equal(first["miller_index"], second["miller_index"])
    assert len(run(series, words[1], "reflections_per_degree=20").reflections) > 200


@effect("exclude_images")
def exclude_images(place, series, plain):
    table = run(series, "exclude_images=5,6", "output_unintegrated_reflections=True").reflections
    bbox = table["bbox"]
    touched = (bbox[:, 4] <= 6) & (bbox[:, 5] > 5)
    alone = (bbox[:, 4] >= 5) & (bbox[:, 5] <= 7)
    assert not table.flags(Flag.INTEGRATED_SUM)[touched].any()
    assert alone.any()
    assert np.all(table["num_pixels.valid"][alone] == 0)
    assert table.flags(Flag.INTEGRATED_SUM)[~touched].any()


@effect("integration.lookup.mask")
def lookup_mask(place, series, plain):
    mask = np.ones(series.experiments[0].detector.panel_shapes[0], bool)
    mask[:, :120] = False
    write_mask_pickle(place / "lookup.pickle", [mask])
    table = run(series, f"lookup.mask={place / 'lookup.pickle'}").reflections
    assert 0 < len(table) < len(plain.reflections)
    assert table["xyzcal.px"][:, 0].min() > 117
    write_mask_pickle(place / "small.pickle", [mask[1:]])
    with pytest.raises(XdpError, match="mask"):
        run(series, f"lookup.mask={place / 'small.pickle'}")


@effect("integration.use_dynamic_mask")
def use_dynamic_mask(place, series, plain, monkeypatch=None):
    from xdp.integration.plan.sweeps import find_sweeps
    from xdp.integration.shoeboxes import frames
    from xdp.integration.shoeboxes.frames import FrameSource

    sweep, = find_sweeps(series.experiments)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("xdp.experiment.shadow.known_shape", lambda model: "a goniometer")
        patch.setattr("xdp.experiment.shadow.hides_pixels", lambda *_: True)
        patch.setattr("xdp.experiment.shadow.shadow_masks", lambda shape, goniometer, detector, angle: [
            np.full(detector.panel_shapes[0], angle < 1.0)])
        source = FrameSource(sweep)
        assert source.read(1)[0].valid.all()
        assert not source.read(2)[0].valid.any()
        assert FrameSource(sweep, dynamic=False).read(2)[0].valid.size == 0
    assert frames.FrameSource(sweep).read(2)[0].valid.size == 0


# --- blocks and memory -----------------------------------------------------------------------------------------------

@effect("integration.block.size", "integration.block.units", "integration.block.threshold", "integration.block.force",
        "integration.block.max_memory_usage", "integration.mp.multiprocessing.n_subset_split")
def blocks(place, series, plain):
    from xdp.integration.plan.blocks import plan_blocks
    from xdp.integration.plan.sweeps import find_sweeps

    sweeps = find_sweeps(series.experiments)
    table = integrated_once(series, "output_unintegrated_reflections=True")

    def cut(*words, n_workers=1, n_subsets=1):
        chosen = options(*words).integration.block
        return [b[1:] for b in plan_blocks(sweeps, table["id"], table["bbox"], chosen, n_workers, n_subsets)]

    assert cut() == [(0, 12, 0)]
    assert cut("block.size=5", "block.units=frames") == [(0, 4, 0), (4, 8, 0), (8, 12, 0)]
    assert cut("block.size=2") == cut("block.size=0.0349065", "block.units=radians") == [
        (0, 4, 0), (4, 8, 0), (8, 12, 0)]
    assert len(cut(n_workers=2)) == 2
    assert cut("block.force=True") == [(0, 12, 0)]
    assert len(cut(n_workers=4)) > len(cut("block.threshold=1", n_workers=4))
    assert cut("block.size=None", n_workers=4) == [(0, 12, 0)]
    assert cut(n_subsets=2) == [(0, 12, 0), (0, 12, 1)]
    with pytest.raises(XdpError, match="max_memory_usage"):
        cut("block.max_memory_usage=1e-9")


@effect("integration.mp.method", "integration.mp.njobs", "integration.mp.nproc")
def mp(place, series, plain):
    chosen = options("mp.method=sge", "mp.njobs=3", "mp.nproc=2").integration.mp
    assert (chosen.method, chosen.njobs, chosen.nproc) == ("sge", 3, 2)
    with pytest.raises(OptionError):  # that needs the address of a scheduler
        command_line(series, "mp.method=address")
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("xdp.integration.integrate.plan_blocks",
                      lambda sweeps, ids, bbox, block, n_workers, n: seen.append(n_workers) or 1 / 0)
        for words in (("nproc=3",), ("nproc=3", "njobs=2")):
            with pytest.raises(ZeroDivisionError):
                run(series, *words)
    assert seen == [3, 6]


# --- debug -----------------------------------------------------------------------------------------------------------

@effect("integration.debug.reference.filename", "integration.debug.reference.output")
def debug_reference(place, series, plain):
    command_line(series, "debug.reference.output=True", "debug.reference.filename=profiles.refl")
    table = read_reflections("profiles.refl")
    sums = np.add.reduceat(table["shoebox"].data.astype(float), table["shoebox"].offsets[:-1])
    assert sums == pytest.approx(1.0, abs=1e-4)  # profiles are kept in single precision


@effect("integration.debug.output", "integration.debug.during", "integration.debug.select",
        "integration.debug.split_experiments")
def debug_shoeboxes(place, series, plain):
    command_line(series, "debug.output=True", "debug.select=intensity.prf.i_over_sigma>20")
    table = read_reflections("shoeboxes_0_0.refl")
    assert 0 < len(table) < len(plain.reflections)
    assert np.all(table["intensity.prf.value"] > 20 * np.sqrt(table["intensity.prf.variance"]) - 1e-6)
    assert table["shoebox"].background.max() > 0
    command_line(series, "debug.output=True", "debug.during=modelling", "debug.split_experiments=False")
    table = read_reflections("shoeboxes_0.refl")
    assert table.flags(Flag.REFERENCE_SPOT).all()
    assert "intensity.prf.value" not in table


@effect("integration.debug.separate_files", "integration.debug.delete_shoeboxes")
def debug_in_table(place, series, plain):
    found = run(series, "debug.output=True", "debug.separate_files=False").reflections
    boxes = found["shoebox"]
    assert np.array_equal(boxes.bbox, found["bbox"])
    is_sum = (boxes.mask & 5) == 5
    signal = np.where(is_sum, boxes.data - boxes.background, 0.0).astype(float)
    sums = np.add.reduceat(signal, boxes.offsets[:-1])
    whole = found.flags(Flag.INTEGRATED_SUM)
    assert sums[whole] == pytest.approx(found["intensity.sum.value"][whole], rel=1e-4, abs=0.1)  # float32 backgrounds
    del found["shoebox"]
    assert found == plain.reflections == run(series, "debug.output=True", "debug.separate_files=False",
                                       "delete_shoeboxes=True").reflections


# --- modes and filters -----------------------------------------------------------------------------------------------

@effect("integration.integrator")
def integrator(place, series, plain):
    assert run(series, "integrator=3d").reflections == run(series,
                                                           "integrator=3d_threaded").reflections == plain.reflections
    flat = run(series, "integrator=flat3d").reflections
    assert not flat.any_flags(Flag.INTEGRATED_PRF).any()
    both = plain.reflections.select(np.isin(plain.reflections["partial_id"], flat["partial_id"]))
    assert np.median(flat["intensity.sum.value"] / both["intensity.sum.value"]) == pytest.approx(1.0, abs=0.02)
    parts = run(series, "integrator=2d").reflections
    assert len(parts) > len(plain.reflections)
    assert np.all(parts["bbox"][:, 5] - parts["bbox"][:, 4] == 1)
    assert run(series, "integrator=single2d").reflections == parts
    with pytest.raises(OptionError, match="stills"):
        run(series, "integrator=stills")


@effect("integration.filter.min_zeta")
def min_zeta(place, series, plain):
    table = run(series, "integration.filter.min_zeta=0.5").reflections
    assert np.abs(table["zeta"]).min() >= 0.5
    assert table.flags(Flag.INTEGRATED_PRF).any()
    low = np.abs(plain.reflections["zeta"]) < 0.5
    assert plain.reflections.flags(Flag.INTEGRATED_PRF)[low].any()
    # What is integrated is so with the pixels that it had before: neighbours near the axis keep theirs.
    assert np.array_equal(table["intensity.sum.value"], plain.reflections["intensity.sum.value"][~low])
    # As in DIALS the rows are there where reflections that are not integrated are asked for: flagged, without numbers.
    words = ["output_unintegrated_reflections=True", "debug.output=True", "separate_files=False"]
    table = run(series, "integration.filter.min_zeta=0.5", *words).reflections
    low = np.abs(table["zeta"]) < 0.5
    assert low.any()
    assert table.flags(Flag.DONT_INTEGRATE)[low].all()
    assert not table.any_flags(Flag.INTEGRATED)[low].any()
    assert not table["intensity.sum.value"][low].any()
    sizes = np.diff(table["shoebox"].offsets)
    assert not sizes[low].any()
    assert sizes[~low].all()
    with pytest.raises(XdpError, match="min_zeta"):
        run(series, "integration.filter.min_zeta=1")


@effect("integration.filter.max_shoebox_overlap")
def max_shoebox_overlap(place, series, plain):
    found = [len(run(series, f"max_shoebox_overlap={limit}").reflections) for limit in (0.0, 0.3, 1.0)]
    assert found[0] < found[1] < found[2] == len(plain.reflections)


@effect("integration.filter.ice_rings")
def ice_rings(place, series, plain):
    table = run(series, "ice_rings=True").reflections
    ring = table.flags(Flag.IN_POWDER_RING)
    assert 0 < np.count_nonzero(ring) < len(table)
    assert np.all(1 / table["d"][ring] ** 2 >= 0.064)  # the widest ring, 3.95 Å
    assert not plain.reflections.flags(Flag.IN_POWDER_RING).any()


@effect("integration.overlaps_filter.foreground_foreground.enable",
        "integration.overlaps_filter.foreground_background.enable")
def overlaps_filter(place, series, plain):
    words = ["sigma_b=0.12", "sigma_m=0.1"]  # wide spots, so that some overlap
    every = integrated_once(series, *words)
    shared = every.flags(Flag.OVERLAPPED_FG)
    without = run(series, *words, "foreground_foreground.enable=True").reflections
    assert shared.any()
    assert set(without["partial_id"]) == set(every["partial_id"][~shared])
    assert len(run(series, *words, "foreground_background.enable=True").reflections) < len(every)


@effect("integration.centroid.algorithm")
def centroid_algorithm(place, series, plain):
    strong = plain.reflections.flags(Flag.REFERENCE_SPOT) & (plain.reflections["intensity.sum.value"] > 1000)
    away = plain.reflections["xyzobs.px.value"][strong] - plain.reflections["xyzcal.px"][strong]
    assert np.abs(np.median(away, axis=0)).max() < 0.05
    with pytest.raises(OptionError, match="simple"):
        options("centroid.algorithm=clever")


@effect("integration.profile.fitting")
def profile_fitting(place, series, plain):
    table = integrated_once(series, "profile.fitting=False")
    assert "intensity.prf.value" not in table
    assert plain.reflections.flags(Flag.INTEGRATED_PRF).any()


@effect("integration.profile.valid_foreground_threshold")
def valid_foreground_threshold(place, series, plain):
    mask = np.ones(series.experiments[0].detector.panel_shapes[0], bool)
    mask[:, ::9] = False
    write_mask_pickle(place / "lookup.pickle", [mask])
    words = [f"lookup.mask={place / 'lookup.pickle'}", "output_unintegrated_reflections=True"]
    fitted = [np.count_nonzero(run(series, *words,
                                   f"valid_foreground_threshold={t}").reflections.flags(Flag.INTEGRATED_PRF))
              for t in (0.5, 0.75, 1.0)]
    assert fitted[0] > fitted[1] > fitted[2] > 0


@effect("integration.profile.sigma_b_multiplier")
def sigma_b_multiplier(place, series, plain):
    wide = run(series, "sigma_b_multiplier=3").reflections["num_pixels.background"].mean()
    assert wide > 1.5 * plain.reflections["num_pixels.background"].mean()


@effect("integration.profile.validation.number_of_partitions", "integration.profile.validation.min_partition_size")
def validation(place, series, plain):
    def rows(*words):
        tables = run(series, *words).report.to_dict()["tables"]
        return tables.get("validation.summary", {"rows": []})["rows"]

    assert rows() == []
    assert rows("number_of_partitions=3", "min_partition_size=100000") == []
    found = rows("number_of_partitions=3", "min_partition_size=20")
    assert len(found) == 3
    assert all(float(row["cc"]) > 0.8 and int(row["n_valid"]) > 20 for row in found)


@effect("significance_filter.enable", "significance_filter.d_min", "significance_filter.n_bins",
        "significance_filter.isigi_cutoff")
def significance_filter(place, series, plain):
    def finest(*words):
        return run(series, "significance_filter.enable=True", *words).reflections["d"].min()

    strict = finest("isigi_cutoff=60", "significance_filter.n_bins=10")
    assert strict > plain.reflections["d"].min()
    assert finest("isigi_cutoff=60", "significance_filter.n_bins=3") != strict
    assert finest("significance_filter.d_min=2.5", "isigi_cutoff=0.1") >= 2.5
    with pytest.raises(XdpError, match="isigi_cutoff"):
        finest("isigi_cutoff=1e9")


# --- background, profile, prediction, absorption: owners may put sharper checks in place of these ---------------------

_SIMPLE = "background.algorithm=simple"
_GLM = "background.algorithm=glm"
changing("integration.background.algorithm", _SIMPLE, columns=["background.mean"])
changing("integration.background.follow_slopes", "follow_slopes=False", columns=["background.mean"])
changing("integration.background.glm.robust.tuning_constant", _GLM, "glm.robust.tuning_constant=0.5")
changing("integration.background.glm.model.algorithm", _GLM, "glm.model.algorithm=constant2d")
changing("integration.background.glm.min_pixels", _GLM, "glm.min_pixels=300")
for _name, _word in {
        "outlier.algorithm": "outlier.algorithm=tukey",
        "model.algorithm": "background.simple.model.algorithm=linear3d",
        "min_pixels": "background.simple.min_pixels=300"}.items():
    changing(f"integration.background.simple.{_name}", _SIMPLE, _word)
for _algorithm, _names in {"nsigma": {"lower": 1, "upper": 1}, "truncated": {"lower": 0.2, "upper": 0.2},
                           "normal": {"min_pixels": 300}, "plane": {"fraction": 0.5, "n_sigma": 1.0},
                           "tukey": {"lower": 0.2, "upper": 0.2}}.items():
    for _name, _value in _names.items():
        changing(f"integration.background.simple.outlier.{_algorithm}.{_name}", _SIMPLE,
                 f"outlier.algorithm={_algorithm}", f"outlier.{_algorithm}.{_name}={_value}")

_FIT = "profile.gaussian_rs.fitting."
changing("profile.gaussian_rs.scan_varying", "profile.gaussian_rs.scan_varying=True")
changing("profile.gaussian_rs.min_spots.overall", "min_spots.per_degree=100000", "min_spots.overall=100000")
changing("profile.gaussian_rs.min_spots.per_degree", "min_spots.overall=100000", "min_spots.per_degree=100000")
changing("profile.gaussian_rs.sigma_m_algorithm", "sigma_m_algorithm=basic")
changing("profile.gaussian_rs.centroid_definition", "centroid_definition=com")
changing("profile.gaussian_rs.parameters.n_sigma", "parameters.n_sigma=4", columns=["bbox"])

@effect("profile.gaussian_rs.parameters.sigma_b", "profile.gaussian_rs.parameters.sigma_m")
def sigmas(place, series, plain):
    def extent(b, m):
        bbox = run(series, f"parameters.sigma_b={b}", f"parameters.sigma_m={m}").reflections["bbox"]
        return np.diff(bbox.reshape(-1, 3, 2), axis=2)[:, :, 0].mean(axis=0)

    small, wide, deep = extent(0.05, 0.1), extent(0.1, 0.1), extent(0.05, 0.3)
    assert wide[0] > 1.5 * small[0]
    assert deep[2] > 1.5 * small[2]
    assert deep[0] == pytest.approx(small[0], rel=0.1)  # other reflections are integrated
    assert wide[2] == pytest.approx(small[2], rel=0.1)


changing("profile.gaussian_rs.filter.min_zeta", "profile.gaussian_rs.filter.min_zeta=0.9")
changing(f"{_FIT}scan_step", f"{_FIT}scan_step=2", columns=["intensity.prf.value"])
changing(f"{_FIT}grid_size", f"{_FIT}grid_size=4", columns=["intensity.prf.value"])
changing(f"{_FIT}threshold", f"{_FIT}threshold=0.3", columns=["intensity.prf.value"])
changing(f"{_FIT}grid_method", f"{_FIT}grid_method=single", columns=["intensity.prf.value"])
changing(f"{_FIT}fit_method", f"{_FIT}fit_method=detector_space", columns=["intensity.prf.value"])
changing(f"{_FIT}detector_space.deconvolution", "sigma_b=0.12", "sigma_m=0.1", f"{_FIT}fit_method=detector_space",
         f"{_FIT}detector_space.deconvolution=True", columns=["intensity.prf.value"])
changing("prediction.d_min", "prediction.d_min=6")
changing("prediction.d_max", "prediction.d_max=4")


@effect("prediction.margin", "prediction.force_static")
def scan_varying(place, series, plain):
    crystal = series.experiments[0].crystal
    points = tuple(tuple((crystal.A * (1.0 - 0.002 * i)).ravel()) for i in range(13))  # the cell grows by 2.4 %
    grown = ExperimentList([replace(series.experiments[0], crystal=replace(crystal, A_at_scan_points=points))])

    limits = ["prediction.d_min=6", "output_unintegrated_reflections=True"]

    def found(*words):
        return integrate(grown, series.reference, options(*limits, *words)).reflections

    assert len(found("prediction.margin=0")) < len(found("prediction.margin=1"))
    static = run(series, *limits).reflections
    assert np.array_equal(found("force_static=True")["xyzcal.px"], static["xyzcal.px"])
    assert len(found()) != len(static)


@effect("profile.ellipsoid.wavelength_spread.model")
def wavelength_spread(place, series, plain):
    assert options("wavelength_spread.model=delta") == options()  # the only one, in DIALS as here
    with pytest.raises(OptionError, match="delta"):
        options("wavelength_spread.model=gamma")


changing("prediction.padding", "output_unintegrated_reflections=True", "prediction.padding=0")


@effect("absorption_correction.apply", "absorption_correction.algorithm")
def absorption(place, series, plain):
    phil = place / "absorption.phil"
    values = {}
    for algorithm in ("fuller_kapton", "kapton_2019"):
        phil.write_text(f"absorption_correction {{\n apply = True\n algorithm = {algorithm}\n}}\n")
        values[algorithm] = run(series, str(phil)).reflections["intensity.sum.value"]
    assert not np.array_equal(values["fuller_kapton"], plain.reflections["intensity.sum.value"])
    assert not np.array_equal(values["fuller_kapton"], values["kapton_2019"])


def _kapton(setting):
    """The effect of one property of the tape, as PHIL within its scope."""
    def check(place, series, plain):
        tables = []
        for text in ("", setting):
            smart = "smart_sigmas = True" if "sigma =" in setting else ""
            tables.append(integrated_once(series, phil=(
                "absorption_correction {\n apply = True\n algorithm = kapton_2019\n "
                f"fuller_kapton {{\n {text}\n {smart}\n }}\n}}\n")))
        assert tables[0] != tables[1]
    return check


for _scope, _values in {"xtal_height_above_kapton_mm": (0.05, 0.1), "rotation_angle_deg": (5.0, 3.0),
                        "kapton_half_width_mm": (3.0, 1.2), "kapton_thickness_mm": (0.1, 0.05)}.items():
    for _name, _value in zip(("value", "sigma"), _values, strict=True):
        EFFECTS[f"absorption_correction.fuller_kapton.{_scope}.{_name}"] = _kapton(f"{_scope} {{ {_name} = {_value} }}")
EFFECTS["absorption_correction.fuller_kapton.smart_sigmas"] = _kapton("smart_sigmas = True")
EFFECTS["absorption_correction.fuller_kapton.within_spot_sigmas"] = _kapton("within_spot_sigmas = False")


def test_written_parameters_are_read_again(place, series):
    command_line(series, "profile.fitting=False", "sigma_b=0.05", "sigma_m=0.1")
    first = read_reflections("integrated.refl")
    command_line(series, "xdp.integrate.phil", "output.reflections=again.refl", "output.phil=again.phil")
    assert read_reflections("again.refl") == first


def test_integrated_files_are_integrated_again(place, series):
    command_line(series)
    first = read_reflections("integrated.refl")
    assert command.run(["integrated.expt", "output.reflections=again.refl", "output.experiments=again.expt"]) == 0
    again = read_reflections("again.refl")
    common = first.select(np.isin(first["partial_id"], again["partial_id"]))
    assert len(common) == len(again)
    for name in ("intensity.sum.value", "bbox", "num_pixels.foreground"):
        assert np.array_equal(common[name], again[name])
    write_reflections("empty.refl", first.select(slice(0, 0)))
    with pytest.raises(XdpError, match="no indexed spots"):
        command.run(["integrated.expt", "empty.refl"])
