"""What an interrupted run of hit finding leaves, so that the next one goes on behind its last part of the table.

With each part of the table the counts, the powder patterns and the thresholds so far are written to one file in the
work folder. Its name has the key of all that they depend on: other shots, parameters or darks begin anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from xdp.serial.events import Events
from xdp.serial.hits.options import FindHitsOptions
from xdp.serial.hits.own_misses import RunThresholds
from xdp.serial.hits.powder import PowderSums
from xdp.work.keys import make_key, stamp_file
from xdp.work.store import Arrays, ResultStore


class HitState(NamedTuple):
    """How far a run is.

    Attributes
    ----------
    n_parts : int
        Parts of the table that are written.
    counts : dict of str to int
        Shots, hits and failed ones; under ``reasons`` how many failed for which reason.
    rates : (rows, 5) int64
        For the table of hit rates.
    powder : (PowderSums, PowderSums)
        Of the hits and of the misses.
    thresholds : RunThresholds or None
        Where they follow from the run.
    """

    n_parts: int
    counts: dict[str, Any]
    rates: np.ndarray
    powder: tuple[PowderSums, PowderSums]
    thresholds: RunThresholds | None


def make_run_key(events: Events, options: FindHitsOptions) -> str:
    """Make the key of all that a run's results depend on.

    Parameters
    ----------
    events : Events
    options : FindHitsOptions

    Returns
    -------
    str
    """
    calibration = options.calibration
    files = [options.events.geometry, calibration.dark_path, calibration.dark_stddev, calibration.gain_map_path,
             calibration.mask_path, calibration.pedestal_path, calibration.gains_path]
    shots = [[source.n_shots, *(stamp_file(source.get_id(k).split(" //")[0]) for k in (0, source.n_shots - 1))]
             for source in events.sources if source.n_shots]
    return make_key("find_hits", shots, events.skip, len(events), options.hits, options.events, options.checks,
                    calibration, options.mp.chunksize, options.output.powder is not None,
                    [stamp_file(file) for file in files if file is not None])


class HitStates:
    """The states of a run in its work folder.

    Parameters
    ----------
    folder : Path
    key : str
        As :func:`make_run_key` gives it.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.store, self.name = ResultStore(folder, keeps=False), f"hits-{key}"

    def save(self, state: HitState) -> None:
        """Write a state in the place of the one before."""
        arrays: Arrays = {"n_parts": np.array(state.n_parts), "rates": state.rates,
                          "counts": np.frombuffer(json.dumps(state.counts).encode(), np.uint8)}
        for kind, sums in enumerate(state.powder):
            arrays[f"n_{kind}"] = np.array(sums.n)
            for number, (total, highest) in enumerate(zip(sums.total or (), sums.highest or (), strict=True)):
                arrays[f"total_{kind}_{number:04d}"], arrays[f"highest_{kind}_{number:04d}"] = total, highest
        if state.thresholds is not None:
            level = np.asarray(state.thresholds.level, float)
            arrays |= {"level": level, "thresholds": np.array(
                [float(value) for name, value in state.thresholds._asdict().items() if name != "level"])}
        self.store.save(self.name, arrays)

    def load(self) -> HitState | None:
        """Read the state that an interrupted run left; None where there is none, or it is damaged."""
        arrays = self.store.load(self.name)
        if arrays is None:
            return None
        powder = PowderSums(), PowderSums()
        for kind, sums in enumerate(powder):
            sums.n = int(arrays[f"n_{kind}"])
            if sums.n:
                sums.total = [arrays[name].copy() for name in sorted(arrays) if name.startswith(f"total_{kind}_")]
                sums.highest = [arrays[name].copy() for name in sorted(arrays) if name.startswith(f"highest_{kind}_")]
        thresholds = None
        if "thresholds" in arrays:
            sigma, allowance, min_peaks, gain, n_sample, n_misses = arrays["thresholds"].tolist()
            thresholds = RunThresholds(sigma, allowance, arrays["level"], int(min_peaks), gain, int(n_sample),
                                       int(n_misses))
        return HitState(int(arrays["n_parts"]), json.loads(arrays["counts"].tobytes()), arrays["rates"].copy(), powder,
                        thresholds)
