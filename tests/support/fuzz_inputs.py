"""Small good files of each kind that a command reads, for fuzzing."""

from __future__ import annotations

import bz2
import contextlib
import dataclasses
import gzip
from pathlib import Path

import h5py
import numpy as np
from chain_data import REFERENCE
from fabio.OXDimage import OXDimage
from hit_data import draw_run, write_run
from image_files import cbf_file, edf_bytes, marccd_file, pixels, smv_file, tiff_bytes
from imgcif_maker import write_imgcif
from integration_data import make_series, options
from mar345_maker import write_mar345
from nexus_maker import write_eiger, write_nxmx
from refinement_data import sweep
from scaling_data import make_table

from xdp.experiment import ExperimentList, ImageSet, write_experiments
from xdp.images.masks.pickles import (
    write_background_pickle,
    write_dictionary_pickle,
    write_map_pickle,
    write_mask_pickle,
)
from xdp.integration.integrate import integrate
from xdp.reflections.refl import write_reflections
from xdp.scaling.scale import scale
from xdp.simulation.laue import LaueScan, simulate_laue, write_laue_scan

SIZE = (100, 90)


def make_inputs(folder: Path) -> None:
    """Write integrated models and reflections (good.expt, good.refl) with images, and a file of each other kind."""
    with contextlib.chdir(folder):
        _make_rotation_inputs()
        _make_scaling_inputs()
        _make_images()
        _make_serial_inputs()
        _make_laue_inputs()
        Path("good.phil").write_text("output {\n  reflections = a.refl\n}\nspotfinder.filter.min_spot_size = 2\n")


def _make_rotation_inputs() -> None:
    """A series of four frames that was integrated, with a mask and maps for its panels."""
    series = make_series(Path(), 4, size=SIZE)
    found = integrate(series.experiments, series.reference, options("profile.fitting=False"))
    experiment = found.experiments[0]
    crystal = experiment.known.crystal
    points = [tuple(crystal.A.ravel().tolist())] * 5
    covariance = (np.eye(9) * 1e-12).ravel().tolist()
    crystal = dataclasses.replace(crystal, A_at_scan_points=tuple(points),
                                  extra={**crystal.extra, "B_covariance": covariance})
    imageset = ImageSet("ImageSequence", template="frames.npy", mask="good.mask")
    models = ExperimentList([dataclasses.replace(experiment, crystal=crystal, imageset=imageset)])
    write_experiments("good.expt", models)
    write_reflections("good.refl", found.reflections)
    shapes = [panel.shape for panel in experiment.known.detector]
    write_mask_pickle("good.mask", [np.ones(shape, bool) for shape in shapes])
    write_map_pickle("map.pickle", [np.ones(shape) for shape in shapes])
    write_background_pickle("background.pickle", [np.full(shape, 2.0) for shape in shapes])
    for old in ("refined.expt", "refined.refl"):
        Path(old).unlink()
    write_experiments("other.expt", ExperimentList([sweep()]))


def _make_scaling_inputs() -> None:
    """Two sweeps that are integrated as scaling takes them, and the same scaled."""
    experiments, table, _ = make_table(n_frames=40, d_min=7.0, n_sweeps=2)
    write_experiments("sweeps.expt", experiments)
    write_reflections("sweeps.refl", table)
    found = scale(experiments, table)
    write_experiments("scaled.expt", found.experiments)
    write_reflections("scaled.refl", found.reflections)


def _make_images() -> None:
    """An image of each format."""
    image = pixels()
    cbf = cbf_file(Path("a_0001.cbf")).read_bytes()
    cbf_file(Path("b_0001.cbf"), number=1)
    cbf_file(Path("b_0002.cbf"), number=2)
    Path("c_0001.cbf.gz").write_bytes(gzip.compress(cbf))
    Path("d_0001.cbf.bz2").write_bytes(bz2.compress(cbf))
    smv_file(Path("e_0001.img"))
    Path("f_0001.tif").write_bytes(tiff_bytes(image.astype(np.uint16)))
    marccd_file(Path("g_0001.mccd"))
    Path("h_0001.edf").write_bytes(edf_bytes(image))
    write_mar345(Path("i_0001.mar2300"), pixels(40, 40))
    write_imgcif(Path("j_0001.cbf"), pixels(31, 40))
    OXDimage(data=pixels(top=300).astype(np.int32)).write("k_1.img")
    write_nxmx(Path("n.nxs"))
    write_eiger(Path("eiger_master.h5"))


GEOMETRY = """photon_energy = 9537
clen = 0.06
res = 10000
data = /entry_1/data_1/data
dim0 = %
dim1 = ss
dim2 = fs
rigid_group_q0 = a,b
bad_stop/min_x = -2
bad_stop/max_x = 2
bad_stop/min_y = -2
bad_stop/max_y = 2
a/min_fs = 0
a/max_fs = 159
a/min_ss = 0
a/max_ss = 79
a/fs = +1.0x
a/ss = +1.0y
a/corner_x = -80.0
a/corner_y = -80.0
b/min_fs = 0
b/max_fs = 159
b/min_ss = 80
b/max_ss = 159
b/fs = +1.0x +0.001y
b/ss = -0.001x +1.0y
b/corner_x = -80.0
b/corner_y = 0.0
"""


def _make_serial_inputs() -> None:
    """Shots of each kind, their geometries, a list of them and a chain of modules."""
    images = draw_run(4)
    write_run(Path(), images)
    Path("run.geom").write_text(GEOMETRY)
    Path("run.data").write_text("# made by a test\nIP 0 MTRX:160:160:100:100 0 0 0 -60000 0 0 0 0 0 0\n")
    with h5py.File("run.cxi", "w") as file:
        file["cxi_version"] = 160
        file["entry_1/data_1/data"] = images
        file["entry_1/instrument_1/source_1/energy"] = np.full(4, 9537 * 1.602176634e-19)
        file["entry_1/instrument_1/detector_1/distance"] = 0.06
        file["entry_1/instrument_1/detector_1/x_pixel_size"] = 1e-4
        file["entry_1/instrument_1/detector_1/y_pixel_size"] = 1e-4
    write_dictionary_pickle("shot-1.pickle", {
        "DATA": images[0], "ACTIVE_AREAS": np.array([0, 0, 160, 160], np.int32), "DISTANCE": 60.0, "WAVELENGTH": 1.3,
        "PIXEL_SIZE": 0.1, "BEAM_CENTER_X": 8.0, "BEAM_CENTER_Y": 8.0, "TIMESTAMP": "2016-07-08T22:05Z24.133",
        "SATURATED_VALUE": 60000, "MIN_TRUSTED_VALUE": -1, "DETECTOR_ADDRESS": "CxiDs1-0|Cspad-0",
        "SEQUENCE_NUMBER": 0, "xtal_target": None})
    Path("run.lst").write_text("run.cxi //3\nrun.cxi //1\nshot-1.pickle\n")
    Path("run.cfg").write_text(REFERENCE.format(folder=".", threshold=40))
    Path("hitfind-7.1.phil").write_text("distl.minimum_spot_area = 2\n")


def _make_laue_inputs() -> None:
    """A Laue scan of ten angles in one file, a log and a table for images."""
    scan = simulate_laue(LaueScan(shape=(48, 48), n_angles=10, n_repeats=2, n_spots=2))
    write_laue_scan(Path("scan__mccd.h5"), scan)
    Path("laue.log").write_text(
        "# Data collection log file\n#date time\tfile\tdelay\tangle[deg]\trepeat\n"
        "02-Mar-12 01:02:03.100\tb_0001.cbf\t-\t0\t1\n02-Mar-12 01:02:05.100\tb_0002.cbf\t100ps\t0\t1\n")
    Path("laue.csv").write_text("file,angle,laser\nb_0001.cbf,0,0\nb_0002.cbf,0,1\n")
