"""Settings of sites: the commented files, their checks, and where they are found."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from xdp.cluster.batch.site import Site, choose_site, parse_size, parse_walltime, read_site
from xdp.errors import OptionError
from xdp.work.options import ClusterOptions

CONFIGS = Path(__file__).parents[3] / "cluster_configs"


@pytest.mark.parametrize("name", ["sge", "lsf", "pbs", "slurm", "local"])
def test_the_files_we_ship_are_valid(name):
    site = read_site(CONFIGS / f"{name}.yaml")
    assert site.scheduler == name
    assert site.memory_bytes == 4_000_000_000


def test_the_sge_file_explains_each_key_that_sge_uses():
    text = (CONFIGS / "sge.yaml").read_text()
    others = {"limit_per_slot", "lsf_units", "clear_environment", "pbs_style"}
    assert [key for key in Site.model_fields if f"{key}:" not in text] == sorted(others)


def test_shipped_values_are_the_defaults_but_for_the_walltime():
    for path in CONFIGS.glob("*.yaml"):
        site = read_site(path)
        assert site.model_copy(update={"walltime": None}) == Site(scheduler=site.scheduler)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scheduler: sge\nqueu: x", r"site\.yaml: unknown key 'queu'; did you mean queue\?"),
        ("scheduler: lsf\nlimit_per_slots: true", r"unknown key 'limit_per_slots'; did you mean limit_per_slot\?"),
        ("scheduler: lsf\nmemory_per_slot: perhaps", r"site\.yaml: memory_per_slot: .*bool"),
        ("scheduler: lsf\nlsf_units: tb", r"site\.yaml: lsf_units: .*'kb', 'mb' or 'gb'"),
        ("scheduler: condor", r"site\.yaml: scheduler: .*'local', 'sge'"),
        ("scheduler: sge\nmemory: lots", r"site\.yaml: memory: a size such as 4GB is expected, got 'lots'"),
        ("scheduler: sge\nwalltime: soon", r"site\.yaml: walltime: a time HH:MM:SS is expected"),
        ("scheduler: sge\ncores: 0", r"site\.yaml: cores must be at least 1"),
        ("- a\n- b", r"site\.yaml: a cluster's settings are lines of key: value"),
        ("a: [", r"site\.yaml: not YAML"),
        ("scheduler: !!python/object/apply:os.system ['true']", r"site\.yaml: not YAML"),
    ],
)
def test_mistakes_are_named(tmp_path, text, message):
    path = tmp_path / "site.yaml"
    path.write_text(text)
    with pytest.raises(OptionError, match=message) as caught:
        read_site(path)
    assert "\n" not in str(caught.value)


def test_missing_file(tmp_path):
    with pytest.raises(OptionError, match=r"none\.yaml: cannot read the cluster's settings: No such file"):
        read_site(tmp_path / "none.yaml")


def test_empty_values_switch_requests_off(tmp_path):
    path = tmp_path / "site.yaml"
    path.write_text("scheduler: sge\nmemory_resource:\nqueue:\nmemory:\n")
    site = read_site(path)
    assert site.memory_resource is None
    assert site.queue is None
    assert site.memory is None
    assert site.memory_bytes is None
    path.write_text("scheduler: sge\n")
    assert read_site(path).memory == "4GB"


def test_the_sge_file_says_what_empty_values_mean(tmp_path):
    """Each key that the comment names is switched off by an empty value, and no other but those that are off anyway."""
    text = " ".join((CONFIGS / "sge.yaml").read_text().replace("#", " ").split())
    named = re.search(r"An empty value of ([\w, ]+) means: no request", text)[1].replace(" or ", ", ").split(", ")
    path = tmp_path / "site.yaml"
    path.write_text("".join(f"{key}:\n" for key in Site.model_fields))
    off = {key for key, value in read_site(path).model_dump().items() if value is None}
    others = {"cores", "memory_per_slot", "kernel_cache", "interface", "host", "python", "lsf_units",
              "slot_minimum"}
    assert off == {*named, *others}
    for key in others - {"lsf_units"}:
        assert re.search(rf"{key}:.{{0,200}}empty:", text) or re.search(rf"empty: guessed\. .*{key}:", text), key


def test_names_are_looked_up_in_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cluster_configs").mkdir()
    (tmp_path / "cluster_configs" / "here.yaml").write_text("scheduler: sge\nqueue: near\n")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "here.yaml").write_text("scheduler: sge\nqueue: far\n")
    assert choose_site("sge", ClusterOptions(name="here")).queue == "near"
    monkeypatch.setenv("XDP_CLUSTER_CONFIGS", str(tmp_path / "site"))
    assert choose_site("sge", ClusterOptions(name="here")).queue == "far"
    assert choose_site("sge", ClusterOptions(name="here", queue="mine")).queue == "mine"
    assert choose_site("slurm", ClusterOptions(name="slurm")) == Site(scheduler="slurm")
    with pytest.raises(OptionError, match=r"cluster there: no there\.yaml in .*cluster_configs"):
        choose_site("sge", ClusterOptions(name="there"))
    with pytest.raises(OptionError, match="must be a plain name"):
        choose_site("sge", ClusterOptions(name="../here"))


def test_file_and_method_must_agree(tmp_path):
    path = tmp_path / "site.yaml"
    path.write_text("scheduler: lsf\n")
    with pytest.raises(OptionError, match=r"mp\.method=sge, but the site's file is for scheduler: lsf"):
        choose_site("sge", ClusterOptions(config=str(path)))
    with pytest.raises(OptionError, match=r"is for scheduler: lsf \(DRMAA serves Grid Engine\)"):
        choose_site("drmaa", ClusterOptions(config=str(path)))
    path.write_text("scheduler: sge\n")
    assert choose_site("drmaa", ClusterOptions(config=str(path))).scheduler == "sge"
    assert choose_site("drmaa", ClusterOptions()).scheduler == "drmaa"


@pytest.mark.parametrize(
    ("text", "size"),
    [("500MB", 500_000_000), ("4GB", 4e9), ("8GiB", 8 << 30), ("2g", 2 << 30), ("1.5kB", 1500), ("100", 100),
     ("1TiB", 1 << 40), (" 3 mb ", 3e6)],
)
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "4XB", "1e3", "0GB", "4 G B"])
def test_what_is_no_size(text):
    with pytest.raises(ValueError, match="a size such as 4GB is expected"):
        parse_size(text)


def test_walltimes():
    assert parse_walltime("01:02:03") == 3723
    assert parse_walltime("100:00") == 360_000
    assert Site(walltime=14400).walltime == "04:00:00"  # what YAML makes of an unquoted 4:00:00
    for wrong in ("", "1", "1:99:00", "0:00:00", "1:2:3:4"):
        with pytest.raises(ValueError, match="a time HH:MM:SS is expected"):
            parse_walltime(wrong)
