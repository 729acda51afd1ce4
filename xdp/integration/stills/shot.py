"""Integrate one shot that is in memory, with partialities: what serial data need of integration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xdp.errors import XdpError
from xdp.experiment.experiment import Experiment
from xdp.images.masked_frames import PanelFrame
from xdp.integration.options import IntegrateOptions
from xdp.integration.partiality.fit import PartialityFit, fit_partiality, start_model, with_fit
from xdp.integration.partiality.model import PartialityModel, compute_excitation
from xdp.integration.partiality.options import PartialityOptions
from xdp.integration.partiality.prior import PartialityPrior
from xdp.integration.partiality.reference import ReferenceIntensities
from xdp.integration.partiality.shot_data import choose_usable_rows, gather_intensities, gather_positions
from xdp.integration.plan.sweeps import Sweep
from xdp.integration.shoeboxes.frames import FrameSource
from xdp.integration.stills.image import Lattice, StillFrame, finish_lattice, predict_ellipsoid_lattice, sum_lattices
from xdp.integration.stills.predict_partial import predict_partial
from xdp.prediction.reflections import intersect_detector, make_prediction_table
from xdp.reflections.table import ReflectionTable


class ShotImage(FrameSource):
    """A shot that is in memory, for code that reads frames of sweeps; no file is opened.

    Parameters
    ----------
    panels : sequence of PanelFrame
        Counts and valid pixels of each panel.
    experiments : sequence of Experiment
        The crystals in the shot.
    """

    def __init__(self, panels: Sequence[PanelFrame], experiments: Sequence[Experiment]):
        super().__init__(Sweep(0, tuple(range(len(experiments))), tuple(experiments), 0, 1))
        self.panels = list(panels)

    def read(self, z: int) -> list[PanelFrame] | None:
        """Give the panels of frame 0; None for any other.

        Parameters
        ----------
        z : int
            Frame coordinate.
        """
        return self.panels if z == 0 else None


@dataclass(frozen=True)
class IntegratedShot:
    """Intensities of one shot.

    Attributes
    ----------
    experiments : tuple of Experiment
        Those that were integrated, with refined crystals (whose extra entry ``partiality`` has the widths) and their
        ``profile``.
    reflections : ReflectionTable or None
        Their reflections, ``id`` counting these experiments; None: nothing was integrated.
    fits : tuple of PartialityFit
        One an experiment.
    failures : tuple of (int, str)
        Experiments that were given up, by their place in the input, and why.
    numbers : tuple of int
        The places in the input of those that were integrated.
    """

    experiments: tuple[Experiment, ...]
    reflections: ReflectionTable | None
    fits: tuple[PartialityFit, ...]
    failures: tuple[tuple[int, str], ...] = ()
    numbers: tuple[int, ...] = ()


@dataclass
class _ShotLattice:
    """A lattice on its way through the cycles."""

    number: int
    experiment: Experiment
    spots: ReflectionTable | None
    model: PartialityModel
    fit: PartialityFit | None = None
    profile: Any = None


def integrate_shot(panels: Sequence[PanelFrame], experiments: Sequence[Experiment],
                   spots: Sequence[ReflectionTable], options: IntegrateOptions | None = None,
                   prior: PartialityPrior | None = None, *, partiality: PartialityOptions | None = None,
                   reference: ReferenceIntensities | None = None, background: str = "simple") -> IntegratedShot:
    """Integrate the reflections of all crystals in one shot, and say how partial they are.

    1. Reflections near the Ewald sphere are predicted, their boxes cut, masked and summed (all crystals together, since
       they may share pixels), as for any still.
    2. Orientation, cell, and the widths of lattice points are fitted for each crystal: to the sums of all its
       reflections, seen or not, and to the positions of strong ones.
    3. Both are repeated with the fitted models (``partiality.prediction_cycles``). Each reflection gets its partiality.

    Parameters
    ----------
    panels : sequence of PanelFrame
        Counts of the shot, with valid pixels.
    experiments : sequence of Experiment
        One a crystal, with beam, detector and crystal; they share beam and detector.
    spots : sequence of ReflectionTable
        Indexed spots of each crystal: ``miller_index``, ``xyzobs.px.value``, ``panel``, ``flags``,
        ``intensity.sum.value``, ``intensity.sum.variance``; with ``shoebox`` they make the profile model, else the
        experiments' own ``profile`` is used.
    options : IntegrateOptions, optional
        Parameters of ``xdp integrate``; ``profile.algorithm`` gaussian_rs (default) or ellipsoid.
    prior : PartialityPrior, optional
        Of the widths, as earlier shots of the run tell (:class:`~xdp.integration.partiality.prior.PriorSums`); by
        default usual values.
    partiality : PartialityOptions, optional
    reference : ReferenceIntensities, optional
        Full intensities: the crystal is then refined against them.
    background : str, default "simple"
        The background algorithm.

    Returns
    -------
    IntegratedShot
        The table has ``partiality`` and ``partiality.variance``: the mean part of the domains that diffract, 1 at most.
        Intensities and their variances are not divided by it. ``fits[i].widths`` and ``width_variances`` are
        for ``PriorSums.add``. A crystal that fails is among ``failures``; it raises nothing.

    Raises
    ------
    XdpError
        If the lists differ in length.
    """
    if len(experiments) != len(spots):
        raise XdpError(f"each crystal needs its spots: there are {len(experiments)} experiments and {len(spots)} "
                       "tables of spots")
    image = ShotImage(panels, experiments)
    return integrate_frame(image, StillFrame(image), spots, options or IntegrateOptions(), prior,
                           partiality=partiality or PartialityOptions(), reference=reference, background=background)


def integrate_frame(source: FrameSource, frame: StillFrame, spots: Sequence[ReflectionTable | None],
                    options: IntegrateOptions, prior: PartialityPrior | None = None, *,
                    partiality: PartialityOptions | None = None, reference: ReferenceIntensities | None = None,
                    background: str = "simple") -> IntegratedShot:
    """Integrate one still that has been read, as :func:`integrate_shot` does.

    Parameters
    ----------
    source : FrameSource
        Whose sweep has the crystals.
    frame : StillFrame
        Its frame.
    spots : sequence of ReflectionTable or None
        Indexed spots of each crystal; None: there are none, and experiments have their ``profile``.
    options : IntegrateOptions
    prior, partiality, reference, background
        As for :func:`integrate_shot`; `partiality` None: that of the options.

    Returns
    -------
    IntegratedShot
    """
    partiality = partiality or options.integration.partiality
    failures: list[tuple[int, str]] = []
    lattices = []
    for i, (experiment, own) in enumerate(zip(source.sweep.experiments, spots, strict=True)):
        hkl = np.zeros((0, 3)) if own is None else own["miller_index"]
        lattices.append(_ShotLattice(i, experiment, own, start_model(experiment, hkl, partiality, prior)))
    table = None
    for _ in range(partiality.prediction_cycles):
        predicted = _predict_lattices(lattices, frame, options, partiality, background, failures)
        if not predicted:
            break
        table, _boxes = sum_lattices(source, frame, predicted, options, background)
        _fit_lattices(lattices, table, partiality, prior, reference, failures)
    return _gather_shot(lattices, table, failures)


def _predict_lattices(lattices: list[_ShotLattice], frame: StillFrame, options: IntegrateOptions,
                      partiality: PartialityOptions, background: str, failures: list[tuple[int, str]]) -> list[Lattice]:
    """Predict all lattices with boxes; those that fail are taken off the list."""
    predicted = []
    for lattice in list(lattices):
        try:
            predicted.append(_predict_lattice(lattice, frame, options, partiality, background))
            # with its profile, and with the crystal that an ellipsoid has refined
            lattice.experiment = predicted[-1].experiment
        except (XdpError, np.linalg.LinAlgError) as error:
            failures.append((lattice.number, str(error)))
            lattices.remove(lattice)
    return predicted


def _predict_lattice(lattice: _ShotLattice, frame: StillFrame, options: IntegrateOptions,
                     partiality: PartialityOptions, background: str) -> Lattice:
    """Predict one lattice with boxes, by the profile algorithm that is asked for."""
    experiment = lattice.experiment
    if options.profile.algorithm == "ellipsoid":
        # the ellipsoid is measured once; later cycles have a better crystal
        own = lattice.spots if lattice.fit is None else None
        return finish_lattice(predict_ellipsoid_lattice(lattice.number, experiment, own, frame, options, background),
                              lattice.spots, frame, options)
    from xdp.integration.plan.boxes import compute_bounding_boxes
    from xdp.integration.profiles.model import make_model

    # the widths of spots do not change when their crystal turns by a hundredth of a degree
    if lattice.profile is None:
        lattice.profile = make_model(experiment, _renew_rays(lattice), options.profile.gaussian_rs,
                                     create=options.create_profile_model)
    model = lattice.profile
    table = predict_partial(experiment, lattice.model, options.prediction, n_sigma=partiality.prediction_sigmas)
    boxes = compute_bounding_boxes(model, experiment, table,
                                   sigma_b_multiplier=options.integration.profile.sigma_b_multiplier or 1.0)
    boxes[:, 4], boxes[:, 5] = frame.z, frame.z + 1
    table = table.with_columns(bbox=boxes, partiality=np.ones(len(table)))
    experiment = replace(experiment, profile=model.to_dict())
    return finish_lattice(Lattice(lattice.number, experiment, model, table), lattice.spots, frame, options)


def _renew_rays(lattice: _ShotLattice) -> ReflectionTable | None:
    """Predict a lattice's spots with the crystal as it is now: ``s1`` and ``xyzcal.px`` of each."""
    if lattice.spots is None:
        return None
    experiment, hkl = lattice.experiment, lattice.spots["miller_index"]
    s0 = np.asarray(experiment.known.beam.s0)
    rays = lattice.model.compute_rays(compute_excitation(experiment.known.crystal.A, s0, hkl), s0)
    panel, xy_mm = intersect_detector(experiment.known.detector, rays)
    rows = np.flatnonzero(panel >= 0)
    table = make_prediction_table(experiment, hkl[rows], np.zeros(len(rows)), rays[rows], panel[rows], xy_mm[rows])
    return lattice.spots.select(rows).with_columns(
        **{name: table[name] for name in ("s1", "xyzcal.mm", "xyzcal.px")})


def _fit_lattices(lattices: list[_ShotLattice], table: ReflectionTable, options: PartialityOptions,
                  prior: PartialityPrior | None, reference: ReferenceIntensities | None,
                  failures: list[tuple[int, str]]) -> None:
    """Fit the partialities of each lattice; those that fail are taken off the list."""
    for lattice in list(lattices):
        own = table.select(table["id"] == lattice.number)
        own = own.select(choose_usable_rows(lattice.experiment, own))
        try:
            lattice.fit = fit_partiality(
                lattice.experiment, gather_intensities(lattice.experiment, own, reference),
                gather_positions(lattice.experiment, own), options, prior,
                start=lattice.fit.model if lattice.fit is not None else lattice.model,
                has_reference=reference is not None)
        except (XdpError, np.linalg.LinAlgError) as error:
            failures.append((lattice.number, str(error)))
            lattices.remove(lattice)
            continue
        lattice.model = lattice.fit.model
        lattice.experiment = with_fit(lattice.experiment, lattice.fit)


def _gather_shot(lattices: list[_ShotLattice], table: ReflectionTable | None, failures: list[tuple[int, str]]
                 ) -> IntegratedShot:
    """Put the result together: reflections of the lattices that were fitted, with their partialities."""
    parts, fits = [], []
    for i, lattice in enumerate(lattices):
        if table is None or lattice.fit is None:
            continue
        own = table.select(table["id"] == lattice.number)
        partiality, variance = lattice.fit.compute_partialities(own["miller_index"])
        parts.append(own.with_columns(**{"id": np.full(len(own), i, np.int32), "partiality": partiality,
                                         "partiality.variance": variance}))
        fits.append(lattice.fit)
    joined = ReflectionTable.concatenate(parts) if parts else None
    return IntegratedShot(tuple(lattice.experiment for lattice in lattices), joined, tuple(fits), tuple(failures),
                          tuple(lattice.number for lattice in lattices))
