"""Any image stack as a zarr 3 store with its experiments.

A task writes whole shards and no shard is written by two, which is checked before any is written. The store grows in
the work folder, under a name with the key of the conversion, and is renamed when it is whole; an interrupted
conversion, started again, keeps the shards that are there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

import xdp
from xdp.errors import FormatError, OptionError, XdpError
from xdp.experiment import Experiment, ExperimentList
from xdp.experiment.io import experiments_to_dict
from xdp.files import disk_errors
from xdp.images.input_files import protect_images
from xdp.images.masks.static import read_static_mask
from xdp.images.padding import compute_padded_shape, pad_masks
from xdp.images.reader import Reader, open_reader
from xdp.images.zarr.options import ConvertOptions
from xdp.images.zarr.shards import Compressor, build_array_metadata, build_shard_name, write_shard
from xdp.images.zarr.store import ATTRIBUTE, STORE_VERSION, count_frames
from xdp.work.folder import open_work_folder
from xdp.work.keys import make_key, stamp_file
from xdp.work.progress import Progress, no_progress
from xdp.work.tasks import run_tasks

if TYPE_CHECKING:
    from distributed import Client

# A shard is written by one task and is one file: large enough that a stack of 10,000 frames has some hundred files,
# small enough that all workers have some to write and an interrupted run loses little. Both values are a choice.
SHARD_BYTES = 256 << 20
MAX_SHARD_FRAMES = 100

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FrameSequence:
    """The frames of several experiments, one after the other.

    Attributes
    ----------
    readers : tuple of Reader
        One an experiment.
    shapes : tuple
        Pixels (slow, fast) of each panel.
    dtype : dtype
        Of the pixels.
    """

    readers: tuple[Reader, ...]
    shapes: tuple[tuple[int, int], ...]
    dtype: np.dtype

    @property
    def n_frames(self) -> int:
        """All frames."""
        return sum(reader.n_frames for reader in self.readers)

    def iterate(self, start: int, stop: int) -> Iterator[np.ndarray]:
        """Read frames one by one, when they are asked for.

        Parameters
        ----------
        start, stop : int
            First frame, from 0, and the one behind the last.

        Yields
        ------
        (panel, slow, fast) array
        """
        first = 0
        for reader in self.readers:
            for i in range(max(start - first, 0), min(stop - first, reader.n_frames)):
                yield self._pad(reader.read(i))
            first += reader.n_frames

    def _pad(self, panels: Sequence[np.ndarray]) -> np.ndarray:
        """The panels as one array; smaller ones are padded with zeros, which the store's mask leaves out."""
        if len(panels) == 1:
            return panels[0][np.newaxis].astype(self.dtype, copy=False)
        frame = np.zeros(compute_padded_shape(list(self.shapes)), self.dtype)
        for i, panel in enumerate(panels):
            frame[i, :panel.shape[0], :panel.shape[1]] = panel
        return frame


def convert(
    experiments: Sequence[Experiment],
    path: str | os.PathLike,
    options: ConvertOptions | None = None,
    client: Client | None = None,
    progress: Progress = no_progress,
) -> None:
    """Write the images of experiments into a zarr store.

    Parameters
    ----------
    experiments : sequence of Experiment
        One sequence, or stills of one detector.
    path : path
        Of the store; an older store of ours is replaced when the new one is whole.
    options : ConvertOptions
        Frames a shard, compression, threads.
    client : distributed.Client, optional
        Whose workers write the shards; by default ``options.nproc`` threads of this process.
    progress : Progress
        Shows how many frames are done, shard by shard.

    Raises
    ------
    OptionError
        If the experiments do not fit into one store.
    XdpError
        If an image cannot be read, or the store not be written, or the store is or holds one of the images.
    """
    options = options or ConvertOptions()
    target = Path(os.path.abspath(path))
    check_target(str(target))
    with protect_images(experiments), open_work_folder(target, is_folder=True) as folder:
        source = open_source(experiments)
        n_shard = choose_shard_length(source, options)
        codec = Compressor(options.compression.name, options.compression.level)
        valid = pad_masks(read_static_mask(experiments[0], source.readers[0]), source.shapes)
        store = _prepare_store(folder, source, n_shard, codec)
        shards = _Shards(os.path.join(store, "counts"), source, codec, n_shard)
        tasks = list_shard_tasks(source.n_frames, n_shard)
        check_tasks(tasks, source.n_frames, n_shard)
        _write_shards(shards, tasks, options.nproc, client, progress)
        with disk_errors(target):
            _write_valid(os.path.join(store, "valid"), valid)
            _finish_store(store, str(target), experiments)


def open_source(experiments: Sequence[Experiment]) -> FrameSequence:
    """Open the frames of experiments that go into one store.

    Parameters
    ----------
    experiments : sequence of Experiment
        One sequence, or stills of one detector.

    Returns
    -------
    FrameSequence

    Raises
    ------
    OptionError
        If there are none, several sequences, or detectors of different shapes.
    """
    if not experiments:
        raise OptionError("there are no experiments to convert")
    if len(experiments) > 1 and any(count_frames(experiment) > 1 for experiment in experiments):
        raise OptionError(f"one store holds one sequence or stills, these are {len(experiments)} experiments with "
                          "sequences among them: convert them one by one")
    if any(experiment.detector is None for experiment in experiments):
        raise OptionError("an experiment has no detector: import the images with their geometry first")
    readers = _open_readers(experiments)
    shapes = {tuple(experiment.known.detector.panel_shapes): reader.files[0]
              for experiment, reader in zip(experiments, readers, strict=True)}
    if len(shapes) > 1:
        raise OptionError(f"one store holds images of one shape, {' and '.join(list(shapes.values())[:2])} differ")
    # Several images without a scan would be frames that no experiment of the store owns.
    for experiment, reader in zip(experiments, readers, strict=True):
        if reader.n_frames != count_frames(experiment):
            raise OptionError(f"an experiment has {reader.n_frames} images without a scan: import them as stills")
    return FrameSequence(readers, next(iter(shapes)), readers[0].dtype)


def _open_readers(experiments: Sequence[Experiment]) -> tuple[Reader, ...]:
    """Open a reader for each experiment; stills of one file share the open file."""
    readers: list[Reader] = []
    opened: dict[tuple[str, ...], Reader] = {}
    for experiment in experiments:
        reader = open_reader(experiment)
        first = opened.setdefault(reader.files, reader)
        if first is not reader and len(reader.files) == 1:
            reader.share_file(first)
        readers.append(reader)
    return tuple(readers)


def choose_shard_length(source: FrameSequence, options: ConvertOptions) -> int:
    """Choose how many frames a shard has.

    Parameters
    ----------
    source : FrameSequence
        The frames.
    options : ConvertOptions
        May say how many.

    Returns
    -------
    int
        As asked, or what fits into 256 MiB, at most 100.
    """
    if isinstance(options.frames_per_shard, int):
        return options.frames_per_shard
    size = int(np.prod(compute_padded_shape(list(source.shapes)))) * source.dtype.itemsize
    return max(1, min(MAX_SHARD_FRAMES, SHARD_BYTES // size))


def list_shard_tasks(n_frames: int, n_shard: int) -> list[tuple[int, int, int]]:
    """List what is to be written, one task a shard.

    Parameters
    ----------
    n_frames : int
        Of the stack.
    n_shard : int
        Of a shard.

    Returns
    -------
    list of (int, int, int)
        Number of the shard, its first frame, and the one behind its last.

    Examples
    --------
    >>> list_shard_tasks(10, 4)
    [(0, 0, 4), (1, 4, 8), (2, 8, 10)]
    """
    return [(number, start, min(start + n_shard, n_frames))
            for number, start in enumerate(range(0, n_frames, n_shard))]


def check_tasks(tasks: Sequence[tuple[int, int, int]], n_frames: int, n_shard: int) -> None:
    """Make sure that each task is one whole shard, and all frames are there once.

    Parameters
    ----------
    tasks : sequence of (int, int, int)
        As :func:`list_shard_tasks` gives them.
    n_frames : int
        Of the stack.
    n_shard : int
        Of a shard.

    Raises
    ------
    ValueError
        If not: two tasks that write into one shard lose half of it.
    """
    for number, start, stop in tasks:
        if start != number * n_shard or stop != min(start + n_shard, n_frames):
            raise ValueError(f"frames {start} to {stop} are not the whole of shard {number} of {n_shard} frames")
    if [number for number, _, _ in tasks] != list(range(-(-n_frames // n_shard))):
        raise ValueError("two tasks must never write into one shard, and none may be left out")


class _Shards(NamedTuple):
    """What all tasks share: the folder of the array, the frames, and how shards are packed."""

    folder: str
    source: FrameSequence
    codec: Compressor
    n_frames: int


def _write_shard(shards: _Shards, number: int, start: int, stop: int) -> None:
    """The task: write the shard of the frames `start` to `stop` - 1."""
    check_tasks([(0, 0, stop - start)], stop - start, shards.n_frames)
    frames = shards.source.iterate(start, stop)
    write_shard(build_shard_name(shards.folder, number), frames, shards.codec, shards.n_frames)


def _write_shards(shards: _Shards, tasks: list[tuple[int, int, int]], n_threads: int, client: Client | None,
                  progress: Progress) -> None:
    """Write the shards that are not there yet, on the workers of a client or on threads."""
    todo = [task for task in tasks if not os.path.exists(build_shard_name(shards.folder, task[0]))]
    if len(todo) < len(tasks):
        logger.info("%d of %d shards are there from an interrupted run", len(tasks) - len(todo), len(tasks))
    written = run_tasks(_write_shard, shards, todo, client=client, n_threads=n_threads, fetch=False)
    try:
        with contextlib.closing(written), progress(sum(stop - start for _, start, stop in todo), "frames") as advance:
            for (_, start, stop), _ in zip(todo, written, strict=True):
                advance(stop - start)
    except BaseException:
        # Without any shard there is nothing to go on with, and the work folder goes if it is empty
        if not any(os.path.exists(build_shard_name(shards.folder, number)) for number, *_ in tasks):
            shutil.rmtree(os.path.dirname(shards.folder), ignore_errors=True)
        raise


def check_target(target: str) -> None:
    """Refuse to replace anything but an older store of ours.

    Parameters
    ----------
    target : str
        Where the store shall be.

    Raises
    ------
    XdpError
        If something else is there, or the folder is not.
    """
    if not os.path.isdir(os.path.dirname(target)):
        raise XdpError(f"{target}: its folder does not exist")
    if os.path.lexists(target) and not _is_ours(target):
        raise XdpError(f"{target}: is there and is no store of xdp convert; remove it or choose another name")


def _is_ours(path: str) -> bool:
    """Whether a folder is a store of xdp convert."""
    try:
        with open(os.path.join(path, "zarr.json"), encoding="utf-8") as stream:
            return ATTRIBUTE in json.load(stream).get("attributes", {})
    except (OSError, ValueError, AttributeError):
        return False


def _prepare_store(folder: Path, source: FrameSequence, n_shard: int, codec: Compressor) -> str:
    """Make the folder of the growing store; what an earlier run left is kept only if it was the same conversion."""
    name = f"store-{_make_store_key(source, n_shard, codec)}"
    store = os.path.join(folder, name)
    counts = os.path.join(store, "counts")
    try:
        for other in os.listdir(folder):
            if other.startswith("store-") and other != name:
                shutil.rmtree(os.path.join(folder, other), ignore_errors=True)
        os.makedirs(counts, exist_ok=True)
        shape = (source.n_frames, *compute_padded_shape(list(source.shapes)))
        _write_json(os.path.join(counts, "zarr.json"), build_array_metadata(shape, source.dtype, n_shard, codec))
    except OSError as error:
        raise XdpError(f"{store}: cannot be written: {error.strerror}") from error
    return store


def _make_store_key(source: FrameSequence, n_shard: int, codec: Compressor) -> str:
    """Make the key of all that the store depends on."""
    # A file that is gone is named before the key is made of times and sizes.
    files = dict.fromkeys(name for reader in source.readers for name in reader.files)
    for name in files:
        try:
            os.stat(name)
        except OSError as error:
            raise FormatError(f"{name}: cannot be read: {error.strerror}") from error
    return make_key(STORE_VERSION, n_shard, codec, source.dtype.name, [stamp_file(name) for name in files],
                    [reader.indices for reader in source.readers])


def _write_valid(path: str, valid: np.ndarray) -> None:
    """Write the static mask as a zarr array."""
    import zarr

    array = zarr.create_array(path, shape=valid.shape, dtype=valid.dtype, overwrite=True,
                              dimension_names=["panel", "slow", "fast"])
    array[...] = valid


def _finish_store(store: str, target: str, experiments: Sequence[Experiment]) -> None:
    """Write the group with the experiments, and put the store in its place."""
    stored = ExperimentList([dataclasses.replace(experiment, imageset=None) for experiment in experiments])
    attributes = {ATTRIBUTE: {"version": STORE_VERSION, "program": f"xdp {xdp.__version__}",
                              "experiments": experiments_to_dict(stored)}}
    _write_json(os.path.join(store, "zarr.json"), {"zarr_format": 3, "node_type": "group", "attributes": attributes})
    # A folder cannot be replaced in one step: the older store waits in the work folder, which is removed afterwards
    old = os.path.join(os.path.dirname(store), "old")
    if os.path.lexists(target):
        shutil.rmtree(old, ignore_errors=True)
        os.rename(target, old)
    os.rename(store, target)


def _write_json(path: str, value: object) -> None:
    """Write a JSON file, which appears whole."""
    from xdp.files import atomic_output

    with atomic_output(path) as part:
        part.write_text(json.dumps(value), encoding="utf-8")
