"""Which files `export` writes, and which it refuses to replace."""

from __future__ import annotations

import dataclasses
import os

import pytest

from xdp.errors import XdpError
from xdp.experiment import ExperimentList, ImageSet
from xdp.exporting.export import export, export_files
from xdp.exporting.options import ExportOptions
from xdp.options.reader import parse


@pytest.mark.parametrize(("words", "names"), [
    (["format=mtz"], ("integrated.mtz",)), (["mtz.hklout=x.mtz"], ("x.mtz",)), (["format=mmcif"], ("integrated.cif",)),
    (["format=mmcif", "mmcif.compress=gz", "mmcif.hklout=x.cif"], ("x.cif.gz",)),
    (["format=shelx"], ("dials.hkl", "dials.ins")), (["format=json"], ("rlp.json",)),
    (["format=nxs"], ("integrated.nxs",)), (["format=nxs", "nxs.hklout=y.nxs"], ("y.nxs",)),
    (["format=xds_ascii", "xds_ascii.hklout=X.HKL"], ("X.HKL",))])
def test_the_format_chooses_the_files(words, names, make_experiments, make_integrated, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options, _ = parse(ExportOptions, words)
    assert export_files(options) == names
    written = export(make_experiments(), make_integrated(), options)
    assert (written.n_written, written.files) == (40, names)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(names)


@pytest.mark.parametrize(("words", "name"), [
    ([], "integrated.mtz"), (["format=mmcif", "mmcif.compress=gz"], "integrated.cif.gz"),
    (["format=shelx"], "dials.ins"), (["format=json"], "rlp.json"), (["format=nxs"], "integrated.nxs"),
    (["format=xds_ascii"], "DIALS_1.HKL")])
def test_no_file_replaces_an_image(words, name, make_experiments, make_integrated, tmp_path, monkeypatch):
    """Also where only the data tell the file's name; of several files none is written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "img_0003.cbf").write_text("counts")
    os.link("img_0003.cbf", name)
    imageset = ImageSet("ImageSequence", str(tmp_path / "img_####.cbf"))
    experiments = ExperimentList([dataclasses.replace(e, imageset=imageset) for e in make_experiments(2)])
    with pytest.raises(XdpError, match=r"would replace .*img_0003\.cbf, an image of the experiments"):
        export(experiments, make_integrated(n_experiments=2), parse(ExportOptions, words)[0])
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["img_0003.cbf", name])
