"""What ``xdp xtc_process`` does beyond ``xdp stills_process``: limits, dumps, rings, spots indexed again."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xdp.errors import XdpError
from xdp.images.masks.static import combine_masks, read_mask
from xdp.serial.chain.dump import write_image
from xdp.serial.events.shot import Shot
from xdp.serial.events.times import format_time_digits

if TYPE_CHECKING:
    from xdp.experiment import Experiment
    from xdp.images.masks.options import MaskOptions
    from xdp.reflections.table import ReflectionTable

RING_WIDTH = 0.1
"""Width of a ring whose mean is recorded, degrees of scattering angle: some pixels at usual distances. A choice."""


@dataclass(frozen=True)
class ShotExtras:
    """What is done with each shot besides.

    Attributes
    ----------
    spot_limits, integration_limits : (float or None, float or None)
        Lowest and highest good count while spots are sought, and in integration; None: the detector's.
    mask : str or None
        A mask file besides those of the images.
    border_mask : MaskOptions or None
        What else is masked by its place.
    dumps : frozenset of str
        Images that are written: ``shot`` (all), ``hit``, ``idx``.
    dump_form : str
        cbf or pickle.
    folder : str
        Of these images.
    address : str
        Of the detector, for image dictionaries.
    reindexed_name : str or None
        Name of the file of all spots, indexed again with the refined models; None: they are not.
    timestamps : frozenset of str
        Only shots with these times; empty: all.
    rings : tuple of float
        Scattering angles, degrees, at which the mean counts are recorded.
    by_time : bool
        Whether shots go by their time in names of files.
    time_identifiers : bool
        Whether crystals have the time of their shot as identifier.
    """

    spot_limits: tuple[float | None, float | None] = (None, None)
    integration_limits: tuple[float | None, float | None] = (None, None)
    mask: str | None = None
    border_mask: MaskOptions | None = None
    dumps: frozenset[str] = frozenset()
    dump_form: str = "cbf"
    folder: str = "."
    address: str = ""
    reindexed_name: str | None = None
    timestamps: frozenset[str] = frozenset()
    rings: tuple[float, ...] = ()
    by_time: bool = False
    time_identifiers: bool = False

    def name_shot(self, shot: Shot, tag: str) -> str:
        """Name a shot in files: by the 17 digits of its time where that is wanted and known, else by its tag.

        Parameters
        ----------
        shot : Shot
        tag : str

        Returns
        -------
        str
        """
        return format_time_digits(shot.time) if self.by_time and shot.time is not None else tag

    def is_wanted(self, shot: Shot) -> bool:
        """Whether the time of a shot is one of those that are asked for.

        Parameters
        ----------
        shot : Shot
        """
        return not self.timestamps or shot.timestamp in self.timestamps

    def dump(self, kind: str, shot: Shot, name: str) -> None:
        """Write the image of a shot, if such images are wanted.

        Parameters
        ----------
        kind : str
            shot, hit or idx.
        shot : Shot
            Corrected.
        name : str
            Of the shot.

        Raises
        ------
        XdpError
            If it cannot be written.
        """
        if kind in self.dumps and shot.image:
            path = os.path.join(self.folder, f"{kind}-{name}.{self.dump_form}")
            write_image(path, shot, self.dump_form, self.address)

    def mask_shot(self, shot: Shot) -> Shot:
        """Mask a shot by the mask file and by the place of its pixels.

        Parameters
        ----------
        shot : Shot

        Returns
        -------
        Shot
        """
        models = shot.experiment
        if (self.mask is None and self.border_mask is None) or models is None or models.detector is None:
            return shot
        from xdp.images.masks.generate_mask import generate_mask

        drawn = None if self.border_mask is None or models.beam is None else generate_mask(
            models.detector, models.beam, self.border_mask)
        given = None if self.mask is None else read_mask(self.mask, models.detector.panel_shapes)
        return dataclasses.replace(shot, valid=combine_masks(shot.valid, given, drawn))

    def measure_rings(self, shot: Shot) -> dict[str, float]:
        """Measure the mean counts of the rings.

        Parameters
        ----------
        shot : Shot

        Returns
        -------
        dict of str to float
            ``two_theta_low`` and ``two_theta_high``, NaN where no pixel lies on a ring.
        """
        models, found = shot.experiment, {}
        if not self.rings or models is None or models.detector is None or models.beam is None:
            return {}
        from xdp.spotfinding.threshold.radial_profile import compute_two_theta_map

        angles = [np.degrees(compute_two_theta_map(models.detector, models.beam, i))
                  for i in range(len(models.detector))]
        for name, ring in zip(("two_theta_low", "two_theta_high"), self.rings, strict=True):
            total, n = 0.0, 0
            for i, (image, angle) in enumerate(zip(shot.image, angles, strict=True)):
                use = np.abs(angle - ring) <= 0.5 * RING_WIDTH
                if shot.valid is not None:
                    use &= shot.valid[i]
                total, n = total + float(image[use].sum()), n + int(use.sum())
            found[name] = total / n if n else float("nan")
        return found


def reindex_spots(experiments: list[Experiment], spots: ReflectionTable) -> ReflectionTable:
    """Index all spots of a shot with its models, each by the lattice whose point is nearest.

    Parameters
    ----------
    experiments : list of Experiment
        Its lattices.
    spots : ReflectionTable
        All of them, also those that were no part of a lattice.

    Returns
    -------
    ReflectionTable
        With ``id`` and ``miller_index``; spots that are further than 0.3 of an index from each lattice point are left
        out.

    Raises
    ------
    XdpError
        If there is no lattice.
    """
    from xdp.experiment import ExperimentList
    from xdp.indexing.spots import load_spots

    if not experiments:
        raise XdpError("there is no lattice to index spots with")
    zero = np.zeros(len(spots), np.int32)
    bare = dataclasses.replace(experiments[0], crystal=None)
    mapped = load_spots(ExperimentList([bare]), spots.with_columns(id=zero, imageset_id=zero))
    best = np.full(len(mapped.points), 0.3)
    ids, index = np.full(len(best), -1, np.int32), np.zeros((len(best), 3), np.int32)
    for number, experiment in enumerate(experiments):
        hkl = mapped.points @ experiment.known.crystal.real_space_matrix.T
        whole = np.rint(hkl)
        # the largest component decides, as index_assignment.simple.hkl_tolerance has it
        off = np.abs(hkl - whole).max(axis=1)
        own = (off < best) & whole.any(axis=1)
        best[own], ids[own], index[own] = off[own], number, whole[own].astype(np.int32)
    return mapped.table.with_columns(id=ids, miller_index=index).select(ids >= 0)
