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

from xdp.errors import FormatError, OptionError
from xdp.experiment import ImageSet, Scan
from xdp.experiment.imageset import SEQUENCE
from xdp.images.formats.base import GIVEN, Format
from xdp.images.formats.find import GEOMETRY_FILE, find_format, find_format_class
from xdp.images.importing.files import Candidate, list_files, list_missing, list_template_files, make_absolute
from xdp.images.importing.given import list_given
from xdp.images.importing.group import ImageGroup
from xdp.images.importing.options import FormatOptions, ImportOptions
from xdp.images.importing.series import fit_width, is_next, join_series
from xdp.images.importing.stacks import list_stacks
from xdp.images.names import has_placeholder
from xdp.images.scans import resize_scan
from xdp.options import AUTO

logger = logging.getLogger(__name__)


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
        for word in options.input.template:
            # A name without a placeholder may be that of a stack, or of one image.
            (files if _is_file_name(word) else templates).append(word)
        files = files if files or templates else list(options.input.directory)
    if not files and not templates:
        raise FormatError("no images were given: name files, a template (image_####.cbf) or a folder")
    groups = [group for template in templates for group in _from_template(template, options)]
    if files:
        groups += _from_files(list_files(files), options)
    return groups


def build_format_params(options: FormatOptions) -> dict[str, object]:
    """Build the options of the image format as experiments carry them."""
    shadowing = "Auto" if options.dynamic_shadowing is AUTO else options.dynamic_shadowing
    params: dict[str, object] = {"dynamic_shadowing": shadowing, "multi_panel": options.multi_panel}
    if options.geometry_file is not None:
        params[GEOMETRY_FILE] = make_absolute(options.geometry_file)
    return params


def _is_file_name(template: str) -> bool:
    """Whether a template names a file as it stands; one that neither does nor has a placeholder is refused."""
    if os.path.exists(template):
        return True
    if not has_placeholder(template):
        raise FormatError(f"input.template={template}: no such file; a template has # for each digit of the image "
                          "number in its file name (img_####.cbf)")
    return False


def _from_template(template: str, options: ImportOptions) -> list[ImageGroup]:
    """Make a sequence of a template's images: the first image's header counts for all.

    Where the headers of some of the others contradict it, all are read, and sweeps made as of named files.
    """
    template, files = list_template_files(template)
    first, last = options.geometry.scan.image_range or (min(files), max(files))
    if first > last:
        raise OptionError(f"geometry.scan.image_range must rise, got {first},{last}")
    if missing := list_missing(files, first, last):
        raise FormatError(f"{template}: {missing}")
    # Headers of thousands of files are not read: they must be like the first.
    params = build_format_params(options.format)
    opened = find_format(files[first], params | {GIVEN: list_given(options)})
    models = opened.models(0)
    _report_notes([opened])
    scan = models.scan
    if scan is None:
        # Formats without angles: a sequence of stills, as long as the options give no oscillation.
        scan = Scan((first, last), (0.0, 0.0), batch_offset=first - 1)
    else:
        if options.geometry.scan.oscillation is None and not scan.is_still:
            last_start = _find_last_start(files, scan, (first, last), options)
            if last_start is None:
                logger.warning("%s: its images do not turn on where the one before ended: sweeps are made by their "
                               "headers; geometry.scan.oscillation=START,WIDTH makes one sweep", template)
                named = [Candidate(files[number], True) for number in range(first, last + 1)]
                return _from_files(named, options)
            scan = fit_width(resize_scan(scan, (first, last)), last_start, template)
        scan = resize_scan(scan, (first, last))
    models = dataclasses.replace(models, scan=scan)
    return [ImageGroup(ImageSet(SEQUENCE, template=template, params=params), models, opened.name)]


def _find_last_start(files: dict[int, str], scan: Scan, image_range: tuple[int, int],
                     options: ImportOptions) -> float | None:
    """The start of a template's last image, degrees, by a few headers; None where they do not follow the first one."""
    first, last = image_range
    tolerance = options.input.tolerance.scan.oscillation
    params = build_format_params(options.format) | {GIVEN: list_given(options)}
    starts = {}
    # Three headers tell jumps at the beginning, and those that add up.
    for number in sorted({first + 1, (first + last) // 2, last} - {first}):
        if number > last:
            continue
        try:
            image = find_format(files[number], params).models(0).scan
        except FormatError:  # whoever reads the image says what is wrong
            continue
        if image is not None:
            starts[number] = image
    if starts and all(image.oscillation[0] == scan.oscillation[0] for image in starts.values()):
        logger.warning("%s: all its images state the start %g degrees: the first one is taken, images are %g degrees "
                       "apart", files[first], *scan.oscillation)
        return scan.oscillation[0] + (last - first) * scan.oscillation[1]
    if not all(is_next(scan, number - first, image, tolerance) for number, image in starts.items()):
        return None
    if last in starts:
        return starts[last].oscillation[0]
    return scan.oscillation[0] + (last - first) * scan.oscillation[1]


def _from_files(candidates: list[Candidate], options: ImportOptions) -> list[ImageGroup]:
    """Group the images of files, format by format."""
    params = build_format_params(options.format)
    given = {GIVEN: list_given(options)}
    by_format: dict[type[Format], list[Format]] = {}
    unhandled = []
    # In order of names, so that images of a series follow each other.
    for candidate in candidates:
        try:
            format_class = find_format_class(candidate.path, params)
        except FormatError:
            unhandled.append(candidate)
            continue
        by_format.setdefault(format_class, []).append(format_class(candidate.path, params | given))
    _report_unhandled(unhandled, candidates, options)
    groups = []
    for format_class, opened in by_format.items():
        if format_class.is_stack:
            groups += list_stacks(opened, params)
        else:
            groups += join_series(opened, options.input.tolerance, params)
        _report_notes(opened)
    return groups


def _report_notes(opened: Iterable[Format]) -> None:
    """Say what headers have that is not used, or what is assumed; once for all files that say the same."""
    notes: dict[str, list[str]] = {}
    for image in opened:
        for note in dict.fromkeys(image.notes):
            notes.setdefault(note, []).append(image.path)
    for note, paths in notes.items():
        others = f" (and {len(paths) - 1} others)" if len(paths) > 1 else ""
        logger.warning("%s%s: %s", paths[0], others, note)


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
