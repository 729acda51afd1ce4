"""Small good files of each kind, for fuzzing."""

from __future__ import annotations

import bz2
import contextlib
import dataclasses
import gzip
from pathlib import Path

import numpy as np
from image_files import cbf_file, edf_bytes, marccd_file, pixels, smv_file, tiff_bytes
from integration_data import make_series, options
from refinement_data import sweep

from xdp.experiment import ExperimentList, ImageSet, write_experiments
from xdp.images.masks.pickles import write_mask_pickle
from xdp.integration.integrate import integrate
from xdp.reflections.refl import write_reflections

SIZE = (100, 90)


def make_inputs(folder: Path) -> None:
    """Write integrated models and reflections (good.expt, good.refl) with images, and a file of each format."""
    with contextlib.chdir(folder):
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
        write_mask_pickle("good.mask", [np.ones(panel.shape, bool) for panel in experiment.known.detector])
        for old in ("refined.expt", "refined.refl"):
            Path(old).unlink()
        write_experiments("other.expt", ExperimentList([sweep()]))
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
        Path("good.phil").write_text("output {\n  reflections = a.refl\n}\nspotfinder.filter.min_spot_size = 2\n")
