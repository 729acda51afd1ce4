"""From image files to experiments: headers are read, images that belong together grouped, geometry overridden."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xdp.display import Displayed
from xdp.errors import FormatError, NoGeometryError, OptionError
from xdp.experiment import Detector, Experiment, ExperimentList
from xdp.experiment.trusted import OLD_DIALS, inclusive_range
from xdp.images.formats.find import find_format_class
from xdp.images.importing.checks import check_geometry, check_presence
from xdp.images.importing.files import make_absolute
from xdp.images.importing.group import ImageGroup, find_first_file, split_into_images
from xdp.images.importing.grouping import collect_images
from xdp.images.importing.identifiers import make_identifiers
from xdp.images.importing.options import ImportOptions
from xdp.images.importing.overrides import apply_geometry, convert_to_sequences, convert_to_stills
from xdp.images.importing.ranges import cut_sweeps, fit_indices, split_sweeps
from xdp.images.importing.reference import apply_reference
from xdp.images.scans import select_image
from xdp.options.named import make_options
from xdp.reflections.table import ReflectionTable
from xdp.report.tables import Report
from xdp.work.progress import Progress
from xdp.work.single import run_as_one_task

if TYPE_CHECKING:
    from distributed import Client


@dataclass(frozen=True, repr=False)
class Imported(Displayed):
    """What :func:`import_images` found.

    Attributes
    ----------
    experiments : ExperimentList
        One experiment for each rotation sequence, and one for each still.
    """

    experiments: ExperimentList

    @property
    def reflections(self) -> ReflectionTable:
        """An empty table: there are no reflections yet."""
        return ReflectionTable()

    @property
    def report(self) -> Report:
        """How many images, sequences and stills there are."""
        return Report(facts=count_images(self.experiments))

    def _facts(self) -> list[tuple[str, Any]]:
        return list(count_images(self.experiments).items())


def import_images(paths: str | os.PathLike | Sequence[str | os.PathLike] = (),
                  options: ImportOptions | Mapping[str, Any] | None = None, *, client: Client | None = None,
                  progress: Progress | None = None, **named: Any) -> Imported:
    """Read the headers of images and make experiments of them.

    Files are sorted by format, headers read, and images that belong together grouped to rotation sequences; the others
    are stills. Then the geometry is overridden where the options say so.

    Parameters
    ----------
    paths : path or sequence of paths
        Files, patterns, folders, and templates such as ``image_####.cbf`` or ``image_%04d.cbf``. None are needed where
        the options name a template or a folder.
    options : ImportOptions or dict, optional
        Overrides of the geometry, templates, maps of pixels; see ``xdp import -c``.
    client : distributed.Client, optional
        One of its workers reads the headers, for images that only the cluster sees; by default this process.
    progress : callable, optional
        Shows when the headers are read.
    **named
        Parameters by name, laid over `options`: ``distance=200.0``.

    Returns
    -------
    Imported
        With ``experiments``.

    Raises
    ------
    FormatError
        If there are no images, or one cannot be read, or the header has no geometry and the options give none.
    OptionError
        If the options contradict each other or the images.

    Examples
    --------
    >>> import tempfile, xdp
    >>> from xdp.simulation import make_beam, make_crystal, make_detector, make_goniometer, make_scan
    >>> from xdp.simulation.write import write_minicbf_series
    >>> folder = tempfile.TemporaryDirectory()
    >>> models = make_crystal(), make_beam(), make_detector((60, 60)), make_goniometer(), make_scan(3)
    >>> paths = write_minicbf_series(xdp.simulate_rotation(*models), folder.name)
    >>> xdp.import_images(paths).report.facts
    {'images': 3, 'sweeps': 1, 'sequences of stills': 0, 'stills': 0}
    """
    chosen = make_options(ImportOptions, options, named)
    words = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    return Imported(run_as_one_task(_import_images, words, chosen, label="headers", client=client,
                                    progress=progress))


def count_images(experiments: ExperimentList) -> dict[str, int]:
    """How many images, sweeps, sequences of stills and stills there are, by these names."""
    # Stills of a template are an experiment each, and share the image set.
    is_still: dict[int, bool] = {}
    n_images = n_stills = 0
    for experiment in experiments:
        if experiment.imageset is None or experiment.imageset.template is None:
            n_stills += 1
            n_images += 1
            continue
        is_still[id(experiment.imageset)] = experiment.scan is None or experiment.scan.is_still
        n_images += 1 if experiment.scan is None else experiment.scan.n_frames
    n_sequences = sum(is_still.values())
    return {"images": n_images, "sweeps": len(is_still) - n_sequences, "sequences of stills": n_sequences,
            "stills": n_stills}


def _import_images(paths: Sequence[str | os.PathLike], options: ImportOptions) -> ExperimentList:
    """The experiments of image files, see :func:`import_images`."""
    groups = collect_images(paths, options)
    if not groups:
        raise FormatError(f"{', '.join(map(str, paths))}: no images in it")
    if options.output.compatibility == OLD_DIALS:
        groups, options = _exclude_overloads(groups), _include_trusted_ends(options)
    if options.input.as_grid_scan:
        groups = _split_grid(groups, options)
    # What the user gives comes last: it changes the reference's models, too.
    groups = apply_reference(groups, options.input)
    image_range = options.geometry.scan.image_range
    groups = _apply_overrides(cut_sweeps(groups, image_range), options)
    groups = [_add_lookup(fit_indices(group), options) for group in groups]
    check_presence(groups, image_range)
    groups = split_sweeps(groups, options.input.split)
    for group in groups:
        if group.models.beam is None or group.models.detector is None:
            raise NoGeometryError(f"{find_first_file(group)}: its header has no geometry; give "
                                  "geometry.beam.wavelength and geometry.detector.panel (pixel_size, image_size, "
                                  "trusted_range, ...), or input.reference_geometry")
        check_geometry(group)
    _check_n_sequences(groups, options)
    return _add_identifiers(build_experiments(groups), options)


def _exclude_overloads(groups: list[ImageGroup]) -> list[ImageGroup]:
    """Leave the header's highest count out of the trusted range, where DIALS 3.12 does and later ones do not."""
    # Detectors that groups share stay shared.
    changed: dict[int, Detector] = {}
    result = []
    for group in groups:
        detector = group.models.detector
        if detector is not None and find_format_class(find_first_file(group)).overload_is_trusted:
            if id(detector) not in changed:
                panels = tuple(dataclasses.replace(p, trusted_range=(p.trusted_range[0], p.trusted_range[1] - 1.0))
                               for p in detector)
                changed[id(detector)] = dataclasses.replace(detector, panels=panels)
            group = dataclasses.replace(group, models=dataclasses.replace(group.models, detector=changed[id(detector)]))
        result.append(group)
    return result


def _include_trusted_ends(options: ImportOptions) -> ImportOptions:
    """Convert the user's trusted ranges, whose ends are excluded in DIALS 3.12, to ranges that include them."""
    detector = options.geometry.detector
    panels = tuple(p if p.trusted_range is None else
                   p.model_copy(update={"trusted_range": inclusive_range(p.trusted_range)}) for p in detector.panel)
    geometry = options.geometry.model_copy(update={"detector": detector.model_copy(update={"panel": panels})})
    return options.model_copy(update={"geometry": geometry})


def _apply_overrides(groups: list[ImageGroup], options: ImportOptions) -> list[ImageGroup]:
    """Lay the geometry of the options over headers and reference; convert between stills and sequences."""
    # Nothing given: models stay the objects they are.
    geometry = options.geometry
    if geometry == type(geometry)():
        return groups
    if geometry.convert_sequences_to_stills:
        groups = convert_to_stills(groups)
    if geometry.convert_stills_to_sequences:
        groups = convert_to_sequences(groups, geometry.scan)
    return apply_geometry(groups, geometry)


def _add_lookup(group: ImageGroup, options: ImportOptions) -> ImageGroup:
    """Add the names of pixel maps, made absolute; their sizes are checked against the detector."""
    lookup: dict[str, Any] = {name: make_absolute(path) for name in ("mask", "gain", "pedestal", "dx", "dy")
              if (path := getattr(options.lookup, name)) is not None}
    if not lookup:
        return group
    # Kept for other programs, which read both.
    if ("dx" in lookup) != ("dy" in lookup):
        raise OptionError("lookup.dx and lookup.dy must be given both or not at all")
    for name, path in lookup.items():
        _check_map(path, f"lookup.{name}", group)
    return dataclasses.replace(group, imageset=dataclasses.replace(group.imageset, **lookup))


def _check_map(path: str, name: str, group: ImageGroup) -> None:
    """Refuse a pixel map that cannot be read or has not the panels' shapes: later it would stop a long run."""
    from xdp.images.masks.pickles import read_flex_pickle

    if not os.path.isfile(path):
        raise FormatError(f"{path}: {name} is not a file")
    value = read_flex_pickle(path)
    shapes = [array.shape for array in (value if isinstance(value, list | tuple) else [value])]
    expected = group.models.detector.panel_shapes if group.models.detector is not None else shapes
    if shapes != expected:
        raise FormatError(f"{path}: {name} must have {len(expected)} panels of (slow, fast) {expected[0]}, got "
                          f"{len(shapes)} of {shapes[0] if shapes else ()}")


def _check_n_sequences(groups: list[ImageGroup], options: ImportOptions) -> None:
    """Refuse several sequences where one is expected."""
    n_sequences = sum(group.is_sequence for group in groups)
    if n_sequences > 1 and not options.input.allow_multiple_sequences:
        raise OptionError(f"found {n_sequences} sequences, but allow_multiple_sequences=False; where the headers are "
                          "wrong, template=image_####.cbf with geometry.scan.oscillation=START,WIDTH takes all images "
                          "for one sequence")


def build_experiments(groups: Iterable[ImageGroup]) -> list[Experiment]:
    """Make experiments of groups of images.

    Parameters
    ----------
    groups : iterable of ImageGroup
        With all models.

    Returns
    -------
    list of Experiment
        One a rotation sequence; one a still, those of a sequence of stills sharing its image set.
    """
    experiments = []
    for group in groups:
        models, scan = group.models, group.models.scan
        whole = Experiment(beam=models.beam, detector=models.detector, goniometer=models.goniometer, scan=scan,
                           imageset=group.imageset)
        # DIALS, too, has an experiment for each still of a template.
        if scan is not None and group.is_sequence and scan.is_still:
            experiments += [dataclasses.replace(whole, scan=select_image(scan, i)) for i in range(scan.n_frames)]
        else:
            experiments.append(whole)
    return experiments


def _split_grid(groups: list[ImageGroup], options: ImportOptions) -> list[ImageGroup]:
    """Make each image a group of its own; they must fill the grid.

    DIALS keeps no more of a grid in its experiments: the order of the images is the order of the positions.
    """
    stills = [still for group in groups for still in split_into_images(group)]
    grid = options.input.grid_size
    if grid is None:
        raise OptionError("as_grid_scan=True needs input.grid_size=FAST,SLOW, the number of positions")
    if grid[0] * grid[1] != len(stills):
        raise OptionError(f"input.grid_size {grid[0]} x {grid[1]} must hold all {len(stills)} images")
    return stills


def _add_identifiers(experiments: list[Experiment], options: ImportOptions) -> ExperimentList:
    """Give the experiments identifiers, where they are asked for."""
    if options.identifier_type != "uuid":
        return ExperimentList(experiments)
    identifiers = make_identifiers(experiments)
    return ExperimentList([dataclasses.replace(e, identifier=name)
                           for e, name in zip(experiments, identifiers, strict=True)])
