"""The module mod_hitfind: hits by Spotfinder, by a region or by the highest pixel; indexing where it is asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from xdp.errors import OptionError
from xdp.options.named import make_options
from xdp.serial.chain.configuration import ModuleSettings, find_phil_file
from xdp.serial.chain.indexing import index_shot
from xdp.serial.chain.keys import HitfindKeys
from xdp.serial.chain.modules import ChainEvent, ChainModule, ChainRun
from xdp.serial.chain.phil import read_definitions
from xdp.serial.events.shot import Shot
from xdp.serial.hits.distl import compute_p90, count_high_spots
from xdp.serial.hits.distl_options import CXI_SETTINGS, DistlOptions
from xdp.serial.hits.measures import DistlMeasure
from xdp.serial.hits.options import DistlHitOptions

DEVICES = {"cspad": 90000.0, "rayonix": 65535.0, "marccd": 65535.0}
"""Devices that mod_hitfind knows, with the count from which a pixel is saturated."""
UNUSED = ("detector_tiling", "tile_translations", "quad_translations", "detector_format_version", "tile_flags")
"""Settings of Spotfinder about tiles: these follow from the geometry of the shots."""
_ADDRESS = re.compile(r"([A-Za-z]\w*?)[-.]?\d*\)?$")


@dataclass
class HitfindResult:
    """Counts of mod_hitfind.

    Attributes
    ----------
    n_shots, n_hits, n_indexed : int
    """

    n_shots: int = 0
    n_hits: int = 0
    n_indexed: int = 0

    def join(self, other: HitfindResult) -> None:
        """Add the counts of another batch."""
        self.n_shots += other.n_shots
        self.n_hits += other.n_hits
        self.n_indexed += other.n_indexed

    def text(self) -> str:
        """Say the counts in a line."""
        return f"Processed {self.n_shots} shots, {self.n_hits} hits, {self.n_indexed} indexed"


class RegionOfInterest(NamedTuple):
    """A region of the image, ends excluded; None: the edge."""

    fast: slice
    slow: slice


def find_device(address: str) -> str:
    """The device of an address: CxiDs1-0|Cspad-0, CxiDs1.0:Cspad.0, DetInfo(CxiDs1.0:Cspad.0) or an alias.

    Parameters
    ----------
    address : str

    Returns
    -------
    str
        In lower case.

    Examples
    --------
    >>> [find_device(a) for a in ("CxiDs1-0|Cspad-0", "CxiDs1.0:Cspad.0", "DetInfo(MfxEndstation.0:Rayonix.0)")]
    ['cspad', 'cspad', 'rayonix']
    """
    match = _ADDRESS.search(re.split(r"[|:]", address)[-1])
    return match.group(1).lower() if match else address.lower()


def parse_region(text: str) -> RegionOfInterest:
    """Read fast0:fast1,slow0:slow1; an empty end means the edge.

    Parameters
    ----------
    text : str

    Returns
    -------
    RegionOfInterest

    Raises
    ------
    OptionError
        If it is none.

    Examples
    --------
    >>> parse_region("10:20,:5")
    RegionOfInterest(fast=slice(10, 20, None), slow=slice(None, 5, None))
    """
    match = re.fullmatch(r"\s*(\d*):(\d*)\s*,\s*(\d*):(\d*)\s*", text)
    if match is None:
        raise OptionError(f"roi must be fast0:fast1,slow0:slow1, got {text!r}")
    ends = [int(word) if word else None for word in match.groups()]
    return RegionOfInterest(slice(ends[0], ends[1]), slice(ends[2], ends[3]))


class HitfindModule(ChainModule):
    """Tells hits from misses; with ``dispatch = index`` it indexes and integrates, too."""

    keys_model: ClassVar = HitfindKeys
    needs_distance: ClassVar = True
    needs_time: ClassVar = True

    def __init__(self, settings: ModuleSettings) -> None:
        super().__init__(settings)
        self.result = HitfindResult()

    def begin(self, run: ChainRun) -> None:
        """Read the keys and the PHIL file."""
        super().begin(run)
        keys = self.keys
        self.device = self._choose_device(keys.address)
        self.region = None if keys.roi is None else parse_region(keys.roi)
        if self.region is not None and keys.distl_min_peaks is not None:
            raise OptionError(f"{self.settings.label}: roi and distl_min_peaks are two ways to tell hits: give one")
        flags = keys.distl_flags or ()
        if keys.distl_min_peaks is not None and len(flags) != 1:
            raise OptionError(f"{self.settings.label}: distl_min_peaks needs distl_flags = permissive or restrictive")
        self.is_restrictive = "restrictive" in flags
        if keys.dispatch in ("view", "spots"):
            run.report.notes.append(f"{self.settings.label}: dispatch = {keys.dispatch} opens a viewer, which a run on "
                                    "files or a cluster has not: shots go on as with nop; see xdp export_images")
        self.targets = self._read_target(keys.xtal_target, run)
        self.distl = DistlMeasure(DistlHitOptions(settings=self._make_distl(run)), DEVICES[self.device])
        if self.device != "cspad":
            # only of a CSPAD are the tiles near the beam searched alone
            self.distl.options = self.distl.options.model_copy(update={"n_tiles": None})

    def _choose_device(self, address: str | None) -> str:
        if address is None:
            raise OptionError(f"{self.settings.label}: address is wanted, such as CxiDs1-0|Cspad-0")
        device = find_device(address)
        if device not in DEVICES:
            raise OptionError(f"{self.settings.label}: address = {address}: mod_hitfind knows Cspad, Rayonix and "
                              "marccd")
        return device

    def _read_target(self, name: str | None, run: ChainRun) -> dict[str, str]:
        """Definitions of the PHIL file."""
        if name is None:
            return {}
        path = find_phil_file(name)
        if path is None:
            raise OptionError(f"{self.settings.label}: xtal_target = {name}: there is no such file, nor with "
                              ".params or .phil added")
        return read_definitions(path)

    def _make_distl(self, run: ChainRun) -> DistlOptions:
        """Spotfinder's settings: cctbx.xfel's, and over these the file's."""
        given = {}
        for path, value in self.targets.items():
            scope, _, name = path.partition(".")
            if scope != "distl" or value == "None":
                continue
            if name in UNUSED:
                run.report.notes.append(f"{path} is not used: tiles follow from the geometry of the shots")
            else:
                given[name] = value.replace(" ", ",") if name == "scanbox_windows" else value
        try:
            return make_options(DistlOptions, CXI_SETTINGS, given)
        except OptionError as error:
            raise OptionError(f"{self.settings.label}: {self.keys.xtal_target}: distl: {error}") from None

    def event(self, event: ChainEvent) -> bool:
        """Tell whether a shot is a hit, and do with it what ``dispatch`` says."""
        shot = self.prepare(event)
        if shot is None:
            return False
        self.result.n_shots += 1
        is_hit, text = self._judge(shot)
        self.result.n_hits += is_hit
        stamp = shot.timestamp or f"shot {shot.index}"
        if text is not None:
            event.messages += [text.format(number=shot.index, stamp=stamp)]
        if is_hit == self.keys.negate_hits:
            return False
        if self.keys.dispatch == "write_dict":
            self._write_image(shot)
        return self._index(event, shot) if self.keys.dispatch == "index" else True

    def _judge(self, shot: Shot) -> tuple[bool, str | None]:
        """Whether a shot is a hit, and the line for the log."""
        keys = self.keys
        if keys.threshold is None:
            return True, None
        if keys.distl_min_peaks is not None:
            n = self.count_peaks(shot)
            is_hit = n >= keys.distl_min_peaks
            word = "YES" if is_hit else "NO "
            seconds = "" if shot.time is None else f"\nBRAGG {shot.time / 1e9:.3f} {n}"
            return is_hit, (f"Subprocess 00: Spotfinder {word} HIT image #{{number:05d}} @ {{stamp}}; {n} spots > "
                            f"{keys.threshold}{seconds}")
        highest = self._find_highest(shot)
        is_hit = highest >= keys.threshold
        word = "YES" if is_hit else "NO "
        return is_hit, f"Subprocess 00: {word} HIT image #{{number:05d}} @ {{stamp}}; highest pixel {highest:g}"

    def count_peaks(self, shot: Shot) -> int:
        """Spots that are high enough.

        Parameters
        ----------
        shot : Shot

        Returns
        -------
        int
        """
        spots, image, _, tiles = self.distl.find(shot)
        p90 = float(compute_p90(image, tiles)) if self.is_restrictive else 0.0
        return count_high_spots(spots, self.keys.threshold, restrictive=self.is_restrictive, p90=p90)

    def _find_highest(self, shot: Shot) -> float:
        """The highest pixel of the region, or of the whole image."""
        if self.region is None:
            panels = shot.image if shot.valid is None else [np.where(v, p, -np.inf)
                                                            for p, v in zip(shot.image, shot.valid, strict=True)]
            return float(max(panel.max() for panel in panels))
        if len(shot.image) == 1:
            image = shot.image[0] if shot.valid is None else np.where(shot.valid[0], shot.image[0], -np.inf)
        else:
            image = self.distl.plan(shot)[0].assemble(shot.image, shot.valid)
        part = image[self.region.slow, self.region.fast]
        return float(part.max()) if part.size else -np.inf

    def _write_image(self, shot: Shot) -> None:
        """dispatch = write_dict: the image as mod_dump writes it."""
        from xdp.serial.chain.dump import name_image, write_image

        write_image(name_image(self.keys.out_dirname, self.keys.out_basename or "", shot, "h5"), shot, "h5",
                    self.keys.address or "")

    def _index(self, event: ChainEvent, shot: Shot) -> bool:
        """dispatch = index: False where it fails."""
        path = index_shot(shot, self.keys.integration_dirname, self.keys.integration_basename, self.targets,
                          self.run.report)
        if path is None:
            event.messages.append(f"image #{shot.index:05d} could not be indexed")
            return False
        self.result.n_indexed += 1
        event.messages.append(f"image #{shot.index:05d} indexed: {path}")
        return True

    def end(self) -> HitfindResult:
        """The counts."""
        return self.result


class IndexModule(HitfindModule):
    """mod_hitfind with ``dispatch = index``, under a name of its own."""

    def __init__(self, settings: ModuleSettings) -> None:
        super().__init__(ModuleSettings(settings.name, settings.instance, {"dispatch": "index", **settings.keys}))
