"""``xdp import`` against ``dials.import`` 3.12 on every set of shared data: the same models, the same pixels.

Known differences, where DIALS 3.12 is wrong:

- part of a template (``template=... image_range=11,20``): DIALS gives the first image of the part the angle of the
  first image of the template;
- a beam centre for a detector on a 2theta arm: DIALS moves it away from the sample by 1/cos(2theta);
- another wavelength: DIALS keeps the attenuation coefficient of the old one in the file.
"""

from __future__ import annotations

import gzip
import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from xdp.cli.main import main
from xdp.experiment import read_experiments
from xdp.images.reader import open_reader

pytestmark = [pytest.mark.peer, pytest.mark.shared]

SETS = {
    "rot_dev": "rot_dev/cbf/*.gz", "stills_dev": "stills_dev/cbf/*.gz", "eiger16m": "eiger16m_cbf/*.gz",
    "l-cysteine": "lcysteine_pilatus2m/*.gz", "snase stills": "snase_stills_ccd/*.bz2",
    "snase": "snase_stills_ccd/osc2deg/*.bz2", "thaumatin grid": "thaumatin_grid_pilatus6m/*.bz2",
    "I03": "image_examples/DLS_I03*.gz", "I23": "image_examples/DLS_I23*.gz", "timepix": "image_examples/TIMEPIX*.gz",
    "dlsnxs2cbf": "image_examples/dlsnxs2cbf*.gz", "old pilatus": "image_formats/run2*.bz2",
    # CBFlib reads no compressed files.
    "rayonix": "plain:rayonix_still/*.gz", "cspad": "plain:thermolysin_cspad/*.gz",
}
OPTIONS = [
    "mosflm_beam_centre=70,85", "distance=200", "fast_slow_beam_centre=490,410", "image_range=2,3", "image_range=1,10",
    "image_range=1,10 extrapolate_scan=True", "invert_rotation_axis=True", "geometry.goniometer.axis=0,1,0",
    "geometry.scan.oscillation=5,0.1", "convert_sequences_to_stills=True", "hierarchy.origin=1,2,3", "multi_panel=True",
    "panel.gain=2 panel.trusted_range=0,1000 panel.origin=-85,70,-160",
    "polarization_normal=1,0,0 polarization_fraction=0.5", "geometry.scan.batch_offset=7",
]
# Relative: both sides compute in double precision, in other orders.
TOLERANCE = 1e-9


def differences(a, b, where=""):
    """Where two JSON values differ, identifiers and our own mark apart."""
    if isinstance(a, dict) and isinstance(b, dict):
        keys = (set(a) | set(b)) - {"xdp"} - ({"identifier"} if "detector" in a else set())
        return [d for k in sorted(keys) for d in
                (differences(a[k], b[k], f"{where}.{k}") if k in a and k in b else [f"{where}.{k} is not in both"])]
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return [d for i, (x, y) in enumerate(zip(a, b, strict=True)) for d in differences(x, y, f"{where}[{i}]")]
    if isinstance(a, int | float) and isinstance(b, int | float):
        return [] if abs(a - b) <= TOLERANCE * max(abs(a), abs(b), 1.0) else [f"{where}: {a} {b}"]
    return [] if a == b else [f"{where}: {a!r} {b!r}"]


def files_of(name, shared_data, folder):
    """The files of a set; unpacked where DIALS needs it."""
    pattern = SETS[name]
    files = sorted(shared_data.glob(pattern.removeprefix("plain:")))
    if not pattern.startswith("plain:"):
        return files
    for file in files:
        (folder / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
    return [folder / file.stem for file in files]


def import_both(dials, words, folder):
    """The experiments of both programs, as JSON."""
    dials.command("dials.import", *words, "output.experiments=theirs.expt", cwd=folder)
    ours = folder / "ours.expt"
    assert main(["import", *map(str, words), f"output.experiments={ours}", "output.log=None",
                 "output.compatibility=dials-3.12"]) == 0
    return json.loads((folder / "theirs.expt").read_text()), json.loads(ours.read_text())


def geometry(text):
    """What dials.show prints of an experiment, without its file's name and identifiers."""
    lines = text.partition("Experiment 0:")[2].splitlines()
    return [line for line in lines if not line.startswith("Experiment identifier")]


@pytest.mark.parametrize("name", SETS)
def test_same_models_and_same_text(name, dials, shared_data, tmp_path):
    theirs, ours = import_both(dials, files_of(name, shared_data, tmp_path), tmp_path)
    assert differences(theirs, ours) == []
    shown = [geometry(dials.command("dials.show", f"{who}.expt", cwd=tmp_path)) for who in ("theirs", "ours")]
    assert len(shown[0]) > 20
    assert shown[0] == shown[1]


@pytest.mark.parametrize("options", OPTIONS)
def test_same_overrides(options, dials, shared_data, tmp_path):
    files = sorted((shared_data / "rot_dev" / "cbf").glob("*.gz"))[:3]
    theirs, ours = import_both(dials, [*files, *shlex.split(options)], tmp_path)
    assert differences(theirs, ours) == []


@pytest.mark.parametrize("words", ["template={0}/rot_dev/cbf/rot_dev_####.cbf.gz", "{0}/rot_dev/cbf",
                                   "input.directory={0}/rot_dev/cbf"])
def test_same_series_by_template_and_folder(words, dials, shared_data, tmp_path):
    theirs, ours = import_both(dials, [words.format(shared_data)], tmp_path)
    assert differences(theirs, ours) == []


def test_same_modules_of_p12m(dials, shared_data, tmp_path):
    files = files_of("I23", shared_data, tmp_path)
    theirs, ours = import_both(dials, [*files, "multi_panel=True"], tmp_path)
    assert differences(theirs, ours) == []


def test_same_grid(dials, shared_data, tmp_path):
    files = files_of("thaumatin grid", shared_data, tmp_path)[:4]
    theirs, ours = import_both(dials, [*files, "as_grid_scan=True", "grid_size=2,2"], tmp_path)
    assert differences(theirs, ours) == []


SUMS = """
import sys, numpy as np
from dxtbx.model.experiment_list import ExperimentListFactory
imageset = ExperimentListFactory.from_json_file(sys.argv[1])[0].imageset
data = [panel.as_numpy_array() for panel in imageset.get_raw_data(0)]
np.savez("out.npz", **{f"panel{i}": panel for i, panel in enumerate(data)})
"""


@pytest.mark.parametrize("name", SETS)
def test_same_pixels(name, dials, shared_data, tmp_path):
    files = files_of(name, shared_data, tmp_path)[:1]
    import_both(dials, files, tmp_path)
    theirs = dials.script(SUMS, "theirs.expt", cwd=tmp_path)
    ours = open_reader(read_experiments(Path(tmp_path) / "ours.expt")[0]).read(0)
    assert len(ours) == len(theirs)
    for i, panel in enumerate(ours):
        np.testing.assert_array_equal(panel, theirs[f"panel{i}"])
