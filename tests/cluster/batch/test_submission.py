"""The driver as a job: scripts, short options, records."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from fake_commands import put_command

from xdp.cli import cancel, logs, status, submit
from xdp.cli.main import main
from xdp.cluster.batch.site import Site
from xdp.cluster.batch.submission import Driver, read_job
from xdp.cluster.state import RunState
from xdp.errors import OptionError, XdpError
from xdp.experiment import Experiment, ExperimentList, write_experiments
from xdp.simulation.models import make_beam, make_detector


def script(capsys, *args):
    assert submit.run(["--dry-run", *args]) == 0
    return capsys.readouterr().out


def test_the_short_options_of_lsf_sh(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "psana.yaml").write_text("scheduler: lsf\nlsf_units: mb\n")
    text = script(capsys, "-c", "psana.yaml", "-o", "out", "-p", "6", "-q", "psfehq", "-r", "69", "-x", "cxi123", "--",
                  "find_spots", "/data/{experiment}/r{run}.h5", "output.log=a b")
    lines = text.splitlines()
    assert lines[0] == "#!/bin/bash"
    assert "#BSUB -q psfehq" in lines
    assert "#BSUB -n 6" in lines
    assert any(re.fullmatch("#BSUB -J xdp-69-[b-z]{4}", line) for line in lines)
    assert "export XDP_RUN=69" in lines
    assert "export XDP_EXPERIMENT=cxi123" in lines
    assert f"export XDP_STATE={tmp_path}/out/xdp-state.json" in lines
    assert lines[-1].startswith(f"cd {tmp_path}/out && exec ")
    assert lines[-1].endswith("-m xdp.cli.main find_spots /data/cxi123/r69.h5 'output.log=a b'")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("name", "line"), [("sge", "#$ -N xdp-out"), ("lsf", "#BSUB -J xdp-out"),
                                            ("pbs", "#PBS -N xdp-out"), ("slurm", "#SBATCH -J xdp-out")])
def test_every_batch_system(capsys, name, line):
    lines = script(capsys, "--cluster", name, "-o", "out", "--", "find_spots", "x.expt").splitlines()
    assert any(re.fullmatch(re.escape(line) + "-[b-z]{4}", text) for text in lines)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "submit needs -o OUT"),
        (["-o", "x", "--cluster", "sge"], "submit needs -o OUT and, after --, the command"),
        (["-o", "x", "--", "find_spots"], "submit needs --cluster"),
        (["-o", "x", "--cluster", "condor", "--", "y"], r"cluster condor: no condor\.yaml"),
        (["-o", "x", "--cluster", "local", "--", "y"], "a driver is submitted to one of sge, lsf, pbs, slurm"),
        (["-o", "x", "--cluster", "sge", "-p", "0", "--", "y"], "--cores must be at least 1, got 0"),
        (["-o", "x", "--cluster", "sge", "-p", "many", "--", "y"], "invalid int value: 'many'"),
        (["--frobnicate"], "unrecognized arguments: --frobnicate"),
        (["-n", "-o", "x", "--cluster", "sge", "--", "r{run}"], r"'r\{run\}' needs --run"),
    ],
)
def test_what_is_missing_is_said(args, message):
    with pytest.raises(OptionError, match=message):
        submit.run(args)


def test_names_of_jobs_are_plain(tmp_path):
    driver = Driver(Site(scheduler="sge"), 1, tmp_path / "my run; rm -rf", ("x",))
    assert re.fullmatch("xdp-my-run-[b-z]{4}", driver.make_request().name)
    assert "cd '" in driver.make_script()


@pytest.mark.parametrize("text", ["", "{}", '{"scheduler": "condor", "job": "1"}'])
def test_damaged_records_are_refused(tmp_path, text):
    (tmp_path / "xdp-job.json").write_text(text)
    with pytest.raises(XdpError, match=r"xdp-job\.json"):
        read_job(tmp_path)


def test_status_of_several_runs(tmp_path, capsys):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        with RunState(tmp_path / name / "xdp-state.json", "find_spots").record_run():
            pass
    assert status.run([str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    assert capsys.readouterr().out.count("find_spots: done") == 2
    with pytest.raises(XdpError, match="no state of a run there"):
        status.run([str(tmp_path)])


def test_status_without_the_batch_system_still_tells_the_state(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    record = {"scheduler": "slurm", "job": "7", "command": [], "timeout": 5, "logs": "xdp-logs"}
    (tmp_path / "xdp-job.json").write_text(json.dumps(record))
    assert status.run([str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "job 7 (slurm): unknown: squeue: no such command" in out
    assert "the run has not said anything yet" in out


def test_cancel_needs_a_run(tmp_path):
    with pytest.raises(XdpError, match="no jobs are known of a run there"):
        cancel.run([str(tmp_path)])
    with pytest.raises(OptionError, match="the folder of one run"):
        cancel.run([])


def test_logs_are_printed_oldest_first(tmp_path, capsys):
    (tmp_path / "xdp-logs").mkdir()
    (tmp_path / "xdp-logs" / "w.o1").write_text("".join(f"line {i}\n" for i in range(100)))
    (tmp_path / "xdp.find_spots.log").write_text("Saved\n")
    assert logs.run(["-n", "2", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "line 97" not in out
    assert "line 98\nline 99\n" in out
    assert "Saved\n" in out
    logs.run(["-n", "0", str(tmp_path)])
    assert "line 0\n" in capsys.readouterr().out
    with pytest.raises(OptionError, match="-n a number"):
        logs.run(["-n", "x", str(tmp_path)])
    with pytest.raises(XdpError, match="no such folder"):
        logs.run([str(tmp_path / "none")])


@pytest.mark.parametrize("command", [submit, status, cancel, logs])
def test_help_has_examples(command, capsys):
    assert command.run(["-h"]) == 0
    assert "Examples:\n\n  xdp " in capsys.readouterr().out


@pytest.mark.parametrize("command", [status, cancel, logs])
@pytest.mark.parametrize("option", ["-hh", "-x", "--all"])
def test_unknown_options_are_no_folders(command, option):
    name = command.__name__.rpartition(".")[2]
    with pytest.raises(OptionError, match=f"^unknown option {option}; xdp {name} -h explains them$"):
        command.run([option])


def test_a_job_that_is_gone_takes_its_run_with_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XDP_STATE", str(tmp_path / "xdp-state.json"))
    state = RunState(tmp_path / "xdp-state.json", "find_spots")
    state.update(host="another")
    record = {"scheduler": "slurm", "job": "7", "command": [], "timeout": 5, "logs": "xdp-logs"}
    (tmp_path / "xdp-job.json").write_text(json.dumps(record))
    for listing, word in (("7 RUNNING", "running"), ("8 RUNNING", "lost")):
        command(tmp_path, monkeypatch, "squeue", f"echo {listing}")
        assert status.run([str(tmp_path)]) == 0
        assert f"find_spots: {word}, 0:00\n" in capsys.readouterr().out


def command(folder, monkeypatch, name, text):
    """Put a command of a batch system on the path."""
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin" / name).write_text(f"#!/bin/bash\n{text}\n")
    (folder / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}/bin{os.pathsep}/usr/bin{os.pathsep}/bin")


def test_inputs_are_found_from_the_folder_of_the_submission(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("imported.expt", "a_0001.cbf", "mask.pickle", "strong.refl"):
        (tmp_path / name).touch()
    args = ("find_spots", "imported.expt", "a_####.cbf", "*.cbf", "lookup.mask=mask.pickle",
            "output.reflections=strong.refl", "d_min=2", "absent.expt", "/x/y.expt")
    words = Driver(Site(scheduler="sge"), 1, tmp_path / "out", args).make_command()[3:]
    here = str(tmp_path)
    assert words == ["find_spots", f"{here}/imported.expt", f"{here}/a_####.cbf", f"{here}/*.cbf",
                     f"lookup.mask={here}/mask.pickle", "output.reflections=strong.refl", "d_min=2", "absent.expt",
                     "/x/y.expt"]


def test_labels_are_filled_in_before_inputs_are_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("2", "slurm", "data"):
        (tmp_path / name).mkdir()
    for name in ("strong.refl", "data/r69.expt"):
        (tmp_path / name).touch()
    args = ("find_spots", "data/r{run}.expt", "mp.nproc=2", "mp.method=slurm", "reflections=strong.refl",
            "cluster=slurm")
    words = Driver(Site(scheduler="sge"), 1, tmp_path / "out", args, run="69").make_command()[3:]
    assert words == ["find_spots", f"{tmp_path}/data/r69.expt", *args[2:]]


def test_sites_are_found_from_the_folder_of_the_submission(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDP_CLUSTER_CONFIGS", f"/etc/a{os.pathsep}{os.pathsep}b")
    driver = Driver(Site(scheduler="sge"), 1, tmp_path / "out", ("--version",))
    assert driver.make_request().environment["XDP_CLUSTER_CONFIGS"] == f"/etc/a:{tmp_path}/b"
    (tmp_path / "cluster_configs").mkdir()
    assert driver.make_request().environment["XDP_CLUSTER_CONFIGS"] == f"/etc/a:{tmp_path}/b:{tmp_path}/cluster_configs"
    monkeypatch.delenv("XDP_CLUSTER_CONFIGS")
    assert driver.make_request().environment["XDP_CLUSTER_CONFIGS"] == f"{tmp_path}/cluster_configs"


@pytest.mark.parametrize("name", ["xdp-job.sh", "xdp-job.json", "xdp-state.json"])
def test_files_of_the_run_are_no_inputs_of_its_command(tmp_path, capsys, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path("raw.cbf").write_text("counts")
    Path("out").mkdir()
    os.link("raw.cbf", f"out/{name}")
    assert main(["submit", "--cluster", "sge", "-o", "out", "--", "import", "raw.cbf"]) == 1
    error = capsys.readouterr().err
    assert f"out/{name} would replace" in error
    assert "raw.cbf, an input of this run" in error
    assert os.listdir("out") == [name]


@pytest.fixture
def large(tmp_path, monkeypatch):
    """An .expt file of images of 16 million pixels."""
    monkeypatch.chdir(tmp_path)
    experiment = Experiment(beam=make_beam(), detector=make_detector((4000, 4000)))
    write_experiments("imported.expt", ExperimentList([experiment]))


@pytest.mark.parametrize(
    ("cores", "scheduler", "line"),
    [(1, "slurm", "#SBATCH --mem=3815M"), (32, "slurm", "#SBATCH --mem=5236M"),
     (32, "pbs", "#PBS -l select=1:ncpus=32:mem=5236mb"),
     (32, "sge", "#$ -l h_vmem=1908M"), (6, "sge", "#$ -l h_vmem=1908M")],
)
def test_as_much_memory_is_asked_for_as_the_stage_needs(large, capsys, cores, scheduler, line):
    """Of a search: 10 bytes a pixel for each thread and for the masks; of address space 2 GB a slot."""
    text = script(capsys, "--cluster", scheduler, "-p", str(cores), "-o", "out", "--", "find_spots", "imported.expt")
    assert line in text.splitlines()


def test_memory_of_the_site_s_file_holds_and_too_little_is_said(large, capsys):
    Path("site.yaml").write_text("scheduler: slurm\nmemory: 4GB\n")
    args = ["--dry-run", "-c", "site.yaml", "-p", "32", "-o", "out", "--", "find_spots", "imported.expt"]
    assert submit.run(args) == 0
    said = capsys.readouterr()
    assert "#SBATCH --mem=3815M" in said.out
    assert said.err == ("xdp submit: warning: find_spots on 32 threads takes about 5.5 GB for its frames, the site's "
                        "file asks for 4GB: fewer threads will work\n")


def test_the_folders_of_the_commands_travel_with_the_driver(tmp_path, monkeypatch):
    """Of the system that has the driver, and before it of the one to which the driver submits; not /usr/bin."""
    for folder, name in (("slurm", "sbatch"), ("pbs", "qsub")):
        (tmp_path / folder).mkdir()
        put_command(tmp_path / folder, monkeypatch, name, "true")
    driver = Driver(Site(scheduler="slurm"), 1, tmp_path / "out", ("find_spots", "/x.expt", "mp.method=pbs"))
    assert driver.make_request().command_folders == (f"{tmp_path}/pbs", f"{tmp_path}/slurm")
    lines = driver.make_script().splitlines()
    assert lines[-3:-1] == [f'export PATH={tmp_path}/slurm:"$PATH"', f'export PATH={tmp_path}/pbs:"$PATH"']
    alone = Driver(Site(scheduler="slurm"), 1, tmp_path / "out", ("--version",))
    assert alone.make_request().command_folders == (f"{tmp_path}/slurm",)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert alone.make_request().command_folders == ()


def test_the_driver_finds_the_server_of_its_batch_system(tmp_path, monkeypatch):
    monkeypatch.setenv("PBS_CONF_FILE", "/opt/pbs/etc/pbs.conf")
    monkeypatch.setenv("SGE_ROOT", "/opt/sge")
    environment = Driver(Site(scheduler="pbs"), 1, tmp_path / "out", ("--version",)).make_request().environment
    assert environment["PBS_CONF_FILE"] == "/opt/pbs/etc/pbs.conf"
    assert "SGE_ROOT" not in environment
