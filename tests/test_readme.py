"""What the README and the pages of docs/ show does run, and what they refer to is there.

Shell examples (`sh`) run in order in a folder with a small simulated series, those for batch systems as far as they go
without one; Python examples (`python`) of a page run in one namespace. Blocks marked `text` are not run.
"""

from __future__ import annotations

import glob
import importlib.util
import re
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
from doc_pages import list_blocks, run_line, write_laue_log

from xdp.cli.main import COMMANDS, main
from xdp.images.formats import find
from xdp.logs import stop_log
from xdp.spotfinding.options import FindSpotsOptions

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
RUN_PAGES = ["README.md", "docs/getting_started.md", "docs/import.md", "docs/options.md", "docs/python.md",
             "docs/spotfinding.md", "docs/process.md", "docs/export.md"]
CONDA_NAMES = {"dask": "dask-core", "msgpack": "msgpack-python", "matplotlib": "matplotlib-base"}


@pytest.fixture(scope="module")
def sample(tmp_path_factory) -> Path:
    """A folder with what the examples take for granted: images of lysozyme, a stack, their spots, a Laue scan."""
    from xdp.simulation import make_beam, make_crystal, make_detector, make_goniometer, make_scan, simulate_rotation
    from xdp.simulation.write import write_minicbf_series, write_npy_series

    folder = tmp_path_factory.mktemp("sample")
    simulation = simulate_rotation(make_crystal(orientation=1), make_beam(), make_detector((300, 300)),
                                   make_goniometer(), make_scan(20, 1.0), seed=1)
    (folder / "images").mkdir()
    write_minicbf_series(simulation, folder / "images", "image")
    write_npy_series(simulation, folder, "stack")
    write_laue_log(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["import", "images/"]) == 0
        assert main(["find_spots", "imported.expt"]) == 0
    stop_log()
    return folder


@pytest.fixture
def here(sample, tmp_path, monkeypatch) -> Path:
    """A copy of the sample folder, in which the test runs."""
    folder = tmp_path / "here"
    shutil.copytree(sample, folder)
    # the copy's own experiments name its own images
    text = (folder / "imported.expt").read_text().replace(str(sample), str(folder))
    (folder / "imported.expt").write_text(text)
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("name", RUN_PAGES)
def test_shell_examples_run(name, here, capsys):
    (here / "find.phil").write_text("".join(text for _, text in list_blocks(DOCS / "options.md", "phil")))
    for mark, text in list_blocks(ROOT / name, "sh"):
        if mark in ("demo command", "test command"):
            continue
        for line in text.splitlines():
            run_line(line)
    assert "error" not in capsys.readouterr().err


@pytest.mark.parametrize("name", RUN_PAGES)
def test_python_examples_run(name, here, capsys):
    names: dict = {"__name__": "example"}
    for mark, text in list_blocks(ROOT / name, "python"):
        if not mark.startswith("example:"):
            exec(compile(text, name, "exec"), names)


def test_the_readme_goes_from_images_to_intensities_in_five_lines(here, capsys):
    names: dict = {}
    example = list_blocks(ROOT / "README.md", "python")[0][1]
    exec(example, names)
    assert len(example.splitlines()) == 5
    assert len(names["found"].reflections) > 500
    assert "number processed with profile fitting" in capsys.readouterr().out


@pytest.fixture
def flat_format(tmp_path, monkeypatch):
    """The documented format, installed as a package of its own would be."""
    examples = list_blocks(DOCS / "import.md", "python")
    example = next(text for mark, text in examples if mark == "example: site_format.py")
    toml = tomllib.loads(list_blocks(DOCS / "import.md", "toml")[0][1])
    entries = toml["project"]["entry-points"]["xdp.formats"]
    (tmp_path / "site_format.py").write_text(example)
    info = tmp_path / "site_format-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: site-format\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[xdp.formats]\n" + "".join(f"{name} = {target}\n" for name, target in entries.items()))
    monkeypatch.syspath_prepend(tmp_path)
    find._load_plug_ins.cache_clear()
    yield
    find._load_plug_ins.cache_clear()


def test_a_format_by_entry_point(flat_format, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(5)
    for number in range(1, 4):
        image = rng.poisson(2.0, (48, 64)).astype("<u2")
        image[20:23, 30:33] = 50 * number
        header = f"FLAT 1.0 50.0 {0.5 * (number - 1)} 0.5\n".encode()
        (tmp_path / f"flat_{number:03d}.dat").write_bytes(header + image.tobytes())
    assert main(["find_spots", *sorted(glob.glob("flat_*.dat")), "output.experiments=used.expt"]) == 0
    from xdp.experiment import read_experiments
    from xdp.reflections import read_reflections

    scan = read_experiments("used.expt")[0].scan
    assert (scan.image_range, scan.oscillation) == ((1, 3), (0.0, 0.5))
    spots = read_reflections("strong.refl")
    assert spots["bbox"].tolist() == [[30, 33, 20, 23, 0, 3]]
    assert spots["intensity.sum.value"][0] == 9 * (50 + 100 + 150)

    (tmp_path / "short_001.dat").write_bytes(b"FLAT 1.0 50.0 0 0.5\n1234")
    capsys.readouterr()
    assert main(["find_spots", "short_001.dat"]) == 1
    assert "short_001.dat: 64 x 48 counts expected, the file has 2" in capsys.readouterr().err


def slug(heading: str) -> str:
    """The anchor that a heading gets on GitHub."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        found = page.parent / path if path else page
        assert found.exists(), f"{page.name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", found.read_text(encoding="utf-8"), flags=re.MULTILINE)
            assert anchor in [slug(heading) for heading in headings], f"{page.name}: {target}"


def test_every_page_is_in_the_index():
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    assert [page.name for page in DOCS.glob("*.md") if page.name != "index.md" and f"({page.name}" not in index] == []


def test_every_command_is_documented():
    listed = re.findall(r"^\| `xdp (\w+)` \|", (DOCS / "commands.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(COMMANDS)


@pytest.mark.parametrize("page", PAGES[1:], ids=lambda page: page.name)
def test_parameter_tables_are_those_of_the_models(page):
    spec = importlib.util.spec_from_file_location("docs_tables", DOCS / "tables.py")
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    text = page.read_text(encoding="utf-8")
    assert tables.with_tables(text) == text, "run python docs/tables.py"


def test_each_parameter_of_find_spots_is_documented():
    page = (DOCS / "spotfinding.md").read_text(encoding="utf-8")
    from xdp.options.tree import build_tree

    paths = [item.path for item in build_tree(FindSpotsOptions).definitions() if not item.path.startswith("cluster.")]
    assert [path for path in paths if f"`{path}" not in page] == []


@pytest.mark.parametrize("name", ["demo", "test"])
def test_the_commands_that_are_read_by_machine(name):
    found = [text for mark, text in list_blocks(ROOT / "README.md", "sh") if mark == f"{name} command"]
    assert len(found) == 1
    assert found[0].count("\n") == 1
    assert ".venv/bin/" in found[0]


def test_the_picture_is_small():
    assert 1000 < (DOCS / "images" / "demo.png").stat().st_size < 300_000


def requirements(lines) -> dict[str, str]:
    """Name to the rest, ``>=1.2``, of requirements."""
    split = (re.match(r"([A-Za-z0-9_.-]+)(.*)", line).groups() for line in lines)
    return {name.lower(): bound.strip() for name, bound in split}


def test_conda_and_pip_agree():
    import yaml

    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    wanted = requirements(project["dependencies"] + project["optional-dependencies"]["test"])
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    by_pip = next(item["pip"] for item in listed if isinstance(item, dict))
    found = requirements([line for line in listed if isinstance(line, str)]
                         + [line for line in by_pip if not line.startswith("-")])
    assert found.pop("python") == project["requires-python"]
    found.pop("pip")
    assert found == {CONDA_NAMES.get(name, name): bound for name, bound in wanted.items()}


def test_the_changelog_names_the_version():
    import xdp

    assert f"## {xdp.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
