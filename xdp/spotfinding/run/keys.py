"""Which chunk results of an interrupted run may be used again: a key of everything they depend on."""

from __future__ import annotations

from typing import Any

from xdp.images.stamps import list_maps
from xdp.spotfinding.run.chunk import SpotRules
from xdp.spotfinding.run.frames import FrameFinder
from xdp.work.keys import make_key, stamp_file

LAYOUT = 2
"""Raised whenever the files of chunk results change their layout."""


class ChunkKeys:
    """Keys of the chunks of one search.

    A key is a digest of the program's version, the models, the parameters that matter, the mask files and the chunk's
    image files: of each file its path, size and time of change (ns).
    """

    def __init__(self, finder: FrameFinder, rules: SpotRules):
        self._finder = finder
        search, model = finder.search, finder.search.model
        # how frames are dealt to tasks, and what the driver does with the result
        excluded = {"mp", "scan_range", "hot_mask_prefix", "write_hot_mask"}
        options = finder.options.model_dump(mode="json", exclude=excluded)
        maps = [stamp_file(path) for path in list_maps(model.known.imageset, finder.options.lookup.mask)]
        self._common = make_key(LAYOUT, rules, options, finder.maximum, model.detector, model.beam, model.goniometer,
                                None if model.scan is None else model.scan.oscillation, maps, search.owners,
                                search.is_flat)
        self._stamps: dict[str, Any] = {}

    def make_chunk_key(self, first: int, last: int) -> str:
        """The key of the chunk of positions `first` to `last` - 1."""
        search = self._finder.search
        # of each frame its file, its place in that, and the z of its spots
        frames = []
        for position in range(first, last):
            reader = self._finder.open_reader(position)
            frame = int(search.frame_of[position])
            file = reader.files[frame if len(reader.files) > 1 else 0]
            frames.append([self._stamp(file), reader.indices[frame], int(search.z_of[position])])
        ids = None if search.id_of is None else search.id_of[first:last].tolist()
        is_inner = [first > 0, last < search.n_frames]
        return make_key(self._common, frames, ids, first, is_inner)

    def _stamp(self, file: str) -> Any:
        if file not in self._stamps:
            self._stamps[file] = stamp_file(file)
        return self._stamps[file]
