"""Tests of chains as jobs: trials, copies, and the reference's command line."""

import os

import pytest
from chain_data import REFERENCE, write_target
from hit_data import draw_run, write_run

from xdp.cli.main import main
from xdp.errors import OptionError
from xdp.serial.chain.configuration import parse_chain, read_chain
from xdp.serial.chain.submission import (
    ChainRequest,
    choose_trial_folder,
    choose_trial_number,
    copy_inputs,
    count_processes,
    find_run_files,
    parse_run_number,
    plan_trial,
)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A configuration with its PHIL files, data of a run, and LSF that takes every job."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "LXXX-lysozyme.cfg").write_text(
        REFERENCE.format(folder=tmp_path, threshold=40) + "trial_id = 7\n")
    write_target(tmp_path, "include file more/other.phil\n")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "other.phil").write_text("distl.minimum_spot_area = 2\n")
    data = tmp_path / "data" / "CXI" / "cxi12345" / "hdf5"
    data.mkdir(parents=True)
    stack, _ = write_run(tmp_path, draw_run(2))
    for name in ("cxi12345-r0069.npy", "cxi12345-r0690.npy", "cxi12345-r0070.npy"):
        (data / name).write_bytes(stack.read_bytes())
    monkeypatch.setenv("SIT_PSDM_DATA", str(tmp_path / "data"))
    commands = tmp_path / "bin"
    commands.mkdir()
    (commands / "bsub").write_text("#!/bin/sh\ncat > /dev/null\n"
                                   "echo 'Job <4711> is submitted to queue <psfehq>.'\n")
    (commands / "bjobs").write_text("#!/bin/sh\nexit 0\n")
    for name in ("bsub", "bjobs"):
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


WORDS = ["submit", "-c", "LXXX-lysozyme.cfg", "-o", "results", "-p", "6", "-q", "psfehq", "-r", "69", "-x", "cxi12345"]


def test_the_command_line_of_the_reference(here, capsys):
    assert main(WORDS) == 0
    assert "job 4711 submitted to lsf" in capsys.readouterr().out
    trial = here / "results" / "r0069" / "000"
    assert sorted(p.name for p in trial.iterdir()) == ["LXXX-lysozyme.cfg", "hitfind-7.1.phil", "integration",
                                                       "other.phil", "out", "stdout", "xdp-job.json", "xdp-job.sh"]
    script = (trial / "xdp-job.sh").read_text()
    assert "#BSUB -q psfehq" in script
    assert "pyana" in script
    assert "cxi12345-r0069.npy" in script
    assert "r0690" not in script
    assert "mp.nproc=6" in script
    chain = read_chain(trial / "LXXX-lysozyme.cfg")
    assert chain.modules[1].keys["out_dirname"] == str(trial / "out")
    assert chain.modules[2].keys["integration_dirname"] == str(trial / "integration")
    assert chain.modules[0].keys["xtal_target"] == str(trial / "hitfind-7.1.phil")
    assert chain.modules[3].keys["trial_id"] == "0"
    assert (trial / "hitfind-7.1.phil").read_text() == "include file other.phil\n"
    # the next one takes the next number
    assert main(WORDS) == 0
    assert (here / "results" / "r0069" / "001").is_dir()


def test_an_existing_trial_is_an_error(here, capsys):
    assert main([*WORDS, "-t", "3"]) == 0
    assert main([*WORDS, "-t", "3"]) == 1
    assert "never overwritten" in capsys.readouterr().err
    assert main(WORDS) == 0
    assert (here / "results" / "r0069" / "004").is_dir()


def test_dry_run_leaves_nothing(here, capsys):
    assert main([*WORDS, "-n"]) == 0
    assert "pyana" in capsys.readouterr().out
    assert not (here / "results").exists()


@pytest.mark.parametrize(("words", "message"), [
    (["-r", "0"], "1 to 9999"), (["-r", "10000"], "1 to 9999"), (["-r", "many"], "1 to 9999"),
    (["-x", "mfx1"], "no such experiment"), (["-r", "71"], "no files of run 71"), (["-t", "1000"], "from 0 to 999")])
def test_errors(here, capsys, words, message):
    assert main([*WORDS, *words]) == 1
    assert message in capsys.readouterr().err


def test_other_options(here, capsys, monkeypatch):
    (here / "mine").mkdir()
    (here / "mine" / "run69.npy").write_bytes((here / "run.npy").read_bytes())
    words = [w for w in WORDS if w not in ("-x", "cxi12345", "-q", "psfehq")]
    assert main([*words, "-i", "mine", "-s", "-n", "-p", "2"]) == 0
    found = capsys.readouterr()
    assert "mine/run69.npy" in found.out
    assert "#BSUB -q psfehq" in found.out
    assert "two processes" in found.err
    monkeypatch.setenv("EXP", "cxi12345")
    assert main([*words, "-n"]) == 0
    assert "experiment=cxi12345" in capsys.readouterr().out
    without = [w for w in WORDS if w not in ("-o", "results")]
    assert main([*without, "-n"]) == 0
    assert "cxi12345/scratch/results/r0069/000" in capsys.readouterr().out


def test_a_sites_file_is_told_apart_by_the_section(here, capsys):
    (here / "site.yaml").write_text("scheduler: sge\n")
    assert main(["submit", "-c", "site.yaml", "-o", "out", "-n", "--", "show", "geometry.expt"]) == 0
    capsys.readouterr()
    assert main(["submit", "-c", "site.yaml", "-o", "out", "-t", "1", "--", "show", "geometry.expt"]) == 1
    assert "need -c with the configuration of a chain" in capsys.readouterr().err
    assert main([*WORDS, "--", "show", "geometry.expt"]) == 1
    assert "no command may" in capsys.readouterr().err


def test_numbers_of_trials(tmp_path):
    assert choose_trial_number(tmp_path / "none", None) == 0
    (tmp_path / "007").mkdir()
    (tmp_path / "other").mkdir()
    assert choose_trial_number(tmp_path, None) == 8
    with pytest.raises(OptionError, match="never overwritten"):
        choose_trial_number(tmp_path, 7)
    assert choose_trial_folder(ChainRequest("a", 5, output=str(tmp_path))) == tmp_path / "r0005" / "000"


def test_parts(here):
    assert parse_run_number("69") == 69
    request = ChainRequest("LXXX-lysozyme.cfg", 69, "cxi12345", "results")
    assert [name.rsplit("/", 1)[1] for name in find_run_files(request)] == ["cxi12345-r0069.npy"]
    assert find_run_files(ChainRequest("a", 69, data="run.npy")) == [str(here / "run.npy")]
    folder, _, chain = plan_trial(request)
    assert count_processes(chain, None) == 7
    assert count_processes(parse_chain("[pyana]\nnum-cpu = 3\nmodules = m"), None) == 3
    assert count_processes(chain, 4) == 4
    assert copy_inputs(request, folder).exists()


def test_streams_of_the_experiment_are_handed_to_psana(here, capsys):
    xtc = here / "data" / "CXI" / "cxi12345" / "xtc"
    xtc.mkdir()
    for name in ("e665-r0069-s00-c00.xtc", "e665-r0069-s01-c00.xtc.inprogress", "e665-r0070-s00-c00.xtc"):
        (xtc / name).write_bytes(b"")
    for name in os.listdir(xtc.parent / "hdf5"):
        (xtc.parent / "hdf5" / name).unlink()
    assert main([*WORDS, "-n"]) == 0
    said = capsys.readouterr().out
    assert f"{xtc}/e665-r0069-s00-c00.xtc {xtc}/e665-r0069-s01-c00.xtc.inprogress run=69" in said
    assert "r0070" not in said
