"""The sensor of a counting detector at a wavelength: attenuation, and whether parallax is corrected."""

from __future__ import annotations

import logging
from typing import TypedDict

from xdp.errors import XdpError
from xdp.experiment.beam import ELECTRON_WAVELENGTH
from xdp.experiment.materials import attenuation_coefficient

logger = logging.getLogger(__name__)


class SensorFields(TypedDict, total=False):
    """The fields of a panel that describe its sensor."""

    material: str
    thickness: float
    mu: float
    px_mm_strategy: str


def build_sensor_fields(material: str, thickness: float, wavelength: float) -> SensorFields:
    """Build the fields of a panel with a sensor.

    Parallax is not corrected for electrons, which stop at once, for an unknown material, and outside of the tables of
    attenuation.

    Parameters
    ----------
    material : str
        Formula, empty where there is no sensor to speak of.
    thickness : float
        In mm.
    wavelength : float
        In Å.

    Returns
    -------
    dict
        ``material`` and ``thickness``; also ``mu`` (mm⁻¹) and ``px_mm_strategy`` where parallax is corrected.

    Examples
    --------
    >>> sorted(build_sensor_fields("Si", 0.32, 0.9795))
    ['material', 'mu', 'px_mm_strategy', 'thickness']
    >>> build_sensor_fields("", 0.0, 0.9795)
    {'material': '', 'thickness': 0.0}
    """
    fields: SensorFields = {"material": material, "thickness": thickness}
    if not material or wavelength < ELECTRON_WAVELENGTH:
        return fields
    try:
        mu = attenuation_coefficient(material, wavelength)
    except XdpError as error:
        logger.warning("no correction for parallax: %s", error)
        return fields
    return fields | {"mu": mu, "px_mm_strategy": "ParallaxCorrectedPxMmStrategy"}
