"""The reference run over stand-ins for psana 1 and 2, and which shots a chain reads."""

import logging
import sys

import numpy as np
import pytest
from chain_data import REFERENCE, write_target
from fake_psana import make_first, make_second
from hit_data import draw_shot, is_hit

from xdp.cli.main import main
from xdp.errors import OptionError, XdpError
from xdp.serial.chain.configuration import parse_chain
from xdp.serial.chain.options import ChainOptions
from xdp.serial.chain.run import run_chain
from xdp.serial.chain.streams import choose_event_options, find_calibrated_geometry, open_chain_events

GEOMETRY = ("CAM 0 MTRX:V2:160:160:100:100 0 0 0 0 0 0 0 0 0 0\n"
            "IP 0 CAM 0 0 0 100000 0 0 0 0 0 0\n")


@pytest.fixture(params=[make_first, make_second], ids=["psana1", "psana2"])
def stream(request, monkeypatch):
    """Six events, of which 0 and 3 are hits and 4 makes psana raise."""
    images = [draw_shot(k, 60 if is_hit(k) else 0)[None].astype(np.uint16) for k in range(6)]
    module = request.param(images, broken={4})
    monkeypatch.setitem(sys.modules, "psana", module)
    return module


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The files that the configuration of the reference names."""
    monkeypatch.chdir(tmp_path)
    write_target(tmp_path)
    calibration = tmp_path / "CxiDs1.0:Cspad.0" / "geometry"
    calibration.mkdir(parents=True)
    (calibration / "0-end.data").write_text(GEOMETRY)
    (tmp_path / "LXXX-lysozyme.cfg").write_text(REFERENCE.format(folder=tmp_path, threshold=40))
    return tmp_path


def test_the_reference_run_over_psana(stream, folder, monkeypatch, caplog):
    indexed = []
    monkeypatch.setattr("xdp.serial.chain.hitfind.index_shot",
                        lambda shot, folder, prefix, *_: indexed.append((folder, prefix, shot.index)) or (
                            None if shot.index == 3 else "int-x.refl"))
    with caplog.at_level(logging.INFO):
        done = run_chain(folder / "LXXX-lysozyme.cfg", [], experiment="cxi12345", run=69)
    # 4 raises in psana; of the other five 0 and 3 are hits; 3 cannot be indexed
    assert [(m.n_reached, m.n_kept, m.n_failed) for m in done.modules] == [(5, 2, 0), (2, 2, 0), (2, 1, 0), (1, 1, 0)]
    assert [(number, reason) for number, reason, _ in done.failures] == [(4, "psana")]
    assert sorted(p.name for p in (folder / "lysozyme").iterdir()) == ["shot-20160708220524133.h5",
                                                                       "shot-20160708220524136.h5"]
    assert [p.name for p in (folder / "indexed").iterdir()] == ["idx-20160708220524133.h5"]
    assert indexed == [(str(folder / "lysozyme"), "int-", 0), (str(folder / "lysozyme"), "int-", 3)]
    assert "Spotfinder YES HIT image #00003 @ 2016-07-08T22:05Z24.136" in caplog.text
    # the folder of calib_dir has a geometry
    assert "calib_dir" not in caplog.text
    opened = stream.opened[0]
    assert opened == "exp=cxi12345:run=69:idx" or opened[:2] == ("cxi12345", 69)


def test_streams_on_the_command_line_name_their_folder(stream, folder, capsys):
    (folder / "xtc").mkdir()
    (folder / "xtc" / "e665-r0069-s00-c00.xtc.inprogress").write_bytes(b"")
    text = (folder / "LXXX-lysozyme.cfg").read_text().replace(
        " \\\n          my_ana_pkg.mod_hitfind:index \\\n          my_ana_pkg.mod_dump:indexed", "")
    (folder / "hits.cfg").write_text(text)
    assert main(["pyana", "hits.cfg", "xtc/e665-r0069-s00-c00.xtc.inprogress", "experiment=cxi12345", "run=69"]) == 0
    assert str(folder / "xtc") in str(stream.opened)
    assert "shot 4 failed (psana)" in capsys.readouterr().out


def test_the_distance_is_that_of_the_encoder_with_the_offset_of_the_module(stream, folder):
    settings = parse_chain((folder / "LXXX-lysozyme.cfg").read_text())
    options = ChainOptions(experiment="cxi12345", run=69)
    assert find_calibrated_geometry(settings) == str(folder / "CxiDs1.0:Cspad.0" / "geometry" / "0-end.data")
    assert choose_event_options(options, settings).detz_offset == 581.0
    assert open_chain_events(settings, [], options)[0].distance == 131.0
    # a detector without a known encoder
    text = (folder / "LXXX-lysozyme.cfg").read_text().replace("CxiDs1-0", "MfxEndstation-0")
    assert open_chain_events(parse_chain(text), [], options)[0].distance == 581.0


def test_what_is_missing_is_said(folder, monkeypatch):
    settings = parse_chain((folder / "LXXX-lysozyme.cfg").read_text())
    with pytest.raises(OptionError, match="which shots"):
        open_chain_events(settings, [], ChainOptions(run=69))
    with pytest.raises(OptionError, match="cannot be read as one run"):
        open_chain_events(settings, ["a.xtc", "b.h5"], ChainOptions(run=69, experiment="cxi12345"))
    monkeypatch.setitem(sys.modules, "psana", None)
    with pytest.raises(XdpError, match="conda install -c lcls-i psana"):
        open_chain_events(settings, [], ChainOptions(run=69, experiment="cxi12345"))


def test_a_source_that_psana_does_not_have_is_left_out(monkeypatch, folder):
    module = make_first([draw_shot(0)[None].astype(np.uint16)])
    make = module.Detector

    def find(name, environment):
        if name != "CxiDs1.0:Cspad.0":
            raise KeyError(name)
        return make(name, environment)

    module.Detector = find
    monkeypatch.setitem(sys.modules, "psana", module)
    settings = parse_chain((folder / "LXXX-lysozyme.cfg").read_text())
    shot = open_chain_events(settings, [], ChainOptions(experiment="cxi12345", run=69))[0]
    assert shot.failure is None
    assert shot.photon_energy is None or np.isnan(shot.photon_energy)
