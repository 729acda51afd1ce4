"""Integrates the lattices of a shot that is in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xdp.errors import XdpError
from xdp.experiment import Experiment, ExperimentList
from xdp.images.masked_frames import PanelFrame
from xdp.integration.background.auto import describe_difference, measure_counts
from xdp.integration.background.fit import resolve_algorithm
from xdp.integration.options import IntegrateOptions
from xdp.integration.partiality.fit import PartialityFit
from xdp.integration.partiality.prior import PartialityPrior
from xdp.integration.results.finish import apply_absorption, drop_overlapping
from xdp.integration.results.significance import filter_significant
from xdp.integration.stills.image import integrate_image
from xdp.integration.stills.shot import ShotImage, integrate_shot
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable
from xdp.serial.process.coset import integrate_coset
from xdp.serial.process.options import ShotProcessing
from xdp.serial.process.pixels import PixelRules, ProcessedImage, ShotPixels


class ShotIntegrator:
    """Integrates shots, with what is made once for all of them.

    Parameters
    ----------
    options : ShotProcessing
        ``integration``, ``profile``, ``prediction`` and ``significance_filter``.
    lowest, highest : float, optional
        In place of the ends of the detector's trusted range.
    """

    def __init__(self, options: ShotProcessing, lowest: float | None = None, highest: float | None = None) -> None:
        own = options.integration
        if own.integration_only_overrides.trusted_range is not None:
            lowest, highest = own.integration_only_overrides.trusted_range
        self.pixels = ShotPixels(PixelRules(own.lookup.mask, None, lowest, highest))
        self.options = make_integrate_options(options)
        stills = options.indexing.stills
        is_fixed = stills.set_domain_size_ang_value is not None or stills.set_mosaic_half_deg_value is not None
        # a mosaicity that the user fixes is that of the predictions; a fit would take another
        self.partiality = own.partiality.model_copy(update={"enable": False}) if is_fixed else own.partiality
        # what earlier shots of the run say about the widths of lattice points
        self.prior = PartialityPrior()
        self.transformation = own.coset.transformation
        self.sigma_b_cutoff = options.profile.gaussian_rs.parameters.sigma_b_cutoff

    def integrate(self, shot: ProcessedImage, experiments: Sequence[Experiment], spots: ReflectionTable
                  ) -> tuple[list[Experiment], ReflectionTable, list[PartialityFit]]:
        """Integrate the lattices of a shot.

        Parameters
        ----------
        shot : ProcessedImage
        experiments : sequence of Experiment
            One a lattice.
        spots : ReflectionTable
            Indexed; ``id`` counts the lattices.

        Returns
        -------
        experiments : list of Experiment
            Those that were integrated, with their profile models.
        reflections : ReflectionTable
            ``id`` counts these.
        fits : list of PartialityFit
            Of the crystals whose partialities were fitted.

        Raises
        ------
        XdpError
            If no lattice could be integrated, with the first reason.
        """
        panels = self.pixels.read_frame(shot)
        own = [spots.select(np.flatnonzero(spots["id"] == k)) for k in range(len(experiments))]
        background = self._choose_background(shot.experiment, panels)
        numbered, table, fits = self._measure(panels, experiments, own, background)
        kept, numbers = self._choose_crystals(numbered)
        table = drop_overlapping(apply_absorption(table, self.options), self.options)
        table = table.select(table.any_flags(Flag.INTEGRATED) & (numbers[table["id"]] >= 0))
        if not len(table):
            raise XdpError("none of the predicted reflections could be integrated")
        table = table.with_columns(id=numbers[table["id"]])
        # sorted by lattice, since several were measured together
        table = table.select(np.argsort(table["id"], kind="stable"))
        if not self.options.significance_filter.enable:
            return kept, table, fits
        significant, table, _ = filter_significant(ExperimentList(kept), table, self.options.significance_filter)
        return list(significant), table, fits

    def integrate_coset(self, shot: ProcessedImage, experiments: Sequence[Experiment]
                        ) -> tuple[list[Experiment], ReflectionTable]:
        """Integrate the negative control of a shot: points where no reflection can be.

        Parameters
        ----------
        shot : ProcessedImage
        experiments : sequence of Experiment
            Its integrated lattices.

        Returns
        -------
        experiments : list of Experiment
            With doubled cells.
        reflections : ReflectionTable
        """
        panels = self.pixels.read_frame(shot)
        return integrate_coset(panels, experiments, self.options, self.transformation,
                               self._choose_background(shot.experiment, panels))

    def _measure(self, panels: list[PanelFrame], experiments: Sequence[Experiment], spots: Sequence[ReflectionTable],
                 background: str) -> tuple[list[tuple[int, Experiment]], ReflectionTable, list[PartialityFit]]:
        """The crystals by their old numbers, their reflections, whose ``id`` is that number, and the fits."""
        if self.partiality.enable:
            found = integrate_shot(panels, experiments, spots, self.options, self.prior,
                                   partiality=self.partiality, background=background)
            if found.reflections is None:
                raise XdpError(found.failures[0][1] if found.failures else "no reflection is predicted on the image")
            numbers = np.array(found.numbers, np.int32)
            table = found.reflections.with_columns(id=numbers[found.reflections["id"]])
            return list(zip(found.numbers, found.experiments, strict=True)), table, list(found.fits)
        image = integrate_image(ShotImage(panels, experiments), spots, self.options, background)
        if image.table is None:
            raise XdpError(image.failures[0][1] if image.failures else "no reflection is predicted on the image")
        return list(image.experiments), image.table, []

    def _choose_background(self, experiment: Experiment, panels: list[PanelFrame]) -> str:
        """The background algorithm of a shot; Auto goes by its own pixels."""
        options = self.options.integration.background
        algorithm = resolve_algorithm([experiment], options)
        if options.algorithm == "Auto" and algorithm == "glm" and describe_difference(measure_counts([panels])):
            return "simple"
        return algorithm

    def _choose_crystals(self, found: Sequence[tuple[int, Experiment]]) -> tuple[list[Experiment], np.ndarray]:
        """The crystals whose spots are narrow enough, and their new numbers by the old ones (-1: left out)."""
        kept: list[Experiment] = []
        numbers = np.full(max(number for number, _ in found) + 1, -1, np.int32)
        widest = 0.0
        for number, experiment in found:
            width = (experiment.profile or {}).get("sigma_b")
            if self.sigma_b_cutoff is not None and width is not None and width > self.sigma_b_cutoff:
                widest = max(widest, width)
                continue
            numbers[number] = len(kept)
            kept.append(experiment)
        if not kept:
            raise XdpError(f"its spots spread by {widest:.3f} degrees, more than "
                           f"profile.gaussian_rs.parameters.sigma_b_cutoff={self.sigma_b_cutoff:g} allows")
        return kept, numbers


def make_integrate_options(options: ShotProcessing) -> IntegrateOptions:
    """Make the options of ``xdp integrate`` of those of a shot.

    Parameters
    ----------
    options : ShotProcessing

    Returns
    -------
    IntegrateOptions
    """
    own = options.integration
    plain = IntegrateOptions()
    # a model of more fields serves where one of fewer is wanted; validation would take it apart
    return plain.model_copy(update={
        "integration": own, "profile": options.profile, "prediction": options.prediction,
        "significance_filter": options.significance_filter, "absorption_correction": own.absorption_correction})


def count_strong(table: ReflectionTable) -> int:
    """Count the reflections with an intensity of at least three sigma.

    Parameters
    ----------
    table : ReflectionTable
        Integrated.
    """
    sigma = np.sqrt(np.maximum(table["intensity.sum.variance"], 0.0))
    return int(np.count_nonzero((sigma > 0) & (table["intensity.sum.value"] >= 3.0 * sigma)))

