"""The sensor of a counting detector at a wavelength: attenuation, and whether parallax is corrected."""

from __future__ import annotations

import logging
from typing import Any

from xdp.errors import XdpError
from xdp.experiment.beam import ELECTRON_WAVELENGTH
from xdp.experiment.materials import attenuation_coefficient

logger = logging.getLogger(__name__)


def sensor(material: str, thickness: float, wavelength: float) -> dict[str, Any]:
    """The fields of a panel with this sensor.

    Electrons stop at once: parallax is not corrected, nor outside of the tables of attenuation or of an unknown
    material.

    Parameters
    ----------
    material : str
        Formula, empty where there is no sensor to speak of.
    thickness : float
        In mm.
    wavelength : float
        In Å.
    """
    fields: dict[str, Any] = {"material": material, "thickness": thickness}
    if not material or wavelength < ELECTRON_WAVELENGTH:
        return fields
    try:
        mu = attenuation_coefficient(material, wavelength)
    except XdpError as error:
        logger.warning("no correction for parallax: %s", error)
        return fields
    return fields | {"mu": mu, "px_mm_strategy": "ParallaxCorrectedPxMmStrategy"}
