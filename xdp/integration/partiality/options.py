"""Parameters of the partialities of stills."""

from __future__ import annotations

from xdp.options import AUTO, Auto, Options, option


class PartialityOptions(Options):
    """How the partialities of stills are modelled."""

    # programs that know the indexed orientation alone expect these models, so that this is for those who ask for it
    enable: bool = option(
        False, "Fit orientation, cell and widths of lattice points of stills to all their reflections, and write "
        "partialities with variances. False: models stay as they were indexed.")
    bandwidth: float | Auto | None = option(
        AUTO, "Standard deviation of the wavelengths, as a fraction of the wavelength. Auto: that of the beam where it "
        "says one, else fitted.", ge=0, le=0.1, phil="float(allow_none=True)")
    # where truth is known, 23 of 5,362 reflections of more than 5 sigma lie beyond 3, none beyond 3.5
    prediction_sigmas: float = option(
        3.5, "Reflections are predicted within this many standard deviations of the Ewald sphere.", gt=0, le=10)
    prediction_cycles: int = option(
        2, "How often reflections are predicted, summed and fitted, each time with the models of the last fit.", ge=1,
        le=10)
    refine_orientation: bool = option(True, "Refine the orientation with the partialities; False: as indexed.")
    refine_cell: bool = option(True, "Refine the unit cell with the partialities; False: as indexed.")
