"""Commands of other programs are told what to use instead."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from xdp.cli.main import COMMANDS, main
from xdp.cli.other_programs import ADVICE, advise_on_command


@pytest.mark.parametrize(("typed", "said"), [
    ("image_viewer", "xdp export_images draws frames and spots"),
    ("dials.image_viewer", "xdp export_images draws frames and spots"),
    ("reciprocal_lattice_viewer", "xdp export format=json"),
    ("two_theta_refine", "xdp refine gives the cell"),
    ("dials.find_spots", "use xdp find_spots"),
    ("dials.find-spots", "use xdp find_spots"),
    ("dials.scale", "use xdp scale"), ("dials.merge", "use xdp merge"), ("dials.symmetry", "use xdp symmetry"),
    ("dials.cosym", "use xdp cosym"),
    ("dials.fnd_spots", "did you mean find_spots?"),
    ("dials.of_tomorrow", "reads the .expt and .refl files of xdp"),
    ("cxi.mpi_average", "xdp export_images sum_images=N"),
    ("cspad.cbf_metrology", "use xdp refine"),
    ("cctbx.xfel.xtc_process", "use xdp xtc_process"), ("dials.stills_process", "use xdp stills_process"),
    ("cctbx.xfel.merge", "nothing for it yet"),
    ("xia2", "use xdp process"), ("xia2.ssx_reduce", "use xdp process"),
    ("indexamajig", "which take stills"), ("partialator", "nothing for it yet"),
    ("XDS", "use xdp process"), ("xds_par", "use xdp process"), ("XDS.INP", "use xdp process"),
    ("lu_hdf2spots", "use xdp laue_spots"), ("laue.index", "xdp laue_spots finds and integrates"),
    ("detector-shift", "use xdp refine"), ("pyFAI-integrate", "nothing for it yet"),
    ("qsub", "use xdp submit"), ("phenix.refine", "nothing for it yet: it is not about images"),
])
def test_what_to_use_instead(typed, said, capsys):
    assert main([typed, "a.expt", "b=2"]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"xdp: error: no command {typed!r}; ")
    assert said in error
    assert error.count("\n") == 1


def test_each_command_that_is_named_exists():
    for typed, advice in ADVICE.items():
        words = advice.replace(",", " ").replace(";", " ").replace(":", " ").split()
        named = [words[i + 1] for i, word in enumerate(words[:-1]) if word == "xdp"]
        verbs = {"has", "does", "--version"}
        assert not [name for name in named if name not in COMMANDS and name not in verbs], typed


def test_a_command_of_ours_comes_first():
    assert advise_on_command("dials.scale", {"scale": "puts intensities on one scale"}) == "use xdp scale"
    assert advise_on_command("frobnicate", COMMANDS) is None


@pytest.mark.peer
def test_all_commands_of_an_installed_dials():
    if shutil.which("dials.import") is None:
        pytest.skip("needs DIALS")
    folder = Path(shutil.which("dials.import")).parent
    for path in folder.glob("d[ix][at][lb]*.*"):
        if path.name.startswith(("dials.", "dxtbx.")):
            assert advise_on_command(path.name, COMMANDS) is not None
