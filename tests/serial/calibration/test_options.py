"""Parameters of averages: all of cxi.mpi_average and mod_average are there, or named as unused."""

from __future__ import annotations

import csv

import pytest

from xdp.cli.average import translate_options
from xdp.options.tree import build_tree
from xdp.serial.calibration.options import AverageOptions

#: What mod_average has besides, and where it is here: names of its files are those of cxi.mpi_average.
ELSEWHERE = {"mean_out", "std_out", "max_out", "avg_dirname", "avg_basename", "stddev_dirname", "stddev_basename",
             "max_dirname", "max_basename", "background_path"}


def test_each_option_has_its_place(shared_data):
    known = {node.name for node in build_tree(AverageOptions).definitions()}
    with open(shared_data.parent / "serial/mpi_average_options.tsv", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    for row in rows:
        name = row["option"]
        if name.startswith("("):
            continue
        if row["program"] == "mod_average":
            names = {word.strip() for word in name.split(",")}
            assert names <= known | ELSEWHERE, names
            continue
        short = name.split(",")[0]
        long = name.split(",")[-1].strip()
        for option in {short, long}:
            if option in ("-c", "-v", "--verbose"):
                continue  # those of all commands of xdp; --config is taken and not used
            words, unused = translate_options([option, "Cspad"])
            parameter = words[0].partition("=")[0] if words else ""
            assert unused or parameter in known, option


@pytest.mark.parametrize(("words", "wanted"), [
    (["-n5"], ["-n5"]), (["--numevents=5"], ["numevents=5"]), (["-a", "1"], ["-a", "1"]),
    (["-a", "Cspad"], ["address=Cspad"]), (["-c"], ["-c"]), (["d_min=2"], ["d_min=2"])])
def test_words(words, wanted):
    assert translate_options(words)[0] == wanted
