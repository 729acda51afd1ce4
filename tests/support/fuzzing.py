"""Damaged files and random command lines, and what a command makes of them: a complaint of one line, or its work.

``python tests/support/fuzzing.py FILES COMMANDS [SEED]`` runs so many of each and lists what went wrong; it ends with 1
if something did. With the variable XDP_FUZZ_KEEP=FOLDER it says how far it is, and keeps files that made trouble;
another SEED is another slice of a campaign. Each case runs in a child of its own (`isolation`).
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from damage import damage_bytes, damage_expt, damage_hdf5, damage_refl, damage_text
from fuzz_inputs import make_inputs
from isolation import Outcome, run, warm_up

from xdp.cluster.batch.arguments import MODELS, load_model
from xdp.options.tree import Definition, build_tree

# ---- random command lines


def random_value(item: Definition, files: list[str], rng: random.Random) -> str:
    """A value for a parameter: mostly one of its type, at times none."""
    kind = item.kind
    if rng.random() < 0.1:
        return rng.choice(("", "None", "Auto", "nan", "inf", "-1", "0", "1e400", "x", "1,2,3", "'", "{", "é", "$HOME"))
    if item.file is not None:
        return rng.choice((*files, "new.file", "nowhere/new.file", ".", "/dev/null", "None"))
    if kind.base == "choice":
        return rng.choice(kind.choices)
    if kind.base == "bool":
        return rng.choice(("True", "False"))
    low, high = item.bounds.get("ge", item.bounds.get("gt")), item.bounds.get("le", item.bounds.get("lt"))
    numbers = [v for v in (low, high, 0, 1, 2, 3, 10, 100, 0.5, 1e-3, 1e4, 1e9, -1) if v is not None]
    one: Callable[[], str] = lambda: f"{rng.choice(numbers):g}"  # noqa: E731
    if kind.base in ("int", "ints"):
        one = lambda: f"{int(rng.choice(numbers))}"  # noqa: E731
    if kind.base in ("ints", "floats"):
        return ",".join(one() for _ in range(kind.size or rng.choice((1, 2, 3, 4))))
    if kind.base in ("int", "float"):
        return one()
    if kind.base == "unit_cell":
        return rng.choice(("79,79,38,90,90,90", "1,1,1,90,90,90", "5,6,7,80,95,100", "1e4,1e4,1e4,90,90,90", "5,6,7"))
    if kind.base == "space_group":
        return rng.choice(("P43212", "P1", "I23", "19", "R3:H", "P 4nw 2abw", "Fd-3m"))
    return rng.choice(("a", "b,c,a", "h,k,l", "0", "Si", *files))


#: Parameters that would make a run of minutes, start processes, or wait for what never comes.
_LEFT_OUT = ("cluster.", "mp.", "nproc", "n_frames", "njobs")


#: Inputs that a command can use, so that most lines come as far as their parameters; models and reflections by default.
INPUTS = {
    "average": ("run.cxi", "run.npy", "run.lst"), "convert": ("good.expt", "n.nxs"), "convert_geometry": (
        "run.geom", "run.data", "geometry.expt"),
    "estimate_gain": ("good.expt", "a_0001.cbf"), "export": ("good.expt good.refl", "scaled.expt scaled.refl"),
    "export_images": ("good.expt", "good.expt good.refl"), "find_hits": ("run.cxi", "run.npy events.geometry=run.geom"),
    "find_spots": ("good.expt", "n.nxs", "b_0001.cbf b_0002.cbf"), "generate_mask": ("good.expt", "n.nxs"),
    "import": ("a_0001.cbf", "n.nxs", "b_0001.cbf b_0002.cbf", "e_0001.img", "run.cxi"),
    "laue_import": ("laue.log", "laue.csv", "b_0001.cbf b_0002.cbf start=0"), "laue_spots": ("scan__mccd.h5",),
    "merge": ("scaled.expt scaled.refl",), "model_background": ("good.expt",),
    "process": ("b_0001.cbf b_0002.cbf", "good.expt"), "pyana": ("run.cfg run.npy events.geometry=geometry.expt",),
    "scale": ("sweeps.expt sweeps.refl", "scaled.expt scaled.refl"),
}


def random_line(command: str, files: list[str], rng: random.Random) -> list[str]:
    """A command line: inputs from the files, and a few parameters of the command's model."""
    items = [item for item in build_tree(load_model(command)).definitions()
             if not any(part in f".{item.path}" for part in _LEFT_OUT)]
    if rng.random() < 0.7:
        words = [command, *rng.choice(INPUTS.get(command, ("good.expt good.refl",))).split()]
    else:
        words = [command, *(rng.choice(files) for _ in range(rng.choice((0, 1, 1, 2, 2, 3))))]
    for _ in range(rng.choice((0, 1, 1, 2, 3, 5))):
        if items:
            item = rng.choice(items)
            words.append(f"{item.path}={random_value(item, files, rng)}")
    return words


# ---- many of them


@dataclass
class Campaign:
    """What was run and what went wrong, each kind of trouble once."""

    n: int = 0
    follow: bool = field(default_factory=lambda: "XDP_FUZZ_KEEP" in os.environ)  # a long run says how far it is
    troubles: dict[str, tuple[list[str], str]] = field(default_factory=dict)

    def note(self, words: list[str], outcome: Outcome, evidence: Path | None = None) -> None:
        """Count a run; keep its trouble, and the file that made it, where it is of a new kind."""
        self.n += 1
        if self.follow and self.n % 50 == 0:
            sys.stderr.write(f"{self.n} runs, {len(self.troubles)} kinds of trouble\n")
        if not outcome.trouble:
            return
        lines = outcome.trouble.strip().splitlines()
        places = [line.strip() for line in lines if "/xdp/" in line and line.strip().startswith("File")]
        key = f"{words[0] if not places else places[-1]} {lines[-1][:60]}"
        if key not in self.troubles:
            self.troubles[key] = (words, outcome.trouble)
            if self.follow:
                sys.stderr.write(f"{' '.join(words)}\n" + "\n".join(lines[-9:]) + "\n")
            if evidence is not None and "XDP_FUZZ_KEEP" in os.environ:
                kept = Path(os.environ["XDP_FUZZ_KEEP"])
                kept.mkdir(exist_ok=True)
                shutil.copy(evidence, kept / f"{len(self.troubles):03d}-{evidence.name}")


#: What is done with a damaged file, by its name or else its ending; {} stands for it. The good files lie beside it.
USES = {
    ".expt": (
        "show {} show_scan_varying=True", "show {} show_shared_models=True", "reindex {} change_of_basis_op=b,c,a",
        "export {} good.refl", "export {} good.refl format=json", "export {} good.refl format=xds_ascii",
        "export {} good.refl format=shelx", "export {} good.refl format=mmcif", "export {} good.refl format=pets",
        "export {} good.refl format=nxs", "generate_mask {} d_min=3",
        "find_spots {}", "index {} good.refl", "refine {} good.refl", "integrate {} good.refl",
        "find_hot_pixels {} good.refl", "refine_bravais_settings {} good.refl", "search_beam_position {} good.refl",
        "find_rotation_axis {} good.refl", "estimate_gain {}", "convert {}", "export_images {} imageset_index=1",
        "model_background {}", "convert_geometry {}", "convert_geometry {} output.geometry=new.data",
        "scale {} good.refl", "merge {} good.refl", "find_hits run.npy events.geometry={}",
        "import a_0001.cbf reference_geometry={}"),
    "sweeps.expt": ("scale {} sweeps.refl", "merge {} sweeps.refl", "scale {} sweeps.refl model=KB"),
    "scaled.expt": ("merge {} scaled.refl", "export {} scaled.refl", "scale {} scaled.refl"),
    "geometry.expt": ("find_hits run.npy events.geometry={}", "average run.npy events.geometry={}",
                      "convert_geometry {}"),
    ".refl": (
        "show {} show_flags=True show_all_reflection_data=True max_reflections=3", "reindex {} hkl_offset=1,0,0",
        "export good.expt {}", "export good.expt {} format=json", "export good.expt {} format=xds_ascii",
        "export good.expt {} format=shelx", "export good.expt {} format=mmcif", "export good.expt {} format=pets",
        "export good.expt {} format=nxs", "index good.expt {}",
        "refine good.expt {}", "integrate good.expt {}", "find_hot_pixels good.expt {}",
        "refine_bravais_settings good.expt {}", "search_beam_position good.expt {}",
        "find_rotation_axis good.expt {}", "export_images good.expt {} imageset_index=1", "scale good.expt {}",
        "merge good.expt {}"),
    "sweeps.refl": ("scale sweeps.expt {}", "merge sweeps.expt {}", "scale sweeps.expt {} model=KB",
                        "export sweeps.expt {}"),
    "scaled.refl": ("merge scaled.expt {}", "export scaled.expt {}", "scale scaled.expt {}"),
    ".phil": (
        "find_spots good.expt {}",),
    "hitfind-7.1.phil": ("find_spots good.expt {}", "find_hits run.npy events.geometry=geometry.expt {}"),
    ".mask": (
        "find_spots good.expt lookup.mask={}", "integrate good.expt good.refl lookup.mask={}",
        "average run.npy mask_path={}"),
    ".pickle": (
        "find_spots good.expt lookup.gain_map={}", "find_spots good.expt lookup.pedestal={}",
        "integrate good.expt good.refl background.algorithm=gmodel gmodel.model={}",
        "find_hits {}", "average {}", "average run.npy dark_path={}", "average run.npy gain_map_path={}"),
    ".geom": (
        "convert_geometry {}", "convert_geometry {} output.geometry=new.expt",
        "convert_geometry {} output.geometry=new.data", "find_hits run.npy events.geometry={}",
        "import run.cxi geometry_file={}", "average run.cxi geometry={}"),
    ".data": (
        "convert_geometry {}", "convert_geometry {} output.geometry=new.expt energy=9500",
        "find_hits run.npy events.geometry={} energy=9500", "import run.cxi geometry_file={}"),
    ".cfg": ("pyana {} run.npy events.geometry=geometry.expt",),
    ".lst": ("find_hits {}", "average {}", "pyana run.cfg {}"),
    ".npy": (
        "find_hits {} events.geometry=geometry.expt", "average {}", "import {}",
        "find_hits {} events.geometry=geometry.expt algorithm=distl distl.threshold=40",
        "find_hits {} events.geometry=run.geom algorithm=peakfinder8",
        "find_hits {} events.geometry=geometry.expt algorithm=spots", "average run.npy dark_path={}",
        "pyana run.cfg {} events.geometry=geometry.expt"),
    ".cxi": (
        "find_hits {}", "find_hits {} algorithm=peakfinder8", "average {}", "import {}", "find_spots {}",
        "average run.npy dark_path={}", "import {} geometry_file=run.geom"),
    "scan__mccd.h5": ("laue_spots {}", "laue_spots {} -m maxgroup -S pairs", "laue_spots {} -m kruskal table=s.csv",
                      "import {}", "show {}", "laue_import {}"),
    ".log": ("laue_import {}", "laue_import {} b_0001.cbf b_0002.cbf"),
    ".csv": ("laue_import {}", "laue_import {} b_0001.cbf b_0002.cbf"),
    "": (
        "import {}", "show {} image_statistics.show_raw=True", "find_spots {}", "find_hits {}", "average {}",
        "laue_import {} start=0 step=1", "convert {}", "export_images {}", "estimate_gain {}", "import {} split=True"),
}

#: Commands that load what most cases need, on files that are whole.
WARM_UP = (
    "import a_0001.cbf", "show good.expt good.refl", "find_spots good.expt", "integrate good.expt good.refl",
    "index good.expt good.refl", "refine good.expt good.refl", "export good.expt good.refl",
    "scale sweeps.expt sweeps.refl", "merge scaled.expt scaled.refl", "convert_geometry run.geom",
    "find_hits run.cxi", "find_hits run.npy events.geometry=geometry.expt algorithm=distl distl.threshold=40",
    "find_hits run.cxi algorithm=peakfinder8", "average run.cxi", "laue_spots scan__mccd.h5",
    "pyana run.cfg run.npy events.geometry=geometry.expt", "import n.nxs", "find_spots i_0001.mar2300",
    "find_spots eiger_master.h5", "export_images good.expt imageset_index=1",
)


def warm_parent(folder: Path) -> None:
    """Run `WARM_UP` on copies of the files of a folder, once in a process."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch, contextlib.chdir(scratch):
        for good in folder.iterdir():
            shutil.copy(good, good.name)
        warm_up([line.split() for line in WARM_UP])


def write_damaged(source: Path, place: Path, rng: random.Random) -> None:
    """Write a damaged copy of a file in the way of its kind."""
    ways = {".expt": damage_expt, ".refl": damage_refl, ".geom": damage_text, ".data": damage_text, ".cfg": damage_text,
            ".lst": damage_text, ".log": damage_text, ".csv": damage_text, ".phil": damage_text}
    if source.suffix in (".h5", ".cxi", ".nxs"):
        damage_hdf5(source, rng, place)
    else:
        place.write_bytes(ways.get(source.suffix, damage_bytes)(source, rng))


def fuzz_files(folder: Path, n: int, seed: int = 0, kinds: tuple[str, ...] | None = None) -> Campaign:
    """Damage the files of a folder `n` times and give each to a command.

    Parameters
    ----------
    folder : path
        Holds good.expt, good.refl, files to be damaged; it becomes the current folder.
    n : int
        Files.
    seed : int
        Of all choices.
    kinds : tuple of str, optional
        Only files with these endings.
    """
    rng = random.Random(seed)
    everything = sorted(p for p in folder.iterdir() if p.is_file())
    sources = [p for p in everything if kinds is None or p.suffix in kinds]
    campaign = Campaign()
    for _ in range(n):
        source = rng.choice(sources)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            for good in everything:
                os.symlink(good, Path(scratch) / good.name)
            bad = Path(scratch) / f"bad_0001{source.name[source.name.index('.'):]}"
            write_damaged(source, bad, rng)
            uses = USES.get(source.name, USES.get(source.suffix, USES[""]))
            words = rng.choice(uses).format(bad.name).split()
            with contextlib.chdir(scratch):
                campaign.note(words, run(words), bad)
    return campaign


def fuzz_commands(folder: Path, n: int, seed: int = 0) -> Campaign:
    """Run `n` random command lines on the files of a folder."""
    rng = random.Random(seed)
    sources = sorted(p for p in folder.iterdir() if p.is_file())
    campaign = Campaign()
    commands = sorted(set(MODELS) - {"demo", "plan"})
    for _ in range(n):
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            for good in sources:
                shutil.copy(good, scratch)
            words = random_line(rng.choice(commands), [p.name for p in sources], rng)
            with contextlib.chdir(scratch):
                outcome = run(words)
            campaign.note(words, outcome)
            inputs = [p for p in sources if p.name in words]
            changed = [p.name for p in inputs if (Path(scratch) / p.name).read_bytes() != p.read_bytes()]
            if changed and not is_in_place(words, changed):
                campaign.note(words, Outcome(0, "", f"changed its inputs {changed}"))
    return campaign


def is_in_place(words: list[str], changed: list[str]) -> bool:
    """Whether a command may replace these inputs of its own kind: its outputs in place have these names."""
    given = dict(word.split("=", 1) for word in words if "=" in word)
    own = {given.get(item.path, item.default) for item in build_tree(load_model(words[0])).definitions()
           if item.in_place}
    return own.issuperset(changed)


def report(campaign: Campaign) -> str:
    """What went wrong, each kind with the command and the end of its traceback."""
    parts = [f"{campaign.n} runs, {len(campaign.troubles)} kinds of trouble"]
    for key, (words, trouble) in campaign.troubles.items():
        parts.append(f"== {key}\n{' '.join(words)}\n" + "\n".join(trouble.strip().splitlines()[-6:]))
    return "\n\n".join(parts)


def run_campaign(arguments: list[str]) -> int:
    """Run both campaigns on inputs that are made for them; 1 if something went wrong."""
    count_files, count_commands, *more = map(int, arguments)
    with tempfile.TemporaryDirectory() as place:
        inputs = Path(place) / "inputs"
        inputs.mkdir()
        make_inputs(inputs)
        warm_parent(inputs)
        made = [fuzz_files(inputs, count_files, *more), fuzz_commands(inputs, count_commands, *more)]
    sys.stdout.write("\n\n".join(map(report, made)) + "\n")
    return int(any(campaign.troubles for campaign in made))


if __name__ == "__main__":
    sys.exit(run_campaign(sys.argv[1:]))
