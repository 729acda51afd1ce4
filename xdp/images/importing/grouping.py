"""Which images belong together: files are sorted by format, headers read, and images joined to sequences.

Images of one format are taken in the order of their names. Consecutive ones share the models that are the same to the
tolerances; those that share all models, are numbered without a gap and turn on where the one before ended make one
sequence. Images without a scan are single stills. A file that holds many images is a sequence of its own.
"""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from xdp.errors import FormatError, OptionError
from xdp.experiment import ImageSet, Scan
from xdp.images.formats.base import Format, Models
from xdp.images.formats.find import find_format, find_format_class
from xdp.images.importing.files import Candidate, list_files, list_template_files
from xdp.images.importing.options import FormatOptions, ImportOptions, Tolerance
from xdp.images.importing.similar import are_similar_beams, are_similar_detectors, are_similar_goniometers
from xdp.images.names import has_placeholder, split_name
from xdp.images.reader import list_frame_files
from xdp.images.scans import resize_scan, select_image
from xdp.options import AUTO

# Kinds of image sets, as .expt files name them.
SEQUENCE, STILLS = "ImageSequence", "ImageSet"

logger = logging.getLogger(__name__)


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
    """

    imageset: ImageSet
    models: Models
    format_name: str = ""

    @property
    def is_sequence(self) -> bool:
        """Whether it is a sequence, by template or in one file."""
        return self.imageset.kind == SEQUENCE


def find_first_file(group: ImageGroup) -> str:
    """Find the file of the group's first image."""
    if group.imageset.template is None:
        return (group.imageset.images or ("",))[0]
    if "#" not in group.imageset.template:
        return group.imageset.template
    return list_frame_files(group.imageset, group.models.scan)[0][0]


def collect_images(paths: Sequence[str | os.PathLike], options: ImportOptions) -> list[ImageGroup]:
    """Read the headers of all images and group them; nothing is overridden yet.

    Parameters
    ----------
    paths : sequence of path
        Files, patterns, folders and templates. Without any those of the options count.
    options : ImportOptions
        Which images, how formats are read, and when models are the same.

    Returns
    -------
    list of ImageGroup
        Templates first, then files.

    Raises
    ------
    FormatError
        If there are no images, or one cannot be read.
    """
    words = [os.fspath(path) for path in paths]
    # A file may have a # in its name.
    templates = [word for word in words if has_placeholder(word) and not os.path.exists(word)]
    files = [word for word in words if word not in templates]
    if not files and not templates:
        templates = list(options.input.template)
        files = [] if templates else list(options.input.directory)
    if not files and not templates:
        raise FormatError("no images were given: name files, a template (image_####.cbf) or a folder")
    groups = [_from_template(template, options) for template in templates]
    if files:
        groups += _from_files(list_files(files), options)
    return groups


def build_format_params(options: FormatOptions) -> dict[str, object]:
    """Build the options of the image format as experiments carry them."""
    shadowing = "Auto" if options.dynamic_shadowing is AUTO else options.dynamic_shadowing
    return {"dynamic_shadowing": shadowing, "multi_panel": options.multi_panel}


def _from_template(template: str, options: ImportOptions) -> ImageGroup:
    """Make a sequence of a template's images: the first image's header counts for all."""
    template, files = list_template_files(template)
    first, last = options.geometry.scan.image_range or (min(files), max(files))
    if first > last:
        raise OptionError(f"geometry.scan.image_range must rise, got {first},{last}")
    if missing := sorted(set(range(first, last + 1)) - set(files)):
        listed = ", ".join(str(number) for number in missing[:10]) + (", ..." if len(missing) > 10 else "")
        raise FormatError(f"{template}: missing image{'s' if len(missing) > 1 else ''} {listed} of {first} to {last}")
    # Headers of thousands of files are not read: they must be like the first.
    params = build_format_params(options.format)
    opened = find_format(files[first], params)
    models = opened.models(0)
    if models.scan is not None:
        models = dataclasses.replace(models, scan=resize_scan(models.scan, (first, last)))
    else:
        # Formats without angles: a sequence of stills, as long as the options give no oscillation.
        models = dataclasses.replace(models, scan=Scan((first, last), (0.0, 0.0), batch_offset=first - 1))
    return ImageGroup(ImageSet(SEQUENCE, template=os.path.abspath(template), params=params), models, opened.name)


def _from_files(candidates: list[Candidate], options: ImportOptions) -> list[ImageGroup]:
    """Group the images of files, format by format."""
    params = build_format_params(options.format)
    by_format: dict[type[Format], list[Format]] = {}
    unhandled = []
    # In order of names, so that images of a series follow each other.
    for candidate in candidates:
        try:
            format_class = find_format_class(candidate.path)
        except FormatError:
            unhandled.append(candidate)
            continue
        by_format.setdefault(format_class, []).append(format_class(candidate.path, params))
    _report_unhandled(unhandled, candidates, options)
    groups = []
    for format_class, opened in by_format.items():
        if format_class.is_stack:
            groups += _list_stacks(opened, params)
        else:
            groups += _join_series(opened, options.input.tolerance, params)
    return groups


def _report_unhandled(unhandled: list[Candidate], candidates: list[Candidate], options: ImportOptions) -> None:
    """Stop if there is nothing but files of no known format, or one that the user named may not be ignored."""
    # Asking for the format once more raises the error that says what the file looks like.
    if len(unhandled) == len(candidates):
        if len(unhandled) == 1 or unhandled[0].is_named:
            find_format_class(unhandled[0].path)
        folder = os.path.dirname(unhandled[0].path) or "."
        raise FormatError(f"{folder}: none of the {len(unhandled)} files in this folder is an image of a known format")
    for candidate in unhandled:
        if candidate.is_named and not options.input.ignore_unhandled:
            find_format_class(candidate.path)
        logger.warning("not an image, ignored: %s", candidate.path)


def _list_stacks(opened: Iterable[Format], params: dict[str, object]) -> list[ImageGroup]:
    """Make each file of many images a sequence, or as many stills where it has no scan."""
    groups = []
    for stack in opened:
        path = os.path.abspath(stack.path)
        models = stack.stack_models()
        # A scan makes a sequence; shots of a serial experiment have none.
        if models.scan is not None:
            imageset = ImageSet(SEQUENCE, template=path, single_file_indices=tuple(range(models.scan.n_frames)),
                                params=params)
            groups.append(ImageGroup(imageset, models, stack.name))
            continue
        for index in range(stack.n_images):
            imageset = ImageSet(STILLS, images=(path,), single_file_indices=(index,), params=params)
            models = _keep_equal_models(stack.models(index), models)
            groups.append(ImageGroup(imageset, models, stack.name))
    return groups


def _keep_equal_models(models: Models, previous: Models) -> Models:
    """The models of a shot; the objects of the shot before where they are equal (the beam may differ shot by shot)."""
    # Experiments that share an object share it in the .expt file, and are refined together.
    equal = {name: last for name in ("beam", "detector", "goniometer")
             if (last := getattr(previous, name)) == getattr(models, name)}
    return dataclasses.replace(models, **equal)


@dataclass
class _Series:
    """A sequence that grows image by image.

    Attributes
    ----------
    template : str or None
        Of its images' names; None for a still.
    path : str
        Of its first image.
    models : Models
        Of its first image.
    name : str
        Of the format, for the log.
    exposure, epochs : list of float
        Seconds, one an image that has them.
    last_image, n_images : int
        Number of its last image, and how many there are.
    """

    template: str | None
    path: str
    models: Models
    name: str
    exposure: list[float] = dataclasses.field(default_factory=list)
    epochs: list[float] = dataclasses.field(default_factory=list)
    last_image: int = 0
    n_images: int = 0

    def add(self, scan: Scan | None) -> None:
        """Add the scan of one more image."""
        self.n_images += 1
        if scan is not None:
            self.last_image = scan.image_range[1]
            self.exposure += scan.exposure_time
            self.epochs += scan.epochs

    def is_followed_by(self, template: str | None, models: Models, tolerance: float) -> bool:
        """Whether an image goes on where this series ends: same template and models, next number and angle."""
        scan, mine = models.scan, self.models.scan
        if template is None or scan is None or mine is None or template != self.template:
            return False
        # Models were shared before where they are the same: objects are compared, not numbers.
        shared = all(getattr(models, name) is getattr(self.models, name) for name in ("beam", "detector", "goniometer"))
        if not shared or scan.image_range[0] != self.last_image + 1 or scan.is_still != mine.is_still:
            return False
        return mine.is_still or _is_next(mine, self.n_images, scan, tolerance)

    def finish(self, params: dict[str, object]) -> ImageGroup:
        """Make a group of the images."""
        if self.template is None or self.models.scan is None:
            imageset = ImageSet(STILLS, images=(os.path.abspath(self.path),), params=params)
            return ImageGroup(imageset, self.models, self.name)
        # Oscillation is the first image's; times are each image's own.
        first = self.models.scan.image_range[0]
        scan = dataclasses.replace(self.models.scan, image_range=(first, self.last_image),
                                   exposure_time=tuple(self.exposure), epochs=tuple(self.epochs))
        imageset = ImageSet(SEQUENCE, template=os.path.abspath(self.template), params=params)
        return ImageGroup(imageset, dataclasses.replace(self.models, scan=scan), self.name)


def _is_next(scan: Scan, n_images: int, image: Scan, tolerance: float) -> bool:
    """Whether an image begins where a scan of `n_images` ends, to a fraction of the width of an image for each image.

    Headers round angles, and errors add up.
    """
    start, width = scan.oscillation
    limit = tolerance * abs(width)
    if abs(width - image.oscillation[1]) >= limit:
        return False
    gap = abs(start + n_images * width - image.oscillation[0])
    # The header may go on from 360 degrees at 0.
    turned = abs((start + n_images * width) % 360.0 - image.oscillation[0] % 360.0)
    return min(gap, turned) < limit * n_images


def _join_series(opened: Iterable[Format], tolerance: Tolerance, params: dict[str, object]) -> list[ImageGroup]:
    """Group single-image files of one format, given in the order of their names."""
    series: list[_Series] = []
    for image in opened:
        models = image.models(0)
        template: str | None = split_name(image.path)[0]
        if models.scan is None or "#" not in (template or ""):
            template = None
        if series:
            models = _share_models(models, series[-1].models, tolerance)
            _check_sizes(image.path, template, models, series[-1])
        if not series or not series[-1].is_followed_by(template, models, tolerance.scan.oscillation):
            series.append(_Series(template or (image.path if models.scan is not None else None), image.path, models,
                                  image.name))
        series[-1].add(models.scan)
    return [group.finish(params) for group in series]


def _share_models(models: Models, previous: Models, tolerance: Tolerance) -> Models:
    """The models, replaced by those of the image before where they are the same to the tolerance."""
    same = {
        "beam": are_similar_beams(models.beam, previous.beam, tolerance.beam),
        "detector": are_similar_detectors(models.detector, previous.detector, tolerance.detector),
        "goniometer": are_similar_goniometers(models.goniometer, previous.goniometer, tolerance.goniometer),
    }
    return dataclasses.replace(models, **{name: getattr(previous, name) for name, is_same in same.items() if is_same})


def _check_sizes(path: str, template: str | None, models: Models, previous: _Series) -> None:
    """Refuse an image of another size than the one before it, if both are of one template."""
    if template is None or template != previous.template or models.detector is None or (
            previous.models.detector is None):
        return
    sizes, expected = ([panel.image_size for panel in d] for d in (models.detector, previous.models.detector))
    if sizes != expected:
        raise FormatError(f"{path}: expected {expected[0][0]} x {expected[0][1]} pixels in {len(expected)} panels as "
                          f"in the image before it, got {sizes[0][0]} x {sizes[0][1]} in {len(sizes)}")


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
    files, indices = list_frame_files(group.imageset, group.models.scan)
    # Frames of a stack keep their place in the file.
    in_stack = group.imageset.single_file_indices is not None or (len(files) == 1 and len(indices) > 1)
    stills = []
    for i, index in enumerate(indices):
        scan = None if group.models.scan is None else select_image(group.models.scan, i)
        imageset = dataclasses.replace(group.imageset, kind=STILLS, template=None,
                                       images=(files[min(i, len(files) - 1)],),
                                       single_file_indices=(index,) if in_stack else None)
        stills.append(ImageGroup(imageset, dataclasses.replace(group.models, scan=scan), group.format_name))
    return stills
