"""The incident beam."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xdp.display import Displayed
from xdp.errors import FormatError
from xdp.experiment._fields import Fields, axis

WAVELENGTHS = (1e-4, 1e4)
"""Å, of beams that diffract: from electrons of 100 MeV to ultraviolet light. Others are slips, or damaged files."""
#: Å: below it a beam that does not say what it is of is taken for one of electrons. X-rays of this wavelength would
#: have 248 keV; electrons have it at about 60 keV.
ELECTRON_WAVELENGTH = 0.05


@dataclass(frozen=True, repr=False)
class Beam(Displayed):
    """A beam of X-rays (or electrons, neutrons).

    Parameters
    ----------
    direction
        From the sample to the source, as the file gives it; its length does not matter.
    wavelength
        In Å. A polychromatic beam has its range in `extra` ("wavelength_range") and 0 here.
    divergence, sigma_divergence
        In degrees.
    polarization_normal
        Normal of the plane of polarisation.
    polarization_fraction
        From 0 (all across the plane) to 1 (all in the plane).
    flux, transmission
        Photons per second; fraction passed by the attenuator.
    probe
        ``"x-ray"``, ``"electron"`` or ``"neutron"``.
    extra
        Unknown keys of the file, written back as they were.
    """

    direction: tuple[float, ...]
    wavelength: float
    divergence: float = 0.0
    sigma_divergence: float = 0.0
    polarization_normal: tuple[float, ...] = (0.0, 1.0, 0.0)
    polarization_fraction: float = 0.999
    flux: float = 0.0
    transmission: float = 1.0
    probe: str = "x-ray"
    extra: dict[str, Any] = field(default_factory=dict, hash=False)

    def _facts(self) -> list[tuple[str, Any]]:
        return [("wavelength", f"{self.wavelength:.6g} Å"), ("direction", self.direction),
                ("polarisation", self.polarization_fraction), ("probe", self.probe)]

    @classmethod
    def along_z(cls, wavelength: float, **values: Any) -> Beam:
        """A beam along -z as a header of nothing but a wavelength (Å) describes it; electrons are not polarised."""
        if 0.0 < wavelength < ELECTRON_WAVELENGTH:
            values = {"polarization_fraction": 0.5} | values
        return cls((0.0, 0.0, 1.0), wavelength, **values)

    @property
    def is_electron(self) -> bool:
        """Whether it is of electrons: it says so, or its wavelength is below 0.05 Å."""
        return self.probe == "electron" or (self.probe == "x-ray" and 0.0 < self.wavelength < ELECTRON_WAVELENGTH)

    @property
    def unit_s0(self) -> np.ndarray:
        """Unit vector along which the beam travels, shape (3,)."""
        direction = np.asarray(self.direction, dtype=np.float64)
        return -direction / np.linalg.norm(direction)

    @property
    def s0(self) -> np.ndarray:
        """Wave vector of the incident beam: length 1/wavelength, Å⁻¹, shape (3,)."""
        return self.unit_s0 / self.wavelength

    @classmethod
    def from_dict(cls, source: dict[str, Any], where: str = "beam") -> Beam:
        """The beam of a dictionary in DIALS' form.

        Raises
        ------
        FormatError
            If a key is missing or its value makes no sense; the message starts with `where`.
        """
        fields = Fields(source, where)
        kind = fields.text("__id__", "monochromatic")
        wavelength = fields.number("wavelength", 0.0) if kind == "polychromatic" else fields.number("wavelength")
        if not WAVELENGTHS[0] <= wavelength <= WAVELENGTHS[1] and kind != "polychromatic":
            raise FormatError(f"{where}: 'wavelength' must be {WAVELENGTHS[0]:g} to {WAVELENGTHS[1]:g} Å, got "
                              f"{wavelength!r}")
        others = fields.others()
        others.rows("s0_at_scan_points", 3, ())
        others.vector("wavelength_range", 2, (1.0, 1.0))
        beam = cls(
            direction=axis(fields, "direction"),
            wavelength=wavelength,
            divergence=fields.number("divergence", 0.0),
            sigma_divergence=fields.number("sigma_divergence", 0.0),
            polarization_normal=_normal(fields),
            polarization_fraction=fields.number("polarization_fraction", 0.999),
            flux=fields.number("flux", 0.0),
            transmission=fields.number("transmission", 1.0),
            probe=fields.text("probe", "x-ray"),
        )
        extra = fields.rest() if kind == "monochromatic" else {"__id__": kind, **fields.rest()}
        return dataclasses.replace(beam, extra=extra)

    def to_dict(self) -> dict[str, Any]:
        """The beam as a dictionary in DIALS' form.

        The probe is named only where it is not X-rays: older files have no such key.
        """
        result: dict[str, Any] = {
            "direction": list(self.direction),
            "wavelength": self.wavelength,
            "divergence": self.divergence,
            "sigma_divergence": self.sigma_divergence,
            "polarization_normal": list(self.polarization_normal),
            "polarization_fraction": self.polarization_fraction,
            "flux": self.flux,
            "transmission": self.transmission,
        }
        if self.extra.get("__id__") == "polychromatic":  # its range of wavelengths is in `extra`
            del result["wavelength"]
        if self.probe != "x-ray":
            result["probe"] = self.probe
        return result | self.extra


def _normal(fields: Fields) -> tuple[float, ...]:
    """The normal of polarisation; one without length is left to who needs it."""
    value = fields.vector("polarization_normal", 3, (0.0, 1.0, 0.0))
    if math.hypot(*value) > 1e100:
        raise FormatError(f"{fields.where}: 'polarization_normal' has no sensible length, got {value}")
    return value
