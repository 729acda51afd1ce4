"""find_spots against dials.find_spots: the same spots, with the same numbers and shoeboxes, on every set DIALS reads.

DIALS runs on its own imported.expt; ours on that, and on the images themselves. A spot is known by its experiment,
panel and bounding box. Numbers agree within 1e-6 (DIALS sums counts in single precision, as ours do: most agree to the
bit).
"""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from dials_client import QUICK_INDEX

from xdp.cli.main import main
from xdp.images.masks.pickles import read_maps
from xdp.reflections.refl import read_reflections

pytestmark = [pytest.mark.peer, pytest.mark.shared, pytest.mark.long]

SETS = {
    "rot_dev": ("rot_dev/cbf/rot_dev_00[01]*.cbf.gz", ()),
    "rot_dev_h5": ("rot_dev/rot_dev_master.h5", ("scan_range=1,10",)),
    "stills_h5": ("stills_dev/stills_dev.h5", ()),
    "stills_cbf": ("stills_dev/cbf/*.cbf.gz", ()),
    "lcysteine": ("lcysteine_pilatus2m/l-cyst_0[12]*.cbf.gz", ()),
    "thaumatin": ("thaumatin_grid_pilatus6m/*0[01]0[127].cbf.bz2", ()),
    "cspad": ("thermolysin_cspad/*.cbf.gz", ("min_spot_size=2", "gain=25", "global_threshold=100")),
    "snase": ("snase_stills_ccd/*0000[1-4].img.bz2", ()),
    "snase_oscillation": ("snase_stills_ccd/osc2deg/*.img.bz2", ()),
    "i03": ("image_examples/DLS_I03*.gz", ()),
    "p12m": ("image_examples/DLS_I23*.gz", ()),
    "timepix": ("image_examples/TIMEPIX*.gz", ()),
    "eiger_dlsnxs": ("image_examples/dlsnxs2cbf*.gz", ()),
    "eiger16m": ("eiger16m_cbf/*.gz", ()),
    "rayonix": ("rayonix_still/*.gz", ()),
    "pilatus6m": ("image_formats/run2*.bz2", ()),
}


def unpacked(source: Path, pattern: str, folder: Path) -> list[str]:
    """The files of a set, uncompressed: not every format of DIALS reads compressed ones."""
    files = []
    for file in sorted(source.glob(pattern)):
        if file.suffix not in (".gz", ".bz2"):
            files.append(str(file))
            continue
        tool = gzip if file.suffix == ".gz" else __import__("bz2")
        target = folder / file.stem
        with tool.open(file) as packed, open(target, "wb") as plain:
            shutil.copyfileobj(packed, plain)
        files.append(str(target))
    assert files, pattern
    return files


def ours(*words) -> None:
    assert main(["find_spots", *map(str, words)]) == 0


def assert_same(reference: Path, found: Path) -> None:
    """All of the reference's columns, the same spots, the same values."""
    ref, our = read_reflections(reference), read_reflections(found)
    assert len(ref) == len(our)
    ref, our = ref.select(order(ref)), our.select(order(our))
    for name in ref:
        assert name in our
        if name == "shoebox":
            assert ref[name] == our[name]
        elif ref[name].dtype.kind == "f":
            # 1e-6 of the value, or of 1 where it is smaller: the order of sums may differ
            scale = np.maximum(1.0, np.abs(ref[name]))
            assert np.max(np.abs(ref[name] - our[name]) / scale, initial=0.0) <= 1e-6, name
        else:
            np.testing.assert_array_equal(ref[name], our[name], err_msg=name)


def order(table) -> np.ndarray:
    return np.lexsort((*table["bbox"].T, table["panel"], table["id"]))


@pytest.fixture(scope="module", params=SETS)
def images(request, shared_data, dials, tmp_path_factory):
    """The files of a set, DIALS' imported.expt and strong.refl in one folder, and the parameters."""
    pattern, words = SETS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    files = unpacked(shared_data, pattern, folder)
    dials.command("dials.import", *files, cwd=folder)
    dials.command("dials.find_spots", "imported.expt", "nproc=1", *words, cwd=folder)
    return files, folder, words


def test_spots_of_dials_imported_experiments_are_the_same(images, tmp_path, monkeypatch):
    _, folder, words = images
    monkeypatch.chdir(tmp_path)
    ours(folder / "imported.expt", *words)
    assert_same(folder / "strong.refl", tmp_path / "strong.refl")


def test_spots_of_images_given_directly_are_the_same(images, tmp_path, monkeypatch):
    files, folder, words = images
    monkeypatch.chdir(tmp_path)
    ours(*files, *words)
    assert_same(folder / "strong.refl", tmp_path / "strong.refl")


PARAMETERS = [
    "border=20", "d_min=2.5 d_max=10", "d_min=2.5 disable_parallax_correction=True",
    "resolution_range=3,3.5 resolution_range=5,6",
    "untrusted.circle=200,200,150 untrusted.polygon=500,500,600,520,610,700,550,650 untrusted.pixel=300,400",
    "ice_rings.filter=True ice_rings.width=0.01",
    "ice_rings.filter=True ice_rings.unit_cell=5.64,5.64,5.64,90,90,90 ice_rings.space_group=225 ice_rings.d_min=1.5",
    "region_of_interest=100,500,200,800", "scan_range=1,3 scan_range=6,9",
    "threshold.algorithm=dispersion gain=2 kernel_size=5,4 sigma_background=4 sigma_strong=5 min_local=20",
    "min_local=0", "global_threshold=20", "global_threshold=Auto", "min_spot_size=1", "max_spot_size=8",
    "max_separation=0.4", "output.shoeboxes=False",
    # without shoeboxes alone does DIALS 3.12 honour force_2d
    "force_2d=True output.shoeboxes=False",
    # 3.12 leaves the limit itself out, we count it in: no pixel has 60.5 counts
    "maximum_trusted_value=60.5",
    "threshold.algorithm=radial_profile blur=narrow n_iqr=8 n_bins=60",
]


@pytest.fixture(scope="module")
def sweep(shared_data, dials, tmp_path_factory):
    """Ten images of rot_dev and DIALS' imported.expt."""
    folder = tmp_path_factory.mktemp("sweep")
    files = unpacked(shared_data, "rot_dev/cbf/rot_dev_000*.cbf.gz", folder)
    dials.command("dials.import", *files, cwd=folder)
    return folder


@pytest.mark.parametrize("words", PARAMETERS)
def test_parameters_do_what_they_do_in_dials(sweep, dials, words, tmp_path, monkeypatch):
    dials.command("dials.find_spots", sweep / "imported.expt", "output.reflections=dials.refl", "nproc=1",
                  *words.split(), cwd=tmp_path)
    monkeypatch.chdir(tmp_path)
    ours(sweep / "imported.expt", *words.split())
    assert_same(tmp_path / "dials.refl", tmp_path / "strong.refl")


def test_hot_masks_are_the_same(sweep, dials, tmp_path, monkeypatch):
    """DIALS names every mask by the last experiment; with one sweep that is number 0 here and there."""
    dials.command("dials.find_spots", sweep / "imported.expt", "write_hot_mask=True", "hot_mask_prefix=dials",
                  cwd=tmp_path)
    monkeypatch.chdir(tmp_path)
    ours(sweep / "imported.expt", "write_hot_mask=True", "hot_mask_prefix=ours", "chunksize=3")
    np.testing.assert_array_equal(read_maps("ours_0.pickle"), read_maps("dials_0.pickle"))


def test_log_has_the_lines_users_look_for(sweep, dials, tmp_path, monkeypatch):
    dials.command("dials.find_spots", sweep / "imported.expt", "compute_mean_background=True", cwd=tmp_path)
    monkeypatch.chdir(tmp_path)
    ours(sweep / "imported.expt", "compute_mean_background=True")
    wanted = ("Found", "Extracted", "Removed", "Calculated", "Filtered", "Setting spotfinder", "Saved")
    theirs, our = ([line for line in Path(name).read_text().splitlines() if line.startswith(wanted)]
                   for name in ("dials.find_spots.log", "xdp.find_spots.log"))
    assert our == theirs


FILTERS = """
import sys
import numpy as np
from dials.array_family import flex
from dials.algorithms.spot_finding.factory import BackgroundGradientFilter
from dxtbx.model.experiment_list import ExperimentListFactory
table = flex.reflection_table.from_file(sys.argv[1])
imageset = ExperimentListFactory.from_json_file(sys.argv[2])[0].imageset
# the command of 3.12 calls this filter without its images and stops; called by hand it works
flags = flex.bool(len(table), True)
steep = BackgroundGradientFilter(2, 1.5).run(flags, sequence=imageset, shoeboxes=table["shoebox"])
np.savez("out.npz", steep=steep.as_numpy_array())
"""


def test_the_filter_that_the_command_of_dials_cannot_run(sweep, dials, tmp_path, monkeypatch):
    """It stops dials.find_spots 3.12 (a missing argument): its class is called by hand."""
    from xdp.experiment import read_experiments
    from xdp.images.reader import open_reader
    from xdp.spotfinding.spots.background_slope import has_flat_background

    monkeypatch.chdir(tmp_path)
    ours(sweep / "imported.expt")
    theirs = dials.script(FILTERS, "strong.refl", sweep / "imported.expt", cwd=tmp_path)
    table, (experiment,) = read_reflections("strong.refl"), read_experiments(sweep / "imported.expt")
    detector = experiment.detector
    flat = has_flat_background(open_reader(experiment).read, table["panel"].astype(int), table["bbox"],
                               shapes=detector.panel_shapes, limits=[p.trusted_range for p in detector],
                               background_size=2, gradient_cutoff=1.5)
    np.testing.assert_array_equal(flat, theirs["steep"])
    assert 0 < flat.sum() < len(flat)


def test_dials_indexes_our_spots(sweep, dials, tmp_path):
    """dials.index takes our imported.expt and strong.refl as its own."""
    words = ["-c", "import sys; from xdp.cli.main import main; sys.exit(main())"]
    environment = os.environ | {"NUMBA_NUM_THREADS": "1"}
    for command in (["import", *sorted(map(str, sweep.glob("*.cbf"))), "output.compatibility=dials-3.12"],
                    ["find_spots", "imported.expt"]):
        subprocess.run([sys.executable, *words, *command], cwd=tmp_path, check=True, env=environment,
                       capture_output=True)
    log = dials.command("dials.index", "imported.expt", "strong.refl", "unit_cell=79.344,79.344,37.81,90,90,90",
                        "space_group=P43212", QUICK_INDEX, cwd=tmp_path)
    assert "Saving refined experiments to indexed.expt" in log
