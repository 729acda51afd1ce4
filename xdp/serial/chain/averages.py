"""The modules mod_average and mod_radial_average."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from xdp.errors import OptionError, XdpError
from xdp.files import atomic_output
from xdp.serial.calibration.average import ShotSums
from xdp.serial.calibration.filters import ImageFilters
from xdp.serial.calibration.maps import fit_map, read_map
from xdp.serial.calibration.options import AverageOptions
from xdp.serial.chain.configuration import ModuleSettings
from xdp.serial.chain.keys import AverageKeys, RadialAverageKeys
from xdp.serial.chain.modules import ChainEvent, ChainModule, ChainRun
from xdp.serial.events.shot import ShotError
from xdp.serial.events.times import format_time, format_time_digits
from xdp.serial.hits.measures import require_models
from xdp.serial.hits.rings import RingMaps

QUANTITIES = {"mean": ("mean_out", "avg"), "stddev": ("std_out", "stddev"), "maximum": ("max_out", "max")}
"""What is written, with the key that names its file and the beginning of the keys of the older form."""


@dataclass
class AverageResult:
    """Sums of the shots that reached mod_average.

    Attributes
    ----------
    keys : AverageKeys
    sums : ShotSums or None
        None before the first shot.
    total_time, n_times : int
        Sum of the times, and how many are known.
    n_skipped : int
        Shots left out by the filters.
    """

    keys: AverageKeys
    sums: ShotSums | None = None
    total_time: int = 0
    n_times: int = 0
    n_skipped: int = 0

    def join(self, other: AverageResult) -> None:
        """Add the sums of another batch; shots of another shape are left out."""
        self.n_skipped += other.n_skipped
        if other.sums is None:
            return
        self.total_time, self.n_times = self.total_time + other.total_time, self.n_times + other.n_times
        if self.sums is None:
            self.sums = other.sums
        elif self.sums.shapes == other.sums.shapes:
            self.sums.join(other.sums)

    def write(self) -> str:
        """Write mean, deviation and maximum where the keys name files; say which."""
        import h5py

        if self.sums is None:
            return "no shots were averaged"
        sums, written = self.sums, []
        # n - 1, as mod_average has it; one shot has a deviation of 0
        values = {"mean": sums.mean, "stddev": np.sqrt(sums.squares / np.maximum(sums.n - 1, 1)),
                  "maximum": np.where(sums.n > 0, sums.highest, 0.0)}
        for name, flat in values.items():
            path = self._name(name)
            if path is None:
                continue
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
            ends = np.cumsum([slow * fast for slow, fast in sums.shapes])[:-1]
            panels = [part.reshape(shape) for part, shape in zip(np.split(flat, ends), sums.shapes, strict=True)]
            with atomic_output(path) as part, h5py.File(part, "w", locking=False) as file:
                if len(set(sums.shapes)) == 1:
                    file.create_dataset("data", data=np.stack(panels))
                else:
                    for number, panel in enumerate(panels):
                        file.create_dataset(f"data/{number}", data=panel)
                file.attrs["quantity"], file.attrs["n_shots"] = name, int(sums.n.max())
                file.attrs["divisor"] = "n-1"
                if self.n_times:
                    file.attrs["time"] = format_time(self.total_time // self.n_times)
            written.append(path)
        return f"averaged {int(sums.n.max())} shots: {', '.join(written) or 'no file is named'}"

    def _name(self, quantity: str) -> str | None:
        """The file of a quantity; the older form has 17 digits of the mean time."""
        path, old = QUANTITIES[quantity]
        named = getattr(self.keys, path)
        if named is not None:
            return named if os.path.splitext(named)[1] else f"{named}.h5"
        folder, base = getattr(self.keys, f"{old}_dirname"), getattr(self.keys, f"{old}_basename")
        if folder is None and base is None:
            return None
        digits = format_time_digits(self.total_time // self.n_times) if self.n_times else "0" * 17
        return os.path.join(folder or "", f"{base or ''}{digits}.h5")

    def text(self) -> str:
        """Write the files, and say which."""
        return self.write()


class AverageModule(ChainModule):
    """Mean, standard deviation (divisor n - 1) and maximum of the shots that reach it."""

    keys_model: ClassVar = AverageKeys

    def begin(self, run: ChainRun) -> None:
        """Read the keys and the background."""
        super().begin(run)
        self.result = AverageResult(self.keys)
        self.background = None if self.keys.background_path is None else read_map(self.keys.background_path)
        names = ("flags", "hot_threshold", "gain_threshold", "noise_threshold", "elastic_threshold",
                 "symnoise_threshold", "photon_threshold", "two_photon_threshold")
        self.options = AverageOptions(**{name: getattr(self.keys, name) for name in names})
        self.filters: ImageFilters | None = None

    def event(self, event: ChainEvent) -> bool:
        """Add the shot; every shot goes on."""
        shot = self.prepare(event)
        if shot is None:
            return False
        image: Any = shot.image
        shapes = [panel.shape for panel in image]
        if self.background is not None:
            fitted = fit_map(self.background, shapes, str(self.keys.background_path))
            image = [panel.astype(np.float64) - other for panel, other in zip(image, fitted, strict=True)]
        if self.filters is None:
            maps = self.calibration.get_maps(shapes)
            self.filters = ImageFilters(self.options, maps["dark"], maps["gain"])
        image = self.filters.apply(image)
        if image is None:
            self.result.n_skipped += 1
            return False
        if self.result.sums is None:
            self.result.sums = ShotSums.make_empty([(int(slow), int(fast)) for slow, fast in shapes])
        elif list(self.result.sums.shapes) != shapes:
            raise ShotError("wrong shape", f"{shot.id}: its panels are not those of the shots before")
        self.result.sums.add(image, shot.valid)
        if shot.time is not None:
            self.result.total_time, self.result.n_times = self.result.total_time + shot.time, self.result.n_times + 1
        return True

    def end(self) -> AverageResult:
        """The sums."""
        return self.result


@dataclass
class RadialResult:
    """Radial averages of the shots that reached mod_radial_average.

    Attributes
    ----------
    path : str
        The file that is written.
    rows : list
        Number of the shot, time, its mean in each ring, and the values at the two angles.
    radius : (rings,) array or None
        Mean 2theta of each ring, degrees.
    """

    path: str
    rows: list[tuple[int, int, np.ndarray, tuple[float, float]]] = field(default_factory=list)
    radius: np.ndarray | None = None

    def join(self, other: RadialResult) -> None:
        """Add those of another batch."""
        self.radius = other.radius if self.radius is None else self.radius
        self.rows += other.rows

    def text(self) -> str:
        """Write the averages; say where."""
        import h5py

        rows = [row for row in self.rows if self.radius is not None and len(row[2]) == len(self.radius)]
        if not rows or self.radius is None:
            return "no radial averages"
        with atomic_output(self.path) as part, h5py.File(part, "w", locking=False) as file:
            file["two_theta"], file["mean"] = self.radius, np.stack([row[2] for row in rows])
            file["index"], file["time"] = [row[0] for row in rows], [row[1] for row in rows]
            file["low_high"] = np.array([row[3] for row in rows])
            file["two_theta"].attrs["units"] = "degree"
        return f"{len(rows)} radial averages in {self.path}"


class RadialAverageModule(ChainModule):
    """Mean count of each ring about the beam, for each shot."""

    keys_model: ClassVar = RadialAverageKeys
    needs_distance: ClassVar = True

    def __init__(self, settings: ModuleSettings) -> None:
        super().__init__(settings)
        self.maps = RingMaps()

    def begin(self, run: ChainRun) -> None:
        """Read the keys; make the folder."""
        super().begin(run)
        if (self.keys.two_theta_low is None) != (self.keys.two_theta_high is None):
            raise OptionError(f"{self.settings.label}: two_theta_low and two_theta_high are given both or not at all")
        if self.keys.out_dirname is not None:
            os.makedirs(self.keys.out_dirname, exist_ok=True)
        name = f"{self.keys.out_basename}{self.settings.instance}.h5"
        self.result = RadialResult(os.path.join(self.keys.out_dirname or "", name))

    def event(self, event: ChainEvent) -> bool:
        """Average the shot over its rings; every shot goes on."""
        shot = self.prepare(event)
        if shot is None:
            return False
        detector, beam = require_models(shot)
        rings = self.maps.find(detector, beam, shot.valid)
        n = len(rings.radius)
        total, count = np.zeros(n), np.zeros(n)
        for panel, ring in zip(shot.image, rings.rings, strict=True):
            used = ring >= 0
            total += np.bincount(ring[used], panel[used], n)
            count += np.bincount(ring[used], minlength=n)
        if not count.any():
            raise XdpError(f"{shot.id}: no pixel may be used")
        mean = total / np.maximum(count, 1)
        panel_one = detector[0]
        angle = np.degrees(np.arctan(rings.radius * panel_one.pixel_size[0] / panel_one.distance))
        self.result.radius = angle if self.result.radius is None else self.result.radius
        ends = (self.keys.two_theta_low, self.keys.two_theta_high)
        low, high = (float("nan") if end is None else float(mean[np.abs(angle - end).argmin()]) for end in ends)
        self.result.rows.append((shot.index, -1 if shot.time is None else shot.time, mean, (low, high)))
        return True

    def end(self) -> RadialResult:
        """The averages."""
        return self.result
