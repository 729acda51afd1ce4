"""All tables of DIALS' public test data load, show, refine and export, or are refused for a reason that is true.

Needs a copy of https://github.com/dials/data-files: ``XDP_DIALS_DATA_FILES`` names its folder. Pickled tables are
converted by the installed DIALS, as the message of xdp advises.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from dials_client import dials_python

from xdp.cli.main import main
from xdp.reflections import read_reflections

_CONVERT = ("import sys; from dials.array_family import flex; "
            "flex.reflection_table.from_file(sys.argv[1]).as_file(sys.argv[2])")
_NOT_INTEGRATED = "is integrated; run xdp integrate first"
_NO_INTENSITIES = "have no intensities"
_NO_INDEX = "no column miller_index"
_NO_EXPERIMENT = "the files do not belong together"
#: Models, table, and why refine and export refuse (None: they do not).
TABLES = [
    ("centroid_test_data/indexed.expt", "centroid_test_data/indexed.refl", None, _NOT_INTEGRATED),
    # its indices are those of another setting: -b,-a,-c, as change_of_basis_op=auto finds
    ("centroid_test_data/experiments.json", "centroid_test_data/integrated.pickle", "do not belong to this crystal",
     None),
    ("i04_weak_data/experiments.json", "i04_weak_data/indexed.pickle", None, _NOT_INTEGRATED),
    ("i04_weak_data/experiments.json", "i04_weak_data/first_image.pickle", _NO_INDEX, _NO_INTENSITIES),
    ("indexing_test_data/multi_sweep-experiments.json", "indexing_test_data/multi_sweep-indexed.pickle", None,
     _NOT_INTEGRATED),
    ("l_cysteine_4_sweeps_scaled/scaled_20_25.expt", "l_cysteine_4_sweeps_scaled/scaled_20_25.refl", None, None),
    ("l_cysteine_4_sweeps_scaled/scaled_30.expt", "l_cysteine_4_sweeps_scaled/scaled_30.refl", None, None),
    ("l_cysteine_4_sweeps_scaled/scaled_35.expt", "l_cysteine_4_sweeps_scaled/scaled_35.refl", None, None),
    *[(f"l_cysteine_integrated/{n}_integrated_experiments.json", f"l_cysteine_integrated/{n}_integrated.pickle", None,
       None) for n in (20, 25, 30, 35)],
    *[(f"l_cysteine_narrow_wedge/{n}_integrated.expt", f"l_cysteine_narrow_wedge/{n}_integrated.refl", None, None)
      for n in (11, 23)],
    *[(f"quartz_processed/{stem}.expt", f"quartz_processed/{stem}.refl", None, why) for stem, why in (
        ("indexed", _NOT_INTEGRATED), ("refined", _NOT_INTEGRATED), ("integrated", None), ("scaled", None))],
    ("quartz_processed/imported.expt", "quartz_processed/strong.refl", "needs a crystal", _NO_INDEX),
    ("refinement_test_data/centroid/from-xds.json", "refinement_test_data/centroid/from-xds-1000.pickle", None,
     _NO_INTENSITIES),
    ("refinement_test_data/dials-423/dials-423.json", "refinement_test_data/dials-423/dials-423.pickle", None,
     _NOT_INTEGRATED),
    ("refinement_test_data/multi_stills/multi_stills_combined.json",
     "refinement_test_data/multi_stills/multi_stills_combined.pickle", None, _NOT_INTEGRATED),
    ("ssx_CuNiR_test_data/indexed.expt", "ssx_CuNiR_test_data/indexed.refl", None, _NOT_INTEGRATED),
    ("ssx_CuNiR_test_data/integrated.expt", "ssx_CuNiR_test_data/integrated.refl", None, None),
    ("xfel_metrology/benchmark_level2d.json", "xfel_metrology/benchmark_level2d.pickle", None, _NOT_INTEGRATED),
    *[(f"multi_narrow_wedges/sweep_{n:03d}_experiments.json", f"multi_narrow_wedges/sweep_{n:03d}_reflections.pickle",
       None, _NOT_INTEGRATED) for n in (2, 3, 6, 7, 9, 13, 21, 31, 48)],
    # three experiments, and reflections of a fourth one
    *[(f"multi_narrow_wedges/sweep_{n:03d}_experiments.json", f"multi_narrow_wedges/sweep_{n:03d}_reflections.pickle",
       _NO_EXPERIMENT, _NO_EXPERIMENT) for n in (4, 5)],
]


@pytest.fixture(scope="module")
def data_files() -> Path:
    """The folder of DIALS' public test data."""
    folder = Path(os.environ.get("XDP_DIALS_DATA_FILES", "no folder"))
    if not folder.is_dir():
        pytest.skip("needs a copy of github.com/dials/data-files, named by XDP_DIALS_DATA_FILES")
    return folder


def convert(path: Path, folder: Path) -> Path:
    """The table in MessagePack: itself, or what DIALS makes of a pickle."""
    if path.read_bytes()[:32].startswith((b"\x93\xbbdials", b"\x93\xd9\x1bdials")):
        return path
    if dials_python() is None:
        pytest.skip("needs DIALS for pickled tables")
    made = folder / "converted.refl"
    subprocess.run([str(dials_python()), "-c", _CONVERT, str(path), str(made)], check=True, capture_output=True)
    return made


@pytest.mark.parametrize(("expt", "refl", "no_refine", "no_export"), TABLES, ids=[table[1] for table in TABLES])
def test_a_table_goes_through_or_is_refused_for_its_reason(data_files, tmp_path, monkeypatch, capsys, expt, refl,
                                                           no_refine, no_export):
    if not (data_files / refl).exists() or not (data_files / refl).stat().st_size:
        pytest.skip("not in this copy")
    monkeypatch.chdir(tmp_path)
    pair = [str(data_files / expt), str(convert(data_files / refl, tmp_path))]
    assert main(["show", *pair]) == 0
    for command, refusal in (("refine", no_refine), ("export", no_export)):
        capsys.readouterr()
        words = ["scan_varying=False"] if command == "refine" else []
        status = main([command, *pair, *words])
        message = capsys.readouterr().err
        assert status == (0 if refusal is None else 1), message
        assert refusal is None or refusal in message
        assert "Traceback" not in message
    table = read_reflections(pair[1])
    if "miller_index" in table and no_refine != _NO_EXPERIMENT:
        assert main(["reindex", *pair, "change_of_basis_op=-b,-a,-c"]) == 0
        assert len(read_reflections("reindexed.refl")) == len(table)
