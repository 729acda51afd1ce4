"""Shots and configurations for tests of the module chain."""

from __future__ import annotations

import numpy as np
from hit_data import draw_shot, is_hit, make_models

from xdp.serial.events import Events, Shot
from xdp.serial.events.source import Source
from xdp.serial.events.times import parse_time

FIRST_TIME = parse_time("2016-07-08T22:05Z24.133")

#: The configuration of the reference's page, with the paths of the tests.
REFERENCE = """\
[pyana]
modules = my_ana_pkg.mod_hitfind:hitfind \\
          my_ana_pkg.mod_dump:hit \\
          my_ana_pkg.mod_hitfind:index \\
          my_ana_pkg.mod_dump:indexed

[my_ana_pkg.mod_hitfind:hitfind]
address         = CxiDs1-0|Cspad-0
calib_dir       = {folder}/CxiDs1.0:Cspad.0
detz_offset     = 581
dispatch        = nop
distl_flags     = permissive
distl_min_peaks = 16
threshold       = {threshold}
xtal_target     = {folder}/hitfind-7.1.phil

[my_ana_pkg.mod_dump:hit]
address      = CxiDs1-0|Cspad-0
calib_dir    = {folder}/CxiDs1.0:Cspad.0
out_dirname  = {folder}/lysozyme
out_basename = shot-

[my_ana_pkg.mod_hitfind:index]
address              = CxiDs1-0|Cspad-0
calib_dir            = {folder}/CxiDs1.0:Cspad.0
detz_offset          = 581
dispatch             = index
integration_dirname  = {folder}/lysozyme
integration_basename = int-
xtal_target          = {folder}/hitfind-7.1.phil

[my_ana_pkg.mod_dump:indexed]
address      = CxiDs1-0|Cspad-0
out_dirname  = {folder}/indexed
out_basename = idx-
"""


class DrawnShots(Source):
    """Shots as a stream has them: drawn when they are asked for, a second apart."""

    def __init__(self, n=6, **changes):
        self.n, self.changes, self.models = n, changes, make_models(trusted=(-100.0, 60000.0))

    @property
    def n_shots(self):
        return self.n

    def get_id(self, index):
        return f"stream //{index}"

    def read(self, index):
        values = {"time": FIRST_TIME + index * 10**9, "photon_energy": 9537.0, "distance": 60.0,
                  "image": [draw_shot(index, 60 if is_hit(index) else 0)],
                  "scalars": {"laser_1_status": float(index % 2)}} | self.changes
        values = {name: value(index) if callable(value) else value for name, value in values.items()}
        return Shot(index, self.get_id(index), experiment=self.models, **values)


def draw_events(n=6, **changes):
    return Events([DrawnShots(n, **changes)])


def write_target(folder, text="distl.minimum_spot_area = 2\n"):
    (folder / "hitfind-7.1.phil").write_text(text)


def make_cfg(module, section="pyana", **keys):
    """The text of a configuration with one module."""
    lines = "\n".join(f"{key} = {value}" for key, value in keys.items())
    return f"[{section}]\nmodules = pkg.{module}\n[pkg.{module.partition(':')[0]}]\n{lines}\n"


def as_array(panels):
    return np.asarray(panels[0])
