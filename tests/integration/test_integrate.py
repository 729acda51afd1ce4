"""Integration from images to table: the same bytes whatever the blocks, workers and interruptions; clear errors."""

from __future__ import annotations

import dataclasses
import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from integration_data import make_series, options, run

from xdp.cli.main import main
from xdp.errors import OptionError, XdpError
from xdp.experiment import Detector, ExperimentList, ImageSet, write_experiments
from xdp.integration.integrate import integrate, integrate_to_file
from xdp.logs import stop_log
from xdp.reflections.flags import Flag
from xdp.reflections.refl import read_reflections
from xdp.reflections.table import ReflectionTable
from xdp.simulation.compare import measure_agreement
from xdp.work.folder import name_work_folder

pytestmark = pytest.mark.kernels


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder that is the current one."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    stop_log()


@pytest.fixture(scope="module")
def plain(series):
    """The series integrated with all defaults."""
    return run(series)


def test_intensities_agree_with_the_truth_and_sigmas_are_honest(series, plain):
    for kind in ("prf", "sum"):
        found = measure_agreement(series.truth, plain.reflections, kind)
        assert found.n > 400
        assert found.cc > 0.9995  # without defects only counting noise is left
        assert found.cc_weak > 0.99
        assert 0.85 < found.pull_width < 1.15  # of 400 reflections, known to 0.05


@pytest.mark.parametrize("words", [
    ("block.size=1", "block.units=frames"), ("block.size=5", "block.units=frames", "nproc=2"),
    ("nproc=3",), ("n_subset_split=3", "nproc=2"), ("block.size=None",)])
def test_files_are_byte_equal_in_any_blocks_and_threads(words, series, plain, place):
    integrate_to_file(series.experiments, series.reference, options("output.reflections=a.refl"))
    integrate_to_file(series.experiments, series.reference, options("output.reflections=b.refl", *words))
    assert Path("a.refl").read_bytes() == Path("b.refl").read_bytes()
    assert read_reflections("a.refl") == plain.reflections
    assert not name_work_folder(Path("a.refl")).exists()


def test_processes_give_the_same_and_a_killed_worker_is_replaced(series, plain, place):
    distributed = pytest.importorskip("distributed")
    folder = place / "work"
    folder.mkdir()
    with distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster, \
            distributed.Client(cluster) as client:
        pids = list(client.run(os.getpid).values())

        def kill_one():
            while not list(folder.glob("boxes-*.npz")):
                time.sleep(0.01)
            os.kill(pids[0], signal.SIGKILL)

        killer = threading.Thread(target=kill_one)
        killer.start()
        found = run(series, "block.size=1", "block.units=frames", client=client, folder=folder)
        killer.join()
    assert found.reflections == plain.reflections


SLOW_RUN = """
import sys, time
from xdp.integration.rotation import tasks
original = tasks.measure_shoeboxes
def slow(*args, **kwargs):
    result = original(*args, **kwargs)
    time.sleep(0.3)
    print("processed", flush=True)
    return result
tasks.measure_shoeboxes = slow
from xdp.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def test_killed_run_goes_on_where_it_was(series, plain, place):
    command = [sys.executable, "-c", SLOW_RUN, "integrate", *series.files, "block.size=1", "block.units=frames"]
    killed = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    folder = name_work_folder(place / "integrated.refl")
    deadline = time.monotonic() + 120
    while len(list(folder.glob("sums-*.npz"))) < 4:
        assert killed.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    n_done = len(list(folder.glob("sums-*.npz")))
    assert not Path("integrated.refl").exists()
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert again.stdout.splitlines().count("processed") == 12 - n_done
    assert read_reflections("integrated.refl") == plain.reflections
    assert not folder.exists()


@pytest.mark.parametrize("kind", ["boxes", "sums", "fits"])
def test_damaged_results_are_made_again(kind, series, plain, place):
    folder = place / "work"
    folder.mkdir()
    run(series, "block.size=3", "block.units=frames", folder=folder)
    for path in folder.glob(f"{kind}-*.npz"):
        path.write_bytes(path.read_bytes()[:700])
    for path in folder.glob("fits-*.npz"):
        if kind != "fits":
            path.unlink()
    assert run(series, "block.size=3", "block.units=frames", folder=folder).reflections == plain.reflections


def test_results_of_other_blocks_serve_where_they_are_the_same(series, plain, place):
    folder = place / "work"
    folder.mkdir()
    run(series, "block.size=3", "block.units=frames", folder=folder)
    for path in [*folder.glob("sums-*.npz"), *folder.glob("fits-*.npz")]:
        path.unlink()
    assert run(series, "block.size=6", "block.units=frames", folder=folder).reflections == plain.reflections


def test_results_of_other_parameters_are_not_used(series, place):
    folder = place / "work"
    folder.mkdir()
    run(series, folder=folder)
    changed = run(series, "background.algorithm=simple", folder=folder).reflections
    assert changed == run(series, "background.algorithm=simple").reflections


TAPE = ("absorption_correction { apply=True; algorithm=kapton_2019; fuller_kapton { "
        "xtal_height_above_kapton_mm { value=0.02 } rotation_angle_deg { value=1.15 } "
        "kapton_half_width_mm { value=1.5875 } kapton_thickness_mm { value=0.05 } } }")


@pytest.mark.parametrize("word", ["n_subset_split=2", TAPE])
def test_results_with_and_without_a_parameter_are_kept_apart(word, series, plain, place):
    changed = run(series, word, folder=_made(place / "a")).reflections
    assert run(series, folder=place / "a").reflections == plain.reflections
    run(series, folder=_made(place / "b"))
    assert run(series, word, folder=place / "b").reflections == changed


def test_results_with_another_background_model_are_not_used(series, place):
    np.save("model.npy", np.ones((200, 240)))
    words = "background.algorithm=gmodel", "gmodel.model=model.npy"
    first = run(series, *words, folder=_made(place / "work")).reflections
    slope = np.ones((200, 240)) * np.linspace(1.0, 9.0, 240)
    np.save("model.npy", slope)
    changed = run(series, *words).reflections
    assert changed != first
    assert run(series, *words, folder=place / "work").reflections == changed


def _made(folder):
    folder.mkdir()
    return folder


def test_bad_reference_goes_with_shoeboxes_in_the_table(series):
    words = "debug.output=True", "separate_files=False"
    whole, more = run(series, *words).reflections, run(series, *words, "include_bad_reference=True").reflections
    is_bad = more.flags(Flag.BAD_REFERENCE)
    assert is_bad.any()
    assert more.select(~is_bad)["shoebox"] == whole["shoebox"]


def test_counts_on_a_pedestal_have_a_background(series, plain, tmp_path):
    counts = np.load(series.folder / "frames.npy") + np.random.default_rng(0).normal(50.0, 1.0, (12, 200, 240))
    np.save(tmp_path / "frames.npy", np.rint(counts).astype(np.int32))
    model = series.experiments[0]
    panel = dataclasses.replace(model.known.detector[0], pedestal=50.0)
    images = dataclasses.replace(model.known.imageset, template=str(tmp_path / "frames.npy"))
    raised = dataclasses.replace(model, detector=Detector((panel,)), imageset=images)
    table = integrate(ExperimentList([raised]), series.reference, options("profile.fitting=False")).reflections
    assert not table.any_flags(Flag.FAILED_DURING_BACKGROUND_MODELLING).any()
    _, ours, theirs = np.intersect1d(table["partial_id"], plain.reflections["partial_id"], return_indices=True)
    assert len(ours) > 0.9 * len(plain.reflections)
    excess = table["intensity.sum.value"][ours] - plain.reflections["intensity.sum.value"][theirs]
    # read noise of one count a pixel on some 50 pixels scatters sums by 10 counts, their median by less than one
    assert abs(np.median(excess)) < 2.0


def test_without_a_background_nothing_is_integrated(series):
    words = "glm.min_pixels=100000", "profile.fitting=False", "output_unintegrated_reflections=True"
    table = run(series, *words).reflections
    assert table.flags(Flag.FAILED_DURING_BACKGROUND_MODELLING).all()
    assert table.flags(Flag.FAILED_DURING_SUMMATION).all()
    assert not table.any_flags(Flag.INTEGRATED).any()


@pytest.mark.parametrize("words", [(), ("debug.output=True", "separate_files=False")])
def test_integrated_reflections_serve_as_reference_again(words, series, plain):
    found = run(series, *words)
    again = integrate(found.experiments, found.reflections, options())
    assert again.experiments[0].profile["sigma_b"] == pytest.approx(found.experiments[0].profile["sigma_b"])
    assert len(again.reflections) == len(plain.reflections)


def test_bad_reference_belongs_to_the_range_that_it_lies_in(series):
    spots = series.reference.copy()
    spots["flags"] = np.where(np.arange(len(spots)) % 2 == 0, spots["flags"] | np.uint64(Flag.BAD_FOR_REFINEMENT),
                              spots["flags"])
    words = options("scan_range=0,6", "scan_range=6,12", "include_bad_reference=True")
    table = integrate(series.experiments, spots, words).reflections
    bad = table.select(table.flags(Flag.BAD_REFERENCE))
    assert set(bad["id"]) == {0, 1}
    np.testing.assert_array_equal(bad["id"], bad["xyzobs.px.value"][:, 2] >= 6)


def test_frames_are_decoded_once(series, monkeypatch):
    from xdp.images.reader import Reader

    read, original = [], Reader.read
    monkeypatch.setattr(Reader, "read", lambda self, frame: read.append(frame) or original(self, frame))
    run(series, "block.size=2", "block.units=frames")
    assert sorted(read) == list(range(12))


def test_two_lattices_on_the_same_images_keep_their_own_ids(series, plain):
    second = dataclasses.replace(series.experiments[0], identifier="second")
    both = ExperimentList([series.experiments[0], second])
    other = series.reference.copy()
    other["id"] = np.ones(len(other), np.int32)
    other.identifiers = {1: "second"}
    first = series.reference.copy()
    first.identifiers = {0: "simulated"}
    found = integrate(both, ReflectionTable.concatenate([first, other]),
                      options("output_unintegrated_reflections=True"))
    ids, n = np.unique(found.reflections["id"], return_counts=True)
    assert ids.tolist() == [0, 1]
    assert n[0] == n[1]
    assert found.reflections.identifiers == {0: "simulated", 1: "second"}
    # each pixel of the twins belongs to the first, since both predictions are equally near
    assert not found.reflections.flags(Flag.INTEGRATED_SUM)[found.reflections["id"] == 1].any()
    assert found.reflections.flags(Flag.INTEGRATED_SUM)[found.reflections["id"] == 0].any()


def test_two_lattices_with_detectors_of_their_own_keep_these(series):
    words = "sigma_b=0.05", "sigma_m=0.1", "output_unintegrated_reflections=True"
    first = series.experiments[0]
    panel = first.detector[0]
    origin = np.asarray(panel.origin) + 3.0 * panel.pixel_size[0] * np.asarray(panel.fast_axis)
    detector = dataclasses.replace(first.detector, panels=(dataclasses.replace(panel, origin=tuple(origin.tolist())),))
    second = dataclasses.replace(first, identifier="second", detector=detector)
    spots = series.reference.copy()
    spots["xyzcal.px"] = spots["xyzcal.px"] - [3.0, 0.0, 0.0]
    spots.identifiers = {0: "second"}
    alone = integrate(ExperimentList([second]), spots, options(*words)).reflections
    other = _moved(spots, 1)
    other.identifiers = {1: "second"}
    both = integrate(ExperimentList([first, second]), ReflectionTable.concatenate([series.reference, other]),
                     options(*words)).reflections
    # outlines are drawn on the lattice's own detector, three pixels beside the other's
    own = both.select(both["id"] == 1)
    assert np.array_equal(own["num_pixels.foreground"], alone["num_pixels.foreground"])
    assert alone["num_pixels.foreground"].max() > 20


def test_experiments_without_spots_are_left_out(series, plain):
    second = dataclasses.replace(series.experiments[0], identifier="second",
                                 imageset=dataclasses.replace(series.experiments[0].imageset))
    found = integrate(ExperimentList([second, series.experiments[0]]),
                      _moved(series.reference, 1), options())
    assert [e.identifier for e in found.experiments] == ["simulated"]
    assert np.array_equal(found.reflections["intensity.sum.value"], plain.reflections["intensity.sum.value"])


def _moved(table, number):
    moved = table.copy()
    moved["id"] = np.full(len(table), number, np.int32)
    moved.identifiers = {number: "simulated"}
    return moved


# --- bad input -------------------------------------------------------------------------------------------------------

def complaint(capsys, *words):
    """The one line that the command ends with; it leaves no output."""
    assert main(["integrate", *map(str, words)]) == 1
    err = capsys.readouterr().err
    assert err.startswith("xdp integrate: error: ")
    assert err.count("\n") == 1
    assert not Path("integrated.refl").exists()
    assert not Path("integrated.expt").exists()
    return err


def test_models_without_crystal_images_or_profile(series, place, capsys):
    for name, words in (("crystal", "crystal"), ("imageset", "images"), ("beam", "beam")):
        write_experiments("bad.expt", ExperimentList([dataclasses.replace(series.experiments[0], **{name: None})]))
        assert words in complaint(capsys, "bad.expt", series.files[1])
    assert "no profile model" in complaint(capsys, series.files[0])


def test_inputs_of_other_kinds(series, place, capsys):
    assert "refined.expt" in complaint(capsys)
    assert ".refl for each .expt" in complaint(capsys, series.files[0], series.files[0])
    assert "unknown parameter" in complaint(capsys, *series.files, "block.sise=3")
    write_experiments("none.expt", ExperimentList([]))
    assert complaint(capsys, "none.expt")


def test_reference_without_indexed_spots(series, place):
    spots = series.reference.copy()
    # rows with indices but without the flag count as indexed
    spots["flags"], spots["miller_index"] = np.zeros(len(spots), np.uint64), np.zeros((len(spots), 3), np.int32)
    with pytest.raises(XdpError, match="no indexed spots"):
        integrate(series.experiments, spots)


def test_images_gone_since_import(series, place, capsys):
    gone = dataclasses.replace(series.experiments[0], imageset=ImageSet("ImageSequence", template="/nowhere/x.npy"))
    write_experiments("gone.expt", ExperimentList([gone]))
    assert "/nowhere/x.npy" in complaint(capsys, "gone.expt", series.files[1])


def test_a_frame_missing_in_the_middle(series, place, capsys):
    for number, frame in enumerate(np.load(series.folder / "frames.npy"), 1):
        np.save(f"frame_{number:04d}.npy", frame)
    files = ImageSet("ImageSequence", template=str(place / "frame_####.npy"))
    write_experiments("files.expt", ExperimentList([dataclasses.replace(series.experiments[0], imageset=files)]))
    Path("frame_0007.npy").unlink()
    assert "frame_0007.npy" in complaint(capsys, "files.expt", series.files[1])
    # what was done before the error is kept, and nothing of it is lost when the image is back
    np.save("frame_0007.npy", np.load(series.folder / "frames.npy")[6])
    assert main(["integrate", "files.expt", series.files[1]]) == 0
    assert len(read_reflections("integrated.refl")) > 500


def test_a_full_disk_leaves_nothing_half_written(series, place, capsys, monkeypatch):
    def full(path, arrays):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("xdp.work.store.save_arrays", full)
    assert "No space left on device" in complaint(capsys, *series.files)


def test_saturated_and_dead_regions_are_flagged(tmp_path):
    def spoil(stack):
        stack[:, 60:100] = -1  # between modules
        stack[:, 100:140][stack[:, 100:140] > 400] = 2_000_000

    spoiled = make_series(tmp_path, change=spoil, photons=20000.0)
    table = run(spoiled, "output_unintegrated_reflections=True").reflections
    overloaded = table.flags(Flag.OVERLOADED)
    assert overloaded.any()
    assert np.all(np.abs(table["xyzcal.px"][overloaded, 1] - 120) < 45)
    inside = np.abs(table["xyzcal.px"][:, 1] - 80) < 8
    assert inside.any()
    assert not table.any_flags(Flag.INTEGRATED)[inside].any()
    assert table.flags(Flag.FAILED_DURING_SUMMATION)[inside].all()
    assert table.flags(Flag.FOREGROUND_INCLUDES_BAD_PIXELS)[inside].all()


@pytest.mark.parametrize(("words", "error"), [
    (["exclude_images=12"], "images are counted from 0 to 11"),
    (["exclude_images=-1"], "images are counted from 0 to 11"),
    (["exclude_images=" + ",".join(map(str, range(12)))], "leaves no image"),
    (["sigma_b=0", "sigma_m=0.1"], "sigma_b"),
    (["sigma_b=0.1", "sigma_m=0"], "sigma_m = 0"),
    (["n_sigma=0"], "n_sigma"),
    (["max_memory_usage=0"], "max_memory_usage")])
def test_values_that_leave_nothing_are_refused(words, error, series):
    with pytest.raises(XdpError, match=error):
        integrate(series.experiments, series.reference, options(*words))


def test_stills_and_rotation_do_not_mix(series):
    still = dataclasses.replace(series.experiments[0], goniometer=None, scan=None)
    with pytest.raises(XdpError):
        integrate(ExperimentList([series.experiments[0], still]), series.reference)
    with pytest.raises(OptionError):
        integrate(ExperimentList([still]), series.reference, options("integrator=3d"))


def by_place(table):
    """Row numbers in an order that is that of the reflections' indices and frames."""
    return np.lexsort((np.rint(table["xyzcal.px"][:, 2]), *table["miller_index"].T))


@pytest.mark.parametrize("is_varying", [False, True])
def test_a_scan_backwards_gives_the_same(series, is_varying):
    """The same movement, told as one about the opposite axis by negative angles."""
    one = series.experiments[0]
    if is_varying:
        settings = (tuple(one.crystal.A.ravel().tolist()),) * (one.scan.n_frames + 1)
        one = dataclasses.replace(one, crystal=dataclasses.replace(one.crystal, A_at_scan_points=settings))
    start, width = one.scan.oscillation
    backwards = dataclasses.replace(
        one, scan=dataclasses.replace(one.scan, oscillation=(-start, -width)),
        goniometer=dataclasses.replace(one.goniometer, rotation_axis=tuple(-v for v in one.goniometer.rotation_axis)))
    reference = series.reference.with_columns(**{"xyzcal.mm": series.reference["xyzcal.mm"] * (1, 1, -1),
                                                 "entering": ~series.reference["entering"]})
    there = integrate(ExperimentList([one]), series.reference, options()).reflections
    back = integrate(ExperimentList([backwards]), reference, options()).reflections
    there, back = there.select(by_place(there)), back.select(by_place(back))
    assert np.count_nonzero(there.flags(Flag.REFERENCE_SPOT)) > 200
    assert np.array_equal(back["entering"], ~there["entering"])
    for name in ("miller_index", "bbox", "flags", "num_pixels.foreground"):
        assert np.array_equal(back[name], there[name])
    for name in ("intensity.sum.value", "intensity.prf.value", "lp"):
        # angles of the other sign are rounded otherwise, and reference profiles are sums of whole numbers of them
        np.testing.assert_allclose(back[name], there[name], rtol=1e-4, atol=1e-2)
