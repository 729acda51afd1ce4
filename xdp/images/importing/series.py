"""Files of single images joined to sweeps: same models, numbers without a gap, each image where the last one ended."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable
from dataclasses import dataclass

from xdp.errors import FormatError
from xdp.experiment import ImageSet, Scan
from xdp.experiment.imageset import SEQUENCE, STILLS
from xdp.images.formats.base import Format, Models
from xdp.images.importing.files import make_absolute
from xdp.images.importing.group import ImageGroup
from xdp.images.importing.options import Tolerance
from xdp.images.importing.similar import are_similar_beams, are_similar_detectors, are_similar_goniometers
from xdp.images.names import assign_templates

# Where the last image of a sweep starts this much of its width off start + n x width, the width of the header was
# rounded too far for so many images, and is made to fit. Half an image is a choice: less would change widths that
# headers state exactly, and spots half an image off still find their reflection.
_MOST_DRIFT = 0.5

logger = logging.getLogger(__name__)


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
    last_start : float
        Angle at which its last image starts, degrees.
    """

    template: str | None
    path: str
    models: Models
    name: str
    exposure: list[float] = dataclasses.field(default_factory=list)
    epochs: list[float] = dataclasses.field(default_factory=list)
    last_image: int = 0
    n_images: int = 0
    last_start: float = 0.0

    def add(self, scan: Scan | None) -> None:
        """Add the scan of one more image."""
        self.n_images += 1
        if scan is not None:
            self.last_image, self.last_start = scan.image_range[1], scan.oscillation[0]
            self.exposure += scan.exposure_time
            self.epochs += scan.epochs

    def is_followed_by(self, template: str | None, models: Models, tolerance: float) -> bool:
        """Whether an image goes on where this series ends: same template and models, next number and angle.

        Parameters
        ----------
        template : str or None
            Of the image's name.
        models : Models
            Of the image; those that are the series' own are the same objects.
        tolerance : float
            How far start and width may be off, as for :func:`is_next`.
        """
        scan, mine = models.scan, self.models.scan
        if template is None or scan is None or mine is None or template != self.template:
            return False
        # Models were shared before where they are the same: objects are compared, not numbers.
        shared = all(getattr(models, name) is getattr(self.models, name) for name in ("beam", "detector", "goniometer"))
        if not shared or scan.image_range[0] != self.last_image + 1 or scan.is_still != mine.is_still:
            return False
        return mine.is_still or is_next(mine, self.n_images, scan, tolerance)

    def finish(self, params: dict[str, object]) -> ImageGroup:
        """Make a group of the images."""
        path = make_absolute(self.path)
        if self.models.scan is None:
            return ImageGroup(ImageSet(STILLS, images=(path,), params=params), self.models, self.name)
        if self.template is None:
            # One file; its place in it tells a # in its name from a template.
            indices = (0,) if "#" in path.rpartition("/")[2] else None
            imageset = ImageSet(SEQUENCE, template=path, single_file_indices=indices, params=params)
            return ImageGroup(imageset, self.models, self.name)
        # Oscillation is the first image's; times are each image's own.
        first = self.models.scan.image_range[0]
        scan = dataclasses.replace(self.models.scan, image_range=(first, self.last_image),
                                   exposure_time=tuple(self.exposure), epochs=tuple(self.epochs))
        scan = fit_width(scan, self.last_start, self.template)
        imageset = ImageSet(SEQUENCE, template=make_absolute(self.template), params=params)
        return ImageGroup(imageset, dataclasses.replace(self.models, scan=scan), self.name)


def compute_turn(angle: float) -> float:
    """An angle without whole turns, -180 to 180 degrees; one in these bounds stays the number that it is.

    Examples
    --------
    >>> compute_turn(359.5), compute_turn(-180.0), compute_turn(0.1)
    (-0.5, -180.0, 0.1)
    """
    return angle if -180.0 <= angle <= 180.0 else (angle + 180.0) % 360.0 - 180.0


def is_next(scan: Scan, n_images: int, image: Scan, tolerance: float) -> bool:
    """Whether an image begins where a scan of `n_images` ends.

    Headers round angles, and errors add up; they may go on from 360 degrees at 0.

    Parameters
    ----------
    scan : Scan
        Whose oscillation counts.
    n_images : int
        Images of the scan.
    image : Scan
        Of the one image.
    tolerance : float
        How far start and width may be off: a fraction of the width of an image, the start so much for each image.

    Returns
    -------
    bool
    """
    start, width = scan.oscillation
    limit = tolerance * abs(width)
    if abs(width - image.oscillation[1]) >= limit:
        return False
    return abs(compute_turn(start + n_images * width - image.oscillation[0])) < limit * n_images


def fit_width(scan: Scan, last_start: float, name: str) -> Scan:
    """Make the width of a scan's images fit the angle at which the last of them starts, where it does not.

    Parameters
    ----------
    scan : Scan
        With the width of the first image.
    last_start : float
        Of the last image, degrees.
    name : str
        Of the images, for the log.

    Returns
    -------
    Scan
        The scan itself where the last image starts less than half an image off; one of stills always.
    """
    start, width = scan.oscillation
    n = scan.n_frames - 1
    drift = compute_turn(last_start - (start + n * width))
    # Images of no width are stills, also where the crystal was turned between them.
    if n < 1 or scan.is_still or abs(drift) <= _MOST_DRIFT * abs(width):
        return scan
    fitted = width + drift / n
    logger.info("%s: the header has images of %g degrees, but they start %g apart: this is used", name, width, fitted)
    return dataclasses.replace(scan, oscillation=(start, fitted))


def join_series(opened: Iterable[Format], tolerance: Tolerance, params: dict[str, object]) -> list[ImageGroup]:
    """Group files of single images.

    Parameters
    ----------
    opened : iterable of Format
        Of one format, in the order of their names.
    tolerance : Tolerance
        When models are the same, and when an image goes on where another ended.
    params : dict
        Options of the format, as image sets carry them.

    Returns
    -------
    list of ImageGroup
        In the order of the first name of each series, images by their numbers.

    Raises
    ------
    FormatError
        If a header is damaged, or an image has another size than the one before it.
    """
    images = {make_absolute(image.path): image for image in opened}
    templates = assign_templates(images)
    series: list[_Series] = []
    for path in _sort_by_number(templates):
        image, template = images[path], templates[path][0]
        models = image.models(0)
        if models.scan is None:
            template = None
        if series:
            models = _share_models(models, series[-1].models, tolerance)
            _check_sizes(image.path, template, models, series[-1])
        if not series or not series[-1].is_followed_by(template, models, tolerance.scan.oscillation):
            series.append(_Series(template, image.path, models, image.name))
        series[-1].add(models.scan)
    return [group.finish(params) for group in series]


def _sort_by_number(templates: dict[str, tuple[str | None, int | None]]) -> list[str]:
    """Paths with those of one template together, by number; templates in the order of their first path."""
    first: dict[str, int] = {}
    for place, (path, (template, _)) in enumerate(templates.items()):
        first.setdefault(template or path, place)
    return sorted(templates, key=lambda path: (first[templates[path][0] or path], templates[path][1] or 0))


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
