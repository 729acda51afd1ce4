"""What is searched together: the frames of one scan range of a sweep, or a run of stills with the same models.

Frames of one search are labelled as one stack and share their masks and thresholds. Inside a search a frame goes by its
position (0, 1, ...), which tells where it is read (which member experiment's images, which frame of these), its z
coordinate in the table, and, for stills, its experiment.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from xdp.errors import OptionError, XdpError
from xdp.experiment import Experiment
from xdp.experiment.imageset import SEQUENCE
from xdp.images.image_ranges import ImageRange


@dataclass(frozen=True)
class Search:
    """Frames that are searched as one stack.

    Attributes
    ----------
    number : int
        The number of its (first) image set, from 0.
    members : tuple of Experiment
        Whose images are read; their detector, beam and masks are the same.
    member_of, frame_of, z_of : (n,) int32
        For each position: the index into `members`, the frame of that member's images, the z coordinate.
    id_of : (n,) int32 or None
        Experiment of each position; None where the centroid decides, by `owners`.
    owners : tuple of (int, int, int)
        Experiment id and its range of z, in the order of the experiment list.
    is_flat : bool
        Spots are found in two dimensions, frame by frame.
    """

    number: int
    members: tuple[Experiment, ...]
    member_of: np.ndarray
    frame_of: np.ndarray
    z_of: np.ndarray
    id_of: np.ndarray | None
    owners: tuple[tuple[int, int, int], ...] = field(default=())
    is_flat: bool = False

    @property
    def n_frames(self) -> int:
        """How many frames are searched."""
        return len(self.z_of)

    @property
    def model(self) -> Experiment:
        """The experiment whose detector, beam and masks hold for all frames."""
        return self.members[0]

    @property
    def label_frames(self) -> np.ndarray:
        """Frame number of each position in lists of strong pixels: z of a sweep, for stills the position itself."""
        return self.z_of if self.id_of is None else np.arange(self.n_frames, dtype=np.int32)

    @property
    def sampled(self) -> frozenset[int]:
        """Positions of the frames that stand for all where only a few are looked at: first, middle, last."""
        return frozenset((0, self.n_frames // 2, self.n_frames - 1)) if self.n_frames else frozenset()

    def find_ids(self, position: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Experiment of each spot, int32, by the position of its first frame, or by its centroid's z coordinate.

        Of several experiments on the same frames the last one gets the spots, as in DIALS.
        """
        if self.id_of is not None:
            return self.id_of[position]
        ids = np.full(len(z), -1, np.int32)
        for number, first, last in self.owners:
            ids[(z > first) & (z < last)] = number
        if np.any(ids < 0):
            raise XdpError(f"image set {self.number}: {np.count_nonzero(ids < 0)} spots belong to no experiment's scan")
        return ids


def plan_searches(experiments: Sequence[Experiment], scan_ranges: Sequence[tuple[int, int]] = (),
                  force_2d: bool = False, excluded: Sequence[ImageRange] = ()) -> list[Search]:
    """Cut experiments into searches.

    Parameters
    ----------
    experiments : sequence of Experiment
        Experiments that share an image set are searched once.
    scan_ranges : sequence of (int, int)
        First and last image, both included: image numbers of a sweep; of stills, their number in the run of stills
        with the same models, from 1. Empty: all.
    force_2d : bool
        Label sweeps frame by frame, too.
    excluded : sequence of ImageRange
        Images that are left out. A sweep is cut there into several searches.

    Raises
    ------
    OptionError
        If a scan range is reversed or not within the images, or excluded images are not there, or none is left.
    """
    searches: list[Search] = []
    left_out = _find_excluded(experiments, excluded)
    for is_sweep, group in itertools.groupby(_group_by_imageset(experiments), key=_group_key(experiments)):
        sets = list(group)
        if is_sweep[0]:
            number, ids = sets[0]
            searches += _sweep_searches(experiments, number, ids, scan_ranges, force_2d, left_out)
        else:
            searches += _still_searches(experiments, sets, scan_ranges, left_out)
    if not searches and excluded:
        raise OptionError("exclude_images leaves no image")
    return searches


def _find_excluded(experiments: Sequence[Experiment], excluded: Sequence[ImageRange]) -> dict[int, set[int]]:
    """Of each image set (by its identity) the images that are left out: z of a sweep, indices of stills."""
    left_out: dict[int, set[int]] = {}
    sets = {id(e.imageset): e for e in experiments}
    for number, first, last in excluded:
        word = f"exclude_images={'' if number is None else f'{number}:'}{first}:{last}"
        if number is not None and number >= len(experiments):
            raise OptionError(f"{word}: experiments have the numbers 0 to {len(experiments) - 1} here")
        if number is None and len(sets) > 1 and any(map(_is_sweep, sets.values())):
            raise OptionError(f"{word}: there are {len(sets)} image sets; say which experiment's images, as "
                              f"0:{first}:{last}")
        # of stills without an experiment's number all are counted on, from one image set to the next
        users = list(sets.values()) if number is None else [experiments[number]]
        images = [(id(user.imageset), place) for user in users for place in _list_images(user)]
        begin = images[0][1] if images else 0
        low, high = first - 1 - begin, last - begin
        if low < 0 or high > len(images):
            raise OptionError(f"{word}: the images are {begin + 1} to {begin + len(images)}")
        for imageset, place in images[low:high]:
            left_out.setdefault(imageset, set()).add(place)
    return left_out


def _is_sweep(experiment: Experiment) -> bool:
    return experiment.scan is not None and experiment.known.imageset.kind == SEQUENCE


def _list_images(experiment: Experiment) -> range:
    """The z of the images of a sweep, or the indices of stills."""
    if _is_sweep(experiment):
        return range(*experiment.known.scan.array_range)
    return range(len(experiment.known.imageset.images or ()))


def _group_by_imageset(experiments: Sequence[Experiment]) -> list[tuple[int, list[int]]]:
    """The numbers of image sets, each with the ids of its experiments."""
    users: dict[int, list[int]] = {}
    for i, experiment in enumerate(experiments):
        if experiment.imageset is None or experiment.detector is None or experiment.beam is None:
            raise XdpError(f"experiment {i} has no images, no detector or no beam: import the images first")
        users.setdefault(id(experiment.imageset), []).append(i)
    return list(enumerate(users.values()))


def _group_key(experiments: Sequence[Experiment]):
    """Tells runs of image sets apart: each sweep stands alone, stills of the same models go together."""
    def key(item: tuple[int, list[int]]) -> tuple:
        number, ids = item
        e = experiments[ids[0]]
        images = e.known.imageset
        if _is_sweep(e):
            return True, number
        # models by identity: an .expt file says which experiments share one
        return False, id(e.detector), id(e.beam), images.mask, images.gain, images.pedestal
    return key


def _sweep_searches(experiments: Sequence[Experiment], number: int, ids: list[int],
                    scan_ranges: Sequence[tuple[int, int]], force_2d: bool,
                    left_out: Mapping[int, set[int]]) -> list[Search]:
    """The searches of one sweep: one a scan range, or more where images within it are left out."""
    owners = tuple((i, *experiments[i].known.scan.array_range) for i in ids)
    # several crystals on the same frames: these are read once, by the first experiment that has them
    members = {(z0, z1): experiments[i] for i, z0, z1 in reversed(owners)}
    first, last = min(z0 for _, z0, _ in owners), max(z1 for *_, z1 in owners)
    searches = []
    away = left_out.get(id(experiments[ids[0]].imageset), set())
    for z in _list_stretches(_check_ranges(scan_ranges, first, last), away):
        member, frame = np.full(len(z), -1, np.int32), np.zeros(len(z), np.int32)
        for k, (z0, z1) in enumerate(members):
            inside = (z >= z0) & (z < z1) & (member < 0)
            member[inside], frame[inside] = k, z[inside] - z0
        if np.any(member < 0):
            raise XdpError(f"image {z[member < 0][0] + 1} of image set {number} belongs to no experiment's scan")
        # a sequence of stills has a scan without width: its images do not touch
        is_flat = force_2d or all(e.known.scan.is_still for e in members.values())
        searches.append(Search(number, tuple(members.values()), member, frame, z, None, owners, is_flat))
    return searches


def _still_searches(experiments: Sequence[Experiment], sets: list[tuple[int, list[int]]],
                    scan_ranges: Sequence[tuple[int, int]], left_out: Mapping[int, set[int]]) -> list[Search]:
    """The searches of a run of stills: one a scan range, without the images that are left out."""
    members = tuple(experiments[ids[0]] for _, ids in sets)
    sizes = [len(e.known.imageset.images or ()) for e in members]
    member = np.repeat(np.arange(len(sets), dtype=np.int32), sizes)
    frame = np.concatenate([np.arange(n, dtype=np.int32) for n in sizes])
    z = np.concatenate([np.array(e.known.imageset.single_file_indices or range(n), np.int32)
                        for e, n in zip(members, sizes, strict=True)])
    # as in DIALS the image set's number serves as the experiment's
    ids = np.repeat(np.array([number for number, _ in sets], np.int32), sizes)
    stays = np.array([k not in left_out.get(id(e.imageset), ()) for e, n in zip(members, sizes, strict=True)
                      for k in range(n)], bool)
    searches = []
    for low, high in _check_ranges(scan_ranges, 0, len(z)):
        kept = np.flatnonzero(stays[low - 1:high]) + low - 1
        searches.append(Search(sets[0][0], members, member[kept], frame[kept], z[kept], ids[kept], is_flat=True))
    return [search for search in searches if search.n_frames]


def _list_stretches(ranges: Sequence[tuple[int, int]], away: set[int]) -> list[np.ndarray]:
    """The z of the frames of each range (images, both included), parted where some are away."""
    stretches = []
    for low, high in ranges:
        z = np.array([z for z in range(low - 1, high) if z not in away], np.int32)
        stretches += np.split(z, np.flatnonzero(np.diff(z) > 1) + 1)
    return [z for z in stretches if len(z)]


def _check_ranges(scan_ranges: Sequence[tuple[int, int]], first: int, last: int) -> list[tuple[int, int]]:
    """The scan ranges, or all images first + 1 to last where none is given."""
    # all of them before any: no search is begun that the next range stops
    for low, high in scan_ranges:
        if high < low:
            raise OptionError(f"scan_range must be in ascending order, got {low},{high}")
        if low <= first or high > last:
            raise OptionError(f"scan_range must be within the images {first + 1} to {last}, got {low},{high}")
    return list(scan_ranges) or [(first + 1, last)]
