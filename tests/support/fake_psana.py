"""Stand-ins for psana, versions 1 and 2: modules with as much of its interface as is used."""

from __future__ import annotations

import types
from types import SimpleNamespace

import numpy as np

SECONDS = 1_468_015_524


def make_images(n, shape=(2, 3, 8)):
    """Images of n events."""
    return [np.arange(np.prod(shape), dtype=np.uint16).reshape(shape) + 1000 * i for i in range(n)]


def make_first(images, broken=(), encoder=-450.0, energy=9500.0):
    """psana 1; events of `broken` raise."""
    class Id:
        pass

    class Event:
        def __init__(self, i):
            self.i = i

        def get(self, what):
            assert what is Id
            return SimpleNamespace(time=lambda: (SECONDS, 133_000_000 + self.i * 1_000_000))

    class Run:
        def times(self):
            return list(range(len(images)))

        def event(self, time):
            return Event(time)

    class DataSource:
        def __init__(self, text):
            module.opened.append(text)

        def runs(self):
            return iter([Run()])

        def env(self):
            return "env"

    class Detector:
        def __init__(self, name, env):
            assert env == "env"
            self.name = name

        def raw(self, event):
            if event.i in broken:
                raise RuntimeError("psana fell over\nin the middle")
            return images[event.i]

        def get(self, event):
            if self.name == "EBeam":
                return None if energy is None else SimpleNamespace(ebeamPhotonEnergy=lambda: energy + event.i)
            return SimpleNamespace(f_11_ENRC=lambda: 1.0, f_12_ENRC=lambda: 2.0)

        def __call__(self, event):
            return encoder

    module = types.ModuleType("psana")
    module.opened = []
    module.setOption = lambda *_: None
    module.DataSource, module.Detector, module.EventId = DataSource, Detector, Id
    return module


def make_second(images, broken=(), encoder=-450.0, energy=9500.0):
    """psana 2; events of `broken` raise."""
    class Detector:
        def __init__(self, name):
            self.name = name
            self.raw = SimpleNamespace(raw=self.read, ebeamPhotonEnergy=lambda event: energy + event.i,
                                       milliJoulesPerPulse=lambda event: 1.5)

        def read(self, event):
            if event.i in broken:
                raise RuntimeError("psana fell over\nin the middle")
            return images[event.i]

        def __call__(self, event):
            return encoder

    class Run:
        def Detector(self, name):
            if name == "ebeamh" and energy is None:
                raise KeyError(name)
            return Detector(name)

        def events(self):
            for i in range(len(images)):
                yield SimpleNamespace(i=i, timestamp=(SECONDS << 32) | (133_000_000 + i * 1_000_000))

    class DataSource:
        def __init__(self, exp, run, **folder):
            module.opened.append((exp, run, folder))

        def runs(self):
            return iter([Run()])

    module = types.ModuleType("psana")
    module.opened = []
    module.DataSource = DataSource
    return module
