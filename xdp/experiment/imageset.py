"""Where the images of an experiment are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from xdp.display import Displayed
from xdp.errors import FormatError
from xdp.experiment._fields import Fields

#: DIALS' names of the kinds of image sets: frames of a scan, single stills, stills of a grid scan.
SEQUENCE, STILLS, GRID = "ImageSequence", "ImageSet", "ImageGrid"
#: Names in files; ImageSweep is the old name of a sequence, MemImageSet of images that were in memory.
_KINDS = {"ImageSequence": SEQUENCE, "ImageSweep": SEQUENCE, "ImageSet": STILLS, "ImageGrid": GRID,
          "MemImageSet": STILLS}


@dataclass(frozen=True, repr=False)
class ImageSet(Displayed):
    """Images on disk, as a sequence (a template or one file), single stills, or a grid scan.

    Parameters
    ----------
    kind
        ``"ImageSequence"``, ``"ImageSet"`` or ``"ImageGrid"``.
    template
        Of a sequence: file name with ``#`` for the digits, or the one file that holds all images.
    images
        Of stills and grids: one file name an image.
    single_file_indices
        Where one file holds many images: their indices in it, from 0.
    mask, gain, pedestal, dx, dy
        File names of pixel maps, None where there is none.
    params
        Options of the image format, as in the file.
    grid_size
        Of a grid: (fast, slow) number of positions.
    extra
        Unknown keys of the file, written back as they were.
    """

    kind: str
    template: str | None = None
    images: tuple[str, ...] | None = None
    single_file_indices: tuple[int, ...] | None = None
    mask: str | None = None
    gain: str | None = None
    pedestal: str | None = None
    dx: str | None = None
    dy: str | None = None
    params: dict[str, Any] = field(default_factory=dict, hash=False)
    grid_size: tuple[int, ...] | None = None
    extra: dict[str, Any] = field(default_factory=dict, hash=False)

    def _facts(self) -> list[tuple[str, Any]]:
        return [("kind", self.kind), ("template", self.template), ("images", len(self.images) if self.images else None),
                ("mask", self.mask)]

    @classmethod
    def from_dict(cls, source: dict[str, Any], where: str = "imageset") -> ImageSet:
        """The image set of a dictionary in DIALS' form.

        Raises
        ------
        FormatError
            If its kind is unknown or a file name is no text; the message begins with `where`.
        """
        fields = Fields(source, where)
        kind = _KINDS.get(str(fields.take("__id__", None)))
        if kind is None:
            raise FormatError(f"{where}: '__id__' must be one of {', '.join(_KINDS)}, got {source.get('__id__')!r}")
        indices = fields.vector("single_file_indices", None, ())
        return cls(
            kind=kind,
            template=fields.text("template") if kind == SEQUENCE else None,
            images=None if kind == SEQUENCE else _texts(fields, "images"),
            single_file_indices=tuple(int(i) for i in indices) or None,
            **{name: fields.text(name, "") or None for name in ("mask", "gain", "pedestal", "dx", "dy")},
            params=dict(fields.mapping("params", {})),
            grid_size=fields.integers("grid_size", 2) if kind == GRID else None,
            extra=fields.rest(),
        )

    def to_dict(self) -> dict[str, Any]:
        """The image set as a dictionary in DIALS' form.

        The pixel maps are in it even where there are none (as null), as DIALS writes them.
        """
        result: dict[str, Any] = {"__id__": self.kind}
        if self.kind == SEQUENCE:
            result["template"] = self.template
        else:
            result["images"] = list(self.images or ())
        if self.grid_size is not None:
            result["grid_size"] = list(self.grid_size)
        if self.single_file_indices is not None:
            result["single_file_indices"] = list(self.single_file_indices)
        for name in ("mask", "gain", "pedestal", "dx", "dy"):
            result[name] = getattr(self, name)
        return result | {"params": self.params} | self.extra


def _texts(fields: Fields, key: str) -> tuple[str, ...]:
    value = fields.take(key, [])
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise FormatError(f"{fields.where}: '{key}' must be a list of file names")
    return tuple(value)
