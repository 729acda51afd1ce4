"""Integrate one still: model the profiles of its crystals, predict reflections, cut boxes and sum them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xdp.errors import XdpError
from xdp.experiment import Experiment
from xdp.experiment.extent import max_resolution
from xdp.images.masked_frames import PanelFrame
from xdp.integration.background import fit_background
from xdp.integration.corrections.absorption import correct_absorption
from xdp.integration.corrections.geometric import compute_correction_columns
from xdp.integration.measure import Measured, Plan, make_shoeboxes, measure_shoeboxes
from xdp.integration.options import IntegrateOptions
from xdp.integration.plan.matching import match
from xdp.integration.plan.prepare import draw_sample
from xdp.integration.profiles.ellipsoid.geometry import add_frame
from xdp.integration.profiles.ellipsoid.shape import EllipsoidModel
from xdp.integration.shoeboxes.extract import compute_box_offsets, extract
from xdp.integration.shoeboxes.foreground import Footprints, compute_covered_fraction
from xdp.integration.shoeboxes.frames import FrameSource
from xdp.integration.stills.mosaicity import add_mosaicity
from xdp.prediction.ice_rings import is_in_ice_ring
from xdp.prediction.indices import compute_d_spacings
from xdp.reflections.flags import Flag, MaskCode
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable

log = logging.getLogger(__name__)

_SPOT_FLAGS = np.uint64(Flag.STRONG | Flag.INDEXED | Flag.USED_IN_REFINEMENT)
"""Flags that a predicted reflection takes over from the spot that was found at its place."""


class StillFrame:
    """The one frame of a still, decoded once: spots and predictions are cut out of it one after the other.

    Parameters
    ----------
    source : FrameSource
        Of a sweep of one frame.
    """

    def __init__(self, source: FrameSource):
        self.z = source.sweep.first
        self.panels = source.read(self.z)

    def read(self, z: int) -> list[PanelFrame] | None:
        """Give the frame, as :meth:`~xdp.integration.shoeboxes.frames.FrameSource.read` does; None if it is excluded.

        Parameters
        ----------
        z : int
            Frame coordinate.
        """
        return self.panels if z == self.z else None

    def cut(self, panel: np.ndarray, boxes: np.ndarray) -> Shoeboxes:
        """Cut boxes out of the frame.

        Parameters
        ----------
        panel : (n,) int
        boxes : (n, 4) int
            Half-open limits: fast, fast, slow, slow.

        Returns
        -------
        Shoeboxes
            Of one frame, with masks of valid pixels.
        """
        rows, bbox = np.arange(len(panel)), add_frame(boxes, self.z)
        return make_shoeboxes(extract(self, rows, panel, bbox, self.z, self.z + 1), panel)  # type: ignore[arg-type]


class SharingFootprints(Footprints):
    """Outlines that may overlap: a pixel in the foreground of two reflections counts for both.

    The ellipsoid model needs this. With a large mosaicity it predicts many reflections that are hardly recorded,
    between few that are recorded well. If pixels had one owner only, the good ones would lose pixels to the others.
    """

    def mark(self, own: np.ndarray, boxes: Shoeboxes, first: int, last: int) -> np.ndarray:
        """Mark masks as :meth:`Footprints.mark` does, but leave no foreground marked as overlapped.

        Parameters
        ----------
        own : (k,) int64
            Row of each box.
        boxes : Shoeboxes
            Their masks are changed.
        first, last : int
            Frames of the scan.

        Returns
        -------
        (k,) uint8
            What each box shares with others, as of :meth:`Footprints.mark`.
        """
        shares = super().mark(own, boxes, first, last)
        boxes.mask[(boxes.mask & np.uint8(MaskCode.FOREGROUND)) != 0] &= ~np.uint8(MaskCode.OVERLAPPED)
        return shares


@dataclass(frozen=True)
class Lattice:
    """One crystal in a still, ready to be integrated.

    Attributes
    ----------
    number : int
        Of its experiment.
    experiment : Experiment
        As refined with its profile model.
    model : GaussianRSModel or EllipsoidModel
    table : ReflectionTable
        Predicted reflections with ``bbox``, ``partiality``, ``d``.
    outlines : (n_pixels,) uint8 or None
        Foreground of the boxes; None where it is the circle of a Gaussian model.
    """

    number: int
    experiment: Experiment
    model: Any
    table: ReflectionTable
    outlines: np.ndarray | None = None

    @property
    def radius(self) -> np.ndarray:
        """How far each reflection's foreground reaches along e1 and e2, radians (n, 2); 0 where outlines say it."""
        if self.outlines is not None:
            return np.zeros((len(self.table), 2))
        return self.model.n_sigma * self.model.compute_axis_widths(self.experiment, self.table)


@dataclass(frozen=True)
class ImageResult:
    """What was found in one still.

    Attributes
    ----------
    experiments : tuple of (int, Experiment)
        Integrated ones, by the number they had.
    table : ReflectionTable or None
        Their reflections; ``id`` is that number.
    failures : tuple of (int, str)
        Experiments that were given up, and why.
    boxes : Shoeboxes or None
        The whole boxes, where they are asked for.
    """

    experiments: tuple[tuple[int, Experiment], ...]
    table: ReflectionTable | None
    failures: tuple[tuple[int, str], ...]
    boxes: Shoeboxes | None = None


def integrate_image(source: FrameSource, spots: Sequence[ReflectionTable | None], options: IntegrateOptions,
                    background: str, *, keep_boxes: bool = False) -> ImageResult:
    """Integrate all crystals of one still.

    Parameters
    ----------
    source : FrameSource
        Of a sweep of one frame.
    spots : sequence of ReflectionTable
        Indexed spots of each experiment; None: profile models are taken from the experiments.
    options : IntegrateOptions
    background : str
        The background algorithm; Auto has been resolved.
    keep_boxes : bool
        Return the whole boxes too.

    Returns
    -------
    ImageResult
        Empty for an excluded image. A crystal that cannot be integrated is among its failures; it raises nothing.
    """
    sweep = source.sweep
    frame = StillFrame(source)
    if frame.panels is None:
        return ImageResult((), None, ())
    if options.integration.partiality.enable:
        return _integrate_partial(source, frame, spots, options, background)
    lattices, failures = [], []
    for number, experiment, own in zip(sweep.ids, sweep.experiments, spots, strict=True):
        # one crystal that fails must not take the others on the image with it
        try:
            lattices.append(_prepare_lattice(number, experiment, own, frame, options, background))
        except (XdpError, np.linalg.LinAlgError) as error:
            failures.append((number, str(error)))
    if not lattices:
        return ImageResult((), None, tuple(failures))
    table, found = sum_lattices(source, frame, lattices, options, background, keep_boxes=keep_boxes)
    return ImageResult(tuple((lattice.number, lattice.experiment) for lattice in lattices), table, tuple(failures),
                       found)


def _integrate_partial(source: FrameSource, frame: StillFrame, spots: Sequence[ReflectionTable | None],
                       options: IntegrateOptions, background: str) -> ImageResult:
    """Integrate all crystals of one still, with partialities fitted to them."""
    # that module builds on this one
    from xdp.integration.stills.shot import integrate_frame

    found = integrate_frame(source, frame, spots, options, background=background)
    ids = np.array(source.sweep.ids, np.int32)
    kept = ids[list(found.numbers)].tolist()
    table = found.reflections
    if table is not None:
        table = table.with_columns(id=np.asarray(kept, np.int32)[table["id"]])
    return ImageResult(tuple(zip(kept, found.experiments, strict=True)), table,
                       tuple((int(ids[number]), why) for number, why in found.failures))


def _prepare_lattice(number: int, experiment: Experiment, spots: ReflectionTable | None, frame: StillFrame,
                     options: IntegrateOptions, background: str) -> Lattice:
    """Model the profiles of one crystal, and predict its reflections with boxes, flags and resolution."""
    if options.profile.algorithm == "ellipsoid":
        lattice = predict_ellipsoid_lattice(number, experiment, spots, frame, options, background)
    else:
        lattice = _predict_gaussian(number, experiment, spots, frame, options)
    return finish_lattice(lattice, spots, frame, options)


def finish_lattice(lattice: Lattice, spots: ReflectionTable | None, frame: StillFrame, options: IntegrateOptions
                   ) -> Lattice:
    """Add the columns that all profile algorithms share: flags of the spots found, resolution, the frame's number.

    Parameters
    ----------
    lattice : Lattice
        Its table is changed.
    spots : ReflectionTable or None
        The crystal's indexed spots.
    frame : StillFrame
    options : IntegrateOptions

    Returns
    -------
    Lattice
        The same.

    Raises
    ------
    XdpError
        If nothing is predicted.
    """
    table = lattice.table
    if not len(table):
        raise XdpError("no reflection is predicted on the image")
    table["flags"] = table["flags"] | _compute_reference_flags(table, spots)
    table["d"] = compute_d_spacings(lattice.experiment.known.crystal, table["miller_index"])
    if options.integration.filter.ice_rings:
        table["flags"][is_in_ice_ring(table["d"])] |= np.uint64(Flag.IN_POWDER_RING)
    # predictions of stills have frame coordinate 0.5; here the still is a frame of a stack
    xyz = table["xyzcal.px"].copy()
    xyz[:, 2] = frame.z + 0.5
    table["xyzcal.px"] = xyz
    return lattice


def _compute_reference_flags(table: ReflectionTable, spots: ReflectionTable | None) -> np.ndarray:
    """Compute the flags (n,) that predicted reflections take over from spots of the same index close to them."""
    flags = np.zeros(len(table), np.uint64)
    if spots is None:
        return flags
    # match() compares these columns too; on a still they are the same for all
    side = {"entering": np.zeros(len(spots), bool), "id": np.zeros(len(spots), np.int32)}
    same = {"entering": np.zeros(len(table), bool), "id": np.zeros(len(table), np.int32)}
    here = spots["xyzobs.px.value"].copy()
    here[:, 2] = table["xyzcal.px"][0, 2] if len(table) else 0.0
    pairs = match(table.with_columns(**same), spots.with_columns(**side, **{"xyzcal.px": here}))
    rows, seen = pairs.predicted, pairs.observed
    flags[rows] |= spots["flags"][seen] & _SPOT_FLAGS
    flags[rows[pairs.is_close]] |= np.uint64(Flag.REFERENCE_SPOT)
    return flags


def _predict_gaussian(number: int, experiment: Experiment, spots: ReflectionTable | None, frame: StillFrame,
                      options: IntegrateOptions) -> Lattice:
    """Model and predict a crystal by Kabsch's model: all spots equally wide in the reflection's own frame."""
    from xdp.integration.plan.boxes import compute_bounding_boxes, compute_recorded_fraction
    from xdp.integration.profiles.model import make_model
    from xdp.prediction.predict import predict

    model = make_model(experiment, spots, options.profile.gaussian_rs, create=options.create_profile_model)
    # predict() takes its limit off the sphere from the crystal's mosaicity, where it has one
    experiment = replace(experiment, crystal=add_mosaicity(experiment.known.crystal, spots))
    table = predict(experiment, options.prediction)
    table = table.with_columns(entering=np.zeros(len(table), bool))
    boxes = compute_bounding_boxes(model, experiment, table,
                           sigma_b_multiplier=options.integration.profile.sigma_b_multiplier or 1.0)
    # a still has no depth: the model's own limits along the rotation do not count
    boxes[:, 4], boxes[:, 5] = frame.z, frame.z + 1
    table = table.with_columns(bbox=boxes)
    table["partiality"] = compute_recorded_fraction(model, experiment, table)
    return Lattice(number, replace(experiment, profile=model.to_dict()), model, table)


def predict_ellipsoid_lattice(number: int, experiment: Experiment, spots: ReflectionTable | None, frame: StillFrame,
                              options: IntegrateOptions, background: str) -> Lattice:
    """Model and predict a crystal whose reciprocal lattice points are ellipsoids.

    Parameters
    ----------
    number : int
        Of the experiment.
    experiment : Experiment
    spots : ReflectionTable or None
        Its indexed spots, with shoeboxes; None: the experiment's own model is used.
    frame : StillFrame
    options : IntegrateOptions
    background : str
        The background algorithm.

    Returns
    -------
    Lattice
    """
    from xdp.integration.profiles.ellipsoid.fit import fit_ellipsoid
    from xdp.integration.profiles.ellipsoid.predict import add_boxes, draw_outlines, predict_ellipsoid

    own = options.profile.ellipsoid
    has_model = (experiment.profile or {}).get("__id__") == "ellipsoid"
    # without pixels no ellipsoid can be measured, unless there is no model at all: fit_ellipsoid says so then
    if spots is not None and options.create_profile_model and ("shoebox" in spots or not has_model):
        def fit(boxes: Shoeboxes) -> np.ndarray:
            return np.asarray(fit_background(boxes, options.integration.background, algorithm=background).failed, bool)

        experiment, model = fit_ellipsoid(experiment, spots, own, frame.cut, fit)
    else:
        model = EllipsoidModel.from_dict(_get_profile(experiment, "ellipsoid"))
    known = experiment.known
    # the ellipsoid's own limit comes first, as the narrower scope
    d_min = own.prediction.d_min or options.prediction.d_min or max_resolution(known.detector, known.beam)
    probability = {} if own.prediction.probability is None else {"probability": own.prediction.probability}
    table = predict_ellipsoid(experiment, model, d_min, options.prediction.d_max, **probability)
    table = add_boxes(experiment, model, table, z=frame.z)
    return Lattice(number, experiment, model, table, draw_outlines(experiment, model, table))


def _get_profile(experiment: Experiment, kind: str) -> dict[str, Any]:
    """Get the profile model that an experiment has, of the given kind."""
    profile = experiment.profile
    if profile is None or profile.get("__id__") != kind:
        raise XdpError(f"there is no profile model {kind}, and no reference spots (with shoeboxes) to make one of")
    return profile


def sum_lattices(source: FrameSource, frame: StillFrame, lattices: Sequence[Lattice], options: IntegrateOptions,
                 background: str, *, keep_boxes: bool = False) -> tuple[ReflectionTable, Shoeboxes | None]:
    """Cut, mask and sum the boxes of all lattices of an image together, since they may share pixels.

    Parameters
    ----------
    source : FrameSource
    frame : StillFrame
        Of the source.
    lattices : sequence of Lattice
    options : IntegrateOptions
    background : str
        The background algorithm.
    keep_boxes : bool
        Return the whole boxes too.

    Returns
    -------
    table : ReflectionTable
        ``id`` is the lattices' number.
    boxes : Shoeboxes or None
    """
    table = _join_tables(lattices)
    keep = _choose_rows(lattices, table, options)
    rows = np.flatnonzero(keep)
    # outlines need all reflections, boxes only those that are integrated
    radius = np.concatenate([lattice.radius for lattice in lattices])
    boxes = extract(frame, rows, table["panel"], table["bbox"], frame.z, frame.z + 1)  # type: ignore[arg-type]
    plan = Plan((source,), tuple(lattice.model for lattice in lattices), table, radius, options, background)
    outlines = _make_footprints(source, lattices, table, radius)
    found = measure_shoeboxes(plan, source.sweep, boxes, outlines, keep_full=keep_boxes)
    return _add_columns(table.select(rows), found, lattices, options), found.full


def _join_tables(lattices: Sequence[Lattice]) -> ReflectionTable:
    """Put the tables of lattices one after the other; ``id`` is the lattice's number in the image."""
    tables = []
    for i, lattice in enumerate(lattices):
        table = lattice.table.with_columns(id=np.full(len(lattice.table), i, np.int32))
        table.identifiers = {}  # these ids are not those of the experiment list
        tables.append(table)
    return tables[0] if len(tables) == 1 else ReflectionTable.concatenate(tables)


def _choose_rows(lattices: Sequence[Lattice], table: ReflectionTable, options: IntegrateOptions) -> np.ndarray:
    """Choose the reflections to integrate, bool (n,): those of the sample whose boxes are not covered too much."""
    keep = np.ones(len(table), bool)
    if not options.sampling.integrate_all_reflections:
        keep[:] = False
        keep[draw_sample([lattice.experiment for lattice in lattices], table, options.sampling)] = True
    limit = options.integration.filter.max_shoebox_overlap
    if limit is not None and limit < 1.0:
        keep &= compute_covered_fraction(np.zeros(len(table), np.int64), table["panel"], table["bbox"]) <= limit
    return keep


def _make_footprints(source: FrameSource, lattices: Sequence[Lattice], table: ReflectionTable, radius: np.ndarray
                     ) -> Footprints:
    """Outline all predicted reflections, also those that are not integrated: they too own pixels."""
    rows, detector = np.arange(len(table)), source.sweep.model.known.detector
    if lattices[0].outlines is None:
        return Footprints.of(rows, table, detector, radius, source.sweep.model.known.beam.s0)
    pixels = np.concatenate([lattice.outlines for lattice in lattices])
    return SharingFootprints.from_pixels(rows, table, detector, compute_box_offsets(table["bbox"]), pixels)


def _add_columns(table: ReflectionTable, found: Measured, lattices: Sequence[Lattice], options: IntegrateOptions
                 ) -> ReflectionTable:
    """Add the measured columns, correct for absorption, and restore ``id`` of the experiment list."""
    experiments = [lattice.experiment for lattice in lattices]
    columns = dict(found.columns)
    columns["flags"] = table["flags"] | columns["flags"]
    table = table.with_columns(**columns)
    table = correct_absorption(experiments, table, found.cores, options.absorption_correction)
    numbers = np.array([lattice.number for lattice in lattices], np.int32)
    return table.with_columns(**compute_correction_columns(experiments, table), id=numbers[table["id"]])
