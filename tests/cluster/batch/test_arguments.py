"""Which words of a submitted command are made whole paths, and which are left alone."""

from __future__ import annotations

import importlib
import inspect

import pytest

from xdp.cli.main import _MODULES, COMMANDS
from xdp.cluster.batch.arguments import MODELS, load_model, make_paths_whole
from xdp.errors import OptionError
from xdp.options.tree import build_tree

# texts that name no file
NO_FILES = {
    "name", "address", "queue", "dashboard", "type", "material", "names", "select", "crystal_name", "project_name",
    "dataset_name", "change_of_basis_op", "png", "exclude_images",
    "fix_list", "instrument_name", "instrument_short_name", "source_name", "source_short_name",
    "experiment", "energy", "encoder", "distance", "time",
    "pulse_energy", "scalar", "averagebase", "stddevbase", "maxbase", "minpath", "method_list",
    "image_tag", "tag", "datasource", "event_timestamp", "out_key", "experiment_tag", "host", "user", "password",
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder full of traps: entries named as numbers, choices and outputs are."""
    monkeypatch.chdir(tmp_path)
    for name in ("2", "slurm", "data", "None"):
        (tmp_path / name).mkdir()
    for name in ("strong.refl", "imported.expt", "a_0001.cbf", "mask.pickle", "data/r69.expt", "x y.mask", "a=b.expt"):
        (tmp_path / name).touch()
    return str(tmp_path)


def test_numbers_choices_names_and_outputs_stay(here):
    words = ["find_spots", "data/r69.expt", "mp.nproc=2", "mp.method=slurm", "reflections=strong.refl", "queue=slurm",
             "cluster.name=slurm", "output.log=None", "lookup.mask=None", "cluster.performance_report=strong.refl",
             "hot_mask_prefix=2"]
    assert make_paths_whole(words) == ["find_spots", f"{here}/data/r69.expt", *words[2:]]


def test_what_is_read_gets_its_whole_path(here):
    words = ["find-spots", "imported.expt", "a_####.cbf", "*.cbf", "spotfinder.lookup.mask=mask.pickle",
             "lookup.mask=x y.mask", "lookup.mask='mask.pickle'", "a=b.expt", "absent.expt", "/x/y.expt", "~/z.expt",
             "d_min=2"]
    assert make_paths_whole(words)[1:] == [
        f"{here}/imported.expt", f"{here}/a_####.cbf", f"{here}/*.cbf", f"spotfinder.lookup.mask={here}/mask.pickle",
        f"lookup.mask='{here}/x y.mask'", f"lookup.mask={here}/mask.pickle", f"{here}/a=b.expt", "absent.expt",
        "/x/y.expt", "~/z.expt", "d_min=2"]


@pytest.mark.parametrize(
    ("words", "rewritten"),
    [
        (["import", "template=a_####.cbf"], ["template={}/a_####.cbf"]),
        (["process", "find_spots.lookup.mask=mask.pickle"], ["find_spots.lookup.mask={}/mask.pickle"]),
        (["integrate", "gmodel.model=mask.pickle"], ["gmodel.model={}/mask.pickle"]),
        (["export", "strong.refl", "mtz.hklout=strong.refl"], ["{}/strong.refl", "mtz.hklout=strong.refl"]),
        (["laue_import", "log=strong.refl", "output=strong.refl"], ["log={}/strong.refl", "output=strong.refl"]),
        (["laue_spots", "-o", "strong.refl", "-n", "2", "-v", "imported.expt"],
         ["-o", "strong.refl", "-n", "2", "-v", "{}/imported.expt"]),
        (["laue_spots", "--n", "2", "-c4", "imported.expt"], ["--n", "2", "-c4", "{}/imported.expt"]),
        (["convert", "imported.expt", "-o", "2"], ["{}/imported.expt", "-o", "2"]),
        (["find_spots", "-v", "imported.expt", "-e", "2"], ["-v", "{}/imported.expt", "-e", "2"]),
        (["plan", "--cluster", "slurm", "imported.expt"], ["--cluster", "slurm", "{}/imported.expt"]),
        (["--version"], ["--version"]),
    ],
)
def test_each_command_in_its_own_way(here, words, rewritten):
    start = 0 if words[0].startswith("-") else 1
    assert make_paths_whole(words)[start:] == [word.format(here) for word in rewritten]


def test_a_mistyped_parameter_is_refused_before_the_queue():
    with pytest.raises(OptionError, match="unknown parameter min_spot_sise; did you mean"):
        make_paths_whole(["find_spots", "min_spot_sise=3"])


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("submit", "status", "cancel", "logs")])
def test_every_command_has_its_own_model_which_says_of_each_file_whether_it_is_read(command):
    module = importlib.import_module(f"xdp.cli.{_MODULES.get(command, command)}")
    assert load_model(command).__name__ in inspect.getsource(module.run)
    for item in build_tree(load_model(command)).definitions():
        if item.kind.base in ("path", "str", "strings"):
            assert (item.file is not None) != (item.name in NO_FILES), item.path
    assert set(MODELS) <= set(COMMANDS)
