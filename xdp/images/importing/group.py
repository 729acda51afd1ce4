"""Images that belong together, and their models."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from xdp.experiment import ImageSet, Scan
from xdp.experiment.imageset import SEQUENCE, STILLS
from xdp.images.formats.base import Models
from xdp.images.reader import is_template, list_frame_files
from xdp.images.scans import select_image


@dataclass(frozen=True)
class ImageGroup:
    """Images that belong together, and their models.

    Attributes
    ----------
    imageset : ImageSet
        A sequence, or one still.
    models : Models
        Shared objects where shared with other images; the scan is of all images of a sequence.
    format_name : str
        For the log.
    n_held : int or None
        Images that the file of a stack holds; None for other files.
    missing : str
        Why a stack holds fewer images than its header announces, if that is known.
    is_part : bool
        Whether it is one of several sweeps of one name, cut to the range of images that the user gave.
    """

    imageset: ImageSet
    models: Models
    format_name: str = ""
    n_held: int | None = None
    missing: str = ""
    is_part: bool = False

    @property
    def is_sequence(self) -> bool:
        """Whether it is a sequence, by template or in one file."""
        return self.imageset.kind == SEQUENCE


def find_first_file(group: ImageGroup) -> str:
    """Find the file of the group's first image."""
    if group.imageset.template is None:
        return (group.imageset.images or ("",))[0]
    if not is_template(group.imageset):
        return group.imageset.template
    return list_frame_files(group.imageset, group.models.scan)[0][0]


def split_into_images(group: ImageGroup) -> list[ImageGroup]:
    """Split a group into its images.

    Parameters
    ----------
    group : ImageGroup
        A sequence, or a still.

    Returns
    -------
    list of ImageGroup
        One an image, with its part of the scan.
    """
    stills = []
    for i, imageset in enumerate(split_image_set(group.imageset, group.models.scan)):
        scan = None if group.models.scan is None else select_image(group.models.scan, i)
        stills.append(ImageGroup(imageset, dataclasses.replace(group.models, scan=scan), group.format_name))
    return stills


def split_image_set(imageset: ImageSet, scan: Scan | None) -> list[ImageSet]:
    """Split a set of images into one for each of them, a still.

    Parameters
    ----------
    imageset : ImageSet
        A sequence, or stills.
    scan : Scan or None
        Of the sequence.

    Examples
    --------
    >>> from xdp.experiment import ImageSet, Scan
    >>> [s.images for s in split_image_set(ImageSet("ImageSequence", template="a_##.cbf"), Scan((3, 4), (0.0, 0.1)))]
    [('a_03.cbf',), ('a_04.cbf',)]
    """
    files, indices = list_frame_files(imageset, scan)
    # Frames of a stack keep their place in the file.
    in_stack = imageset.single_file_indices is not None or (len(files) == 1 and len(indices) > 1)
    return [dataclasses.replace(imageset, kind=STILLS, template=None, images=(files[min(i, len(files) - 1)],),
                                single_file_indices=(index,) if in_stack else None)
            for i, index in enumerate(indices)]
